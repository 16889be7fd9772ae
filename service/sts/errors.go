package sts

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/wire"
)

func invalid(format string, args ...any) error {
	return &wire.Error{Code: "ValidationError", Status: http.StatusBadRequest, Message: fmt.Sprintf(format, args...)}
}

// badParameter is the error for tags and what belongs to them.
func badParameter(message string) error {
	return &wire.Error{Code: "InvalidParameterValue", Status: http.StatusBadRequest, Message: message}
}

// deny is a refusal in words of the service's own.
func deny(c *call.Call, format string, args ...any) error {
	return c.Reject(&wire.Error{Code: "AccessDenied", Status: http.StatusForbidden, Message: fmt.Sprintf(format, args...)})
}

// admit refuses temporary credentials that may not be used for the operation, whatever policies say:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_sts-comparison.html
func (s *Service) admit(c *call.Call) error {
	t := c.Caller.Temporary
	if t == nil {
		return nil
	}
	ok := false
	switch c.Op.Name {
	case "AssumeRole":
		ok = t.Kind == identity.RoleSession || t.Kind == identity.UserSession
	case "GetSessionToken", "GetFederationToken": // long-term credentials only
	default:
		ok = t.Kind == identity.RoleSession
	}
	if !ok {
		return deny(c, "Cannot call %s with session credentials", c.Op.Name)
	}
	return nil
}

// hideRole makes a denial the same for roles that are there and that are not. What the trust policy says stays unsaid, as AWS does; an explicit deny
// elsewhere tells nothing of the role.
func hideRole(c *call.Call, err error, action, roleARN string) error {
	denied, ok := errors.AsType[*call.Denied](err)
	if !ok || denied.Explicit && denied.By != policy.Trust {
		return err
	}
	who := c.Caller.ARN
	if who == "" {
		who = c.Caller.ServiceName
	}
	denied.Message = "User: " + who + " is not authorized to perform: " + action + " on resource: " + roleARN
	return denied
}

func missing(err error) bool { return errors.Is(err, store.ErrNotFound) }
