package identity_test

import (
	"testing"

	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/identity"
)

func TestResourcePolicies(t *testing.T) {
	const text = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":["arn:aws:iam::111122223333:role/a","arn:aws:iam::111122223333:role/b"]},"Action":"*","Resource":"*"}]}`
	policies := identity.NewResourcePolicies()
	get := func(text string, pins identity.Pins) *policy.Policy {
		t.Helper()
		p, err := policies.Get(t.Context(), text, pins)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	pins := identity.Pins{"arn:aws:iam::111122223333:role/a": "AROAEXAMPLEEXAMPLEEX1"}
	bound := get(text, pins)
	if get(text, identity.Pins{"arn:aws:iam::111122223333:role/a": "AROAEXAMPLEEXAMPLEEX1"}) != bound || get(text, nil) != get(text, identity.Pins{}) {
		t.Error("one policy was compiled twice")
	}
	if get(text, nil) == bound || get(text, identity.Pins{"arn:aws:iam::111122223333:role/a": "AROAEXAMPLEEXAMPLEEX2"}) == bound {
		t.Error("policies with other pins are one")
	}
	if n := policies.Stats().Loads; n != 3 {
		t.Errorf("%d were compiled, want 3", n)
	}
	if _, err := policies.Get(t.Context(), "{", nil); err == nil {
		t.Error("a policy was made of what is none")
	}
}
