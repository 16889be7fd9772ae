package actions_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/engine/actions"
)

func TestFind(t *testing.T) {
	t.Run("OK", func(t *testing.T) {
		kms, ok := actions.Find("kms")
		if !ok || kms.Name != "AWS Key Management Service" {
			t.Fatalf("Find(kms) = %+v, %v", kms, ok)
		}
		got, ok := kms.Action("decrypt")
		if !ok {
			t.Fatal("kms has no Decrypt")
		}
		if got.Name != "Decrypt" || got.Level != actions.Write {
			t.Errorf("Decrypt is %+v", got)
		}
		if diff := cmp.Diff([]string{"arn:${Partition}:kms:${Region}:${Account}:key/${KeyId}"}, got.Resources); diff != "" {
			t.Errorf("resources of kms:Decrypt (-want +got):\n%s", diff)
		}
		for _, key := range []string{"kms:ViaService", "kms:EncryptionContextKeys", "aws:ResourceTag/${TagKey}"} {
			if !slices.Contains(got.Keys, key) {
				t.Errorf("kms:Decrypt lacks the key %s: %v", key, got.Keys)
			}
		}
	})
	t.Run("NotFound", func(t *testing.T) {
		if s, ok := actions.Find("nosuch"); ok {
			t.Errorf("Find(nosuch) = %+v", s)
		}
		s3, _ := actions.Find("S3")
		if a, ok := s3.Action("GetNothing"); ok {
			t.Errorf("s3:GetNothing is %+v", a)
		}
	})
}

func TestLevels(t *testing.T) {
	for _, c := range []struct{ prefix, name, level string }{
		{"iam", "ListUsers", actions.List},
		{"secretsmanager", "GetSecretValue", actions.Read},
		{"kms", "PutKeyPolicy", actions.Permissions},
		{"kms", "TagResource", actions.Tagging},
		{"sqs", "SendMessage", actions.Write},
		{"sts", "AssumeRole", actions.Write},
	} {
		s, ok := actions.Find(c.prefix)
		if !ok {
			t.Errorf("%s is not known", c.prefix)
			continue
		}
		if a, ok := s.Action(c.name); !ok || a.Level != c.level {
			t.Errorf("%s:%s is %+v, want level %s", c.prefix, c.name, a, c.level)
		}
	}
}

// TestServices walks the table: everything in it is of a known kind.
func TestServices(t *testing.T) {
	levels := []string{actions.List, actions.Read, actions.Write, actions.Tagging, actions.Permissions}
	services, count := 0, 0
	last := ""
	for s := range actions.Services() {
		if s.Prefix <= last || s.Name == "" {
			t.Errorf("%q (%q) follows %q", s.Prefix, s.Name, last)
		}
		last = s.Prefix
		services++
		count += len(s.Actions)
		for _, a := range s.Actions {
			if !slices.Contains(levels, a.Level) {
				t.Errorf("%s:%s has level %q", s.Prefix, a.Name, a.Level)
			}
			for _, key := range a.Keys {
				if _, ok := actions.Key(key); !ok {
					t.Errorf("%s:%s has the unknown key %s", s.Prefix, a.Name, key)
				}
			}
		}
	}
	if services < 400 || count < 20000 {
		t.Errorf("%d services with %d actions", services, count)
	}
}

func TestKey(t *testing.T) {
	for _, c := range []struct {
		key, kind string
		several   bool
	}{
		{"aws:PrincipalArn", "ARN", false},
		{"aws:tagkeys", "ArrayOfString", true},
		{"aws:CalledVia", "ArrayOfString", true},
		{"aws:SourceIp", "IPAddress", false},
		{"aws:MultiFactorAuthAge", "Numeric", false},
		{"aws:ResourceTag/team", "String", false},
		{"kms:EncryptionContext:aws:ebs:id", "String", false},
		{"kms:EncryptionContextKeys", "ArrayOfString", true},
		{"iam:PassedToService", "String", false},
		{"dynamodb:LeadingKeys", "ArrayOfString", true},
		{"aws:ResourceTag/", "", false},
		{"aws:NoSuchKey", "", false},
	} {
		kind, ok := actions.Key(c.key)
		if kind != c.kind || ok != (c.kind != "") || actions.Multivalued(c.key) != c.several {
			t.Errorf("Key(%s) = %q, %v; Multivalued %v", c.key, kind, ok, actions.Multivalued(c.key))
		}
	}
}
