package organization_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/organization"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/memstore"
)

const (
	management = "111122223333"
	member     = "444455556666"
	stranger   = "777788889999"
)

var began = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// tree is an organization whose account lies two units deep, with SCPs on.
func tree(t *testing.T) (store.Store, *organization.Directory) {
	t.Helper()
	s := memstore.New()
	t.Cleanup(func() { _ = s.Close() })
	d := organization.New(s, "aws")
	change(t, s, func(tx store.Tx) error {
		return first(
			organization.Organizations.In(management, "").Put(tx, &organization.Organization{
				ID: "o-aaaaaaaaaa", Management: management, Root: "r-root", All: true, Created: began, Types: []string{organization.ServiceControl},
			}),
			organization.Units.In(management, "").Put(tx, &organization.Unit{ID: "ou-root-11111111", Parent: "r-root", Name: "a"}),
			organization.Units.In(management, "").Put(tx, &organization.Unit{ID: "ou-root-22222222", Parent: "ou-root-11111111", Name: "b"}),
			organization.Accounts.In(management, "").Put(tx, account(management, "r-root")),
			organization.Accounts.In(management, "").Put(tx, account(member, "ou-root-22222222")),
			organization.Policies.In(management, "").Put(tx, &organization.Policy{ID: "p-11111111", Type: organization.ServiceControl, Name: "no", Content: denyDelete}),
			attach(tx, "r-root", organization.FullAccess), attach(tx, "ou-root-11111111", organization.FullAccess),
			attach(tx, "ou-root-22222222", organization.FullAccess), attach(tx, member, organization.FullAccess), attach(tx, management, organization.FullAccess),
		)
	})
	return s, d
}

const denyDelete = `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"kms:ScheduleKeyDeletion","Resource":"*"}}`

func account(id, parent string) *organization.Account {
	return &organization.Account{ID: id, OrgID: "o-aaaaaaaaaa", Management: management, Parent: parent, Status: organization.Active, Joined: began}
}

