package lambda

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/lambda"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/identity"
)

// maxPolicy is how many bytes a policy may have: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
const maxPolicy = 20 << 10

// document is a policy as Lambda writes it: AddPermission and its like make its statements.
type document struct {
	Version   string
	ID        string `json:"Id"`
	Statement []statement
}

type statement struct {
	SID       string                       `json:"Sid"`
	Effect    string                       `json:"Effect"`
	Principal any                          `json:"Principal"`
	Action    string                       `json:"Action"`
	Resource  string                       `json:"Resource"`
	Condition map[string]map[string]string `json:"Condition,omitempty"`
}

func parseDocument(text string) (*document, error) {
	d := &document{Version: policy.Version2012, ID: "default"}
	if text == "" {
		return d, nil
	}
	if err := json.Unmarshal([]byte(text), d); err != nil {
		return nil, fmt.Errorf("reading a policy: %w", err)
	}
	return d, nil
}

func (d *document) find(sid string) int {
	return slices.IndexFunc(d.Statement, func(s statement) bool { return s.SID == sid })
}

// add adds a statement.
func (d *document) add(st statement) error {
	if d.find(st.SID) >= 0 {
		return conflict("The statement id (%s) provided already exists. Please provide a new statement id, or remove the existing statement.", st.SID)
	}
	d.Statement = append(d.Statement, st)
	return nil
}

// remove takes a statement away.
func (d *document) remove(sid string) error {
	i := d.find(sid)
	if i < 0 {
		return notFound("Statement %s is not found in resource policy.", sid)
	}
	d.Statement = slices.Delete(d.Statement, i, i+1)
	return nil
}

// text is the policy as it is kept and shown, or "" for one without statements.
func (d *document) text() (string, error) {
	if len(d.Statement) == 0 {
		return "", nil
	}
	b, err := json.Marshal(d)
	if err == nil && len(b) > maxPolicy {
		err = &lambda.PolicyLengthExceededException{Type: new("User"), Message: fmt.Sprintf("The final policy size (%d) is bigger than the limit (%d).", len(b), maxPolicy)}
	}
	return string(b), err
}

// when adds a condition.
func (st *statement) when(operator, key string, value *string) {
	if value == nil || *value == "" {
		return
	}
	if st.Condition == nil {
		st.Condition = make(map[string]map[string]string)
	}
	if st.Condition[operator] == nil {
		st.Condition[operator] = make(map[string]string)
	}
	st.Condition[operator][key] = *value
}

// principalOf is a principal of a statement: a service, an account, a user or a role, or everybody.
func principalOf(c *call.Call, name string) (any, error) {
	switch {
	case name == "*":
		return "*", nil
	case isAccount(name):
		return map[string]string{"AWS": "arn:" + c.Scope.Partition + ":iam::" + name + ":root"}, nil
	case strings.HasPrefix(name, "arn:"):
		if a, err := arn.Parse(name); err == nil && (a.Service == "iam" || a.Service == "sts") {
			return map[string]string{"AWS": name}, nil
		}
	case strings.Contains(name, ".") && strings.Contains(name, ".amazonaws.com"):
		return map[string]string{"Service": name}, nil
	}
	return nil, noPrincipal()
}

func noPrincipal() error {
	return invalid("The provided principal was invalid. Please check the principal and try again.")
}

func isAccount(s string) bool {
	return len(s) == 12 && strings.Trim(s, "0123456789") == ""
}

// compiled is the policy of a text, with whom it names.
func (s *Service) compiled(c *call.Call, text string) (pins identity.Pins, err error) {
	p, err := policy.Parse([]byte(text), policy.Resource)
	if _, ok := errors.AsType[*policy.SyntaxError](err); ok {
		return nil, noPrincipal() // all else in it is ours
	}
	if err != nil {
		return nil, err
	}
	pins, unknown, err := s.cfg.Principals.Pin(c.Tx(), p)
	if err == nil && unknown != "" {
		err = noPrincipal()
	}
	return pins, err
}

// showPolicy is a policy's text with those who are gone by their unique IDs.
func (s *Service) showPolicy(c *call.Call, text string, pins identity.Pins) (string, error) {
	p, err := s.policies.Get(c.Context, text, pins)
	if err != nil {
		return "", err
	}
	return s.cfg.Principals.Show(c.Tx(), p, pins)
}

// permitted finds what a permission is for, and asks for its change.
func (s *Service) permitted(c *call.Call, function, qualifier *string, more ...func(*target, *call.Resource) error) (*target, error) {
	t, err := s.named(c, function, qualifier, more...)
	if isNotFound(err) && t != nil && t.function != nil {
		if _, isVersion := versionNumber(t.qualifier); !isVersion {
			err = notFound("Cannot find alias arn: %s", t.asked)
		}
	}
	return t, err
}

// revision is that of what a policy belongs to: the version or the alias.
func (t *target) revision() string {
	if t.alias != nil {
		return t.alias.Revision
	}
	return t.version.Revision
}

