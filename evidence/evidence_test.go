package evidence_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/evidence"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/memstore"
)

var now = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

func parse(t testing.TB, kind policy.Kind, doc string) *policy.Policy {
	t.Helper()
	p, err := policy.Parse([]byte(doc), kind)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const (
	allowAll  = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`
	openToAll = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}`
)

// flaky is a store whose commits can fail.
type flaky struct {
	store.Store
	err     atomic.Pointer[error]
	updates atomic.Int64
}

func (f *flaky) Update(ctx context.Context, fn func(store.Tx) error) error {
	f.updates.Add(1)
	return f.Store.Update(ctx, func(tx store.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		if err := f.err.Load(); err != nil {
			return *err
		}
		return nil
	})
}

func (f *flaky) fail(err error) {
	if err == nil {
		f.err.Store(nil)
	} else {
		f.err.Store(&err)
	}
}

// world has policies of every kind.
func world(t testing.TB) *policy.Request {
	return &policy.Request{
		Principal: policy.Principal{
			Kind: policy.Role, Account: "111122223333", ARN: "arn:aws:sts::111122223333:assumed-role/worker/s1", Issuer: "arn:aws:iam::111122223333:role/team/worker",
			ID: "AROAX", SessionName: "s1",
		},
		Action: "kms:Encrypt", Resource: "arn:aws:kms:us-east-1:444455556666:key/k", ResourceAccount: "444455556666",
		Identity: []*policy.Policy{
			parse(t, policy.Identity, `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}`).Named("storage"),
			parse(t, policy.Identity, "{\"Version\":\"2012-10-17\",\n\"Statement\":[\n{\"Effect\":\"Allow\",\"Action\":\"kms:*\",\"Resource\":\"*\",\"Condition\":{\"StringEquals\":{\"aws:PrincipalTag/team\":\"a\"},\"StringEqualsIfExists\":{\"kms:ViaService\":\"x\"}}}]}").Named("keys"),
		},
		Groups:   []*policy.Policy{parse(t, policy.Identity, `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"ec2:*","Resource":"*"}}`).Named("machines")},
		Boundary: parse(t, policy.Boundary, allowAll).Named("arn:aws:iam::111122223333:policy/boundary"),
		Session:  []*policy.Policy{parse(t, policy.Session, allowAll).Named("session")},
		SCP: [][]*policy.Policy{{parse(t, policy.SCP, allowAll).Named("root")}, {parse(t, policy.SCP, allowAll).Named("unit"),
			parse(t, policy.SCP, `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalArn":"nobody"}}}}`).Named("stop")}},
		RCP:            [][]*policy.Policy{{parse(t, policy.RCP, openToAll).Named("rcp")}},
		Endpoint:       parse(t, policy.Endpoint, openToAll).Named("vpce-1"),
		ResourcePolicy: parse(t, policy.Resource, `{"Statement":{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"*","Resource":"*"}}`), ResourcePolicyRequired: true,
	}
}

// seen hands what is looked up to the trace, as a call does.
type seen struct {
	t      *evidence.Trace
	values policy.Values
}

func (s *seen) Lookup(key string) ([]string, bool) {
	v, ok := s.values[key]
	s.t.Saw(key, v, ok)
	return v, ok
}

// ask decides, and puts the decision into the trace.
func ask(trace *evidence.Trace, r *policy.Request, values policy.Values) policy.Decision {
	trace.Ask()
	r.Context = &seen{trace, values}
	d := policy.Decide(r)
	trace.Decided(r, d, d.Message(), false)
	return d
}

const record = `{"eventTime":"2026-11-26T12:00:00Z","eventSource":"kms.amazonaws.com","eventName":"Encrypt","awsRegion":"us-east-1","eventID":"e","requestID":"r",
"recipientAccountId":"111122223333","userIdentity":{"type":"AssumedRole","principalId":"AROAX:s1","arn":"arn:aws:sts::111122223333:assumed-role/worker/s1","accountId":"111122223333",
"sessionContext":{"sessionIssuer":{"type":"Role","arn":"arn:aws:iam::111122223333:role/team/worker"}}}}`

func TestWhy(t *testing.T) {
	says := func(x *evidence.Explanation) (got []string) {
		for _, p := range x.Asked[0].Policies {
			text := p.Kind + " " + p.Name + ": " + p.Says
			if p.Incomplete {
				text += "?"
			}
			got = append(got, text)
		}
		return got
	}
	for name, tt := range map[string]struct {
		values  policy.Values
		change  func(*policy.Request)
		outcome string
		decided string
		says    []string
	}{
		"Allowed": {
			values: policy.Values{"aws:principaltag/team": {"a"}}, outcome: "allowed", decided: "keys line 3",
			says: []string{
				"resource control policy rcp: allows", "service control policy root: allows", "service control policy unit: allows", "service control policy stop: says nothing", "VPC endpoint policy vpce-1: allows",
				"identity-based policy storage: says nothing", "identity-based policy keys: allows", "identity-based policy of a group machines: says nothing",
				"permissions boundary arn:aws:iam::111122223333:policy/boundary: allows", "session policy session: allows", "resource-based policy arn:aws:kms:us-east-1:444455556666:key/k: allows",
			},
		},
		"ImplicitDeny": {
			values: policy.Values{"aws:principaltag/team": {"b"}}, outcome: "implicitDeny",
			says: []string{
				"resource control policy rcp: allows", "service control policy root: allows", "service control policy unit: allows", "service control policy stop: says nothing", "VPC endpoint policy vpce-1: allows",
				"identity-based policy storage: says nothing", "identity-based policy keys: says nothing?", "identity-based policy of a group machines: says nothing",
				"permissions boundary arn:aws:iam::111122223333:policy/boundary: allows", "session policy session: allows", "resource-based policy arn:aws:kms:us-east-1:444455556666:key/k: allows",
			},
		},
		"ExplicitDenyInTheWay": {
			change: func(r *policy.Request) {
				r.SCP = [][]*policy.Policy{{parse(t, policy.SCP, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},{"Sid":"No","Effect":"Deny","Action":"kms:*","Resource":"*"}]}`).Named("no")}}
				r.RCP, r.Endpoint, r.Groups, r.Boundary, r.Session = nil, nil, nil, nil, nil
			},
			outcome: "explicitDeny", decided: "no line 1",
			says: []string{
				"service control policy no: denies", "identity-based policy storage: says nothing", "identity-based policy keys: says nothing?",
				"resource-based policy arn:aws:kms:us-east-1:444455556666:key/k: allows",
			},
		},
		"Resource": {
			change: func(r *policy.Request) {
				r.ResourcePolicy = parse(t, policy.Resource, `{"Statement":{"Effect":"Deny","Principal":{"AWS":"arn:aws:iam::111122223333:role/team/worker"},"Action":"*","Resource":"*"}}`).Named("a key policy")
				r.RCP, r.SCP, r.Endpoint, r.Groups, r.Boundary, r.Session, r.Identity = nil, nil, nil, nil, nil, nil, nil
			},
			outcome: "explicitDeny", decided: "a key policy line 1", says: []string{"resource-based policy a key policy: denies"},
		},
		"Grant": {
			change: func(r *policy.Request) {
				r.ResourceAccount, r.Grant = "111122223333", &policy.Grant{ID: "g"}
				r.ResourcePolicy, r.RCP, r.SCP, r.Endpoint, r.Groups, r.Boundary, r.Session, r.Identity = nil, nil, nil, nil, nil, nil, nil, nil
			},
			outcome: "allowed",
		},
	} {
		t.Run(name, func(t *testing.T) {
			rec := evidence.New(evidence.Config{Store: memstore.New()})
			r := world(t)
			if tt.change != nil {
				tt.change(r)
			}
			var trace evidence.Trace
			trace.Begin(rec, now, nil)
			d := ask(&trace, r, tt.values)
			if err := trace.Keep(t.Context()); err != nil {
				t.Fatal(err)
			}
			x, err := rec.Why(t.Context(), []byte(record), trace.JSON())
			if err != nil {
				t.Fatal(err)
			}
			if len(x.Asked) != 1 || x.Asked[0].Outcome != tt.outcome {
				t.Fatalf("explained as %+v; the trace is %s", x.Asked, trace.JSON())
			}
			a := x.Asked[0]
			if d := cmp.Diff(tt.says, says(x)); d != "" {
				t.Errorf("policies (-want +got):\n%s\n%s", d, trace.JSON())
			}
			decided := ""
			if a.Decided != nil {
				decided = fmt.Sprintf("%s line %d", a.Decided.Policy, a.Decided.Line)
				if !json.Valid(a.Decided.Statement) {
					t.Errorf("the statement is %s", a.Decided.Statement)
				}
			}
			if decided != tt.decided {
				t.Errorf("decided by %q, want %q", decided, tt.decided)
			}
			if !d.Allowed && a.Sentence != d.Message() {
				t.Errorf("the sentence is %q, want %q", a.Sentence, d.Message())
			}
			var text strings.Builder
			if err := x.WriteText(&text); err != nil || !strings.Contains(text.String(), a.Sentence) {
				t.Errorf("as text: %v\n%s", err, &text)
			}
		})
	}
}

func TestTraceWithoutPolicies(t *testing.T) {
	rec := evidence.New(evidence.Config{Store: memstore.New()})
	var trace evidence.Trace
	if trace.Refused("a:B", "no"); trace.JSON() != nil || trace.On() {
		t.Error("a trace that was not begun collects")
	}
	trace.Begin(rec, now, nil)
	if trace.JSON() != nil {
		t.Error("nothing was asked")
	}
	trace.Opened("whoever calls may know who they are")
	trace.Refused("a:B", "User: x is not authorized")
	x, err := rec.Why(t.Context(), []byte(record), trace.JSON())
	if err != nil || len(x.Asked) != 2 || x.Asked[0].Outcome != "open" || x.Asked[1].Sentence != "User: x is not authorized" {
		t.Errorf("%+v, %v", x, err)
	}
	var text strings.Builder
	if err := x.WriteText(&text); err != nil || !strings.Contains(text.String(), "No permission is needed: whoever calls") {
		t.Errorf("as text: %v\n%s", err, &text)
	}
	if x, err = rec.Why(t.Context(), []byte(record), nil); err != nil || len(x.Asked) != 0 {
		t.Errorf("without a trace: %+v, %v", x, err)
	}
	if err := x.WriteText(&text); err != nil {
		t.Error(err)
	}
}

func TestTraceIsBounded(t *testing.T) {
	rec := evidence.New(evidence.Config{Store: memstore.New()})
	r := world(t)
	var trace evidence.Trace
	trace.Begin(rec, now, nil)
	huge := strings.Repeat("x", 20<<10)
	for i := range 5000 {
		r.Resource = fmt.Sprintf("arn:aws:kms:us-east-1:444455556666:key/%d", i)
		ask(&trace, r, policy.Values{"aws:principaltag/team": {huge}})
	}
	r.Resource = strings.Repeat("r", 100<<10)
	ask(&trace, r, nil)
	if err := trace.Keep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(trace.JSON()); n > 70<<10 {
		t.Errorf("a trace of %d bytes", n)
	}
	a, err := evidence.Parse(trace.JSON())
	if err != nil || len(a.Asked)+a.Omitted != 5001 || a.Asked[0].ValuesLeftOut != 1 {
		t.Errorf("%v: %d and %d questions, %d values left out", err, len(a.Asked), a.Omitted, a.Asked[0].ValuesLeftOut)
	}
}

// keepOne has a recorder keep what a call under a policy of its own needs.
func keepOne(ctx context.Context, rec *evidence.Recorder, at time.Time, p *policy.Policy) ([]byte, error) {
	var trace evidence.Trace
	trace.Begin(rec, at, nil)
	r := &policy.Request{Principal: policy.Principal{Kind: policy.User, Account: "111122223333"}, Action: "a:B", Resource: "*", Identity: []*policy.Policy{p}}
	ask(&trace, r, nil)
	return trace.JSON(), trace.Keep(ctx)
}

func user(t testing.TB, n int) *policy.Policy {
	return parse(t, policy.Identity, fmt.Sprintf(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"a:B%d","Resource":"*"}}`, n))
}

func kept(t *testing.T, rec *evidence.Recorder, trace []byte) bool {
	t.Helper()
	x, err := rec.Why(t.Context(), []byte(record), trace)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range x.Asked[0].Policies {
		if p.Says == evidence.NotKept {
			return false
		}
	}
	return len(x.Asked[0].Policies) > 0
}

func TestKeep(t *testing.T) {
	t.Run("Once", func(t *testing.T) {
		s := &flaky{Store: memstore.New()}
		rec := evidence.New(evidence.Config{Store: s})
		p := user(t, 0)
		for range 3 {
			if trace, err := keepOne(t.Context(), rec, now, p); err != nil || !kept(t, rec, trace) {
				t.Fatal(err)
			}
		}
		if n := s.updates.Load(); n != 1 {
			t.Errorf("%d transactions for one policy", n)
		}
		// The same text compiled again, and in a process started anew, needs nothing written.
		commits := s.Metrics().Commits
		if _, err := keepOne(t.Context(), rec, now, user(t, 0)); err != nil {
			t.Fatal(err)
		}
		if _, err := keepOne(t.Context(), evidence.New(evidence.Config{Store: s}), now.Add(time.Hour), user(t, 0)); err != nil {
			t.Fatal(err)
		}
		if n := s.Metrics().Commits - commits; n != 0 {
			t.Errorf("%d commits for what is there", n)
		}
	})
	t.Run("Concurrently", func(t *testing.T) {
		s := &flaky{Store: memstore.New()}
		rec := evidence.New(evidence.Config{Store: s})
		policies := make([]*policy.Policy, 100)
		for i := range policies {
			policies[i] = user(t, i)
		}
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for _, p := range policies {
					trace, err := keepOne(t.Context(), rec, now, p)
					if err != nil || !kept(t, rec, trace) {
						t.Errorf("not kept when Keep returned: %v", err)
					}
				}
			})
		}
		wg.Wait()
	})
	t.Run("Failing", func(t *testing.T) {
		for _, keepOn := range []bool{false, true} {
			s := &flaky{Store: memstore.New()}
			var told []error
			rec := evidence.New(evidence.Config{Store: s, KeepOn: keepOn, Failed: func(err error) { told = append(told, err) }})
			known := user(t, 1)
			if _, err := keepOne(t.Context(), rec, now, known); err != nil {
				t.Fatal(err)
			}
			s.fail(store.ErrFull)
			if _, err := keepOne(t.Context(), rec, now, known); err != nil || len(told) != 0 {
				t.Errorf("what is there already: %v, %v", err, told)
			}
			if trace, err := keepOne(t.Context(), rec, now.Add(30*24*time.Hour), known); err != nil || len(told) != 1 || !kept(t, rec, trace) {
				t.Errorf("what is there and cannot be marked as used: %v, %v", err, told)
			}
			_, err := keepOne(t.Context(), rec, now, user(t, 2))
			if keepOn && (err != nil || len(told) != 2) || !keepOn && !errors.Is(err, evidence.ErrLost) {
				t.Errorf("what cannot be kept, keep on %v: %v, %v", keepOn, err, told)
			}
			s.fail(nil)
			if trace, err := keepOne(t.Context(), rec, now, user(t, 2)); err != nil || !kept(t, rec, trace) {
				t.Errorf("after the failure: %v", err)
			}
		}
	})
	t.Run("Retention", func(t *testing.T) {
		rec := evidence.New(evidence.Config{Store: memstore.New()})
		day := 24 * time.Hour
		used, unused := user(t, 1), user(t, 2)
		old, err := keepOne(t.Context(), rec, now, unused)
		if err != nil {
			t.Fatal(err)
		}
		var trace []byte
		for d := range 120 { // used each day
			if trace, err = keepOne(t.Context(), rec, now.Add(time.Duration(d)*day), used); err != nil {
				t.Fatal(err)
			}
			if err := rec.Prune(t.Context(), now.Add(time.Duration(d-90)*day)); err != nil {
				t.Fatal(err)
			}
			if !kept(t, rec, trace) {
				t.Fatalf("what was used today is gone on day %d", d)
			}
			if d <= 90 && !kept(t, rec, old) {
				t.Fatalf("what a record names is gone on day %d", d)
			}
		}
		if kept(t, rec, old) {
			t.Error("what no record names is still there")
		}
	})
}

