package sts

import (
	"errors"

	"github.com/holdfast-cloud/holdfast/api/sts"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/wire"
)

// vouched is a session that an identity provider asks for, with the tags it gives. It holds them against the rules that the model states for requests.
func vouched(c *call.Call, roleARN string, session identity.Session, given map[string]string, transitive []string) (*entrance, error) {
	tags := make(map[string]string, len(given))
	probe := &sts.AssumeRoleRequest{
		RoleArn: &roleARN, RoleSessionName: &session.SessionName, TransitiveTagKeys: transitive, SourceIdentity: some(session.SourceIdentity),
	}
	for k, v := range given {
		if err := addTag(tags, k, v); err != nil {
			return nil, err
		}
		probe.Tags = append(probe.Tags, sts.Tag{Key: &k, Value: &v})
	}
	if err, ok := errors.AsType[*wire.Error](wire.Validate(probe)); ok {
		return nil, badParameter(err.Message)
	}
	if err := inherit(&session, nil, tags, transitive); err != nil {
		return nil, err
	}
	return &entrance{
		roleARN: roleARN, session: session,
		conditions: policy.Values{"sts:rolesessionname": {session.SessionName}},
		// Who is not known yet is not named.
		refusal: func() error { return deny(c, "Not authorized to perform %s", c.Op.Action) },
	}, nil
}