// setPolicy gives the target a policy, or takes it away if the text is empty, and what it belongs to another revision.
func (s *Service) setPolicy(c *call.Call, t *target, text string, pins identity.Pins) error {
	if text == "" {
		if err := remove(c, policyTable, t, policyQualifier(t.qualifier)); err != nil {
			return err
		}
	} else {
		p := &policyRecord{Function: t.function.Name, Qualifier: policyQualifier(t.qualifier), Text: text, Pins: pins}
		if err := policyTable.In(t.account, t.region).Put(c.Tx(), p); err != nil {
			return err
		}
	}
	if t.alias != nil {
		return t.alias.save(c, t)
	}
	t.version.Revision = c.UUID()
	return t.function.save(c, t.version)
}

// AddPermission lets somebody do something with a function, a version or an alias.
func (s *Service) AddPermission(c *call.Call, in *lambda.AddPermissionRequest) (*lambda.AddPermissionResponse, error) {
	t, err := s.permitted(c, in.FunctionName, in.Qualifier, with("lambda:principal", *in.Principal), with("lambda:functionurlauthtype", string(in.FunctionUrlAuthType)))
	if err != nil {
		return nil, err
	}
	if t.qualifier == latest {
		return nil, invalid("We currently do not support adding policies for $LATEST.")
	}
	if err := checkRevision(in.RevisionId, t.revision(), readRevision); err != nil {
		return nil, err
	}
	st, err := permission(c, in, t.asked)
	if err != nil {
		return nil, err
	}
	d, err := t.document()
	if err != nil {
		return nil, err
	}
	if err := d.add(st); err != nil {
		return nil, err
	}
	text, err := d.text()
	if err != nil {
		return nil, err
	}
	pins, err := s.compiled(c, text)
	if err != nil {
		return nil, err
	}
	told, err := json.Marshal(st)
	if err != nil {
		return nil, err
	}
	return &lambda.AddPermissionResponse{Statement: new(string(told))}, s.setPolicy(c, t, text, pins)
}

// document is the target's policy as it is kept.
func (t *target) document() (*document, error) {
	if t.policy == nil {
		return parseDocument("")
	}
	return parseDocument(t.policy.Text)
}

// permission is the statement that a request asks for.
func permission(c *call.Call, in *lambda.AddPermissionRequest, resource string) (st statement, err error) {
	st = statement{SID: *in.StatementId, Effect: "Allow", Action: *in.Action, Resource: resource}
	if st.Principal, err = principalOf(c, *in.Principal); err != nil {
		return st, err
	}
	if in.FunctionUrlAuthType != "" && st.Action != "lambda:InvokeFunctionUrl" {
		return st, invalid("FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action")
	}
	st.when("StringEquals", "lambda:FunctionUrlAuthType", new(string(in.FunctionUrlAuthType)))
	st.when("StringEquals", "aws:PrincipalOrgID", in.PrincipalOrgID)
	st.when("StringEquals", "AWS:SourceAccount", in.SourceAccount)
	st.when("StringEquals", "lambda:EventSourceToken", in.EventSourceToken)
	st.when("ArnLike", "AWS:SourceArn", in.SourceArn)
	if in.InvokedViaFunctionUrl != nil && *in.InvokedViaFunctionUrl {
		st.when("Bool", "lambda:InvokedViaFunctionUrl", new("true"))
	}
	return st, nil
}

// RemovePermission takes a permission away.
func (s *Service) RemovePermission(c *call.Call, in *lambda.RemovePermissionRequest) (*lambda.RemovePermissionResponse, error) {
	// What the statement says is a condition of who may remove it.
	t, err := s.permitted(c, in.FunctionName, in.Qualifier, func(t *target, r *call.Resource) error {
		d, err := t.document()
		if err != nil {
			return err
		}
		if i := d.find(*in.StatementId); i >= 0 {
			set(r, "lambda:principal", d.Statement[i].principal())
			set(r, "lambda:functionurlauthtype", d.Statement[i].Condition["StringEquals"]["lambda:FunctionUrlAuthType"])
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if t.policy == nil {
		return nil, notFound("No policy is associated with the given resource.")
	}
	d, err := t.document()
	if err != nil {
		return nil, err
	}
	if err := d.remove(*in.StatementId); err != nil {
		return nil, err
	}
	if err := checkRevision(in.RevisionId, t.revision(), readRevision); err != nil {
		return nil, err
	}
	text, err := d.text()
	if err != nil {
		return nil, err
	}
	pins := t.policy.Pins
	for who := range pins {
		if !strings.Contains(text, who) {
			delete(pins, who)
		}
	}
	return &lambda.RemovePermissionResponse{}, s.setPolicy(c, t, text, pins)
}

// principal is whom a statement names, as it was asked for, but for an account.
func (st *statement) principal() string {
	switch p := st.Principal.(type) {
	case string:
		return p
	case map[string]any:
		for _, who := range p {
			if who, ok := who.(string); ok {
				return who
			}
		}
	}
	return ""
}

// GetPolicy returns the policy of a function, a version or an alias.
func (s *Service) GetPolicy(c *call.Call, in *lambda.GetPolicyRequest) (*lambda.GetPolicyResponse, error) {
	t, err := s.permitted(c, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	if t.policy == nil {
		return nil, notFound("The resource you requested does not exist.")
	}
	text, err := s.showPolicy(c, t.policy.Text, t.policy.Pins)
	return &lambda.GetPolicyResponse{Policy: &text, RevisionId: new(t.revision())}, err
}