func TestParseRefusesNonsense(t *testing.T) {
	if _, err := evidence.Parse([]byte(`{"asked":[{"statement":"x"}]}`)); err == nil {
		t.Error("no error")
	}
	rec := evidence.New(evidence.Config{Store: memstore.New()})
	if _, err := rec.Why(t.Context(), []byte(`{`), nil); err == nil {
		t.Error("no error")
	}
	x, err := rec.Why(t.Context(), []byte(record), []byte(`{"asked":[{"action":"a","outcome":"allowed","principal":"x","fences":"y","resourcePolicy":"z","statement":7}]}`))
	if err != nil || x.Asked[0].Decided == nil || x.Asked[0].Policies[0].Says != evidence.NotKept {
		t.Errorf("policies that are lost: %+v, %v", x, err)
	}
}

// FuzzTrace asks with anything for anything: what was written is read again as it was.
func FuzzTrace(f *testing.F) {
	f.Add("kms:Encrypt", "arn:aws:kms:::key/x", "aws:principaltag/team", "a")
	f.Add("\x00\"", "\n\\", "k\xff", "\u2028")
	f.Add("", "", "", "")
	f.Fuzz(func(t *testing.T, action, resource, key, value string) {
		rec := evidence.New(evidence.Config{Store: memstore.New()})
		r := world(t)
		r.Action, r.Resource = action, resource
		var trace evidence.Trace
		trace.Begin(rec, now, nil)
		d := ask(&trace, r, policy.Values{"aws:principaltag/team": {value}})
		trace.Ask()
		trace.Saw(key, []string{value}, true)
		trace.Decided(r, d, d.Message(), true)
		if strings.ContainsAny(string(trace.JSON()), "\n") {
			t.Fatal("a trace of several lines")
		}
		a, err := evidence.Parse(trace.JSON())
		if err != nil {
			t.Fatalf("%v: %s", err, trace.JSON())
		}
		clean := func(s string) string { return string([]rune(s)) }
		for _, q := range a.Asked {
			if q.Action != clean(action) || q.Resource != clean(resource) {
				t.Errorf("asked %q on %q, read %q on %q", action, resource, q.Action, q.Resource)
			}
		}
		if err := trace.Keep(t.Context()); err != nil {
			t.Fatal(err)
		}
		x, err := rec.Why(t.Context(), []byte(record), trace.JSON())
		if err != nil {
			t.Fatal(err)
		}
		if err := x.WriteText(new(strings.Builder)); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzParse reads what did not come from here.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"asked":[{"action":"kms:Encrypt","resource":"r","outcome":"allowed","kind":0,"statement":0,"principal":"x","part":0,"values":{"k":["v"],"n":null}}],"omitted":3}`))
	f.Add([]byte(`{"asked":[{"outcome":"explicitDeny","kind":255,"statement":-9,"part":-1,"fences":"f","as":{"Kind":99}}]}`))
	rec := evidence.New(evidence.Config{Store: memstore.New()})
	f.Fuzz(func(t *testing.T, trace []byte) {
		x, err := rec.Why(t.Context(), []byte(record), trace)
		if err == nil {
			_ = x.WriteText(new(strings.Builder))
		}
		var u evidence.Usage
		if u.AddCall([]byte(record), trace, true) == nil {
			_, _ = u.Policies()
		}
	})
}

// BenchmarkTrace is what a trace adds to a call without condition keys.
func BenchmarkTrace(b *testing.B) {
	rec := evidence.New(evidence.Config{Store: memstore.New()})
	r := world(b)
	r.SCP, r.RCP, r.Endpoint = nil, nil, nil
	r.Principal.Account = r.ResourceAccount
	d := policy.Decide(r)
	d.Allowed, d.Outcome, d.Policy, d.Statement = true, policy.Allow, r.Identity[1], 0
	var trace evidence.Trace
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		trace = evidence.Trace{}
		trace.Begin(rec, now, buf)
		trace.Ask()
		trace.Decided(r, d, "", false)
		if err := trace.Keep(b.Context()); err != nil {
			b.Fatal(err)
		}
		if len(trace.JSON()) == 0 {
			b.Fatal("no trace")
		}
		buf = trace.Buffer()
	}
}
