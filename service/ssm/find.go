package ssm

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/ssm"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/store"
)

// parameterType is the type of parameters in audit records.
const parameterType = "AWS::SSM::Parameter"

// place is where a parameter lives.
type place struct {
	account, region string
	name
}

// parameter is a parameter that is ready to be read.
type parameter struct {
	*parameterRecord
	arn    string
	value  string // of the current version: the text, or of a SecureString the ciphertext in base64
	policy *policy.Policy
	weight int // in bytes, about
}

// loadParameter is what the cache is filled with.
func (s *Service) loadParameter(ctx context.Context, at place) (p *parameter, err error) {
	err = s.cfg.Store.View(ctx, func(r store.Reader) error {
		record, err := parameterTable.In(at.account, at.region).Get(r, at.dir, at.leaf)
		if err != nil {
			return err
		}
		p = &parameter{parameterRecord: record}
		return nil
	})
	if err != nil {
		return nil, err
	}
	p.arn = at.in(call.Scope{Partition: s.cfg.Partition, Account: at.account, Region: at.region})
	if p.value, err = s.stored(p.arn, &p.Current); err != nil {
		return nil, err
	}
	if p.Sharing != nil {
		if p.policy, err = s.policies.Get(ctx, p.Sharing.Text, p.Sharing.Pins); err != nil {
			return nil, fmt.Errorf("compiling the policy of %s: %w", p.arn, err)
		}
	}
	p.weight = 1000 + len(p.value) + len(p.Current.Value) + 150*(len(p.Labels)+len(p.Tags))
	for _, r := range p.Current.Policies {
		p.weight += len(r.Text)
	}
	return p, nil
}

// stored is the value of a version as it is answered without decryption.
func (s *Service) stored(arn string, v *version) (string, error) {
	if v.Type == string(ssm.ParameterTypeSecureString) {
		return base64.StdEncoding.EncodeToString(v.Value), nil
	}
	return s.unseal(arn, v)
}

// find returns a parameter to read, or nil where there is none. It comes out of the cache: no transaction is begun.
func (s *Service) find(c *call.Call, r *reference) (*parameter, error) {
	p, err := s.cache.Get(c.Context, place{r.account, c.Scope.Region, r.name})
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return p, err
}

// read finds and authorizes a parameter that is to be read, of any account; nil is that there is none in the caller's.
func (s *Service) read(c *call.Call, r *reference) (*parameter, error) {
	p, err := s.find(c, r)
	if err != nil {
		return nil, err
	}
	scope := c.Scope
	scope.Account = r.account
	res := call.Resource{ARN: r.in(scope), Account: r.account, Type: parameterType}
	var x conditions
	if p != nil {
		res.Policy, res.Tags, x.tags = p.policy, p.Tags, p.Tags
	}
	if err := authorize(c, &res, &x); err != nil {
		if r.account != c.Scope.Account {
			// Which policy of another account says no is as little the caller's business as whether the parameter is there.
			return nil, c.Refuse(c.Op.Action, "on resource: "+res.ARN+" because no resource-based policy allows the "+c.Op.Action+" action")
		}
		return nil, err
	}
	return p, nil
}

// change finds and authorizes a parameter of the caller's account that is to be changed, in the call's transaction; nil is that there is none.
func (s *Service) change(c *call.Call, n name, with func(*call.Resource, *conditions)) (*parameterRecord, error) {
	p, err := parameterTable.In(c.Scope.Account, c.Scope.Region).Get(c.Tx(), n.dir, n.leaf)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("loading parameter %s: %w", n, err)
	}
	r := call.Resource{ARN: n.in(c.Scope), Type: parameterType}
	var x conditions
	if p != nil {
		r.Tags, x.tags = p.Tags, p.Tags
	}
	if with != nil {
		with(&r, &x)
	}
	return p, authorize(c, &r, &x)
}

// conditions are the condition keys of Parameter Store:
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssystemsmanager.html#awssystemsmanager-policy-keys
type conditions struct {
	tags      map[string]string // of the parameter, for ssm:resourceTag/KEY
	overwrite string            // ssm:Overwrite
	policies  string            // ssm:Policies
	recursive string            // ssm:Recursive

	// ambiguous is set when a policy asks for a tag of which there are several that differ in case, with different values.
	ambiguous bool
}

// Lookup implements policy.Context.
func (x *conditions) Lookup(key string) ([]string, bool) {
	value := ""
	switch key {
	case "ssm:overwrite":
		value = x.overwrite
	case "ssm:policies":
		value = x.policies
	case "ssm:recursive":
		value = x.recursive
	default:
		tag, ok := strings.CutPrefix(key, "ssm:resourcetag/")
		if !ok {
			return nil, false
		}
		found := false
		for k, v := range x.tags {
			if strings.EqualFold(k, tag) {
				x.ambiguous = x.ambiguous || found && v != value
				value, found = v, true
			}
		}
		return []string{value}, found
	}
	if value == "" {
		return nil, false
	}
	return []string{value}, true
}

// authorize asks whether the caller may do the operation on r.
func authorize(c *call.Call, r *call.Resource, x *conditions) error {
	return authorizeAction(c, c.Op.Action, r, x)
}

func authorizeAction(c *call.Call, action string, r *call.Resource, x *conditions) error {
	r.Conditions = x
	if err := c.AuthorizeAction(action, r); err != nil {
		return err
	}
	if x.ambiguous {
		// One of the values satisfied the policies, and the caller must not choose which one they see.
		return c.Refuse(action, "on resource: "+r.ARN+" with tags whose keys differ in case alone")
	}
	return nil
}

func notFound(name string) error {
	return &ssm.ParameterNotFound{Message: fmt.Sprintf("Parameter %s not found.", name)}
}

// version finds the version of a parameter that a reference selects, with its value as it is answered without decryption.
func (s *Service) version(c *call.Call, r *reference, p *parameter) (*version, string, error) {
	if r.selector == "" {
		return &p.Current, p.value, nil
	}
	number := r.version()
	if number == 0 {
		if number = p.Labels[r.selector]; number == 0 {
			return nil, "", &ssm.ParameterVersionNotFound{Message: fmt.Sprintf(
				"Systems Manager could not find label %s for parameter %s. Verify the label name and try again.", r.selector, p.Name)}
		}
	}
	if number == p.Current.Version {
		return &p.Current, p.value, nil
	}
	v, err := loadVersion(c, r.account, p.parameterRecord, number)
	if err != nil {
		return nil, "", err
	}
	value, err := s.stored(p.arn, v)
	return v, value, err
}

// loadVersion returns a version of a parameter.
func loadVersion(c *call.Call, account string, p *parameterRecord, number int64) (*version, error) {
	if number == p.Current.Version {
		return &p.Current, nil
	}
	if number < p.Oldest || number > p.Current.Version {
		return nil, noVersion(number, p.Name)
	}
	v, err := versionTable.In(account, c.Scope.Region).Get(c.Tx(), p.Dir, p.Leaf, number)
	if errors.Is(err, store.ErrNotFound) {
		// A version that comes or goes while it is looked for.
		return nil, noVersion(number, p.Name)
	}
	if err != nil {
		return nil, fmt.Errorf("loading version %d of parameter %s: %w", number, p.Name, err)
	}
	return &v.version, nil
}

func noVersion(number int64, name string) error {
	return &ssm.ParameterVersionNotFound{Message: fmt.Sprintf("Systems Manager could not find version %d of %s. Verify the version and try again.", number, name)}
}
