package policy_test

import (
	"strings"
	"testing"

	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/engine/policy/policytest"
)

func TestBind(t *testing.T) {
	p := must(t, policy.Resource, `{"Statement":{"Effect":"Allow","Action":"kms:*","Resource":"*","Principal":{"AWS":["`+ann.ARN+`", "`+ops.Issuer+`","111122223333"]}}}`)
	ids := map[string]string{ann.ARN: ann.ID, ops.Issuer: ops.ID}
	bound := p.Bind(func(ref policy.PrincipalRef) string { return ids[ref.Value] })
	again := ann
	again.ID = "AIDAANNANNANNANNANN99"
	for _, c := range []struct {
		name    string
		p       *policy.Policy
		who     policy.Principal
		allowed bool
	}{
		{"Unbound", p, again, true},
		{"TheSame", bound, ann, true},
		{"MadeAgain", bound, again, false},
		{"Role", bound, ops, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := policy.Decide(&policy.Request{Principal: c.who, Action: "kms:Encrypt", Resource: keyARN, ResourceAccount: policytest.Ours, ResourcePolicy: c.p})
			if d.Allowed != c.allowed {
				t.Errorf("Decide: allowed %t, want %t", d.Allowed, c.allowed)
			}
		})
	}
	if bound.Text() != p.Text() {
		t.Error("Bind changed the text")
	}
}

func TestRewrite(t *testing.T) {
	text := `{ "Statement" : {"Effect":"Allow","Action":"kms:*","Resource":"*","Principal":{"AWS":["` + ann.ARN + `", "arn:aws:iam::111122223333:role\/web","*"]}}}`
	p := must(t, policy.Resource, text)
	got := p.Rewrite(func(ref policy.PrincipalRef) string {
		if strings.HasSuffix(ref.Value, "role/web") {
			return "AROAWEBWEBWEBWEBWEB01"
		}
		return ref.Value
	})
	if want := strings.Replace(text, `arn:aws:iam::111122223333:role\/web`, "AROAWEBWEBWEBWEBWEB01", 1); got != want {
		t.Errorf("Rewrite:\n got %s\nwant %s", got, want)
	}
}
