package iam

import (
	"fmt"
	"maps"
	"slices"

	"github.com/holdfast-cloud/holdfast/api/iam"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/policy"
)

// PutUserPolicy adds or replaces an inline policy of a user.
func (s *Service) PutUserPolicy(c *call.Call, in *iam.PutUserPolicyRequest) (*iam.PutUserPolicyResponse, error) {
	return &iam.PutUserPolicyResponse{}, s.putInline(c, s.userHolder, in.UserName, *in.PolicyName, *in.PolicyDocument)
}

// PutGroupPolicy adds or replaces an inline policy of a group.
func (s *Service) PutGroupPolicy(c *call.Call, in *iam.PutGroupPolicyRequest) (*iam.PutGroupPolicyResponse, error) {
	return &iam.PutGroupPolicyResponse{}, s.putInline(c, s.groupHolder, in.GroupName, *in.PolicyName, *in.PolicyDocument)
}

// PutRolePolicy adds or replaces an inline policy of a role.
func (s *Service) PutRolePolicy(c *call.Call, in *iam.PutRolePolicyRequest) (*iam.PutRolePolicyResponse, error) {
	return &iam.PutRolePolicyResponse{}, s.putInline(c, s.roleHolder, in.RoleName, *in.PolicyName, *in.PolicyDocument)
}

func (s *Service) putInline(c *call.Call, find finder, holder *string, name, document string) error {
	h, err := changing(find)(c, holder, nil)
	if err != nil {
		return err
	}
	if _, err := parseDocument(document, policy.Identity); err != nil {
		return err
	}
	if h.held.Inline == nil {
		h.held.Inline = make(map[string]string, 1)
	}
	h.held.Inline[name] = document
	size := 0
	for _, document := range h.held.Inline {
		size += documentSize(document)
	}
	if size > h.size {
		return &iam.LimitExceededException{Message: fmt.Sprintf("Maximum policy size of %d bytes exceeded for %s %s", h.size, h.kind, h.name)}
	}
	return h.save()
}

// DeleteUserPolicy deletes an inline policy of a user.
func (s *Service) DeleteUserPolicy(c *call.Call, in *iam.DeleteUserPolicyRequest) (*iam.DeleteUserPolicyResponse, error) {
	return &iam.DeleteUserPolicyResponse{}, s.deleteInline(c, s.userHolder, in.UserName, *in.PolicyName)
}

// DeleteGroupPolicy deletes an inline policy of a group.
func (s *Service) DeleteGroupPolicy(c *call.Call, in *iam.DeleteGroupPolicyRequest) (*iam.DeleteGroupPolicyResponse, error) {
	return &iam.DeleteGroupPolicyResponse{}, s.deleteInline(c, s.groupHolder, in.GroupName, *in.PolicyName)
}

// DeleteRolePolicy deletes an inline policy of a role.
func (s *Service) DeleteRolePolicy(c *call.Call, in *iam.DeleteRolePolicyRequest) (*iam.DeleteRolePolicyResponse, error) {
	return &iam.DeleteRolePolicyResponse{}, s.deleteInline(c, s.roleHolder, in.RoleName, *in.PolicyName)
}

func (s *Service) deleteInline(c *call.Call, find finder, holder *string, name string) error {
	h, err := changing(find)(c, holder, nil)
	if err != nil {
		return err
	}
	if _, there := h.held.Inline[name]; !there {
		return noSuch(h.kind+" policy", name)
	}
	delete(h.held.Inline, name)
	return h.save()
}

// GetUserPolicy returns an inline policy of a user.
func (s *Service) GetUserPolicy(c *call.Call, in *iam.GetUserPolicyRequest) (*iam.GetUserPolicyResponse, error) {
	document, err := s.inline(c, s.userHolder, in.UserName, *in.PolicyName)
	if err != nil {
		return nil, err
	}
	return &iam.GetUserPolicyResponse{UserName: in.UserName, PolicyName: in.PolicyName, PolicyDocument: document}, nil
}

// GetGroupPolicy returns an inline policy of a group.
func (s *Service) GetGroupPolicy(c *call.Call, in *iam.GetGroupPolicyRequest) (*iam.GetGroupPolicyResponse, error) {
	document, err := s.inline(c, s.groupHolder, in.GroupName, *in.PolicyName)
	if err != nil {
		return nil, err
	}
	return &iam.GetGroupPolicyResponse{GroupName: in.GroupName, PolicyName: in.PolicyName, PolicyDocument: document}, nil
}

// GetRolePolicy returns an inline policy of a role.
func (s *Service) GetRolePolicy(c *call.Call, in *iam.GetRolePolicyRequest) (*iam.GetRolePolicyResponse, error) {
	document, err := s.inline(c, s.roleHolder, in.RoleName, *in.PolicyName)
	if err != nil {
		return nil, err
	}
	return &iam.GetRolePolicyResponse{RoleName: in.RoleName, PolicyName: in.PolicyName, PolicyDocument: document}, nil
}

func (s *Service) inline(c *call.Call, find finder, holder *string, name string) (*string, error) {
	h, err := find(c, holder, nil)
	if err != nil {
		return nil, err
	}
	document, there := h.held.Inline[name]
	if !there {
		return nil, noSuch(h.kind+" policy", name)
	}
	return encoded(document), nil
}

// ListUserPolicies lists the names of a user's inline policies.
func (s *Service) ListUserPolicies(c *call.Call, in *iam.ListUserPoliciesRequest) (*iam.ListUserPoliciesResponse, error) {
	names, w, err := s.inlineNames(c, s.userHolder, in.UserName, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &iam.ListUserPoliciesResponse{PolicyNames: names}
	out.IsTruncated, out.Marker = w.end()
	return out, nil
}

// ListGroupPolicies lists the names of a group's inline policies.
func (s *Service) ListGroupPolicies(c *call.Call, in *iam.ListGroupPoliciesRequest) (*iam.ListGroupPoliciesResponse, error) {
	names, w, err := s.inlineNames(c, s.groupHolder, in.GroupName, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &iam.ListGroupPoliciesResponse{PolicyNames: names}
	out.IsTruncated, out.Marker = w.end()
	return out, nil
}

// ListRolePolicies lists the names of a role's inline policies.
func (s *Service) ListRolePolicies(c *call.Call, in *iam.ListRolePoliciesRequest) (*iam.ListRolePoliciesResponse, error) {
	names, w, err := s.inlineNames(c, s.roleHolder, in.RoleName, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &iam.ListRolePoliciesResponse{PolicyNames: names}
	out.IsTruncated, out.Marker = w.end()
	return out, nil
}

func (s *Service) inlineNames(c *call.Call, find finder, holder, marker *string, items *int32) ([]string, *walk, error) {
	h, err := find(c, holder, nil)
	if err != nil {
		return nil, nil, err
	}
	w, err := newWalk("inline "+h.kind+" "+h.name, marker, items)
	if err != nil {
		return nil, nil, err
	}
	names := []string{}
	err = visit(w, 0, sliceFrom(slices.Values(slices.Sorted(maps.Keys(h.held.Inline)))), func(name string) string { return name }, nil,
		func(name string) error {
			names = append(names, name)
			return nil
		})
	return names, w, err
}
