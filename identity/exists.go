package identity

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/store"
)

// Exists reports whether name, which is the ARN of an IAM or STS principal, or an account's twelve digits, is somebody. Every account
// exists: it is there as soon as it is spoken of.
func (d *Directory) Exists(ctx context.Context, name string) (there bool, err error) {
	err = d.store.View(ctx, func(r store.Reader) error {
		there, _, err = d.Find(r, name)
		return err
	})
	return there, err
}

// Find tells like Exists whether a principal is there, and the unique ID of users and roles: a policy that names one means this very one, and
// not another who has its name later. The IDs of others are empty.
func (d *Directory) Find(r store.Reader, name string) (there bool, id string, err error) {
	if IsAccount(name) || slices.Contains(d.guests, name) {
		return true, "", nil
	}
	a, err := arn.Parse(name)
	if err != nil || a.Partition != d.partition || !IsAccount(a.Account) {
		return false, "", nil
	}
	if a.Service == "iam" && a.Resource == "root" {
		return true, "", nil
	}
	kind, rest, _ := strings.Cut(a.Resource, "/")
	switch a.Service + ":" + kind {
	case "iam:user":
		u, err := Users.In(a.Account, "").Get(r, last(rest))
		if missing(err) || err == nil && u.ARN(d.partition) != name {
			return false, "", nil
		}
		if err != nil {
			return false, "", err
		}
		return true, u.ID, nil
	case "iam:role":
		role, err := Roles.In(a.Account, "").Get(r, last(rest))
		if missing(err) || err == nil && role.ARN(d.partition) != name {
			return false, "", nil
		}
		if err != nil {
			return false, "", err
		}
		return true, role.ID, nil
	case "sts:assumed-role":
		// A session is nobody's to list: it is there when its role is.
		role, session, ok := strings.Cut(rest, "/")
		if !ok || session == "" {
			return false, "", nil
		}
		_, err := Roles.In(a.Account, "").Get(r, role)
		if missing(err) {
			return false, "", nil
		}
		return err == nil, "", err
	case "sts:federated-user":
		return rest != "", "", nil
	}
	return false, "", nil
}

func last(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

func missing(err error) bool { return errors.Is(err, store.ErrNotFound) }