func attach(tx store.Tx, target, id string) error {
	return organization.Attachments.In(management, "").Put(tx, &organization.Attachment{Target: target, Type: organization.ServiceControl, Policy: id})
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func change(t *testing.T, s store.Store, fn func(store.Tx) error) {
	t.Helper()
	if err := s.Update(context.Background(), fn); err != nil {
		t.Fatalf("Update = %v", err)
	}
}

func TestMember(t *testing.T) {
	ctx := context.Background()
	get := func(t *testing.T, d *organization.Directory, id string) *organization.Member {
		t.Helper()
		m, err := d.Member(ctx, id)
		if err != nil {
			t.Fatalf("Member(%s) = %v", id, err)
		}
		return m
	}
	t.Run("InNone", func(t *testing.T) {
		_, d := tree(t)
		if m := get(t, d, stranger); m != nil {
			t.Errorf("Member = %+v, want none", m)
		}
		if rcp := (*organization.Member)(nil).RCPFor("kms:Encrypt"); rcp != nil {
			t.Errorf("RCPFor of none = %v", rcp)
		}
	})
	t.Run("NoAccount", func(t *testing.T) {
		_, d := tree(t)
		for _, id := range []string{"", "aws", strings.Repeat("1", 2000)} {
			if m := get(t, d, id); m != nil {
				t.Errorf("Member(%s) = %+v", id, m)
			}
		}
		if got := d.CacheStats(); got.Values != 0 || got.Loads != 0 {
			t.Errorf("%+v of what is no account", got)
		}
	})
	t.Run("Management", func(t *testing.T) {
		_, d := tree(t)
		want := &organization.Member{
			OrgID: "o-aaaaaaaaaa", ManagementAccount: management, Management: true, Status: "ACTIVE", Paths: []string{"o-aaaaaaaaaa/r-root/"},
		}
		if diff := cmp.Diff(want, get(t, d, management)); diff != "" {
			t.Errorf("Member (-want +got):\n%s", diff)
		}
	})
	t.Run("Deep", func(t *testing.T) {
		_, d := tree(t)
		m := get(t, d, member)
		if d := cmp.Diff([]string{"o-aaaaaaaaaa/r-root/ou-root-11111111/ou-root-22222222/"}, m.Paths); d != "" {
			t.Errorf("Paths (-want +got):\n%s", d)
		}
		if len(m.SCP) != 4 || m.RCP != nil {
			t.Errorf("%d levels of SCPs and %d of RCPs, want 4 and none", len(m.SCP), len(m.RCP))
		}
	})
	t.Run("NamesPolicies", func(t *testing.T) {
		s, d := tree(t)
		change(t, s, func(tx store.Tx) error { return attach(tx, member, "p-11111111") })
		var names []string
		for _, p := range get(t, d, member).SCP[3] {
			names = append(names, p.Name())
		}
		want := []string{
			"arn:aws:organizations::" + management + ":policy/o-aaaaaaaaaa/service_control_policy/p-11111111",
			"arn:aws:organizations::aws:policy/service_control_policy/p-FullAWSAccess",
		}
		if diff := cmp.Diff(want, names); diff != "" {
			t.Errorf("names (-want +got):\n%s", diff)
		}
	})
	t.Run("FollowsEveryCommit", func(t *testing.T) {
		s, d := tree(t)
		allowed := func() bool {
			m := get(t, d, member)
			return policy.Decide(&policy.Request{
				Principal: policy.Principal{Kind: policy.Root, Account: member, ARN: "arn:aws:iam::" + member + ":root"},
				Action:    "kms:ScheduleKeyDeletion", Resource: "arn:aws:kms:us-east-1:" + member + ":key/k", SCP: m.SCP,
			}).Allowed
		}
		if !allowed() {
			t.Fatal("denied before any policy denies")
		}
		change(t, s, func(tx store.Tx) error { return attach(tx, "ou-root-11111111", "p-11111111") })
		if allowed() {
			t.Error("allowed after a policy that denies was attached to a unit above")
		}
		change(t, s, func(tx store.Tx) error {
			return organization.Accounts.In(management, "").Put(tx, account(member, "r-root"))
		})
		if !allowed() {
			t.Error("denied after the account was moved out of the unit")
		}
		change(t, s, func(tx store.Tx) error {
			return organization.Attachments.In(management, "").Delete(tx, "r-root", organization.ServiceControl, organization.FullAccess)
		})
		if allowed() {
			t.Error("allowed while nothing at the root allows")
		}
		change(t, s, func(tx store.Tx) error { return organization.Accounts.In(management, "").Delete(tx, member) })
		if m := get(t, d, member); m != nil {
			t.Errorf("Member = %+v after the account left", m)
		}
	})
	t.Run("IsOneCacheHit", func(t *testing.T) {
		_, d := tree(t)
		get(t, d, member)
		get(t, d, stranger)
		if n := testing.AllocsPerRun(100, func() {
			_, _ = d.Member(ctx, member)
			_, _ = d.Member(ctx, stranger)
		}); n > 0 {
			t.Errorf("two hits allocate %v times", n)
		}
		if got := d.CacheStats().Loads; got != 2 {
			t.Errorf("loaded %d times, want 2", got)
		}
	})
}

func TestRCPFor(t *testing.T) {
	m := &organization.Member{RCP: [][]*policy.Policy{{}}}
	for action, want := range map[string]bool{
		"kms:Encrypt": true, "s3:GetObject": true, "sts:AssumeRole": true, "secretsmanager:GetSecretValue": true,
		"kms:RetireGrant": false, "iam:CreateUser": false, "ec2:RunInstances": false, "organizations:ListRoots": false, "": false,
	} {
		if got := m.RCPFor(action) != nil; got != want {
			t.Errorf("RCPFor(%q) binds: %t, want %t", action, got, want)
		}
	}
}

func TestByEmail(t *testing.T) {
	s := memstore.New()
	t.Cleanup(func() { _ = s.Close() })
	change(t, s, func(tx store.Tx) error {
		return organization.Profiles.In("", "").Put(tx, &organization.Profile{ID: member, Name: "Prod", Email: "Prod@corp.example"})
	})
	for email, want := range map[string]string{
		"prod@CORP.example":                    member,
		"account-" + member + "@example.com":   "", // it goes by another address
		"account-" + stranger + "@example.com": stranger,
		"account-12@example.com":               "",
		"nobody@corp.example":                  "",
	} {
		var got string
		err := s.View(context.Background(), func(r store.Reader) (err error) {
			got, err = organization.ByEmail(r, email)
			return err
		})
		if got != want || (err != nil) != (want == "") {
			t.Errorf("ByEmail(%q) = %q, %v, want %q", email, got, err, want)
		}
	}
}
