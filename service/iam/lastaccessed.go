package iam

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/api/iam"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/actions"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/store"
)

// accessJob is a report of who used which services when. It is made at once and shown until it expires.
type accessJob struct {
	ID          string
	Requester   string                                // the unique ID of the user or role who asked for it, and who alone gets it
	Granularity iam.AccessAdvisorUsageGranularityType `json:",omitempty"`
	Created     time.Time
	Services    []string       `json:",omitempty"` // namespaces that the policies grant, sorted
	Details     []accessDetail `json:",omitempty"` // of a report on an organization
	Path        string         `json:",omitempty"` // of such a report
}

// accessEntity is a user or a role in a job's report.
type accessEntity struct {
	Job           string
	Number        int
	Kind          iam.PolicyOwnerEntityType
	ARN, Name, ID string
	Path          string
	Uses          map[string]accessUse `json:",omitempty"` // by namespace
}

type accessUse struct {
	Time   time.Time
	Region string
}

// Stored as (see store.Table), in the account that asked:
//
//	iam / account // accessjob / id             → accessJob     (index accessjob.created)
//	iam / account // accessentity / id / number → accessEntity
var (
	accessJobs = store.NewTable("iam", "accessjob", func(j *accessJob) store.Key { return store.Key{j.ID} },
		store.Index[accessJob]{Name: "created", Entries: func(j *accessJob) []store.Key { return []store.Key{{j.Created}} }})
	accessEntities = store.NewTable("iam", "accessentity", func(e *accessEntity) store.Key { return store.Key{e.Job, e.Number} })
)

const (
	// jobLife is how long a report can be had.
	jobLife = 24 * time.Hour
	// trackingPeriod is how far back reports go.
	trackingPeriod = 400 * 24 * time.Hour
	// jobsQuota is how many reports an account can have at a time.
	jobsQuota = 100
)

// GenerateServiceLastAccessedDetails reports which services a user, a group, a role or a managed policy grants, and who used them when.
func (s *Service) GenerateServiceLastAccessedDetails(c *call.Call, in *iam.GenerateServiceLastAccessedDetailsRequest) (*iam.GenerateServiceLastAccessedDetailsResponse, error) {
	granted, entities, err := s.accessReport(c, *in.Arn)
	if err != nil {
		return nil, err
	}
	job := &accessJob{Granularity: cmp.Or(in.Granularity, iam.AccessAdvisorUsageGranularityTypeServiceLevel)}
	for service := range actions.Services() {
		if granted.service(service) {
			job.Services = append(job.Services, service.Prefix)
		}
	}
	if err := s.startJob(c, job); err != nil {
		return nil, err
	}
	for i, e := range entities {
		e.Job, e.Number = job.ID, i
		uses, err := s.cfg.Directory.LastUses(c.Tx(), c.Scope.Account, e.ID)
		if err != nil {
			return nil, err
		}
		e.Uses = make(map[string]accessUse)
		for _, u := range uses {
			if c.Time.Sub(u.Time) <= trackingPeriod {
				e.Uses[u.Service] = accessUse{u.Time, u.Region}
			}
		}
		if err := accessEntities.In(c.Scope.Account, "").Put(c.Tx(), e); err != nil {
			return nil, err
		}
	}
	return &iam.GenerateServiceLastAccessedDetailsResponse{JobId: &job.ID}, nil
}

// accessReport asks for permission, and returns what the thing named grants, to whom.
func (s *Service) accessReport(c *call.Call, name string) (*reach, []*accessEntity, error) {
	granted := new(reach)
	if a, err := arn.Parse(name); err == nil && a.Service == "iam" && strings.HasPrefix(a.Resource, "policy/") {
		p, aws, err := s.policy(c, name)
		if err != nil {
			return nil, nil, err
		}
		if aws != nil {
			granted.add(aws.Compiled())
		} else {
			compiled, err := policy.Parse([]byte(p.Version(p.Default).Document), policy.Identity)
			if err != nil {
				return nil, nil, unevaluated(name, err)
			}
			granted.add(compiled)
		}
		entities, err := s.havingPolicy(c, name)
		return granted, entities, err
	}
	sub, err := s.subject(c, name)
	if err != nil {
		return nil, nil, err
	}
	all, err := s.sources(c, sub)
	if err != nil {
		return nil, nil, err
	}
	for _, src := range all {
		granted.add(src.policy)
	}
	if sub.kind == iam.PolicyOwnerEntityTypeGroup {
		entities, err := s.members(c, sub.name)
		return granted, entities, err
	}
	return granted, []*accessEntity{{Kind: sub.kind, ARN: sub.arn, Name: sub.name, ID: sub.id, Path: sub.path}}, nil
}

