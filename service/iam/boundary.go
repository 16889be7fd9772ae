package iam

import (
	"github.com/holdfast-cloud/holdfast/api/iam"
	"github.com/holdfast-cloud/holdfast/call"
)

// boundary checks that an ARN is that of a managed policy that can be a permissions boundary.
func (s *Service) boundary(c *call.Call, policyARN string) (string, error) {
	if _, err := s.policyARN(policyARN); err != nil {
		return "", err
	}
	p, aws, err := s.find(c, policyARN)
	switch {
	case err != nil:
		return "", err
	case aws != nil && !aws.Attachable():
		return "", &iam.PolicyNotAttachableException{Message: "Cannot attach a Service Role Policy to a Customer Role."}
	case aws == nil && p == nil:
		return "", &iam.NoSuchEntityException{Message: "Scope ARN: " + policyARN + " does not exist or is not attachable."}
	}
	return policyARN, nil
}

// boundaryFor is the boundary of a user or a role as far as the conditions of the operation's action may ask for it. For other actions the key is absent,
// which matters to conditions that it be not something:
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentityandaccessmanagementiam.html
func boundaryFor(c *call.Call, boundary string) string {
	switch c.Op {
	case iam.OpAttachRolePolicy, iam.OpAttachUserPolicy, iam.OpCreateRole, iam.OpCreateUser, iam.OpDeleteRole, iam.OpDeleteRolePermissionsBoundary,
		iam.OpDeleteRolePolicy, iam.OpDeleteUserPermissionsBoundary, iam.OpDeleteUserPolicy, iam.OpDetachRolePolicy, iam.OpDetachUserPolicy, iam.OpGetRole,
		iam.OpPutRolePermissionsBoundary, iam.OpPutRolePolicy, iam.OpPutUserPermissionsBoundary, iam.OpPutUserPolicy, iam.OpUpdateAssumeRolePolicy,
		iam.OpUpdateRole, iam.OpUpdateRoleDescription:
		return boundary
	}
	return ""
}

func boundaryShape(policyARN string) *iam.AttachedPermissionsBoundary {
	if policyARN == "" {
		return nil
	}
	return &iam.AttachedPermissionsBoundary{
		PermissionsBoundaryType: iam.PermissionsBoundaryAttachmentTypePermissionsBoundaryPolicy, PermissionsBoundaryArn: &policyARN,
	}
}

// PutUserPermissionsBoundary sets the permissions boundary of a user.
func (s *Service) PutUserPermissionsBoundary(c *call.Call, in *iam.PutUserPermissionsBoundaryRequest) (*iam.PutUserPermissionsBoundaryResponse, error) {
	return &iam.PutUserPermissionsBoundaryResponse{}, s.putBoundary(c, s.userHolder, in.UserName, *in.PermissionsBoundary)
}

// PutRolePermissionsBoundary sets the permissions boundary of a role.
func (s *Service) PutRolePermissionsBoundary(c *call.Call, in *iam.PutRolePermissionsBoundaryRequest) (*iam.PutRolePermissionsBoundaryResponse, error) {
	return &iam.PutRolePermissionsBoundaryResponse{}, s.putBoundary(c, s.roleHolder, in.RoleName, *in.PermissionsBoundary)
}

// putBoundary asks about the boundary that is to be: who may set this one only must not be able to set another.
func (s *Service) putBoundary(c *call.Call, find finder, name *string, policyARN string) error {
	h, err := changing(find)(c, name, conditions{"iam:permissionsboundary": policyARN})
	if err != nil {
		return err
	}
	if h.held.Boundary, err = s.boundary(c, policyARN); err != nil {
		return err
	}
	return h.save()
}

// DeleteUserPermissionsBoundary removes the permissions boundary of a user.
func (s *Service) DeleteUserPermissionsBoundary(c *call.Call, in *iam.DeleteUserPermissionsBoundaryRequest) (*iam.DeleteUserPermissionsBoundaryResponse, error) {
	return &iam.DeleteUserPermissionsBoundaryResponse{}, s.deleteBoundary(c, s.userHolder, in.UserName)
}

// DeleteRolePermissionsBoundary removes the permissions boundary of a role.
func (s *Service) DeleteRolePermissionsBoundary(c *call.Call, in *iam.DeleteRolePermissionsBoundaryRequest) (*iam.DeleteRolePermissionsBoundaryResponse, error) {
	return &iam.DeleteRolePermissionsBoundaryResponse{}, s.deleteBoundary(c, s.roleHolder, in.RoleName)
}

func (s *Service) deleteBoundary(c *call.Call, find finder, name *string) error {
	h, err := changing(find)(c, name, nil)
	if err != nil {
		return err
	}
	h.held.Boundary = ""
	return h.save()
}
