package arn_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/holdfast-cloud/holdfast/arn"
)

func TestParse(t *testing.T) {
	for s, want := range map[string]arn.ARN{
		"arn:aws:kms:eu-west-1:111122223333:key/1234": {"aws", "kms", "eu-west-1", "111122223333", "key/1234"},
		"arn:aws:s3:::bucket/a b:c":                   {"aws", "s3", "", "", "bucket/a b:c"},
		"arn:aws-cn:iam::111122223333:role/p/q":       {"aws-cn", "iam", "", "111122223333", "role/p/q"},
		"arn:aws:secretsmanager:us-east-1:1:secret:x": {"aws", "secretsmanager", "us-east-1", "1", "secret:x"},
	} {
		t.Run("OK "+s, func(t *testing.T) {
			got, err := arn.Parse(s)
			if err != nil {
				t.Fatalf("Parse(%q) = %v", s, err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("Parse(%q) (-want +got):\n%s", s, diff)
			}
			if got.String() != s {
				t.Errorf("String() = %q, want %q", got.String(), s)
			}
		})
	}
	for _, s := range []string{
		"", "arn", "arn:aws", "arn:aws:kms:eu-west-1:111122223333", "arn::kms:r:a:key/1", "arn:aws::r:a:key/1",
		"arn:aws:kms:r:a:", "ARN:aws:kms:r:a:key/1", " arn:aws:kms:r:a:key/1", "arn:aws:k ms:r:a:key/1",
	} {
		t.Run("Invalid "+s, func(t *testing.T) {
			if got, err := arn.Parse(s); !errors.Is(err, arn.ErrInvalid) {
				t.Errorf("Parse(%q) = %v, %v, want ErrInvalid", s, got, err)
			}
		})
	}
}

func TestResourceParts(t *testing.T) {
	for resource, want := range map[string][2]string{
		"key/1234":      {"key", "1234"},
		"secret:a/b":    {"secret", "a/b"},
		"role/path/nam": {"role", "path/nam"},
		"bucket":        {"", "bucket"},
	} {
		a := arn.ARN{Resource: resource}
		if got := [2]string{a.ResourceType(), a.ResourceID()}; got != want {
			t.Errorf("type and ID of %q = %q, want %q", resource, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("arn:aws:kms:eu-west-1:111122223333:key/1234")
	f.Add("arn:aws:s3:::bucket/a b:c")
	f.Add("arn:::::")
	f.Add("arn:aws:kms")
	f.Fuzz(func(t *testing.T, s string) {
		a, err := arn.Parse(s)
		if err != nil {
			return
		}
		if a.String() != s {
			t.Errorf("Parse(%q).String() = %q", s, a.String())
		}
		if !arn.Is(s) {
			t.Errorf("Is(%q) = false for an ARN that parses", s)
		}
	})
}