// havingPolicy are the users and roles that have a managed policy attached, and the users of groups that have.
func (s *Service) havingPolicy(c *call.Call, name string) ([]*accessEntity, error) {
	var found []*accessEntity
	seen := make(map[string]bool)
	add := func(e *accessEntity) {
		if !seen[e.ID] {
			seen[e.ID] = true
			found = append(found, e)
		}
	}
	for u, err := range identity.Users.In(c.Scope.Account, "").Scan(c.Tx(), store.Query{Index: "attached", Prefix: store.Key{name}}) {
		if err != nil {
			return nil, err
		}
		add(s.ofUser(u))
	}
	for g, err := range identity.Groups.In(c.Scope.Account, "").Scan(c.Tx(), store.Query{Index: "attached", Prefix: store.Key{name}}) {
		if err != nil {
			return nil, err
		}
		members, err := s.members(c, g.Name)
		if err != nil {
			return nil, err
		}
		for _, e := range members {
			add(e)
		}
	}
	for r, err := range identity.Roles.In(c.Scope.Account, "").Scan(c.Tx(), store.Query{Index: "attached", Prefix: store.Key{name}}) {
		if err != nil {
			return nil, err
		}
		add(&accessEntity{Kind: iam.PolicyOwnerEntityTypeRole, ARN: r.ARN(s.cfg.Partition), Name: r.Name, ID: r.ID, Path: r.Path})
	}
	return found, nil
}

func (s *Service) members(c *call.Call, group string) (found []*accessEntity, err error) {
	for u, err := range identity.Users.In(c.Scope.Account, "").Scan(c.Tx(), store.Query{Index: "member", Prefix: store.Key{group}}) {
		if err != nil {
			return nil, err
		}
		found = append(found, s.ofUser(u))
	}
	return found, nil
}

func (s *Service) ofUser(u *identity.User) *accessEntity {
	return &accessEntity{Kind: iam.PolicyOwnerEntityTypeUser, ARN: u.ARN(s.cfg.Partition), Name: u.Name, ID: u.ID, Path: u.Path}
}

// startJob keeps a new job, and drops those that nobody can have any more. Where there are too many, one about an organization is refused, as AWS does; of the
// others the oldest gives way.
func (s *Service) startJob(c *call.Call, job *accessJob) error {
	rows := accessJobs.In(c.Scope.Account, "")
	var drop, live []*accessJob
	for old, err := range rows.Scan(c.Tx(), store.Query{Index: "created"}) {
		if err != nil {
			return err
		}
		if old.expired(c) {
			drop = append(drop, old)
		} else {
			live = append(live, old)
		}
	}
	if len(live) >= jobsQuota {
		if job.Path != "" {
			return &iam.ReportGenerationLimitExceededException{Message: "The maximum number of reports for this account has been reached. Try again later."}
		}
		drop = append(drop, live[0])
	}
	for _, old := range drop {
		if err := s.dropJob(c, old); err != nil {
			return err
		}
	}
	job.ID, job.Requester, job.Created = c.UUID(), c.Caller.ID, c.Time
	if err := rows.Insert(c.Tx(), job); err != nil {
		return fmt.Errorf("keeping a report: %w", err)
	}
	return nil
}

