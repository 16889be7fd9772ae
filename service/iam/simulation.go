package iam

import (
	"slices"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/iam"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/actions"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/organization"
)

// simulation is a principal with the policies that are to decide what it may do. The decisions are those of the engine, which decides calls as well.
type simulation struct {
	c     *call.Call
	orgs  *organization.Directory
	who   policy.Principal
	arn   string            // of who: a role's own, while its sessions' are not known; empty if there is no telling who it is
	known bool              // who is the principal that the caller may ask about: what follows from its record may be told
	tags  map[string]string // of who, where it is known

	sources  []*source
	boundary *policy.Policy
	resource *policy.Policy // attached to each of the resources
	owner    string         // the account of resources whose ARNs name none

	organized bool                 // there is an organization whose policies take part
	exempt    bool                 // no policy of an organization binds: a service-linked role
	scp       [][]*policy.Policy   // from the root to the account
	rcps      bool                 // those of the resource's account take part
	home      *organization.Member // of the account that the simulation is made in; nil where memberships play no part

	entries policy.Values
}

// verdict is what came of one action on one resource.
type verdict struct {
	decision   iam.PolicyEvaluationDecisionType
	statements []iam.Statement
	missing    []string
	details    map[string]iam.PolicyEvaluationDecisionType // by the kind of policy, across accounts
	bounded    *bool                                       // the boundary allows; nil if there is none
	organized  *bool                                       // the organization allows
}

// The kinds of policies in EvalDecisionDetails.
const (
	detailIdentity = "IAM Policy"
	detailResource = "Resource Policy"
	detailBoundary = "Permissions Boundary Policy"
)

// decide asks the engine as the door does, see call.Call.Authorize. Of the resource nothing is known but what the caller says of it.
func (m *simulation) decide(action, resource string) (*verdict, error) {
	x := &simulatedContext{m: m}
	r := &policy.Request{
		Principal: m.who, Action: action, Resource: resource, ResourceAccount: m.ownerOf(resource), Context: x,
		Boundary: m.boundary, ResourcePolicy: m.resource, ResourcePolicyRequired: m.resource != nil && decidesAlone(action),
	}
	for _, src := range m.sources {
		r.Identity = append(r.Identity, src.policy)
	}
	caller, err := m.member(m.who.Account)
	if err != nil {
		return nil, err
	}
	if m.known {
		x.caller = caller
	}
	if x.owner, err = m.member(r.ResourceAccount); err != nil {
		return nil, err
	}
	if !m.exempt {
		r.SCP = m.scp
		if m.rcps {
			r.RCP = x.owner.RCPFor(action)
		}
	}
	explained := policy.Explain(r)
	return m.verdict(r, &explained), nil
}

// decidesAlone reports whether a resource's own policy must agree to an action even within its account: the policies of KMS keys.
func decidesAlone(action string) bool {
	prefix, _, _ := strings.Cut(action, ":")
	return strings.EqualFold(prefix, "kms")
}

// member is the membership of an account, where it may be told: that of the caller's account and of others in its organization. A stranger's organization is
// not found out by simulations.
func (m *simulation) member(account string) (*organization.Member, error) {
	if m.home == nil || account == "" {
		return nil, nil
	}
	if account == m.c.Scope.Account {
		return m.home, nil
	}
	other, err := m.orgs.Member(m.c.Context, account)
	if err != nil || other == nil || other.OrgID != m.home.OrgID {
		return nil, err
	}
	return other, nil
}

// ownerOf is the account of a resource. Where no caller is given there are no two accounts.
func (m *simulation) ownerOf(resource string) string {
	if m.arn == "" {
		return ""
	}
	if a, err := arn.Parse(resource); err == nil && identity.IsAccount(a.Account) {
		return a.Account
	}
	return m.owner
}

// verdict tells an explanation as the simulator does.
func (m *simulation) verdict(r *policy.Request, x *policy.Explanation) *verdict {
	d := x.Decision
	v := &verdict{decision: iam.PolicyEvaluationDecisionTypeImplicitDeny, statements: []iam.Statement{}, missing: m.missing(r, x)}
	effect := "" // of the statements that contributed
	switch d.Outcome {
	case policy.Allow:
		v.decision, effect = iam.PolicyEvaluationDecisionTypeAllowed, "Allow"
	case policy.ExplicitDeny:
		v.decision, effect = iam.PolicyEvaluationDecisionTypeExplicitDeny, "Deny"
	}
	fenced := fencesAllow(r, x)
	for _, match := range x.Matched {
		if match.Statement.Effect == effect && d.Kind != policy.SCP && d.Kind != policy.RCP {
			if at := m.statement(&match); at != nil {
				v.statements = append(v.statements, *at)
			}
		}
	}
	if m.organized {
		v.organized = &fenced
	}
	if r.Boundary != nil {
		v.bounded = new(says(x, policy.Boundary) == iam.PolicyEvaluationDecisionTypeAllowed)
	}
	switch {
	case !fenced:
	case r.ResourceAccount != "" && r.ResourceAccount != r.Principal.Account:
		v.details = map[string]iam.PolicyEvaluationDecisionType{
			detailIdentity: says(x, policy.Identity), detailResource: says(x, policy.Resource),
		}
		if r.Boundary != nil {
			v.details[detailBoundary] = says(x, policy.Boundary)
		}
	case r.Resource != anyResource:
		v.details = map[string]iam.PolicyEvaluationDecisionType{}
	}
	return v
}

