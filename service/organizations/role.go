package organizations

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/holdfast-cloud/holdfast/identity"
)

// accessRole makes the role by which the management account gets into a new account:
// https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_accounts_access.html
func (o *org) accessRole(account, name string) error {
	p := o.s.cfg.Partition
	trust, err := json.Marshal(map[string]any{
		"Version": "2012-10-17",
		"Statement": []any{map[string]any{
			"Effect": "Allow", "Principal": map[string]string{"AWS": "arn:" + p + ":iam::" + o.Management + ":root"}, "Action": "sts:AssumeRole",
		}},
	})
	if err != nil {
		return err
	}
	err = identity.Roles.In(account, "").Insert(o.c.Tx(), &identity.Role{
		Account: account, Name: name, Path: "/", ID: identity.NewID("AROA"), Trust: string(trust), MaxSession: time.Hour, Created: o.c.Time,
		Permissions: identity.Permissions{Attached: []string{"arn:" + p + ":iam::aws:policy/AdministratorAccess"}},
	})
	if err != nil {
		return fmt.Errorf("making role %s: %w", name, err)
	}
	return nil
}
