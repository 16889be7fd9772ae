package secretsmanager

import (
	"bytes"
	"strings"
	"testing"

	"github.com/holdfast-cloud/holdfast/api/secretsmanager"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
)

// What a SecretId names is what stands in it, and a name or an ARN comes back as it was.
func FuzzSecretID(f *testing.F) {
	for _, s := range []string{
		"prod/db", "", "a b", "arn:aws:secretsmanager:us-east-1:111122223333:secret:prod/db-a1B2c3", "arn:aws:secretsmanager:us-east-1:111122223333:secret:prod/db",
		"arn:aws:secretsmanager:us-east-1:111122223333:secret:-a1b2c3", "arn:aws:secretsmanager:::secret:", "arn:aws:s3:::b", "arn:", "rds!x",
	} {
		f.Add(s)
	}
	c := &call.Call{Scope: call.Scope{Partition: "aws", Account: "111122223333", Region: "us-east-1"}}
	f.Fuzz(func(t *testing.T, id string) {
		got, err := parse(c, id)
		if err != nil {
			return
		}
		if !arn.Is(id) {
			if got.name != id || got.suffix != "" || got.account != c.Scope.Account {
				t.Errorf("%q is %+v", id, got)
			}
			return
		}
		resource := got.name
		if got.suffix != "" {
			resource += "-" + got.suffix
		}
		if got.name == "" || !strings.HasSuffix(id, ":secret:"+resource) {
			t.Errorf("%q is %+v", id, got)
		}
	})
}

// Filters let through or not, whatever they say.
func FuzzFilter(f *testing.F) {
	f.Add("name", "prod", "prod/db", "of the shop", "red")
	f.Add("all", "!SHOP red", "prod/db", "of the shop", "red")
	f.Add("tag-value", "", "", "", "\xff")
	f.Fuzz(func(t *testing.T, key, v, name, description, tag string) {
		filters := []secretsmanager.Filter{{Key: secretsmanager.FilterNameStringType(key), Values: []string{v}}}
		match, err := filter(filters)
		if err != nil {
			return
		}
		r := &secretRecord{Name: name, Description: description, Tags: map[string]string{"k": tag}}
		there := match(r)
		if not, ok := strings.CutPrefix(v, "!"); ok && !strings.HasPrefix(not, "!") {
			filters[0].Values = []string{not}
			if plain, _ := filter(filters); plain(r) == there {
				t.Errorf("%q and its negation say the same of %+v", not, r)
			}
		}
	})
}

// Passwords have the length asked for, and nothing that is excluded.
func FuzzPassword(f *testing.F) {
	f.Add(int64(32), "", false, false, true, true)
	f.Add(int64(4), "abc", true, true, false, false)
	f.Fuzz(func(t *testing.T, length int64, exclude string, noDigits, noPunctuation, space, each bool) {
		if length < 1 || length > 4096 {
			return
		}
		in := &secretsmanager.GetRandomPasswordRequest{
			PasswordLength: &length, ExcludeCharacters: &exclude, ExcludeNumbers: &noDigits, ExcludePunctuation: &noPunctuation, IncludeSpace: &space, RequireEachIncludedType: &each,
		}
		s, err := password(bytes.NewReader(bytes.Repeat([]byte{1, 2, 3, 250, 17, 99}, 10_000)), in)
		if err != nil {
			return
		}
		if len(s) != int(length) || exclude != "" && strings.ContainsAny(s, exclude) || noDigits && strings.ContainsAny(s, digits) || noPunctuation && strings.ContainsAny(s, punctuation) {
			t.Errorf("%d characters, or some that are excluded", len(s))
		}
	})
}