// fencesAllow reports whether the policies of organizations let a request pass: none of them denies it, and each level allows it.
func fencesAllow(r *policy.Request, x *policy.Explanation) bool {
	allows := make(map[*policy.Policy]bool)
	for _, match := range x.Matched {
		if match.Kind != policy.SCP && match.Kind != policy.RCP {
			continue
		}
		if match.Statement.Effect == "Deny" {
			return false
		}
		allows[match.Policy] = true
	}
	for _, level := range slices.Concat(r.RCP, r.SCP) {
		if !slices.ContainsFunc(level, func(p *policy.Policy) bool { return allows[p] }) {
			return false
		}
	}
	return true
}

// says is what the policies of a kind say by themselves.
func says(x *policy.Explanation, kind policy.Kind) iam.PolicyEvaluationDecisionType {
	said := iam.PolicyEvaluationDecisionTypeImplicitDeny
	for _, match := range x.Matched {
		if match.Kind == kind && match.Statement.Effect == "Deny" {
			return iam.PolicyEvaluationDecisionTypeExplicitDeny
		}
		if match.Kind == kind {
			said = iam.PolicyEvaluationDecisionTypeAllowed
		}
	}
	return said
}

// missing are the context keys that the request lacks. What policies of an organization look at is not told.
func (m *simulation) missing(r *policy.Request, x *policy.Explanation) []string {
	if len(x.Missing) == 0 || len(r.SCP)+len(r.RCP) == 0 {
		return append([]string{}, x.Missing...)
	}
	alone := *r
	alone.SCP, alone.RCP = nil, nil
	return append([]string{}, policy.Explain(&alone).Missing...)
}

// statement is where a statement stands, or nil if answers do not tell of its kind of policy.
func (m *simulation) statement(match *policy.Match) *iam.Statement {
	out := new(iam.Statement)
	switch match.Kind {
	case policy.Resource:
		out.SourcePolicyId, out.SourcePolicyType = new("ResourcePolicy"), iam.PolicySourceTypeResource
	case policy.Identity:
		i := slices.IndexFunc(m.sources, func(src *source) bool { return src.policy == match.Policy })
		if i < 0 {
			return nil
		}
		out.SourcePolicyId, out.SourcePolicyType = &m.sources[i].id, m.sources[i].origin
	default:
		return nil
	}
	out.StartPosition, out.EndPosition = positionAt(match.Policy, match.Statement.Start), positionAt(match.Policy, match.Statement.End)
	return out
}

func positionAt(p *policy.Policy, offset int) *iam.Position {
	line, column := p.Position(offset)
	return &iam.Position{Line: new(int32(line)), Column: new(int32(column))}
}

// severity orders decisions: of several, the most restrictive one counts.
func severity(d iam.PolicyEvaluationDecisionType) int {
	switch d {
	case iam.PolicyEvaluationDecisionTypeExplicitDeny:
		return 2
	case iam.PolicyEvaluationDecisionTypeImplicitDeny:
		return 1
	}
	return 0
}

// anyResource stands for the resource of a simulation that is given none.
const anyResource = "*"

