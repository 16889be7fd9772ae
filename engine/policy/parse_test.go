package policy_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/engine/policy/policytest"
)

var update = flag.Bool("update", false, "rewrite the answers in testdata")

var kindNames = map[string]policy.Kind{
	"identity": policy.Identity, "resource": policy.Resource, "session": policy.Session, "boundary": policy.Boundary,
	"scp": policy.SCP, "rcp": policy.RCP, "endpoint": policy.Endpoint, "trust": policy.Trust,
}

// parseCase is one case of testdata/parse.txt.
type parseCase struct {
	kind, name, doc, answer string
}

func parseCases(t testing.TB) (preface string, cases []parseCase) {
	text, err := os.ReadFile("testdata/parse.txt")
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(text), "\n-- ")
	for _, part := range parts[1:] {
		head, rest, _ := strings.Cut(part, "\n")
		doc, answer, ok := strings.Cut("\n"+rest, "\n==")
		kind, name, okName := strings.Cut(head, ": ")
		if !ok || !okName {
			t.Fatalf("malformed case %q", part)
		}
		cases = append(cases, parseCase{kind, name, strings.TrimPrefix(doc, "\n"), strings.TrimSpace(answer)})
	}
	return parts[0], cases
}

func TestParse(t *testing.T) {
	preface, cases := parseCases(t)
	var out strings.Builder
	out.WriteString(preface)
	for _, c := range cases {
		t.Run(c.kind+"/"+c.name, func(t *testing.T) {
			kind, ok := kindNames[c.kind]
			if !ok {
				t.Fatalf("no kind %q", c.kind)
			}
			answer := "ok"
			p, err := policy.Parse([]byte(c.doc), kind)
			if err != nil {
				answer = err.Error()
				e, ok := errors.AsType[*policy.SyntaxError](err)
				if !ok || e.Offset > len(c.doc) {
					t.Fatalf("Parse = %#v, want a SyntaxError within the document", err)
				}
				if e.AWS() != e.Msg {
					answer += "\n   AWS: " + e.AWS()
				}
			} else if p.Text() != c.doc || p.Kind() != kind {
				t.Errorf("Text, Kind = %q, %v", p.Text(), p.Kind())
			}
			if answer != c.answer && !*update {
				t.Errorf("Parse(%s)\n got %s\nwant %s", c.doc, answer, c.answer)
			}
			out.WriteString("\n-- " + c.kind + ": " + c.name + "\n")
			if c.doc != "" {
				out.WriteString(c.doc + "\n")
			}
			out.WriteString("== " + answer)
		})
	}
	if *update {
		if err := os.WriteFile("testdata/parse.txt", []byte(out.String()+"\n"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSyntaxErrorFaults(t *testing.T) {
	for doc, want := range map[string]policy.Fault{
		`{`:  policy.InvalidJSON,
		`{}`: policy.Malformed,
		`{"Statement":{"Effect":"Allow","Action":"kms:*","Resource":"*","Principal":{"AWS":"ann"}}}`: policy.InvalidPrincipal,
	} {
		_, err := policy.Parse([]byte(doc), policy.Resource)
		if e, ok := errors.AsType[*policy.SyntaxError](err); !ok || e.Fault != want {
			t.Errorf("Parse(%s) = %v, want a SyntaxError of sort %d", doc, err, want)
		}
	}
}

func TestPolicyReadsBack(t *testing.T) {
	p := must(t, policy.Resource, `{"Version":"2012-10-17","Id":"i","Statement":[
 {"Sid":"one","Effect":"Allow","Principal":{"AWS":["111122223333","AIDAANNANNANNANNANN01"],"Service":"sns.amazonaws.com"},"Action":["kms:A","kms:B"],"Resource":"*"},
 {"Effect":"Deny","NotPrincipal":{"AWS":"arn:aws:iam::111122223333:root"},"NotAction":"kms:C","NotResource":"${aws:username}",
  "Condition":{"ForAllValues:StringLikeIfExists":{"kms:EncryptionContext:App":["a","${aws:PrincipalTag/Team}"]},"Null":{"aws:TokenIssueTime":true}}}]}`)
	type ref struct{ Type, Value string }
	var principals []ref
	for r := range p.Principals() {
		principals = append(principals, ref{r.Type, r.Value})
	}
	if diff := cmp.Diff([]ref{{"AWS", "111122223333"}, {"AWS", "AIDAANNANNANNANNANN01"}, {"Service", "sns.amazonaws.com"}, {"AWS", "arn:aws:iam::111122223333:root"}}, principals); diff != "" {
		t.Errorf("Principals (-want +got):\n%s", diff)
	}
	var conditions []policy.ConditionRef
	for c := range p.Conditions() {
		if line, column := p.Position(c.Offset); line != 4 || column < 50 && c.Operator != "StringLike" {
			t.Errorf("condition %v stands at %d, %d", c, line, column)
		}
		c.Offset = 0
		conditions = append(conditions, c)
	}
	if diff := cmp.Diff([]policy.ConditionRef{
		{Statement: 1, Set: policy.ForAllValues, Operator: "StringLike", IfExists: true, Key: "kms:EncryptionContext:App", Values: []string{"a", "${aws:PrincipalTag/Team}"}},
		{Statement: 1, Operator: "Null", Key: "aws:TokenIssueTime", Values: []string{"true"}},
	}, conditions); diff != "" {
		t.Errorf("Conditions (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"aws:username", "kms:EncryptionContext:App", "aws:PrincipalTag/Team", "aws:TokenIssueTime"}, slices.Collect(p.ContextKeys())); diff != "" {
		t.Errorf("ContextKeys (-want +got):\n%s", diff)
	}
	statements := slices.Collect(p.Statements())
	if s := statements[1]; !s.NotAction || !s.NotResource || !s.NotPrincipal || s.Effect != "Deny" || p.Text()[s.Start] != '{' || p.Text()[s.End-1] != '}' {
		t.Errorf("Statements()[1] = %+v", s)
	}
	if p.ID() != "i" || p.Version() != policy.Version2012 || p.Named("n").Name() != "n" || p.Name() != "" {
		t.Errorf("ID, Version, Name = %q, %q, %q", p.ID(), p.Version(), p.Name())
	}
}

func TestFingerprint(t *testing.T) {
	const doc = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`
	p := must(t, policy.Identity, doc)
	// Traces on disk hold fingerprints, so the value may not change between releases:
	// printf '\\0%s' "$doc" | sha256sum
	if got, want := fmt.Sprintf("%x", p.Fingerprint()), "9a4affe43486b8c7"; got != want {
		t.Errorf("Fingerprint = %s, want %s", got, want)
	}
	bound := p.Named("n").Bind(func(policy.PrincipalRef) string { return "" })
	if again := must(t, policy.Identity, doc); again.Fingerprint() != p.Fingerprint() || bound.Fingerprint() != p.Fingerprint() {
		t.Error("one document has several fingerprints")
	}
	for name, other := range map[string]*policy.Policy{"kind": must(t, policy.SCP, doc), "text": must(t, policy.Identity, doc+" ")} {
		if other.Fingerprint() == p.Fingerprint() {
			t.Errorf("policies that differ in %s have one fingerprint", name)
		}
	}
}

// FuzzParse: whatever the bytes, Parse answers, and what it takes can be asked and read back.
func FuzzParse(f *testing.F) {
	_, cases := parseCases(f)
	for _, c := range cases {
		f.Add([]byte(c.doc), uint8(kindNames[c.kind]))
	}
	f.Fuzz(func(t *testing.T, doc []byte, kind uint8) {
		k := policy.Kind(kind % 8)
		p, err := policy.Parse(doc, k)
		if err != nil {
			if e, ok := errors.AsType[*policy.SyntaxError](err); !ok || e.Offset < 0 || e.Offset > len(doc) || e.Line < 1 || e.Column < 1 || e.AWS() == "" {
				t.Fatalf("Parse(%q) = %#v", doc, err)
			}
			return
		}
		if p.Text() != string(doc) {
			t.Fatalf("Text() = %q, want %q", p.Text(), doc)
		}
		for s := range p.Statements() {
			if doc[s.Start] != '{' || doc[s.End-1] != '}' {
				t.Fatalf("statement %d is said to be %q", s.Index, doc[s.Start:s.End])
			}
		}
		r := &policy.Request{Principal: policytest.Callers[2], Action: "kms:Encrypt", Resource: keyARN, ResourceAccount: policytest.Ours,
			Identity: []*policy.Policy{p}, ResourcePolicy: p, Boundary: p, Context: benchContext}
		if x := policy.Explain(r); x.Decision.Allowed != (x.Decision.Message() == "") {
			t.Fatalf("allowed %t with message %q", x.Decision.Allowed, x.Decision.Message())
		}
	})
}