func (s *Service) dropJob(c *call.Call, job *accessJob) error {
	rows := accessEntities.In(c.Scope.Account, "")
	var numbers []int
	for e, err := range rows.Scan(c.Tx(), store.Query{Prefix: store.Key{job.ID}}) {
		if err != nil {
			return err
		}
		numbers = append(numbers, e.Number)
	}
	for _, n := range numbers {
		if err := rows.Delete(c.Tx(), job.ID, n); err != nil {
			return err
		}
	}
	return accessJobs.In(c.Scope.Account, "").Delete(c.Tx(), job.ID)
}

func (j *accessJob) expired(c *call.Call) bool { return c.Time.Sub(j.Created) >= jobLife }

// job finds a report that the caller has asked for. Somebody else's is not there.
func (s *Service) job(c *call.Call, id string, organization bool) (*accessJob, error) {
	j, err := accessJobs.In(c.Scope.Account, "").Get(c.Tx(), id)
	if err != nil && !missing(err) {
		return nil, err
	}
	if err != nil || j.expired(c) || j.Requester != c.Caller.ID || organization != (j.Path != "") {
		return nil, &iam.NoSuchEntityException{Message: "The report with job ID " + id + " cannot be found."}
	}
	return j, nil
}

// GetServiceLastAccessedDetails shows a report by services.
func (s *Service) GetServiceLastAccessedDetails(c *call.Call, in *iam.GetServiceLastAccessedDetailsRequest) (*iam.GetServiceLastAccessedDetailsResponse, error) {
	if err := s.anything(c); err != nil {
		return nil, err
	}
	job, err := s.job(c, *in.JobId, false)
	if err != nil {
		return nil, err
	}
	w, err := newWalk("services "+job.ID, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	entities, err := s.entitiesOf(c, job)
	if err != nil {
		return nil, err
	}
	out := &iam.GetServiceLastAccessedDetailsResponse{
		JobStatus: iam.JobStatusTypeCompleted, JobType: job.Granularity, JobCreationDate: &job.Created, JobCompletionDate: &job.Created,
		ServicesLastAccessed: []iam.ServiceLastAccessed{},
	}
	err = visit(w, 0, sliceFrom(slices.Values(job.Services)), func(namespace string) string { return namespace }, nil, func(namespace string) error {
		out.ServicesLastAccessed = append(out.ServicesLastAccessed, lastAccess(namespace, entities))
		return nil
	})
	out.IsTruncated, out.Marker = w.end()
	return out, err
}

func serviceName(namespace string) *string {
	if s, ok := actions.Find(namespace); ok {
		return &s.Name
	}
	return &namespace
}

func lastAccess(namespace string, entities []*accessEntity) iam.ServiceLastAccessed {
	out := iam.ServiceLastAccessed{ServiceName: serviceName(namespace), ServiceNamespace: &namespace}
	total := int32(0)
	for _, e := range entities {
		u, ok := e.Uses[namespace]
		if !ok {
			continue
		}
		total++
		if out.LastAuthenticated == nil || u.Time.After(*out.LastAuthenticated) {
			out.LastAuthenticated, out.LastAuthenticatedEntity, out.LastAuthenticatedRegion = &u.Time, &e.ARN, &u.Region
		}
	}
	if total > 0 {
		out.TotalAuthenticatedEntities = &total
	}
	return out
}

func (s *Service) entitiesOf(c *call.Call, job *accessJob) (found []*accessEntity, err error) {
	for e, err := range accessEntities.In(c.Scope.Account, "").Scan(c.Tx(), store.Query{Prefix: store.Key{job.ID}}) {
		if err != nil {
			return nil, err
		}
		found = append(found, e)
	}
	return found, nil
}

// GetServiceLastAccessedDetailsWithEntities shows who of a report used a service when, the latest first.
func (s *Service) GetServiceLastAccessedDetailsWithEntities(c *call.Call, in *iam.GetServiceLastAccessedDetailsWithEntitiesRequest) (*iam.GetServiceLastAccessedDetailsWithEntitiesResponse, error) {
	if err := s.anything(c); err != nil {
		return nil, err
	}
	job, err := s.job(c, *in.JobId, false)
	if err != nil {
		return nil, err
	}
	service, err := namespace(*in.ServiceNamespace)
	if err != nil {
		return nil, err
	}
	w, err := newWalk("entities "+job.ID+" "+service, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	var entities []*accessEntity
	if slices.Contains(job.Services, service) {
		if entities, err = s.entitiesOf(c, job); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(entities, func(a, b *accessEntity) int {
		return cmp.Or(b.Uses[service].Time.Compare(a.Uses[service].Time), cmp.Compare(a.ARN, b.ARN))
	})
	places := make(map[*accessEntity]string, len(entities))
	for i, e := range entities {
		places[e] = fmt.Sprintf("%08d", i+1)
	}
	out := &iam.GetServiceLastAccessedDetailsWithEntitiesResponse{
		JobStatus: iam.JobStatusTypeCompleted, JobCreationDate: &job.Created, JobCompletionDate: &job.Created, EntityDetailsList: []iam.EntityDetails{},
	}
	err = visit(w, 0, sliceFrom(slices.Values(entities)), func(e *accessEntity) string { return places[e] }, nil, func(e *accessEntity) error {
		d := iam.EntityDetails{EntityInfo: &iam.EntityInfo{Arn: &e.ARN, Name: &e.Name, Type: e.Kind, Id: &e.ID, Path: new(pathOf(e.Path))}}
		if u, ok := e.Uses[service]; ok {
			d.LastAuthenticated = &u.Time
		}
		out.EntityDetailsList = append(out.EntityDetailsList, d)
		return nil
	})
	out.IsTruncated, out.Marker = w.end()
	return out, err
}

// namespace checks the namespace of a service.
func namespace(name string) (string, error) {
	s, ok := actions.Find(name)
	if !ok {
		return "", invalid("Invalid service namespace: %s.", name)
	}
	return s.Prefix, nil
}

// ListPoliciesGrantingServiceAccess lists, service by service, the policies by which a user, a group or a role may use it.
func (s *Service) ListPoliciesGrantingServiceAccess(c *call.Call, in *iam.ListPoliciesGrantingServiceAccessRequest) (*iam.ListPoliciesGrantingServiceAccessResponse, error) {
	sub, err := s.subject(c, *in.Arn)
	if err != nil {
		return nil, err
	}
	var services []string
	for _, name := range in.ServiceNamespaces {
		service, err := namespace(name)
		if err != nil {
			return nil, err
		}
		services = append(services, service)
	}
	slices.Sort(services)
	services = slices.Compact(services)
	w, err := newWalk("granting "+sub.arn+" "+strings.Join(services, " "), in.Marker, nil)
	if err != nil {
		return nil, err
	}
	all, err := s.sources(c, sub)
	if err != nil {
		return nil, err
	}
	reaches := make([]reach, len(all))
	for i, src := range all {
		reaches[i].add(src.policy)
	}
	out := &iam.ListPoliciesGrantingServiceAccessResponse{PoliciesGrantingServiceAccess: []iam.ListPoliciesGrantingServiceAccessEntry{}}
	err = visit(w, 0, sliceFrom(slices.Values(services)), func(service string) string { return service }, nil, func(service string) error {
		entry := iam.ListPoliciesGrantingServiceAccessEntry{ServiceNamespace: &service, Policies: []iam.PolicyGrantingServiceAccess{}}
		known, _ := actions.Find(service)
		seen := make(map[string]bool)
		for i, src := range all {
			if !reaches[i].service(known) || src.arn != "" && seen[src.arn] {
				continue
			}
			p := iam.PolicyGrantingServiceAccess{PolicyName: &src.name, PolicyType: iam.PolicyTypeManaged, PolicyArn: some(src.arn)}
			if seen[src.arn] = true; src.arn == "" {
				p.PolicyType, p.EntityType, p.EntityName = iam.PolicyTypeInline, src.holderKind, &src.holder
			}
			entry.Policies = append(entry.Policies, p)
		}
		out.PoliciesGrantingServiceAccess = append(out.PoliciesGrantingServiceAccess, entry)
		return nil
	})
	out.IsTruncated, out.Marker = w.end()
	return out, err
}
