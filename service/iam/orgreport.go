package iam

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/api/iam"
	"github.com/holdfast-cloud/holdfast/api/organizations"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/actions"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/organization"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/wire"
)

// accessDetail is the last use of a service in a part of an organization.
type accessDetail struct {
	Service  string
	Path     string    `json:",omitempty"` // of the account that used it last
	Region   string    `json:",omitempty"`
	Time     time.Time `json:",omitzero"`
	Accounts int       `json:",omitempty"` // that used it
}

// reads are the operations of Organizations that a report on one takes the place of: who asks for it has to be allowed them as well.
var reads = [...]*wire.Operation{
	organizations.OpDescribePolicy, organizations.OpListChildren, organizations.OpListParents, organizations.OpListPoliciesForTarget,
	organizations.OpListRoots, organizations.OpListTargetsForPolicy,
}

// GenerateOrganizationsAccessReport reports which services the SCPs of a root, a unit or an account allow, and which of its accounts used them when. Given a policy,
// it is about what that one allows, in those accounts that it applies to.
func (s *Service) GenerateOrganizationsAccessReport(c *call.Call, in *iam.GenerateOrganizationsAccessReportRequest) (*iam.GenerateOrganizationsAccessReportResponse, error) {
	r := &call.Resource{ARN: "arn:" + s.cfg.Partition + ":iam::" + c.Scope.Account + ":access-report/" + *in.EntityPath}
	if in.OrganizationsPolicyId != nil {
		r.Conditions = conditions{"iam:organizationspolicyid": *in.OrganizationsPolicyId}
	}
	if err := s.authorize(c, r); err != nil {
		return nil, err
	}
	for _, op := range reads {
		if err := c.AuthorizeAction(op.Action, &call.Resource{ARN: "*"}); err != nil {
			return nil, err
		}
	}
	o, err := managedOrganization(c)
	if err != nil {
		return nil, err
	}
	e, err := locate(c, o, *in.EntityPath)
	if err != nil {
		return nil, err
	}
	var reaches []*reach
	applies := func([]string) bool { return true }
	switch {
	case e.account == o.Management: // no SCP binds it
		all := &reach{allow: []actionList{{patterns: []string{"*"}}}}
		reaches = []*reach{all}
	case in.OrganizationsPolicyId != nil:
		var one *reach
		if one, applies, err = onePolicy(c, o, *in.OrganizationsPolicyId); err != nil {
			return nil, err
		}
		reaches = []*reach{one}
	default:
		if reaches, err = onTheWay(c, o, e.way); err != nil {
			return nil, err
		}
	}
	last, err := s.usesUnder(c, o, e, applies)
	if err != nil {
		return nil, err
	}
	job := &accessJob{Path: *in.EntityPath}
	for service := range actions.Services() {
		if !reachable(service, reaches...) {
			continue
		}
		d := accessDetail{Service: service.Prefix}
		if l := last[service.Prefix]; l != nil {
			d = *l
		}
		job.Details = append(job.Details, d)
	}
	if err := s.startJob(c, job); err != nil {
		return nil, err
	}
	return &iam.GenerateOrganizationsAccessReportResponse{JobId: &job.ID}, nil
}

// managedOrganization is the organization that the caller's account manages, with SCPs.
func managedOrganization(c *call.Call) (*organization.Organization, error) {
	a, err := organization.Of(c.Tx(), c.Scope.Account)
	if missing(err) {
		return nil, &iam.OrganizationNotFoundException{Message: "Your account is not a member of an organization."}
	}
	if err != nil {
		return nil, err
	}
	if a.ID != a.Management {
		return nil, &iam.CallerIsNotManagementAccountException{Message: "You must sign in with the credentials of the organization's management account."}
	}
	o, err := a.Organization(c.Tx())
	if err != nil {
		return nil, err
	}
	if !slices.Contains(o.Types, organization.ServiceControl) {
		return nil, invalid("Service control policies are not enabled for the organization's root.")
	}
	return o, nil
}

// located is a place in an organization: the root, a unit or an account.
type located struct {
	path    string   // o-.../r-.../...
	way     []string // from the root to it, both included
	account string   // empty if it is none
}

// locate reads the path of an entity: o-.../r-.../ou-.../123456789012.
func locate(c *call.Call, o *organization.Organization, path string) (*located, error) {
	wrong := invalid("The entity path %s is not valid.", path)
	parts := strings.Split(path, "/")
	if len(parts) < 2 || len(parts) > 3+organization.MaxDepth || parts[0] != o.ID || parts[1] != o.Root {
		return nil, wrong
	}
	e := &located{path: path, way: parts[1:]}
	for i, name := range parts[2:] {
		parent := parts[i+1]
		if strings.HasPrefix(name, "ou-") {
			u, err := organization.Units.In(o.Management, "").Get(c.Tx(), name)
			if missing(err) || err == nil && u.Parent != parent {
				return nil, wrong
			}
			if err != nil {
				return nil, err
			}
			continue
		}
		a, err := organization.Of(c.Tx(), name)
		if missing(err) || err == nil && (a.OrgID != o.ID || a.Parent != parent || i != len(parts)-3) {
			return nil, wrong
		}
		if err != nil {
			return nil, err
		}
		e.account = name
	}
	return e, nil
}

