package secretsmanager_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/go-cmp/cmp"
)

// labels are the versions of a secret that have labels, in the order of their making, as v1:AWSCURRENT,AWSPENDING.
func (h *house) labels(id string, versions ...string) (out []string) {
	h.t.Helper()
	l := must(h.ListSecretVersionIds(h.t.Context(), &secretsmanager.ListSecretVersionIdsInput{SecretId: &id}))(h.t)
	for _, v := range l.Versions {
		for i, known := range versions {
			if known == *v.VersionId {
				out = append(out, fmt.Sprintf("v%d:%s", i+1, strings.Join(v.VersionStages, ",")))
			}
		}
	}
	return out
}

func (h *house) move(id, label, from, to string) error {
	in := &secretsmanager.UpdateSecretVersionStageInput{SecretId: &id, VersionStage: &label}
	if from != "" {
		in.RemoveFromVersionId = &from
	}
	if to != "" {
		in.MoveToVersionId = &to
	}
	_, err := h.UpdateSecretVersionStage(h.t.Context(), in)
	return err
}

// The sequences are those that LocalStack has recorded from AWS: tests/aws/services/secretsmanager/test_secretsmanager.snapshot.json, 28 September 2022.
func TestLabels(t *testing.T) {
	h := start(t)
	want := func(t *testing.T, id string, versions []string, want ...string) {
		t.Helper()
		if d := cmp.Diff(want, h.labels(id, versions...)); d != "" {
			t.Errorf("labels (-want +got):\n%s", d)
		}
	}
	secret := func(name string) (id string, versions []string, put func(labels ...string)) {
		id, first := h.create(name, "S1")
		versions = []string{first}
		return id, versions, func(labels ...string) {
			h.Advance(time.Second)
			versions = append(versions, h.put(id, fmt.Sprintf("S%d", len(versions)+1), labels...))
		}
	}
	t.Run("PendingBecomesCurrent", func(t *testing.T) {
		id, v1 := h.create("pending", "S1")
		h.Advance(time.Second)
		v2 := h.put(id, "S2", "AWSPENDING")
		vs := []string{v1, v2}
		want(t, id, vs, "v1:AWSCURRENT", "v2:AWSPENDING")
		if err := h.move(id, "AWSCURRENT", v1, v2); err != nil {
			t.Fatal(err)
		}
		want(t, id, vs, "v1:AWSPREVIOUS", "v2:AWSCURRENT,AWSPENDING")
		h.Advance(time.Second)
		vs = append(vs, h.put(id, "S3"))
		want(t, id, vs, "v2:AWSPREVIOUS", "v3:AWSCURRENT")
	})
	t.Run("Cycle", func(t *testing.T) {
		id, v1 := h.create("cycle", "S1")
		h.Advance(time.Second)
		v2 := h.put(id, "S2", "AWSPENDING", "AWSSOMETHING", "PUT1")
		if err := h.move(id, "AWSCURRENT", v1, v2); err != nil {
			t.Fatal(err)
		}
		h.Advance(time.Second)
		v3 := h.put(id, "S3", "AWSPENDING", "PUT2")
		vs := []string{v1, v2, v3}
		want(t, id, vs, "v1:AWSPREVIOUS", "v2:AWSCURRENT,AWSSOMETHING,PUT1", "v3:AWSPENDING,PUT2")
		if err := h.move(id, "AWSCURRENT", v2, v3); err != nil {
			t.Fatal(err)
		}
		want(t, id, vs, "v2:AWSPREVIOUS,AWSSOMETHING,PUT1", "v3:AWSCURRENT,AWSPENDING,PUT2")
		if got := h.get(id); got != "S3" {
			t.Errorf("it says %q", got)
		}
	})
	t.Run("OwnLabels", func(t *testing.T) {
		id, _, _ := secret("own")
		v2 := h.put(id, "a", "one", "two", "three")
		v3 := h.put(id, "b", "one", "two", "four")
		got := h.described(id).VersionIdsToStages
		if d := cmp.Diff([]string{"three"}, got[v2]); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff([]string{"four", "one", "two"}, got[v3]); d != "" {
			t.Error(d)
		}
		for i := range 17 {
			_, err := h.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: &id, SecretString: aws.String("x"), VersionStages: []string{fmt.Sprint("l", i)}})
			if i < 15 && err != nil { // AWSCURRENT, one, two, three and four are there
				t.Fatalf("label %d: %v", i, err)
			}
			if i >= 15 {
				wantError(t, err, "LimitExceededException", "20 staging labels")
			}
		}
	})
	t.Run("Moves", func(t *testing.T) {
		id, v1 := h.create("moves", "1")
		h.Advance(time.Second)
		v2 := h.put(id, "2")
		wantError(t, h.move(id, "AWSCURRENT", "", v1), "InvalidParameterException",
			"The parameter RemoveFromVersionId can't be empty. Staging label AWSCURRENT is currently attached to version "+v2)
		wantError(t, h.move(id, "AWSCURRENT", v1, v1), "InvalidParameterException", "not currently attached")
		wantError(t, h.move(id, "AWSCURRENT", v2, ""), "InvalidParameterException", "You can only move staging label AWSCURRENT")
		wantError(t, h.move(id, "mine", "", strings.Repeat("0", 36)), "ResourceNotFoundException", "can't find the specified secret version")
		wantError(t, h.move(id, "mine", "", ""), "InvalidParameterException", "")
		for _, to := range []string{v1, v1} { // again is no error
			if err := h.move(id, "mine", "", to); err != nil {
				t.Error(err)
			}
		}
		if err := h.move(id, "mine", v1, ""); err != nil {
			t.Error(err)
		}
		if err := h.move(id, "AWSCURRENT", v2, v1); err != nil { // back
			t.Error(err)
		}
		want(t, id, []string{v1, v2}, "v1:AWSCURRENT", "v2:AWSPREVIOUS")
	})
}

