package evidence_test

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/evidence"
	"github.com/holdfast-cloud/holdfast/seal"
)

func failure(t testing.TB) *evidence.Failure {
	p := parse(t, policy.Identity, `{"Version":"2012-10-17","Statement":[{"Sid":"Stop","Effect":"Deny","Action":["ec2:StopInstances","ec2:Run*"],"Resource":"*","Condition":{"StringEquals":{"ec2:Tenancy":["default","x"]}}}]}`)
	f := &evidence.Failure{
		ID: "AIDACKCEVSQ6C2EXAMPLE", Name: "Bob", ARN: "arn:aws:iam::123456789012:user/Bob", Action: "ec2:StopInstances", Resource: "arn:aws:ec2:us-east-1:123456789012:instance/i-1",
		Explicit: true, Values: map[string][]string{"ec2:Tenancy": {"default"}, "aws:Absent": nil},
	}
	for s := range p.Statements() {
		f.Statement = &s
	}
	return f
}

// swapped is a message with two of its characters changed.
func swapped(message string) string {
	b := []byte(message)
	i := len(b) / 2
	for b[i] == b[i+1] {
		i++
	}
	b[i], b[i+1] = b[i+1], b[i]
	return string(b)
}

func TestMessage(t *testing.T) {
	keys := seal.Ephemeral()
	message, err := evidence.Encode(keys, "123456789012", failure(t))
	if err != nil {
		t.Fatal(err)
	}
	document, err := evidence.Decode(keys, "123456789012", message)
	if err != nil {
		t.Fatal(err)
	}
	// The form of the example in the API reference, with the statement that denied.
	want := `{"allowed":false,"explicitDeny":true,"matchedStatements":{"items":[{"statementId":"Stop","effect":"DENY","principals":{"items":[{"value":"AIDACKCEVSQ6C2EXAMPLE"}]},` +
		`"principalGroups":{"items":[]},"actions":{"items":[{"value":"ec2:StopInstances"},{"value":"ec2:Run*"}]},"resources":{"items":[{"value":"*"}]},` +
		`"conditions":{"items":[{"key":"ec2:Tenancy","values":{"items":[{"value":"default"},{"value":"x"}]}}]}}]},"failures":{"items":[]},"context":{"principal":` +
		`{"id":"AIDACKCEVSQ6C2EXAMPLE","name":"Bob","arn":"arn:aws:iam::123456789012:user/Bob"},"action":"ec2:StopInstances",` +
		`"resource":"arn:aws:ec2:us-east-1:123456789012:instance/i-1","conditions":{"items":[{"key":"ec2:Tenancy","values":{"items":[{"value":"default"}]}}]}}}`
	if d := cmp.Diff(want, document); d != "" {
		t.Errorf("document (-want +got):\n%s", d)
	}
	if strings.Contains(message, "ec2") || strings.Trim(message, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
		t.Errorf("the message is %s", message)
	}
	for name, foreign := range map[string]struct{ account, message string }{
		"OtherAccount": {"123456789013", message}, "Changed": {"123456789012", swapped(message)}, "Cut": {"123456789012", message[:len(message)-4]}, "Empty": {"123456789012", ""}, "Nonsense": {"123456789012", "%%%"},
	} {
		if got, err := evidence.Decode(keys, foreign.account, foreign.message); !errors.Is(err, evidence.ErrMessage) || got != "" {
			t.Errorf("%s: decoded to %q, %v", name, got, err)
		}
	}
	if got, err := evidence.Decode(keys, "123456789012", message+"=="); err != nil || got != document {
		t.Errorf("with padding: %q, %v", got, err)
	}
}

func TestMessageFitsIntoAHeader(t *testing.T) {
	keys := seal.Ephemeral()
	f := failure(t)
	// What does not compress.
	var noise strings.Builder
	random := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		noise.WriteByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"[random.IntN(62)])
	}
	f.Values["k"] = []string{noise.String()}
	message, err := evidence.Encode(keys, "1", f)
	if err != nil || len(message) > 6<<10 {
		t.Fatalf("%d characters, %v", len(message), err)
	}
	document, err := evidence.Decode(keys, "1", message)
	if err != nil || !json.Valid([]byte(document)) || !strings.Contains(document, "Stop") || strings.Contains(document, noise.String()[:100]) {
		t.Errorf("the document is %.2000s, %v", document, err)
	}
	f.Resource = noise.String()
	if _, err := evidence.Encode(keys, "1", f); err == nil {
		t.Error("a resource that is too long has a message")
	}
}

func FuzzDecode(f *testing.F) {
	keys := seal.Ephemeral()
	message, err := evidence.Encode(keys, "1", failure(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(message)
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		if document, err := evidence.Decode(keys, "1", s); (err == nil) != (strings.TrimRight(s, "=") == message) || err == nil && !json.Valid([]byte(document)) {
			t.Errorf("Decode(%q) = %q, %v", s, document, err)
		}
	})
}
