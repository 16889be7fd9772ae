// Package sts tells callers who they are, and will give out temporary credentials.
package sts

import (
	"github.com/holdfast-cloud/holdfast/api/sts"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/door"
)

// Service is the Security Token Service.
type Service struct{ sts.Unimplemented }

// Room is the service as it stands behind the door.
func (s *Service) Room() door.Room {
	return door.Room{Service: sts.Service, Endpoints: sts.Endpoints(s)}
}

// GetCallerIdentity tells who signed the call.
func (s *Service) GetCallerIdentity(c *call.Call, _ *sts.GetCallerIdentityRequest) (*sts.GetCallerIdentityResponse, error) {
	c.Open("No permissions are required: https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html")
	return &sts.GetCallerIdentityResponse{
		UserId:  new(c.Caller.UserID()),
		Account: new(c.Caller.Account),
		Arn:     new(c.Caller.ARN),
	}, nil
}