func TestGetSecretValue(t *testing.T) {
	h := start(t)
	id, v1 := h.create("s", "1")
	v2 := h.put(id, "2")
	v3 := h.put(id, "3", "AWSPENDING")
	get := func(version, label string) (*secretsmanager.GetSecretValueOutput, error) {
		in := &secretsmanager.GetSecretValueInput{SecretId: &id}
		if version != "" {
			in.VersionId = &version
		}
		if label != "" {
			in.VersionStage = &label
		}
		return h.GetSecretValue(t.Context(), in)
	}
	for _, x := range []struct{ version, label, want string }{
		{"", "", "2"}, {v1, "", "1"}, {v3, "", "3"}, {"", "AWSPREVIOUS", "1"}, {"", "AWSPENDING", "3"}, {v2, "AWSCURRENT", "2"},
	} {
		if got := must(get(x.version, x.label))(t); *got.SecretString != x.want {
			t.Errorf("%s %s says %q, want %q", x.version, x.label, *got.SecretString, x.want)
		}
	}
	_, err := get("", "mine")
	wantError(t, err, "ResourceNotFoundException", "Secrets Manager can't find the specified secret value for staging label: mine")
	unknown := strings.Repeat("0", 36)
	_, err = get(unknown, "")
	wantError(t, err, "ResourceNotFoundException", "Secrets Manager can't find the specified secret value for VersionId: "+unknown)
	_, err = get(unknown, "AWSCURRENT")
	wantError(t, err, "ResourceNotFoundException", "Secrets Manager can't find the specified secret value for VersionId: "+unknown)
	_, err = get(v1, "AWSCURRENT")
	wantError(t, err, "InvalidRequestException", "You provided a VersionStage that is not associated to the provided VersionId.")
}

func TestPutSecretValue(t *testing.T) {
	h := start(t)
	id, _ := h.create("s", "1")
	token := strings.Repeat("t", 32)
	put := func(text string) error {
		_, err := h.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: &id, SecretString: &text, ClientRequestToken: &token})
		return err
	}
	for range 2 { // the same request again changes nothing
		if err := put("2"); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(h.described(id).VersionIdsToStages); n != 2 {
		t.Errorf("%d versions have labels", n)
	}
	wantError(t, put("3"), "ResourceExistsException", "You can't use ClientRequestToken "+token)
	_, err := h.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: &id})
	wantError(t, err, "InvalidRequestException", "You must provide either SecretString or SecretBinary.")
	_, err = h.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: &id, SecretString: aws.String("x"), RotationToken: aws.String(strings.Repeat("0", 36))})
	wantError(t, err, "InvalidRequestException", "rotation token")
}

// A value has 65,536 bytes at most, however many characters these are.
func TestLargestValue(t *testing.T) {
	h := start(t)
	id, _ := h.create("s", strings.Repeat("é", 32768))
	if got := h.get(id); len(got) != 65536 {
		t.Errorf("%d bytes are left", len(got))
	}
	large := strings.Repeat("é", 32768) + "."
	const text = "Value at 'secretString' failed to satisfy constraint: Member must have length less than or equal to 65536"
	_, err := h.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: &id, SecretString: &large})
	wantError(t, err, "ValidationException", text)
	_, err = h.UpdateSecret(t.Context(), &secretsmanager.UpdateSecretInput{SecretId: &id, SecretString: &large})
	wantError(t, err, "ValidationException", text)
	_, err = h.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("t"), SecretString: &large})
	wantError(t, err, "ValidationException", text)
}

// Versions without a label go when there are more than 100, but not on their first day.
func TestVersionLimits(t *testing.T) {
	h := start(t)
	id, first := h.create("s", "1")
	count := func() int {
		t.Helper()
		n, token := 0, (*string)(nil)
		for {
			l := must(h.ListSecretVersionIds(t.Context(), &secretsmanager.ListSecretVersionIdsInput{SecretId: &id, IncludeDeprecated: aws.Bool(true), NextToken: token, MaxResults: aws.Int32(40)}))(t)
			n += len(l.Versions)
			if token = l.NextToken; token == nil {
				return n
			}
		}
	}
	if err := h.move(id, "keep", "", first); err != nil {
		t.Fatal(err)
	}
	for i := range 105 {
		h.put(id, fmt.Sprint(i))
	}
	if n := count(); n != 106 {
		t.Errorf("%d versions on the first day", n)
	}
	h.Advance(25 * time.Hour)
	h.put(id, "next")
	if n := count(); n != 100 {
		t.Errorf("%d versions on the next day", n)
	}
	v := must(h.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &id, VersionId: &first}))(t)
	if *v.SecretString != "1" {
		t.Errorf("the version with a label says %q", *v.SecretString)
	}
	_, err := h.ListSecretVersionIds(t.Context(), &secretsmanager.ListSecretVersionIdsInput{SecretId: &id, NextToken: aws.String("x")})
	wantError(t, err, "InvalidNextTokenException", "")
}
