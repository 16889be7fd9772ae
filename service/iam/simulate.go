package iam

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/iam"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/internal/optional"
)

// GetContextKeysForCustomPolicy lists the condition keys that policies read.
func (s *Service) GetContextKeysForCustomPolicy(c *call.Call, in *iam.GetContextKeysForCustomPolicyRequest) (*iam.GetContextKeysForPolicyResponse, error) {
	if err := s.anything(c); err != nil {
		return nil, err
	}
	given, err := inputs(in.PolicyInputList)
	if err != nil {
		return nil, err
	}
	return &iam.GetContextKeysForPolicyResponse{ContextKeyNames: contextKeys(given)}, nil
}

// GetContextKeysForPrincipalPolicy lists the condition keys that the policies of a user, a group or a role read.
func (s *Service) GetContextKeysForPrincipalPolicy(c *call.Call, in *iam.GetContextKeysForPrincipalPolicyRequest) (*iam.GetContextKeysForPolicyResponse, error) {
	sub, err := s.subject(c, *in.PolicySourceArn)
	if err != nil {
		return nil, err
	}
	all, err := s.sources(c, sub)
	if err != nil {
		return nil, err
	}
	given, err := inputs(in.PolicyInputList)
	if err != nil {
		return nil, err
	}
	return &iam.GetContextKeysForPolicyResponse{ContextKeyNames: contextKeys(append(all, given...))}, nil
}

// contextKeys are the keys that policies read, in their order, each once whatever its case.
func contextKeys(all []*source) []string {
	names, seen := []string{}, make(map[string]bool)
	for _, src := range all {
		for name := range src.policy.ContextKeys() {
			if lower := strings.ToLower(name); !seen[lower] {
				seen[lower] = true
				names = append(names, name)
			}
		}
	}
	return names
}

// inputs compiles the policies that a request brings along.
func inputs(documents []string) ([]*source, error) {
	var all []*source
	for i, text := range documents {
		id := fmt.Sprintf("PolicyInputList.%d", i+1)
		p, err := inputPolicy(id, text, policy.Identity)
		if err != nil {
			return nil, err
		}
		all = append(all, &source{origin: iam.PolicySourceTypeNone, id: id, name: id, policy: p})
	}
	return all, nil
}

func inputPolicy(id, text string, kind policy.Kind) (*policy.Policy, error) {
	p, err := parseDocument(text, kind)
	if wrong, ok := err.(*iam.MalformedPolicyDocumentException); ok {
		return nil, invalid("Invalid Content Specified: %s: %s", id, wrong.Message)
	}
	return p, err
}

// boundaryInput compiles the boundary that a request brings along, or is nil if it brings none.
func boundaryInput(documents []string) (*policy.Policy, error) {
	switch len(documents) {
	case 0:
		return nil, nil
	case 1:
		return inputPolicy("PermissionsBoundaryPolicyInputList.1", documents[0], policy.Boundary)
	}
	return nil, invalid("PermissionsBoundaryPolicyInputList can contain only one policy.")
}

// question is what both operations ask alike.
type question struct {
	actions, resources                            []string
	resourcePolicy, resourceOwner, caller, option *string
	entries                                       []iam.ContextEntry
	items                                         *int32
	marker                                        *string
}

// SimulateCustomPolicy tells what policies that the request brings along would allow.
func (s *Service) SimulateCustomPolicy(c *call.Call, in *iam.SimulateCustomPolicyRequest) (*iam.SimulatePolicyResponse, error) {
	if err := s.anything(c); err != nil {
		return nil, err
	}
	m := &simulation{c: c, orgs: s.cfg.Organizations, organized: len(in.OrderedOrganizationPolicyInputList) > 0}
	var err error
	if m.sources, err = inputs(in.PolicyInputList); err != nil {
		return nil, err
	}
	if m.boundary, err = boundaryInput(in.PermissionsBoundaryPolicyInputList); err != nil {
		return nil, err
	}
	for i, level := range in.OrderedOrganizationPolicyInputList {
		compiled := []*policy.Policy{}
		for j, text := range level.ServiceControlPolicyInputList {
			p, err := inputPolicy(fmt.Sprintf("OrderedOrganizationPolicyInputList.%d.%d", i+1, j+1), text, policy.SCP)
			if err != nil {
				return nil, err
			}
			compiled = append(compiled, p)
		}
		m.scp = append(m.scp, compiled)
	}
	return s.simulate(m, &question{
		in.ActionNames, in.ResourceArns, in.ResourcePolicy, in.ResourceOwner, in.CallerArn, in.ResourceHandlingOption, in.ContextEntries, in.MaxItems, in.Marker,
	})
}

