package iam

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/iam"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/identity/managed"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/wire"
)

func policies(c *call.Call) store.Rows[identity.ManagedPolicy] {
	return identity.Policies.In(c.Scope.Account, "")
}

const policyType = "AWS::IAM::ManagedPolicy"

// policyARN takes the ARN of a managed policy apart.
func (s *Service) policyARN(name string) (arn.ARN, error) {
	a, err := arn.Parse(name)
	if err != nil || a.Service != "iam" || !strings.HasPrefix(a.Resource, "policy/") {
		return arn.ARN{}, invalid("ARN %s is not valid.", name)
	}
	return a, nil
}

// find returns a managed policy of the caller's account, or one of AWS's, or neither.
func (s *Service) find(c *call.Call, name string) (*identity.ManagedPolicy, *managed.Policy, error) {
	a, err := arn.Parse(name)
	if err != nil || a.Partition != s.cfg.Partition {
		return nil, nil, nil
	}
	if aws, ok := managed.Find(name); ok {
		return nil, aws, nil
	}
	if a.Account != c.Scope.Account {
		return nil, nil, nil
	}
	p, err := policies(c).Get(c.Tx(), arnName(a.Resource))
	if missing(err) || err == nil && p.ARN(s.cfg.Partition) != name {
		return nil, nil, nil
	}
	return p, nil, err
}

// policy finds a managed policy that an operation is about, and asks for permission.
func (s *Service) policy(c *call.Call, name string, with ...func(*call.Resource)) (*identity.ManagedPolicy, *managed.Policy, error) {
	p, aws, err := s.find(c, name)
	if err != nil {
		return nil, nil, err
	}
	r := &call.Resource{ARN: name, Type: policyType}
	a, wrong := s.policyARN(name)
	if wrong == nil && a.Account != managedOwner {
		r.Account = a.Account
	}
	if p != nil {
		r.Tags = p.Tags
	}
	if err := s.authorizeWith(c, r, with); err != nil {
		return nil, nil, err
	}
	if wrong != nil {
		return nil, nil, wrong
	}
	if p == nil && aws == nil {
		return nil, nil, notAttachable(name)
	}
	return p, aws, nil
}

// managedOwner stands for the account in the ARNs of AWS's managed policies.
const managedOwner = "aws"

// customer finds a managed policy that is to be changed: AWS's own cannot be.
func (s *Service) customer(c *call.Call, name string, with ...func(*call.Resource)) (*identity.ManagedPolicy, error) {
	p, aws, err := s.policy(c, name, with...)
	if err == nil && aws != nil {
		return nil, c.Reject(&wire.Error{Code: "AccessDenied", Status: 403, Message: "Policy is outside your own account."})
	}
	return p, err
}

// parseManaged checks the document of a managed policy.
func parseManaged(document string) error {
	if _, err := parseDocument(document, policy.Identity); err != nil {
		return err
	}
	if documentSize(document) > policySizeQuota {
		return exceeded("PolicySize", policySizeQuota)
	}
	return nil
}

// CreatePolicy makes a managed policy.
func (s *Service) CreatePolicy(c *call.Call, in *iam.CreatePolicyRequest) (*iam.CreatePolicyResponse, error) {
	tags, err := tagMap(in.Tags)
	if err != nil {
		return nil, err
	}
	p := &identity.ManagedPolicy{
		Account: c.Scope.Account, Name: *in.PolicyName, Path: pathOf(optional.Value(in.Path)), ID: identity.NewID("ANPA"), Description: optional.Value(in.Description), Tags: tags,
		Versions: []identity.PolicyVersion{{Number: 1, Document: *in.PolicyDocument, Created: c.Time}}, Default: 1, Last: 1, Created: c.Time, Updated: c.Time,
	}
	if err := s.create(c, &call.Resource{ARN: p.ARN(s.cfg.Partition), Type: policyType}, iam.OpTagPolicy, tags); err != nil {
		return nil, err
	}
	if err := parseManaged(*in.PolicyDocument); err != nil {
		return nil, err
	}
	taken := "A policy called " + p.Name + " already exists. Duplicate names are not allowed."
	if err := insert(c, identity.Policies, p, "PoliciesPerAccount", policiesQuota, taken); err != nil {
		return nil, err
	}
	out := s.policyShape(p, 0, 0)
	if len(tags) > 0 {
		out.Tags = tagList(tags)
	}
	return &iam.CreatePolicyResponse{Policy: out}, nil
}

