package iam

import (
	"fmt"
	"maps"
	"slices"

	"github.com/holdfast-cloud/holdfast/api/iam"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/identity/managed"
)

// GetAccountAuthorizationDetails tells of all users, groups, roles and managed policies of the account, and of the managed policies of AWS that are in use.
func (s *Service) GetAccountAuthorizationDetails(c *call.Call, in *iam.GetAccountAuthorizationDetailsRequest) (*iam.GetAccountAuthorizationDetailsResponse, error) {
	if err := s.anything(c); err != nil {
		return nil, err
	}
	wanted := func(kind iam.EntityType) bool { return len(in.Filter) == 0 || slices.Contains(in.Filter, kind) }
	w, err := newWalk(fmt.Sprintf("details %q", slices.Sorted(slices.Values(in.Filter))), in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &iam.GetAccountAuthorizationDetailsResponse{
		UserDetailList: []iam.UserDetail{}, GroupDetailList: []iam.GroupDetail{}, RoleDetailList: []iam.RoleDetail{}, Policies: []iam.ManagedPolicyDetail{},
	}
	if wanted(iam.EntityTypeUser) {
		err = visit(w, 0, rowsFrom(c, identity.Users, ""), func(u *identity.User) string { return u.Name }, nil, func(u *identity.User) error {
			out.UserDetailList = append(out.UserDetailList, s.userDetail(u))
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	if wanted(iam.EntityTypeGroup) {
		err = visit(w, 1, rowsFrom(c, identity.Groups, ""), func(g *identity.Group) string { return g.Name }, nil, func(g *identity.Group) error {
			out.GroupDetailList = append(out.GroupDetailList, s.groupDetail(g))
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	if wanted(iam.EntityTypeRole) {
		err = visit(w, 2, rowsFrom(c, identity.Roles, ""), func(r *identity.Role) string { return r.Name }, nil, func(r *identity.Role) error {
			detail, err := s.roleDetail(c, r)
			out.RoleDetailList = append(out.RoleDetailList, detail)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	if wanted(iam.EntityTypeLocalManagedPolicy) {
		err = visit(w, 3, rowsFrom(c, identity.Policies, ""), func(p *identity.ManagedPolicy) string { return p.Name }, nil,
			func(p *identity.ManagedPolicy) error {
				attached, bounded, err := usage(c, p.ARN(s.cfg.Partition))
				out.Policies = append(out.Policies, policyDetail(s.policyShape(p, attached, bounded), p))
				return err
			})
		if err != nil {
			return nil, err
		}
	}
	if wanted(iam.EntityTypeAWSManagedPolicy) {
		if err := s.awsDetails(c, w, out); err != nil {
			return nil, err
		}
	}
	out.IsTruncated, out.Marker = w.end()
	return out, nil
}

// awsDetails adds the managed policies of AWS that somebody has.
func (s *Service) awsDetails(c *call.Call, w *walk, out *iam.GetAccountAuthorizationDetailsResponse) error {
	var attached, bounded int32
	var failed error
	used := func(p *managed.Policy) bool {
		if failed == nil {
			attached, bounded, failed = usage(c, p.ARN(s.cfg.Partition))
		}
		return failed == nil && attached+bounded > 0
	}
	err := visit(w, 4, sliceFrom(managed.In(s.cfg.Partition)), func(p *managed.Policy) string { return p.Name }, used, func(p *managed.Policy) error {
		detail := policyDetail(s.awsShape(p, attached, bounded), nil)
		v := awsVersion(p)
		v.Document = encoded(p.Document)
		detail.PolicyVersionList = []iam.PolicyVersion{v}
		out.Policies = append(out.Policies, detail)
		return nil
	})
	if failed != nil {
		return failed
	}
	return err
}

func (s *Service) userDetail(u *identity.User) iam.UserDetail {
	return iam.UserDetail{
		Path: new(pathOf(u.Path)), UserName: &u.Name, UserId: &u.ID, Arn: new(u.ARN(s.cfg.Partition)), CreateDate: &u.Created,
		UserPolicyList: inlineDetails(u.Inline), GroupList: orEmpty(u.Groups), AttachedManagedPolicies: attachedShapes(u.Attached),
		PermissionsBoundary: boundaryShape(u.Boundary), Tags: tagList(u.Tags),
	}
}

func (s *Service) groupDetail(g *identity.Group) iam.GroupDetail {
	return iam.GroupDetail{
		Path: new(pathOf(g.Path)), GroupName: &g.Name, GroupId: &g.ID, Arn: new(g.ARN(s.cfg.Partition)), CreateDate: &g.Created,
		GroupPolicyList: inlineDetails(g.Inline), AttachedManagedPolicies: attachedShapes(g.Attached),
	}
}

func (s *Service) roleDetail(c *call.Call, r *identity.Role) (iam.RoleDetail, error) {
	trust, err := s.shownTrust(c, r)
	if err != nil {
		return iam.RoleDetail{}, err
	}
	detail := iam.RoleDetail{
		Path: new(pathOf(r.Path)), RoleName: &r.Name, RoleId: &r.ID, Arn: new(r.ARN(s.cfg.Partition)), CreateDate: &r.Created, AssumeRolePolicyDocument: trust,
		InstanceProfileList: []iam.InstanceProfile{}, RolePolicyList: inlineDetails(r.Inline), AttachedManagedPolicies: attachedShapes(r.Attached),
		PermissionsBoundary: boundaryShape(r.Boundary), Tags: tagList(r.Tags),
	}
	if detail.RoleLastUsed, err = s.roleLastUsed(c, r); err != nil {
		return iam.RoleDetail{}, err
	}
	for p, err := range profilesOf(c, r.Name) {
		if err != nil {
			return iam.RoleDetail{}, err
		}
		shown, err := s.profileShape(c, p)
		if err != nil {
			return iam.RoleDetail{}, err
		}
		detail.InstanceProfileList = append(detail.InstanceProfileList, *shown)
	}
	return detail, nil
}

// policyDetail is a policy with the documents of its versions, newest first; p is nil for AWS's.
func policyDetail(shape *iam.Policy, p *identity.ManagedPolicy) iam.ManagedPolicyDetail {
	detail := iam.ManagedPolicyDetail{
		PolicyName: shape.PolicyName, PolicyId: shape.PolicyId, Arn: shape.Arn, Path: shape.Path, DefaultVersionId: shape.DefaultVersionId,
		AttachmentCount: shape.AttachmentCount, PermissionsBoundaryUsageCount: shape.PermissionsBoundaryUsageCount, IsAttachable: shape.IsAttachable,
		CreateDate: shape.CreateDate, UpdateDate: shape.UpdateDate,
	}
	if p == nil {
		return detail
	}
	for _, v := range slices.Backward(p.Versions) {
		shown := versionShape(&v, p.Default)
		shown.Document = encoded(v.Document)
		detail.PolicyVersionList = append(detail.PolicyVersionList, shown)
	}
	return detail
}

func inlineDetails(documents map[string]string) []iam.PolicyDetail {
	list := make([]iam.PolicyDetail, 0, len(documents))
	for _, name := range slices.Sorted(maps.Keys(documents)) {
		list = append(list, iam.PolicyDetail{PolicyName: &name, PolicyDocument: encoded(documents[name])})
	}
	return list
}