// result decides an action on all resources.
func (m *simulation) result(action string, resources []string) (*iam.EvaluationResult, error) {
	verdicts := make([]*verdict, len(resources))
	worst := iam.PolicyEvaluationDecisionTypeAllowed
	for i, resource := range resources {
		v, err := m.decide(action, resource)
		if err != nil {
			return nil, err
		}
		verdicts[i] = v
		if severity(v.decision) > severity(worst) {
			worst = v.decision
		}
	}
	out := &iam.EvaluationResult{
		EvalActionName: &action, EvalResourceName: new(template(action, resources)), EvalDecision: worst, MatchedStatements: []iam.Statement{}, MissingContextValues: []string{},
	}
	seen := make(map[position]bool)
	for i, v := range verdicts {
		out.MissingContextValues = append(out.MissingContextValues, v.missing...)
		for _, at := range v.statements {
			if key := positionOf(&at); v.decision == worst && !seen[key] {
				seen[key] = true
				out.MatchedStatements = append(out.MatchedStatements, at)
			}
		}
		if v.organized != nil {
			if out.OrganizationsDecisionDetail == nil {
				out.OrganizationsDecisionDetail = &iam.OrganizationsDecisionDetail{AllowedByOrganizations: new(true)}
			}
			*out.OrganizationsDecisionDetail.AllowedByOrganizations = *out.OrganizationsDecisionDetail.AllowedByOrganizations && *v.organized
		}
		if v.bounded != nil {
			if out.PermissionsBoundaryDecisionDetail == nil {
				out.PermissionsBoundaryDecisionDetail = boundaryDetail(new(true))
			}
			allowed := out.PermissionsBoundaryDecisionDetail.AllowedByPermissionsBoundary
			*allowed = *allowed && *v.bounded
		}
		if v.details != nil && out.EvalDecisionDetails == nil {
			out.EvalDecisionDetails = make(map[string]iam.PolicyEvaluationDecisionType)
		}
		for kind, d := range v.details {
			if there, ok := out.EvalDecisionDetails[kind]; !ok || severity(d) > severity(there) {
				out.EvalDecisionDetails[kind] = d
			}
		}
		if len(resources) == 1 && resources[0] == anyResource {
			break
		}
		out.ResourceSpecificResults = append(out.ResourceSpecificResults, iam.ResourceSpecificResult{
			EvalResourceName: &resources[i], EvalResourceDecision: v.decision, MatchedStatements: v.statements, MissingContextValues: v.missing,
			EvalDecisionDetails: v.details, PermissionsBoundaryDecisionDetail: boundaryDetail(v.bounded),
		})
	}
	slices.Sort(out.MissingContextValues)
	out.MissingContextValues = slices.Compact(out.MissingContextValues)
	return out, nil
}

type position struct {
	id                string
	origin            iam.PolicySourceType
	line, column, end int32
}

func positionOf(at *iam.Statement) position {
	return position{*at.SourcePolicyId, at.SourcePolicyType, *at.StartPosition.Line, *at.StartPosition.Column, *at.EndPosition.Column}
}

func boundaryDetail(allowed *bool) *iam.PermissionsBoundaryDecisionDetail {
	if allowed == nil {
		return nil
	}
	return &iam.PermissionsBoundaryDecisionDetail{AllowedByPermissionsBoundary: allowed}
}

// template is the form of ARN that the first of the resources has, of those that an action is authorized on.
func template(action string, resources []string) string {
	prefix, name, _ := strings.Cut(action, ":")
	s, ok := actions.Find(prefix)
	if !ok {
		return anyResource
	}
	a, ok := s.Action(name)
	if !ok {
		return anyResource
	}
	best, most := anyResource, -1
	for _, form := range a.Resources {
		if fixed := matchForm(form, resources[0]); fixed > most {
			best, most = form, fixed
		}
	}
	return best
}

// matchForm is how many characters of an ARN are those of a form with parts ${...}, or -1 if the ARN has another form.
func matchForm(form, name string) (fixed int) {
	for first := true; ; first = false {
		before, rest, open := strings.Cut(form, "${")
		fixed += len(before)
		switch {
		case !open && !first:
			if strings.HasSuffix(name, before) {
				return fixed
			}
			return -1
		case !open:
			if form == name {
				return fixed
			}
			return -1
		}
		i := strings.Index(name, before)
		if i < 0 || first && i > 0 {
			return -1
		}
		name = name[i+len(before):]
		_, form, _ = strings.Cut(rest, "}")
	}
}

// simulatedContext has the condition keys of a simulated request: those given, and those that follow from the principal.
type simulatedContext struct {
	m             *simulation
	caller, owner *organization.Member
}

// Lookup implements policy.Context.
func (x *simulatedContext) Lookup(key string) ([]string, bool) {
	if v, ok := x.m.entries[key]; ok {
		return v, true
	}
	if tag, ok := strings.CutPrefix(key, "aws:principaltag/"); ok {
		for k, v := range x.m.tags { // IAM's tag keys are unique whatever their case
			if strings.EqualFold(k, tag) {
				return []string{v}, true
			}
		}
		return nil, false
	}
	of := func(m *organization.Member, id bool) ([]string, bool) {
		switch {
		case m == nil:
			return nil, false
		case id:
			return []string{m.OrgID}, true
		}
		return m.Paths, true
	}
	switch key {
	case "aws:principalorgid":
		return of(x.caller, true)
	case "aws:principalorgpaths":
		return of(x.caller, false)
	case "aws:principalorgmasteraccountid":
		if x.caller != nil {
			return []string{x.caller.ManagementAccount}, true
		}
	case "aws:resourceorgid":
		return of(x.owner, true)
	case "aws:resourceorgpaths":
		return of(x.owner, false)
	}
	return nil, false
}
