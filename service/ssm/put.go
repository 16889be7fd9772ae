package ssm

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/ssm"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/wire"
)

// maxVersions is how many versions of a parameter are kept.
const maxVersions = 100

// PutParameter makes a parameter, or a version of one that is there.
func (s *Service) PutParameter(c *call.Call, in *ssm.PutParameterRequest) (*ssm.PutParameterResult, error) {
	n, text, err := newName(c, *in.Name)
	if err != nil {
		return nil, err
	}
	tags, err := tagMap(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	old, err := s.putting(c, n, in, tags)
	if err != nil {
		return nil, err
	}
	overwrite := optional.Value(in.Overwrite)
	switch {
	case overwrite && len(in.Tags) > 0:
		return nil, invalid("Invalid request: tags and overwrite can't be used together. To create a parameter with tags, please remove overwrite flag. " +
			"To update tags for an existing parameter, please use AddTagsToResource or RemoveTagsFromResource.")
	case old != nil && !overwrite:
		return nil, &ssm.ParameterAlreadyExists{Message: "The parameter already exists. To overwrite this value, set the overwrite option in the request to true."}
	}
	v, err := newVersion(c, in, old)
	if err != nil {
		return nil, err
	}
	if err := s.chooseTier(c, in, old, v); err != nil {
		return nil, err
	}
	out := &ssm.PutParameterResult{Version: &v.Version, Tier: ssm.ParameterTier(v.Tier)}
	if v.DataType == imageType && !imageID(*in.Value) {
		// AWS looks whether there is such an image after it has answered, and then tells of it in an event.
		return out, emitUnfit(c, n, text, v, old != nil)
	}
	p := old
	if p == nil {
		p = &parameterRecord{Dir: n.dir, Leaf: n.leaf, Name: text, Oldest: 1, Tags: tags}
	}
	if err := s.protect(c, n.in(c.Scope), v, *in.Value); err != nil {
		return nil, err
	}
	return out, s.advance(c, p, v, old == nil)
}

// putting finds a parameter that is to be put, and authorizes that.
func (s *Service) putting(c *call.Call, n name, in *ssm.PutParameterRequest, tags map[string]string) (*parameterRecord, error) {
	var r *call.Resource
	old, err := s.change(c, n, func(res *call.Resource, x *conditions) {
		r = res
		res.RequestTags = tags
		x.overwrite = strconv.FormatBool(optional.Value(in.Overwrite))
		x.policies = strconv.FormatBool(in.Policies != nil && !noPolicies(*in.Policies))
	})
	if err != nil {
		return nil, err
	}
	if len(tags) > 0 {
		again := *r
		return old, authorizeAction(c, "ssm:AddTagsToResource", &again, &conditions{tags: r.Tags})
	}
	return old, nil
}

// newVersion is the next version of a parameter, which is nil if there is none yet, without tier and value. What the request leaves out stays as it was.
func newVersion(c *call.Call, in *ssm.PutParameterRequest, old *parameterRecord) (*version, error) {
	v := &version{Version: 1}
	if old != nil {
		v.Version = old.Current.Version + 1
		was := &old.Current
		v.Type, v.DataType, v.Description, v.KeyID, v.Pattern, v.Policies = was.Type, was.DataType, was.Description, was.KeyID, was.Pattern, was.Policies
	}
	v.Modified, v.By = c.Time, cmp.Or(c.Caller.ARN, c.Caller.ServiceName)
	v.Type = cmp.Or(string(in.Type), v.Type)
	if v.Type == "" {
		return nil, invalid("A parameter type is required when you create a parameter.")
	}
	set(&v.Description, in.Description)
	set(&v.Pattern, in.AllowedPattern)
	v.DataType = cmp.Or(optional.Value(in.DataType), v.DataType, textType)
	switch secure := v.Type == string(ssm.ParameterTypeSecureString); {
	case secure:
		v.KeyID = cmp.Or(optional.Value(in.KeyId), v.KeyID, defaultKey)
	case in.KeyId != nil:
		return nil, invalid("KeyId is required for SecureString type parameter only.")
	default:
		v.KeyID = ""
	}
	if err := checkDataType(v); err != nil {
		return nil, err
	}
	if err := checkValue(v.Pattern, *in.Value); err != nil {
		return nil, err
	}
	return v, choosePolicies(c, in.Policies, v)
}

func set(to, given *string) {
	if given != nil {
		*to = *given
	}
}

// Data types: https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-ec2-aliases.html
const (
	textType        = "text"
	imageType       = "aws:ec2:image"
	integrationType = "aws:ssm:integration"
)

func checkDataType(v *version) error {
	switch v.DataType {
	case textType, integrationType:
		return nil
	case imageType:
		if v.Type != string(ssm.ParameterTypeString) {
			return invalid("The data type %s is only supported for parameters of the type String.", imageType)
		}
		return nil
	}
	return invalid("The following data type is not supported: %s (Data type names are all lowercase.)", v.DataType)
}

// imageID reports whether s has the form of the ID of a machine image.
func imageID(s string) bool {
	id, ok := strings.CutPrefix(s, "ami-")
	return ok && (len(id) == 8 || len(id) == 17) && strings.Trim(id, "0123456789abcdef") == ""
}

var nested = regexp.MustCompile(`(?s)\{\{.*\}\}`)

// checkValue holds a value against what values must not be, and against the parameter's pattern. No error tells the value.
func checkValue(pattern, value string) error {
	if value == "" {
		return invalid("1 validation error detected: Value at 'value' failed to satisfy constraint: Member must have length greater than or equal to 1.")
	}
	if nested.MatchString(value) {
		return invalid(`Parameter value can't nest another parameter. Do not use "{{}}" in the value.`)
	}
	if pattern == "" {
		return nil
	}
	match, err := wire.CompilePattern(pattern)
	if err != nil {
		return &ssm.InvalidAllowedPatternException{Message: "The request doesn't meet the regular expression requirement: the allowed pattern cannot be read."}
	}
	if !match(value) {
		return &ssm.ParameterPatternMismatchException{Message: "Parameter value, cannot be validated against allowedPattern: " + pattern}
	}
	return nil
}

// advance makes v the current version of a parameter, which is new or in the store.
func (s *Service) advance(c *call.Call, p *parameterRecord, v *version, created bool) error {
	operation := "Create"
	tier, policies := p.Current.Tier, len(p.Current.Policies)
	if !created {
		operation = "Update"
		if err := keep(c, p); err != nil {
			return err
		}
	}
	p.Current = *v
	if err := parameterTable.In(c.Scope.Account, c.Scope.Region).Put(c.Tx(), p); err != nil {
		return fmt.Errorf("putting parameter %s: %w", p.Name, err)
	}
	if err := count(c, p.name(), tier, v.Tier); err != nil {
		return err
	}
	if err := schedule(c, p, policies); err != nil {
		return err
	}
	return emitChange(c, p, operation)
}

// keep puts the current version of a parameter among the earlier ones, of which the oldest goes where there are too many.
func keep(c *call.Call, p *parameterRecord) error {
	rows := versionTable.In(c.Scope.Account, c.Scope.Region)
	if p.Current.Version-p.Oldest+1 >= maxVersions {
		for _, labelled := range p.Labels {
			if labelled == p.Oldest {
				return &ssm.ParameterMaxVersionLimitExceeded{Message: fmt.Sprintf(
					"You attempted to create a new version of %s by calling the PutParameter API with the overwrite flag. Version %d, the oldest version, can't be deleted "+
						"because it has a label associated with it. Move the label to another version of the parameter, and try again.", p.Name, p.Oldest)}
			}
		}
		if err := rows.Delete(c.Tx(), p.Dir, p.Leaf, p.Oldest); err != nil {
			return fmt.Errorf("deleting version %d of parameter %s: %w", p.Oldest, p.Name, err)
		}
		p.Oldest++
	}
	return rows.Put(c.Tx(), &versionRecord{p.Dir, p.Leaf, p.Current})
}
