package iam

import (
	"errors"
	"fmt"

	"github.com/holdfast-cloud/holdfast/api/iam"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/wire"
)

// create asks for permission to make a resource. Where the request gives it tags, the action of tagging such a resource has to be allowed as well:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/access_tags.html
func (s *Service) create(c *call.Call, r *call.Resource, tagging *wire.Operation, tags map[string]string) error {
	r.RequestTags = tags
	if err := s.authorize(c, r); err != nil || len(tags) == 0 {
		return err
	}
	return c.AuthorizeAction(tagging.Action, r)
}

// insert puts a new record into its table, unless the account has its fill of them or one of that name.
func insert[R any](c *call.Call, t *store.Table[R], r *R, quota string, limit int, taken string) error {
	rows := t.In(c.Scope.Account, "")
	err := rows.Insert(c.Tx(), r)
	if errors.Is(err, store.ErrExists) {
		return &iam.EntityAlreadyExistsException{Message: taken}
	}
	if err != nil {
		return err
	}
	n, err := rows.Count(c.Tx(), store.Query{})
	if err == nil && n > limit {
		return exceeded(quota, limit)
	}
	return err
}

// rootPath is the path of what is given none.
const rootPath = "/"

func pathOf(path string) string {
	if path == "" {
		return rootPath
	}
	return path
}

func invalid(format string, args ...any) error {
	return &iam.InvalidInputException{Message: fmt.Sprintf(format, args...)}
}