// onTheWay are the reaches of the SCPs at each place, all of which have to allow.
func onTheWay(c *call.Call, o *organization.Organization, way []string) ([]*reach, error) {
	var all []*reach
	for _, target := range way {
		level := new(reach)
		attached, err := organization.Attached(c.Tx(), o, target, organization.ServiceControl)
		if err != nil {
			return nil, err
		}
		for _, p := range attached {
			if err := addSCP(level, p); err != nil {
				return nil, err
			}
		}
		all = append(all, level)
	}
	return all, nil
}

func addSCP(r *reach, p *organization.Policy) error {
	compiled, err := policy.Parse([]byte(p.Content), policy.SCP)
	if err != nil {
		return fmt.Errorf("compiling policy %s: %w", p.ID, err)
	}
	r.add(compiled)
	return nil
}

// onePolicy is the reach of a policy, and whether it applies to an account, given the way to it.
func onePolicy(c *call.Call, o *organization.Organization, id string) (*reach, func([]string) bool, error) {
	p, err := organization.Find(c.Tx(), o, id)
	if missing(err) || err == nil && p.Type != organization.ServiceControl {
		return nil, nil, invalid("The policy %s is not a service control policy of the organization.", id)
	}
	if err != nil {
		return nil, nil, err
	}
	one := new(reach)
	if err := addSCP(one, p); err != nil {
		return nil, nil, err
	}
	targets := make(map[string]bool)
	for a, err := range organization.Attachments.In(o.Management, "").Scan(c.Tx(), store.Query{Index: "policy", Prefix: store.Key{id}}) {
		if err != nil {
			return nil, nil, err
		}
		targets[a.Target] = true
	}
	applies := func(way []string) bool {
		return slices.ContainsFunc(way, func(place string) bool { return targets[place] })
	}
	return one, applies, nil
}

// usesUnder collects the last uses in the accounts at and below a place. The management account counts only where it is the place.
func (s *Service) usesUnder(c *call.Call, o *organization.Organization, e *located, applies func(way []string) bool) (map[string]*accessDetail, error) {
	last := make(map[string]*accessDetail)
	for a, err := range organization.Accounts.In(o.Management, "").Scan(c.Tx(), store.Query{}) {
		if err != nil {
			return nil, err
		}
		if a.ID == o.Management && e.account != a.ID {
			continue
		}
		chain, err := organization.Chain(c.Tx(), o, a.Parent)
		if err != nil {
			return nil, err
		}
		way := append(chain, a.ID)
		path := o.ID + "/" + strings.Join(way, "/")
		if !strings.HasPrefix(path+"/", e.path+"/") || !applies(way) {
			continue
		}
		uses, err := s.cfg.Directory.AccountUses(c.Tx(), a.ID)
		if err != nil {
			return nil, err
		}
		counted := make(map[string]bool)
		for _, u := range uses {
			if c.Time.Sub(u.Time) > trackingPeriod {
				continue
			}
			d := last[u.Service]
			if d == nil {
				d = &accessDetail{Service: u.Service}
				last[u.Service] = d
			}
			if !counted[u.Service] {
				counted[u.Service] = true
				d.Accounts++
			}
			if u.Time.After(d.Time) {
				d.Path, d.Region, d.Time = path, u.Region, u.Time
			}
		}
	}
	return last, nil
}

// GetOrganizationsAccessReport shows a report on a part of an organization.
func (s *Service) GetOrganizationsAccessReport(c *call.Call, in *iam.GetOrganizationsAccessReportRequest) (*iam.GetOrganizationsAccessReportResponse, error) {
	if err := s.anything(c); err != nil {
		return nil, err
	}
	job, err := s.job(c, *in.JobId, true)
	if err != nil {
		return nil, err
	}
	w, err := newWalk("organization "+job.ID+" "+string(in.SortKey), in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(job.Details, func(a, b accessDetail) int {
		switch in.SortKey {
		case iam.SortKeyTypeServiceNamespaceDescending:
			return cmp.Compare(b.Service, a.Service)
		case iam.SortKeyTypeLastAuthenticatedTimeAscending:
			return a.Time.Compare(b.Time)
		case iam.SortKeyTypeLastAuthenticatedTimeDescending:
			return b.Time.Compare(a.Time)
		}
		return cmp.Compare(a.Service, b.Service)
	})
	out := &iam.GetOrganizationsAccessReportResponse{
		JobStatus: iam.JobStatusTypeCompleted, JobCreationDate: &job.Created, JobCompletionDate: &job.Created,
		NumberOfServicesAccessible: new(int32(len(job.Details))), NumberOfServicesNotAccessed: new(int32), AccessDetails: []iam.AccessDetail{},
	}
	places := make(map[string]string, len(job.Details))
	for i, d := range job.Details {
		places[d.Service] = fmt.Sprintf("%08d", i+1)
		if d.Accounts == 0 {
			*out.NumberOfServicesNotAccessed++
		}
	}
	err = visit(w, 0, sliceFrom(slices.Values(job.Details)), func(d accessDetail) string { return places[d.Service] }, nil, func(d accessDetail) error {
		detail := iam.AccessDetail{ServiceName: serviceName(d.Service), ServiceNamespace: &d.Service}
		if d.Accounts > 0 {
			detail.EntityPath, detail.Region, detail.LastAuthenticatedTime, detail.TotalAuthenticatedEntities = &d.Path, &d.Region, &d.Time, new(int32(d.Accounts))
		}
		out.AccessDetails = append(out.AccessDetails, detail)
		return nil
	})
	out.IsTruncated, out.Marker = w.end()
	return out, err
}
