package secretsmanager

import (
	"context"
	"strconv"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/secretsmanager"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/internal/optional"
)

// secret is a secret, ready for use. One of the cache is shared, and must not be changed.
type secret struct {
	secretRecord
	arn    string
	policy *policy.Policy // compiled; nil is none
}

// target is what a SecretId names.
type target struct {
	place
	suffix string // which the ARN must end with; "" is any
	arn    string // as it stands, if it is an ARN
}

// parse reads a SecretId: a name, an ARN, or an ARN without its last hyphen and six characters. What ends like a whole ARN is taken for one:
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/troubleshoot.html#ARN_secretnamehyphen
func parse(c *call.Call, given string) (target, error) {
	t := target{place: place{account: c.Scope.Account, region: c.Scope.Region, name: given}}
	if !arn.Is(given) {
		return t, validName(given)
	}
	a, err := arn.Parse(given)
	name, ok := strings.CutPrefix(a.Resource, "secret:")
	if err != nil || !ok || a.Service != "secretsmanager" || a.Partition != c.Scope.Partition || name == "" {
		return t, invalidParameter("Invalid ARN: the secret ARN is not in the correct format.")
	}
	t.account, t.region, t.name, t.arn = a.Account, a.Region, name, given
	if n := len(name) - suffixLength - 1; n > 0 && name[n] == '-' && alphanumeric(name[n+1:]) {
		t.name, t.suffix = name[:n], name[n+1:]
	}
	return t, nil
}

// suffixLength is how many random characters an ARN ends with.
const suffixLength = 6

func alphanumeric(s string) bool {
	for i := range len(s) {
		if b := s[i]; (b < '0' || b > '9') && (b < 'a' || b > 'z') && (b < 'A' || b > 'Z') {
			return false
		}
	}
	return true
}

// names reports whether the target is this secret.
func (t *target) names(r *secretRecord) bool {
	return t.region == r.Region && (t.suffix == "" || t.suffix == r.Suffix)
}

// secret finds a secret in the call's transaction, and asks for permission to do the call's operation on it. It may be changed, and saved.
func (s *Service) secret(c *call.Call, id *string) (*secret, error) {
	return s.secretWith(c, id, &access{})
}

// secretWith is secret for a request with conditions of its own.
func (s *Service) secretWith(c *call.Call, id *string, a *access) (*secret, error) {
	t, err := parse(c, optional.Value(id))
	if err != nil {
		return nil, err
	}
	sec, err := s.read(c, t)
	if err != nil {
		return nil, err
	}
	if err := s.authorize(c, t, sec, a); err != nil {
		return nil, err
	}
	return sec, nil
}

// live is secret for the operations that refuse one that is scheduled for deletion.
func (s *Service) live(c *call.Call, id *string, a *access) (*secret, error) {
	sec, err := s.secretWith(c, id, a)
	if err != nil {
		return nil, err
	}
	return sec, sec.alive()
}

// alive refuses a secret that is scheduled for deletion.
func (r *secretRecord) alive() error {
	if !r.Deleted.IsZero() {
		return invalidRequest("You can't perform this operation on the secret because it was marked for deletion.")
	}
	return nil
}

// primary refuses a replica: only the secret that it is a copy of can be changed.
func (r *secretRecord) primary() error {
	if r.Primary != "" {
		return invalidRequest("Operation not permitted on a replica secret. Call must be made in primary secret's region.")
	}
	return nil
}

// read returns the secret that a target names, from the call's transaction; nil is none.
func (s *Service) read(c *call.Call, t target) (*secret, error) {
	if t.region != c.Scope.Region {
		return nil, nil
	}
	r, err := secretTable.In(t.account, t.region).Get(c.Tx(), t.name)
	if missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !t.names(r) {
		return nil, nil
	}
	return s.ready(c.Context, r, c.Scope.Partition)
}

// cached is read for the operations that are asked for all the time: it begins no transaction, unless the secret was made in the one that there is.
func (s *Service) cached(c *call.Call, t target) (*secret, error) {
	if t.region != c.Scope.Region {
		return nil, nil
	}
	sec, err := s.secrets.Get(c.Context, t.place)
	if missing(err) {
		return s.read(c, t)
	}
	if err != nil {
		return nil, err
	}
	if !t.names(&sec.secretRecord) {
		return nil, nil
	}
	return sec, nil
}

