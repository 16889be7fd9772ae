package sns

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/sns"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/internal/optional"
)

// maxPolicy is the size of a topic's policy in bytes: https://docs.aws.amazon.com/general/latest/gr/sns.html
const maxPolicy = 30 << 10

// topicActions are the actions that a topic's policy can allow: https://docs.aws.amazon.com/sns/latest/dg/sns-access-policy-language-api-permissions-reference.html
var topicActions = []string{
	"GetTopicAttributes", "SetTopicAttributes", "AddPermission", "RemovePermission", "DeleteTopic", "Subscribe", "ListSubscriptionsByTopic", "Publish",
}

// defaultPolicy is what a topic has that was given none: https://docs.aws.amazon.com/sns/latest/dg/sns-access-policy-use-cases.html
func defaultPolicy(topicARN, account string) string {
	actions := `"SNS:` + strings.Join(topicActions, `","SNS:`) + `"`
	return `{"Version":"2008-10-17","Id":"__default_policy_ID","Statement":[{"Sid":"__default_statement_ID","Effect":"Allow","Principal":{"AWS":"*"},"Action":[` + actions +
		`],"Resource":"` + topicARN + `","Condition":{"StringEquals":{"AWS:SourceOwner":"` + account + `"}}}]}`
}

// policyText is the policy as it was set, or the default one.
func (t *topic) policyText() string {
	if t.Policy != "" {
		return t.Policy
	}
	return defaultPolicy(t.arn, t.account)
}

// setPolicy gives the topic a policy.
func (s *Service) setPolicy(t *topic, text string) error {
	if len(text) > maxPolicy {
		return invalid("Policy Error: the policy is longer than %d bytes", maxPolicy)
	}
	p, err := policy.Parse([]byte(text), policy.Resource)
	if syntax, ok := errors.AsType[*policy.SyntaxError](err); ok {
		if syntax.Fault == policy.InvalidPrincipal {
			return invalid("Policy Error: PrincipalNotFound")
		}
		return invalid("Policy Error: %s", syntax.AWS())
	}
	if err != nil {
		return err
	}
	for st := range p.Statements() {
		for _, action := range st.Actions {
			if !inService(action) {
				return invalid("Policy statement action out of service scope!")
			}
		}
		if len(st.Resources) == 0 || slices.ContainsFunc(st.Resources, func(r string) bool { return r != "*" && !policyCovers(r, t.arn) }) {
			return invalid("Policy statement resource does not match topic ARN")
		}
	}
	pins, unknown, err := s.cfg.Principals.Pin(t.c.Tx(), p)
	if err != nil {
		return err
	}
	if unknown != "" {
		return invalid("Policy Error: PrincipalNotFound")
	}
	t.Policy, t.Pins = text, pins
	return nil
}

// inService reports whether an action of a policy is one of SNS.
func inService(action string) bool {
	prefix, _, ok := strings.Cut(action, ":")
	return action == "*" || ok && strings.EqualFold(prefix, "sns")
}

// policyCovers reports whether a resource of a policy can be the topic: its ARN, or one with wildcards in the name.
func policyCovers(resource, topicARN string) bool {
	if resource == topicARN {
		return true
	}
	before, _, wild := strings.Cut(resource, "*")
	return wild && strings.HasPrefix(topicARN, before)
}

// showPolicy is the policy as AWS shows it: with unique IDs in place of those who are gone.
func (s *Service) showPolicy(t *topic) (string, error) {
	return s.cfg.Principals.Show(t.c.Tx(), t.policy, t.Pins)
}

// document is a policy as far as AddPermission and RemovePermission read it: its statements stay as they were written.
type document struct {
	Version   string            `json:"Version,omitempty"`
	ID        string            `json:"Id,omitempty"`
	Statement []json.RawMessage `json:"Statement"`
}

