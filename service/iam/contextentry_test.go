package iam

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/holdfast-cloud/holdfast/api/iam"
	"github.com/holdfast-cloud/holdfast/engine/policy"
)

// FuzzContextEntries holds what entries are read into against the operators that compare them: a value that is taken as of a type is equal to itself there.
func FuzzContextEntries(f *testing.F) {
	for _, seed := range [][3]string{
		{"aws:CurrentTime", "date", "2026-01-01T00:00:00Z"}, {"s3:max-keys", "numeric", "1e3"}, {"aws:SourceIp", "ip", "::ffff:10.1.2.3"}, {"a:b", "binary", "AAEC"},
		{"a:b", "boolean", "TRUE"}, {"a:", "string", ""}, {":b", "", "x"}, {"a:b", "unknownList", "\xff"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	operators := map[string]string{"numeric": "NumericEquals", "date": "DateEquals", "ip": "IpAddress", "boolean": "Bool", "binary": "BinaryEquals"}
	f.Fuzz(func(t *testing.T, name, kind, value string) {
		got, err := contextEntries([]iam.ContextEntry{{ContextKeyName: &name, ContextKeyType: iam.ContextKeyTypeEnum(kind), ContextKeyValues: []string{value}}})
		if err != nil {
			if got != nil {
				t.Fatalf("%q, %v", got, err)
			}
			return
		}
		v, ok := got.Lookup(strings.ToLower(name))
		if !ok || len(v) != 1 || v[0] != value {
			t.Fatalf("%s is %q", name, v)
		}
		op, ok := operators[strings.TrimSuffix(kind, "List")]
		if !ok {
			return
		}
		quoted, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		p, err := policy.Parse([]byte(`{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"`+op+`":{"x:y":`+string(quoted)+`}}}]}`), policy.Identity)
		if err != nil {
			t.Fatalf("%q is no %s to policies: %v", value, kind, err)
		}
		r := &policy.Request{Principal: policy.Principal{Kind: policy.User, Account: "111122223333"}, Action: "s3:GetObject", Context: policy.Values{"x:y": v}, Identity: []*policy.Policy{p}}
		if !policy.Decide(r).Allowed {
			t.Fatalf("%s %q is not itself", kind, value)
		}
	})
}

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"*", "", true}, {"*", "kms:x", true}, {"kms:*crypt", "kms:encrypt", true}, {"kms:*crypt", "kms:encrypts", false}, {"k?s:a*b*c", "kms:axbxbc", true},
		{"", "", true}, {"", "a", false}, {"?", "", false}, {"a**", "a", true}, {"*a", "ba", true}, {"*ab", "aab", true}, {"a", "ab", false},
	} {
		if got := glob(c.pattern, c.text); got != c.want {
			t.Errorf("glob(%q, %q) = %v", c.pattern, c.text, got)
		}
	}
}

func TestTemplate(t *testing.T) {
	for _, c := range []struct{ action, resource, want string }{
		{"s3:GetObject", "arn:aws:s3:::b/k", "arn:${Partition}:s3:::${BucketName}/${ObjectName}"},
		{"kms:encrypt", "arn:aws:kms:eu-west-1:111122223333:key/k", "arn:${Partition}:kms:${Region}:${Account}:key/${KeyId}"},
		{"kms:Encrypt", "arn:aws:kms:eu-west-1:111122223333:alias/k", "*"},
		{"kms:ListKeys", "*", "*"}, {"nosuch:Thing", "arn:aws:s3:::b", "*"}, {"s3:NoSuchThing", "arn:aws:s3:::b", "*"},
	} {
		if got := template(c.action, []string{c.resource}); got != c.want {
			t.Errorf("template(%s, %s) = %s, want %s", c.action, c.resource, got, c.want)
		}
	}
}
