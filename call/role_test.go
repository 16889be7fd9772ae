package call_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/memstore"
	"github.com/holdfast-cloud/holdfast/wire"
)

// stage is a cloud of one account with some roles, and a bus that acts for rules.
type stage struct {
	t         *testing.T
	directory *identity.Directory
	tx        store.Tx
}

const roleAccount = "111122223333"

func newStage(t *testing.T) *stage {
	t.Helper()
	st := memstore.New()
	s := &stage{t: t, directory: identity.New(st, seal.Ephemeral(), "aws")}
	for name, trust := range map[string]string{
		"open":  `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"bus.amazonaws.com"},"Action":"sts:AssumeRole"}}`,
		"other": `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}}`,
		"mine": `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"bus.amazonaws.com"},"Action":"sts:AssumeRole",
			"Condition":{"ArnEquals":{"aws:SourceArn":"arn:aws:bus:us-east-1:111122223333:rule/mine"},"StringEquals":{"aws:SourceAccount":"111122223333"}}}}`,
	} {
		r := identity.Role{Account: roleAccount, Name: name, Path: "/team/", Trust: trust}
		r.Inline = map[string]string{"send": `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"queue:Send","Resource":"arn:aws:queue:*:*:in"}}`}
		if err := s.directory.PutRole(t.Context(), r, time.Unix(0, 0)); err != nil {
			t.Fatal(err)
		}
	}
	for name, service := range map[string]string{"linked": "part.bus.amazonaws.com", "stranger": "part.omnibus.amazonaws.com"} {
		trust := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"` + service + `"},"Action":"sts:AssumeRole"}}`
		r := identity.Role{Account: roleAccount, Name: name, Path: "/team/", Trust: trust, LinkedService: service}
		r.Inline = map[string]string{"send": `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"queue:Send","Resource":"arn:aws:queue:*:*:in"}}`}
		if err := s.directory.PutRole(t.Context(), r, time.Unix(0, 0)); err != nil {
			t.Fatal(err)
		}
	}
	tx, err := st.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tx.Discard)
	s.tx = tx
	return s
}

func (s *stage) call(caller *identity.Principal) *call.Call {
	c := &call.Call{
		Context: context.Background(), Op: &wire.Operation{Name: "PutRule", Action: "bus:PutRule", Service: &wire.Service{EventSource: "bus.amazonaws.com"}},
		Scope: call.Scope{Partition: "aws", Account: roleAccount, Region: "us-east-1"}, Caller: caller, Time: time.Unix(1e9, 0),
	}
	return c.Bind("bus", nil, func() (store.Tx, error) { return s.tx, nil }).WithRoles(s.directory)
}

func roleARN(name string) string { return "arn:aws:iam::" + roleAccount + ":role/team/" + name }

func TestAsRole(t *testing.T) {
	s := newStage(t)
	for _, tt := range []struct {
		name, role, source string
		wants              bool
	}{
		{"OK", roleARN("open"), "arn:aws:bus:us-east-1:111122223333:rule/any", true},
		{"ForThisRule", roleARN("mine"), "arn:aws:bus:us-east-1:111122223333:rule/mine", true},
		{"ForAnotherRule", roleARN("mine"), "arn:aws:bus:us-east-1:111122223333:rule/any", false},
		{"ForNone", roleARN("mine"), "", false},
		{"AnotherService", roleARN("other"), "arn:aws:bus:us-east-1:111122223333:rule/mine", false},
		{"LinkedToPart", roleARN("linked"), "arn:aws:bus:us-east-1:111122223333:rule/any", true},
		{"LinkedToAnother", roleARN("stranger"), "arn:aws:bus:us-east-1:111122223333:rule/any", false},
		{"NotFound", roleARN("none"), "arn:aws:bus:us-east-1:111122223333:rule/mine", false},
		{"AnotherPath", "arn:aws:iam::" + roleAccount + ":role/open", "arn:aws:bus:us-east-1:111122223333:rule/mine", false},
		{"NoRole", "arn:aws:iam::" + roleAccount + ":user/open", "arn:aws:bus:us-east-1:111122223333:rule/mine", false},
		{"NoARN", "open", "arn:aws:bus:us-east-1:111122223333:rule/mine", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			own, err := s.call(identity.Root("aws", roleAccount, "")).AsRole(tt.role, tt.source)
			if !tt.wants {
				if !errors.Is(err, call.ErrRole) {
					t.Fatalf("AsRole(%s) = %v, want ErrRole", tt.role, err)
				}
				return
			}
			if err != nil {
				t.Fatalf("AsRole(%s) = %v", tt.role, err)
			}
			p := own.Caller
			if p.Kind != policy.Role || p.Issuer != tt.role || !own.OwnRights() || own.Source.Service != "bus.amazonaws.com" || own.Scope.Account != roleAccount {
				t.Errorf("AsRole(%s) acts as %+v in %+v", tt.role, p.Principal, own.Scope)
			}
			if !own.Would(p, "queue:Send", &call.Resource{ARN: "arn:aws:queue:us-east-1:111122223333:in"}) || own.Would(p, "queue:Send", &call.Resource{ARN: "*"}) {
				t.Errorf("AsRole(%s) is not what the role's policy makes it", tt.role)
			}
		})
	}
}

func TestPassRole(t *testing.T) {
	s := newStage(t)
	root := identity.Root("aws", roleAccount, "")
	if err := s.directory.PutUser(t.Context(), identity.User{Account: roleAccount, Name: "ann", Permissions: identity.Permissions{Inline: map[string]string{
		"pass": `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iam:PassRole","Resource":"arn:aws:iam::*:role/team/*","Condition":{"StringEquals":{"iam:PassedToService":"bus.amazonaws.com"}}}}`,
	}}}, time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
	id, _, err := s.directory.CreateKey(t.Context(), roleAccount, "ann", time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	credential, err := s.directory.Lookup(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	ann := credential.Principal
	for _, tt := range []struct {
		name, role, service string
		caller              *identity.Principal
		denied, missing     bool
	}{
		{name: "OK", role: roleARN("open"), service: "bus.amazonaws.com", caller: ann},
		{name: "Root", role: roleARN("open"), service: "bus.amazonaws.com", caller: root},
		{name: "AnotherService", role: roleARN("open"), service: "ec2.amazonaws.com", caller: ann, denied: true},
		{name: "NotAllowed", role: "arn:aws:iam::" + roleAccount + ":role/open", service: "bus.amazonaws.com", caller: ann, denied: true},
		{name: "NotFound", role: roleARN("none"), service: "bus.amazonaws.com", caller: ann, missing: true},
		{name: "AnotherAccount", role: "arn:aws:iam::444455556666:role/team/open", service: "bus.amazonaws.com", caller: ann, denied: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := s.call(tt.caller).PassRole(tt.role, tt.service)
			_, denied := errors.AsType[*call.Denied](err)
			if denied != tt.denied || errors.Is(err, call.ErrRole) != tt.missing || (err == nil) == (tt.denied || tt.missing) {
				t.Errorf("PassRole(%s, %s) = %v", tt.role, tt.service, err)
			}
		})
	}
}