// parts takes the topic's policy apart. It is known to be valid.
func (t *topic) parts() (d document, err error) {
	var raw struct {
		Version   string
		ID        string `json:"Id"`
		Statement json.RawMessage
	}
	if err := json.Unmarshal([]byte(t.policyText()), &raw); err != nil {
		return d, err
	}
	d.Version, d.ID = raw.Version, raw.ID
	if bytes.HasPrefix(bytes.TrimSpace(raw.Statement), []byte("{")) {
		d.Statement = []json.RawMessage{raw.Statement}
		return d, nil
	}
	return d, json.Unmarshal(raw.Statement, &d.Statement)
}

func sid(statement json.RawMessage) string {
	var s struct{ Sid string }
	_ = json.Unmarshal(statement, &s) // a statement without one has none
	return s.Sid
}

// write gives the topic a policy that was changed.
func (s *Service) write(t *topic, d document) error {
	text, err := encode(d)
	if err != nil {
		return err
	}
	if err := s.setPolicy(t, string(text)); err != nil {
		return err
	}
	return t.save()
}

// AddPermission adds a statement to the topic's policy that lets accounts do something.
func (s *Service) AddPermission(c *call.Call, in *sns.AddPermissionInput) (*sns.AddPermissionResponse, error) {
	t, err := s.find(c, "TopicArn", optional.Value(in.TopicArn))
	if err != nil {
		return nil, err
	}
	d, err := t.parts()
	if err != nil {
		return nil, err
	}
	label := optional.Value(in.Label)
	if slices.ContainsFunc(d.Statement, func(st json.RawMessage) bool { return sid(st) == label }) {
		return nil, invalid("Statement already exists")
	}
	if len(in.AWSAccountId) == 0 {
		return nil, invalid("AWSAccountId Reason: no value for required parameter")
	}
	if len(in.ActionName) == 0 {
		return nil, invalid("ActionName Reason: no value for required parameter")
	}
	var principals, actions []string
	for _, account := range in.AWSAccountId {
		if !identity.IsAccount(account) {
			return nil, invalid("Policy Error: PrincipalNotFound")
		}
		principals = append(principals, "arn:"+c.Scope.Partition+":iam::"+account+":root")
	}
	for _, action := range in.ActionName {
		if action != "*" && !slices.Contains(topicActions, action) {
			return nil, invalid("Policy statement action out of service scope!")
		}
		actions = append(actions, "SNS:"+action)
	}
	statement, err := encode(struct {
		Sid       string
		Effect    string
		Principal map[string]any
		Action    any
		Resource  string
	}{label, "Allow", map[string]any{"AWS": one(principals)}, one(actions), t.arn})
	if err != nil {
		return nil, err
	}
	d.Statement = append(d.Statement, statement)
	return &sns.AddPermissionResponse{}, s.write(t, d)
}

// RemovePermission removes a statement of the topic's policy; that there is none of the label is no error.
func (s *Service) RemovePermission(c *call.Call, in *sns.RemovePermissionInput) (*sns.RemovePermissionResponse, error) {
	t, err := s.find(c, "TopicArn", optional.Value(in.TopicArn))
	if err != nil {
		return nil, err
	}
	d, err := t.parts()
	if err != nil {
		return nil, err
	}
	kept := slices.DeleteFunc(slices.Clone(d.Statement), func(st json.RawMessage) bool { return sid(st) == optional.Value(in.Label) })
	switch {
	case len(kept) == len(d.Statement):
		return &sns.RemovePermissionResponse{}, nil
	case len(kept) == 0:
		return nil, invalid("Policy Error: the last statement of a policy cannot be removed")
	}
	d.Statement = kept
	return &sns.RemovePermissionResponse{}, s.write(t, d)
}

// one is the only string of a list, or the list: as policies have it.
func one(list []string) any {
	if len(list) == 1 {
		return list[0]
	}
	return list
}

// encode is JSON as people read it: < and & stay as they are.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}