// ready makes a secret of its record.
func (s *Service) ready(ctx context.Context, r *secretRecord, partition string) (*secret, error) {
	sec := &secret{secretRecord: *r, arn: r.arn(partition)}
	if r.Policy == "" {
		return sec, nil
	}
	var err error
	sec.policy, err = s.policies.Get(ctx, r.Policy, r.Pins)
	return sec, err
}

// save writes a secret that was changed.
func (sec *secret) save(c *call.Call) error {
	return secretTable.In(sec.Account, sec.Region).Put(c.Tx(), &sec.secretRecord)
}

// secretType is the type of secrets in audit records.
const secretType = "AWS::SecretsManager::Secret"

// access is what a request says of itself to policies: the service's condition keys, in lower case.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssecretsmanager.html
type access struct {
	sec    *secret // nil where there is none
	id     string  // secretsmanager:SecretId
	values map[string][]string

	reading *secretsmanager.GetSecretValueRequest // nil in other operations

	tags    map[string]string // that the request sets
	tagKeys []string          // that it removes
}

// with adds the value of a condition key; "" is none.
func (a *access) with(key, value string) *access {
	if value == "" {
		return a
	}
	if a.values == nil {
		a.values = make(map[string][]string, 4)
	}
	a.values[key] = append(a.values[key], value)
	return a
}

// Lookup implements policy.Context.
func (a *access) Lookup(key string) ([]string, bool) {
	if v, ok := a.values[key]; ok {
		return v, true
	}
	if key == "secretsmanager:secretid" && a.id != "" {
		return []string{a.id}, true
	}
	if key == "secretsmanager:versionstage" && a.reading != nil {
		labels := a.stages()
		return labels, len(labels) > 0
	}
	if a.sec == nil {
		return nil, false
	}
	switch key {
	case "secretsmanager:secretprimaryregion":
		if a.sec.Primary != "" {
			return []string{a.sec.Primary}, true
		}
		return []string{a.sec.Region}, true
	case "secretsmanager:resource/allowrotationlambdaarn":
		if r := a.sec.Rotation; r != nil && r.Lambda != "" {
			return []string{r.Lambda}, true
		}
		return nil, false
	case "secretsmanager:resource/type":
		return []string{a.sec.Type}, a.sec.Type != ""
	}
	if tag, ok := strings.CutPrefix(key, "secretsmanager:resourcetag/"); ok {
		for k, v := range a.sec.Tags {
			if strings.EqualFold(k, tag) {
				return []string{v}, true
			}
		}
	}
	return nil, false
}

// stages are the labels by which a version is read: the one that the request names, those of the version that it names by its ID alone, or AWSCURRENT.
func (a *access) stages() []string {
	switch id := optional.Value(a.reading.VersionId); {
	case optional.Value(a.reading.VersionStage) != "":
		return []string{*a.reading.VersionStage}
	case id == "":
		return []string{currentLabel}
	case a.sec != nil:
		return a.sec.labels(id)
	}
	return nil
}

// authorize asks for permission to do the call's operation on the secret that a target names, which is nil if there is none. Who may do it hears that there is none, and nobody else.
func (s *Service) authorize(c *call.Call, t target, sec *secret, a *access) error {
	return s.authorizeAction(c, c.Op.Action, t, sec, a)
}

func (s *Service) authorizeAction(c *call.Call, action string, t target, sec *secret, a *access) error {
	r := &call.Resource{Account: t.account, Type: secretType, RequestTags: a.tags, RequestTagKeys: a.tagKeys, Conditions: a}
	if a.sec = sec; sec != nil {
		r.ARN, r.Policy, r.Tags = sec.arn, sec.policy, sec.Tags
		a.id = sec.arn
	} else {
		if r.ARN = t.arn; r.ARN == "" {
			r.ARN = c.Scope.ARN("secretsmanager", "secret:"+t.name)
		}
		a.id = r.ARN
	}
	if err := c.AuthorizeAction(action, r); err != nil {
		return err
	}
	if sec == nil {
		return notFound()
	}
	return nil
}

// boolean and number are values of condition keys; "" is none.
func boolean(v *bool) string {
	if v == nil {
		return ""
	}
	return strconv.FormatBool(*v)
}

func number(v *int64) string {
	if v == nil {
		return ""
	}
	return strconv.FormatInt(*v, 10)
}

// tagList are tags as answers have them, by their keys.
func tagList(tags map[string]string) (list []secretsmanager.Tag) {
	for _, k := range sortedKeys(tags) {
		list = append(list, secretsmanager.Tag{Key: new(k), Value: new(tags[k])})
	}
	return list
}