// SimulatePrincipalPolicy tells what the policies of a user with its groups, of a group or of a role allow, together with those that the request brings along.
func (s *Service) SimulatePrincipalPolicy(c *call.Call, in *iam.SimulatePrincipalPolicyRequest) (*iam.SimulatePolicyResponse, error) {
	sub, err := s.subject(c, *in.PolicySourceArn)
	if err != nil {
		return nil, err
	}
	out := new(exclusions)
	if err := out.add(in.PolicyExclusionList); err != nil {
		return nil, err
	}
	m := &simulation{c: c, orgs: s.cfg.Organizations, who: sub.principal(), arn: sub.arn, known: true, tags: sub.tags, exempt: sub.linked != ""}
	if m.sources, err = s.sources(c, sub); err != nil {
		return nil, err
	}
	m.sources = slices.DeleteFunc(m.sources, out.source)
	given, err := inputs(in.PolicyInputList)
	if err != nil {
		return nil, err
	}
	m.sources = append(m.sources, given...)
	if m.boundary, err = boundaryInput(in.PermissionsBoundaryPolicyInputList); err != nil {
		return nil, err
	}
	if b := sub.held.Boundary; m.boundary == nil && b != "" && !out.boundary(b) {
		src, err := s.managedSource(c, b, policy.Boundary)
		if err != nil {
			return nil, err
		}
		m.boundary = src.policy
	}
	if m.home, err = s.cfg.Organizations.Member(c.Context, c.Scope.Account); err != nil {
		return nil, err
	}
	if m.home != nil {
		m.organized, m.rcps = true, !out.types[iam.PolicyIdentifierPolicyTypeRcp]
	}
	if m.home != nil && !out.types[iam.PolicyIdentifierPolicyTypeScp] {
		m.scp = m.home.SCP
	}
	return s.simulate(m, &question{
		in.ActionNames, in.ResourceArns, in.ResourcePolicy, in.ResourceOwner, in.CallerArn, in.ResourceHandlingOption, in.ContextEntries, in.MaxItems, in.Marker,
	})
}

// principal is the subject as one who acts. A group never does: it stands for a member of it that has no name. A role acts in sessions, none of which is meant:
// a resource's policy that names the role is one for all of its sessions, so that the role's boundary limits what it grants.
func (sub *subject) principal() policy.Principal {
	p := policy.Principal{Kind: policy.User, Account: sub.account, ARN: sub.arn, ID: sub.id}
	switch sub.kind {
	case iam.PolicyOwnerEntityTypeUser:
		p.UserName = sub.name
	case iam.PolicyOwnerEntityTypeRole:
		p.Kind, p.ARN, p.Issuer = policy.Role, "", sub.arn
	}
	return p
}

// evaluationLimit is how many decisions a page has at most, unless one action alone has more.
const evaluationLimit = 10_000

// simulate answers a page of a question.
func (s *Service) simulate(m *simulation, q *question) (*iam.SimulatePolicyResponse, error) {
	if err := s.ask(m, q); err != nil {
		return nil, err
	}
	w, err := newWalk(q.fingerprint(m), q.marker, q.items)
	if err != nil {
		return nil, err
	}
	out, decisions := &iam.SimulatePolicyResponse{EvaluationResults: []iam.EvaluationResult{}}, 0
	type numbered struct {
		key, action string
	}
	var list []numbered
	for i, action := range q.actions {
		list = append(list, numbered{fmt.Sprintf("%08d", i+1), action})
	}
	err = visit(w, 0, sliceFrom(slices.Values(list)), func(n numbered) string { return n.key }, nil, func(n numbered) error {
		r, err := m.result(n.action, q.resources)
		if err != nil {
			return err
		}
		out.EvaluationResults = append(out.EvaluationResults, *r)
		if decisions += len(q.resources); decisions >= evaluationLimit {
			w.limit = len(out.EvaluationResults)
		}
		return nil
	})
	out.IsTruncated, out.Marker = w.end()
	return out, err
}