// policyShape is a policy as listings have it.
func (s *Service) policyShape(p *identity.ManagedPolicy, attached, bounded int32) *iam.Policy {
	return &iam.Policy{
		PolicyName: &p.Name, PolicyId: &p.ID, Arn: new(p.ARN(s.cfg.Partition)), Path: new(pathOf(p.Path)), DefaultVersionId: versionID(p.Default),
		AttachmentCount: &attached, PermissionsBoundaryUsageCount: &bounded, IsAttachable: new(true), CreateDate: &p.Created, UpdateDate: &p.Updated,
	}
}

// awsShape is policyShape for AWS's own policies.
func (s *Service) awsShape(p *managed.Policy, attached, bounded int32) *iam.Policy {
	return &iam.Policy{
		PolicyName: &p.Name, PolicyId: &p.ID, Arn: new(p.ARN(s.cfg.Partition)), Path: &p.Path, DefaultVersionId: &p.Version,
		AttachmentCount: &attached, PermissionsBoundaryUsageCount: &bounded, IsAttachable: new(p.Attachable()), CreateDate: &p.Created, UpdateDate: &p.Updated,
	}
}

func versionID(number int) *string { return new("v" + strconv.Itoa(number)) }

// GetPolicy tells of a managed policy.
func (s *Service) GetPolicy(c *call.Call, in *iam.GetPolicyRequest) (*iam.GetPolicyResponse, error) {
	p, aws, err := s.policy(c, *in.PolicyArn)
	if _, ok := errors.AsType[*iam.NoSuchEntityException](err); ok {
		return nil, &iam.NoSuchEntityException{Message: "Policy " + *in.PolicyArn + " was not found."}
	}
	if err != nil {
		return nil, err
	}
	attached, bounded, err := usage(c, *in.PolicyArn)
	if err != nil {
		return nil, err
	}
	var out *iam.Policy
	if aws != nil {
		out = s.awsShape(aws, attached, bounded)
		out.Description, out.Tags = some(aws.Description), []iam.Tag{}
	} else {
		out = s.policyShape(p, attached, bounded)
		out.Description, out.Tags = some(p.Description), tagList(p.Tags)
	}
	return &iam.GetPolicyResponse{Policy: out}, nil
}

// some is a string of an answer that is left out if it is empty.
func some(v string) *string {
	if v == "" {
		return nil
	}
	return &v
}

