package organization_test

import (
	"context"
	"testing"

	"github.com/holdfast-cloud/holdfast/organization"
	"github.com/holdfast-cloud/holdfast/store"
)

func TestTagViolation(t *testing.T) {
	s, d := tree(t)
	change(t, s, func(tx store.Tx) error {
		o, err := organization.Organizations.In(management, "").Get(tx, "o-aaaaaaaaaa")
		if err != nil {
			return err
		}
		o.Types = append(o.Types, organization.TagPolicy)
		return first(
			organization.Organizations.In(management, "").Put(tx, o),
			organization.Policies.In(management, "").Put(tx, &organization.Policy{ID: "p-22222222", Type: organization.TagPolicy, Name: "tags", Content: `{"tags":{
				"env":{"tag_key":{"@@assign":"Env"},"tag_value":{"@@assign":["prod","dev-*","*-a-*-z"]},"enforced_for":{"@@assign":["kms:key","secretsmanager:*"]}},
				"team":{"tag_value":{"@@assign":["blue"]}}}}`}),
			organization.Attachments.In(management, "").Put(tx, &organization.Attachment{Target: "r-root", Type: organization.TagPolicy, Policy: "p-22222222", Created: began}),
		)
	})
	m, err := d.Member(context.Background(), management)
	if err != nil {
		t.Fatal(err)
	}
	const key = "arn:aws:kms:us-east-1:" + management + ":key/1"
	for name, c := range map[string]struct {
		resource string
		tags     map[string]string
		want     string
	}{
		"OK":            {key, map[string]string{"Env": "prod", "other": "x"}, ""},
		"Pattern":       {key, map[string]string{"Env": "dev-1"}, ""},
		"TwoAsterisks":  {key, map[string]string{"Env": "x-a-y-z"}, ""},
		"Overlapping":   {key, map[string]string{"Env": "-a-z"}, "Env"},
		"Value":         {key, map[string]string{"Env": "test"}, "Env"},
		"CaseOfKey":     {key, map[string]string{"env": "prod"}, "env"},
		"CaseOfValue":   {key, map[string]string{"Env": "Prod"}, "Env"},
		"First":         {key, map[string]string{"env": "prod", "ENV": "prod"}, "ENV"},
		"OtherType":     {"arn:aws:kms:us-east-1:" + management + ":alias/a", map[string]string{"Env": "test"}, ""},
		"AnyOfAService": {"arn:aws:secretsmanager:us-east-1:" + management + ":secret:s", map[string]string{"Env": "test"}, "Env"},
		"NoName":        {"*", map[string]string{"Env": "test"}, "Env"},
		"NotEnforced":   {key, map[string]string{"team": "red"}, ""},
		"OtherService":  {"arn:aws:s3:::bucket", map[string]string{"Env": "test"}, ""},
	} {
		got, found := m.TagViolation("kms", c.resource, c.tags)
		if got != c.want || found != (c.want != "") {
			t.Errorf("%s: TagViolation = %q, %t, want %q", name, got, found, c.want)
		}
	}
	if _, found := (*organization.Member)(nil).TagViolation("kms", key, map[string]string{"Env": "x"}); found {
		t.Error("an account in no organization is bound")
	}
}