// fingerprint names what is asked, so that a marker of one question does not go on with another.
func (q *question) fingerprint(m *simulation) string {
	h := sha256.New()
	for _, list := range [][]string{q.actions, q.resources, {m.arn}} {
		fmt.Fprintf(h, "%q", list)
	}
	return "simulation " + hex.EncodeToString(h.Sum(nil))
}

// ask checks the question and completes the simulation with it.
func (s *Service) ask(m *simulation, q *question) (err error) {
	if len(q.actions) == 0 {
		return invalid("ActionNames cannot be empty.")
	}
	for _, name := range q.actions {
		if !isActionName(name) {
			return invalid("Invalid action name: %s.", name)
		}
	}
	if len(q.resources) == 0 {
		q.resources = []string{anyResource}
	}
	for _, name := range q.resources {
		if _, err := arn.Parse(name); err != nil && name != anyResource {
			return invalid("ResourceNames are not in a valid ARN format: %s.", name)
		}
	}
	if err := handling(optional.Value(q.option), q.resources); err != nil {
		return err
	}
	if m.entries, err = contextEntries(q.entries); err != nil {
		return err
	}
	if q.caller != nil && *q.caller != m.arn {
		caller, err := s.parseSubject(*q.caller)
		if err != nil {
			return invalid("Invalid caller - Caller must be an IAM user, role or group in this context.")
		}
		// Of somebody else than whom the caller may ask about, nothing is told but the name that is given.
		m.who, m.arn, m.known, m.tags = caller.principal(), caller.arn, false, nil
	}
	if m.arn == "" {
		m.who.Kind, m.who.Account = policy.User, m.c.Scope.Account
	}
	m.owner = m.who.Account
	if q.resourceOwner != nil {
		if m.owner, err = s.resourceOwner(*q.resourceOwner); err != nil {
			return err
		}
	}
	if q.resourcePolicy == nil {
		return nil
	}
	if m.arn == "" {
		return invalid("Invalid caller - Caller cannot be null or empty.")
	}
	for _, name := range q.resources {
		a, _ := arn.Parse(name)
		switch {
		case name == anyResource:
			return invalid("Invalid Entity Arn: %s does not clearly define entity type and name.", name)
		case a.Service == "iam" && strings.HasPrefix(a.Resource, "role/"):
			return invalid("Simulation of resource-based policies is not supported for IAM roles: %s.", name)
		}
	}
	m.resource, err = inputPolicy("ResourcePolicy", *q.resourcePolicy, policy.Resource)
	return err
}

// resourceOwner takes an account, or the ARN of one: arn:aws:iam::111122223333:root.
func (s *Service) resourceOwner(name string) (account string, err error) {
	if identity.IsAccount(name) {
		return name, nil
	}
	a, err := arn.Parse(name)
	if err != nil || a.Partition != s.cfg.Partition || a.Service != "iam" || a.Region != "" || !identity.IsAccount(a.Account) || a.Resource != "root" {
		return "", invalid("Invalid Resource Owner.")
	}
	return a.Account, nil
}

// isActionName reports whether a name is service:Action, without wildcards.
func isActionName(name string) bool {
	prefix, action, ok := strings.Cut(name, ":")
	const letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	return ok && prefix != "" && action != "" && strings.Trim(prefix, letters+"-") == "" && strings.Trim(action, letters+"-_") == ""
}

// handling checks that the resources of a scenario of EC2 are there:
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
func handling(option string, resources []string) error {
	needs := []string{"instance", "image", "security-group", "network-interface"}
	switch option {
	case "":
		return nil
	case "EC2-VPC-InstanceStore":
	case "EC2-VPC-InstanceStore-Subnet":
		needs = append(needs, "subnet")
	case "EC2-VPC-EBS":
		needs = append(needs, "volume")
	case "EC2-VPC-EBS-Subnet":
		needs = append(needs, "subnet", "volume")
	default:
		return invalid("Invalid resource handling option: %s.", option)
	}
	for _, kind := range needs {
		there := slices.ContainsFunc(resources, func(name string) bool {
			a, err := arn.Parse(name)
			return err == nil && a.Service == "ec2" && strings.HasPrefix(a.Resource, kind+"/")
		})
		if !there {
			return invalid("Resource handling option %s requires a resource of type %s.", option, kind)
		}
	}
	return nil
}