// ListPolicies lists the account's managed policies, and AWS's after them.
func (s *Service) ListPolicies(c *call.Call, in *iam.ListPoliciesRequest) (*iam.ListPoliciesResponse, error) {
	if err := s.anything(c); err != nil {
		return nil, err
	}
	filter := strings.Join([]string{"policies", string(in.Scope), strconv.FormatBool(optional.Value(in.OnlyAttached)), string(in.PolicyUsageFilter), optional.Value(in.PathPrefix)}, " ")
	w, err := newWalk(filter, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &iam.ListPoliciesResponse{Policies: []iam.Policy{}}
	// The usage of a policy is looked up once, by the filter, and told if the filter keeps it.
	var attached, bounded int32
	var failed error
	keep := func(name, path string) bool {
		if !under(in.PathPrefix, path) || failed != nil {
			return false
		}
		if attached, bounded, failed = usage(c, name); failed != nil {
			return false
		}
		switch {
		case in.PolicyUsageFilter == iam.PolicyUsageTypePermissionsPolicy && attached == 0, in.PolicyUsageFilter == iam.PolicyUsageTypePermissionsBoundary && bounded == 0:
			return false
		case optional.Value(in.OnlyAttached):
			return attached+bounded > 0
		}
		return true
	}
	if in.Scope != iam.PolicyScopeTypeAws {
		err = visit(w, 0, rowsFrom(c, identity.Policies, ""), func(p *identity.ManagedPolicy) string { return p.Name },
			func(p *identity.ManagedPolicy) bool { return keep(p.ARN(s.cfg.Partition), p.Path) },
			func(p *identity.ManagedPolicy) error {
				out.Policies = append(out.Policies, *s.policyShape(p, attached, bounded))
				return nil
			})
		if err != nil {
			return nil, err
		}
	}
	if in.Scope != iam.PolicyScopeTypeLocal {
		err = visit(w, 1, sliceFrom(managed.In(s.cfg.Partition)), func(p *managed.Policy) string { return p.Name },
			func(p *managed.Policy) bool { return keep(p.ARN(s.cfg.Partition), p.Path) },
			func(p *managed.Policy) error {
				out.Policies = append(out.Policies, *s.awsShape(p, attached, bounded))
				return nil
			})
		if err != nil {
			return nil, err
		}
	}
	if failed != nil {
		return nil, failed
	}
	out.IsTruncated, out.Marker = w.end()
	return out, nil
}

// DeletePolicy deletes a managed policy that nobody has and that has one version.
func (s *Service) DeletePolicy(c *call.Call, in *iam.DeletePolicyRequest) (*iam.DeletePolicyResponse, error) {
	p, err := s.customer(c, *in.PolicyArn)
	if err != nil {
		return nil, err
	}
	attached, bounded, err := usage(c, *in.PolicyArn)
	switch {
	case err != nil:
		return nil, err
	case attached+bounded > 0:
		return nil, conflict("Cannot delete a policy attached to entities.")
	case len(p.Versions) > 1:
		return nil, conflict("This policy has more than one version. Before you delete a policy, you must delete the policy's versions. " +
			"The default version is deleted with the policy.")
	}
	return &iam.DeletePolicyResponse{}, policies(c).Delete(c.Tx(), p.Name)
}

// CreatePolicyVersion adds a version to a managed policy.
func (s *Service) CreatePolicyVersion(c *call.Call, in *iam.CreatePolicyVersionRequest) (*iam.CreatePolicyVersionResponse, error) {
	p, err := s.customer(c, *in.PolicyArn)
	if err != nil {
		return nil, err
	}
	if err := parseManaged(*in.PolicyDocument); err != nil {
		return nil, err
	}
	if len(p.Versions) >= versionsPerPolicyQuota {
		return nil, &iam.LimitExceededException{
			Message: "A managed policy can have up to 5 versions. Before you create a new version, you must delete an existing version.",
		}
	}
	p.Last++
	v := identity.PolicyVersion{Number: p.Last, Document: *in.PolicyDocument, Created: c.Time}
	p.Versions, p.Updated = append(p.Versions, v), c.Time
	if optional.Value(in.SetAsDefault) {
		p.Default = v.Number
	}
	if err := policies(c).Put(c.Tx(), p); err != nil {
		return nil, err
	}
	out := versionShape(&v, p.Default)
	return &iam.CreatePolicyVersionResponse{PolicyVersion: &out}, nil
}

// versionShape is a version without its document.
func versionShape(v *identity.PolicyVersion, inForce int) iam.PolicyVersion {
	return iam.PolicyVersion{VersionId: versionID(v.Number), IsDefaultVersion: new(v.Number == inForce), CreateDate: &v.Created}
}

func awsVersion(p *managed.Policy) iam.PolicyVersion {
	return iam.PolicyVersion{VersionId: &p.Version, IsDefaultVersion: new(true), CreateDate: &p.Updated}
}

// version finds a version by its ID.
func version(p *identity.ManagedPolicy, policyARN, id string) (*identity.PolicyVersion, error) {
	number, err := strconv.Atoi(strings.TrimPrefix(id, "v"))
	if err == nil {
		if v := p.Version(number); v != nil {
			return v, nil
		}
	}
	return nil, noVersion(policyARN, id)
}

func noVersion(policyARN, id string) error {
	return &iam.NoSuchEntityException{Message: "Policy " + policyARN + " version " + id + " does not exist or is not attachable."}
}

// versioned says of a policy that is not there which version of it was asked for.
func versioned(err error, policyARN, id string) error {
	if _, ok := errors.AsType[*iam.NoSuchEntityException](err); ok {
		return noVersion(policyARN, id)
	}
	return err
}

// GetPolicyVersion returns a version with its document.
func (s *Service) GetPolicyVersion(c *call.Call, in *iam.GetPolicyVersionRequest) (*iam.GetPolicyVersionResponse, error) {
	p, aws, err := s.policy(c, *in.PolicyArn)
	if err != nil {
		return nil, versioned(err, *in.PolicyArn, *in.VersionId)
	}
	var out iam.PolicyVersion
	if aws != nil {
		if *in.VersionId != aws.Version {
			return nil, noVersion(*in.PolicyArn, *in.VersionId)
		}
		out = awsVersion(aws)
		out.Document = encoded(aws.Document)
	} else {
		v, err := version(p, *in.PolicyArn, *in.VersionId)
		if err != nil {
			return nil, err
		}
		out = versionShape(v, p.Default)
		out.Document = encoded(v.Document)
	}
	return &iam.GetPolicyVersionResponse{PolicyVersion: &out}, nil
}

// ListPolicyVersions lists the versions of a managed policy, newest first.
func (s *Service) ListPolicyVersions(c *call.Call, in *iam.ListPolicyVersionsRequest) (*iam.ListPolicyVersionsResponse, error) {
	p, aws, err := s.policy(c, *in.PolicyArn)
	if err != nil {
		return nil, err
	}
	w, err := newWalk("versions "+*in.PolicyArn, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &iam.ListPolicyVersionsResponse{Versions: []iam.PolicyVersion{}}
	if aws != nil {
		out.Versions = append(out.Versions, awsVersion(aws))
	} else {
		newest := slices.Clone(p.Versions)
		slices.Reverse(newest)
		// Markers count down, so that their keys go up.
		key := func(v identity.PolicyVersion) string { return strconv.FormatInt(1<<62-int64(v.Number), 10) }
		err = visit(w, 0, sliceFrom(slices.Values(newest)), key, nil, func(v identity.PolicyVersion) error {
			out.Versions = append(out.Versions, versionShape(&v, p.Default))
			return nil
		})
	}
	out.IsTruncated, out.Marker = w.end()
	return out, err
}

// SetDefaultPolicyVersion puts a version in force.
func (s *Service) SetDefaultPolicyVersion(c *call.Call, in *iam.SetDefaultPolicyVersionRequest) (*iam.SetDefaultPolicyVersionResponse, error) {
	p, err := s.customer(c, *in.PolicyArn)
	if err != nil {
		return nil, versioned(err, *in.PolicyArn, *in.VersionId)
	}
	v, err := version(p, *in.PolicyArn, *in.VersionId)
	if err != nil {
		return nil, err
	}
	p.Default = v.Number
	return &iam.SetDefaultPolicyVersionResponse{}, policies(c).Put(c.Tx(), p)
}

// DeletePolicyVersion deletes a version that is not in force.
func (s *Service) DeletePolicyVersion(c *call.Call, in *iam.DeletePolicyVersionRequest) (*iam.DeletePolicyVersionResponse, error) {
	p, err := s.customer(c, *in.PolicyArn)
	if err != nil {
		return nil, versioned(err, *in.PolicyArn, *in.VersionId)
	}
	v, err := version(p, *in.PolicyArn, *in.VersionId)
	if err != nil {
		return nil, err
	}
	if v.Number == p.Default {
		return nil, conflict("Cannot delete the default version of a policy.")
	}
	number := v.Number
	p.Versions = slices.DeleteFunc(p.Versions, func(v identity.PolicyVersion) bool { return v.Number == number })
	return &iam.DeletePolicyVersionResponse{}, policies(c).Put(c.Tx(), p)
}

// TagPolicy sets tags of a managed policy.
func (s *Service) TagPolicy(c *call.Call, in *iam.TagPolicyRequest) (*iam.TagPolicyResponse, error) {
	set, err := tagMap(in.Tags)
	if err != nil {
		return nil, err
	}
	p, err := s.customer(c, *in.PolicyArn, requesting(set))
	if err != nil {
		return nil, err
	}
	if p.Tags, err = addTags(p.Tags, set); err != nil {
		return nil, err
	}
	return &iam.TagPolicyResponse{}, policies(c).Put(c.Tx(), p)
}

// UntagPolicy removes tags of a managed policy.
func (s *Service) UntagPolicy(c *call.Call, in *iam.UntagPolicyRequest) (*iam.UntagPolicyResponse, error) {
	p, err := s.customer(c, *in.PolicyArn, requestingKeys(in.TagKeys))
	if err != nil {
		return nil, err
	}
	p.Tags = removeTags(p.Tags, in.TagKeys)
	return &iam.UntagPolicyResponse{}, policies(c).Put(c.Tx(), p)
}

// ListPolicyTags lists the tags of a managed policy.
func (s *Service) ListPolicyTags(c *call.Call, in *iam.ListPolicyTagsRequest) (*iam.ListPolicyTagsResponse, error) {
	p, aws, err := s.policy(c, *in.PolicyArn)
	if err != nil {
		return nil, err
	}
	var tags map[string]string
	if aws == nil {
		tags = p.Tags
	}
	list, next, truncated, err := tagPage(tags, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	return &iam.ListPolicyTagsResponse{Tags: list, IsTruncated: &truncated, Marker: next}, nil
}
