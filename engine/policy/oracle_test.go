package policy_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/engine/policy/policytest"
)

// TestOracle compares the package with the oracle on generated requests: on whole ones,
// and on ones where a single statement decides, so that nothing hides what it does. A
// failure prints the seed; HOLDFAST_POLICY_SEED repeats it and HOLDFAST_POLICY_CASES asks
// for more.
func TestOracle(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("HOLDFAST_POLICY_SEED"); s != "" {
		seed, _ = strconv.ParseUint(s, 10, 64)
	}
	cases := 2500
	if s := os.Getenv("HOLDFAST_POLICY_CASES"); s != "" {
		cases, _ = strconv.Atoi(s)
	}
	t.Run("Whole", func(t *testing.T) {
		t.Parallel()
		tally := compare(t, seed, cases, (*policytest.Generator).World)
		// The comparison is worth what its cases reach.
		for _, outcome := range []policy.Outcome{policy.ExplicitDeny, policy.ImplicitDeny} {
			for kind := policy.Identity; kind <= policy.Trust; kind++ {
				if name := fmt.Sprintf("%v by %v", outcome, kind); tally[name] == 0 && name != "implicitDeny by resource control policy" {
					t.Errorf("no generated case ended in %s", name)
				}
			}
		}
		for _, kind := range []policy.Kind{policy.Identity, policy.Resource, policy.Trust} {
			if tally[fmt.Sprintf("%v by %v", policy.Allow, kind)] < cases/150 {
				t.Errorf("too few allows by %v", kind)
			}
		}
	})
	t.Run("Organizations", func(t *testing.T) {
		t.Parallel()
		tally := compare(t, seed, max(cases, 10_000), (*policytest.Generator).Organized)
		for _, name := range []string{"explicitDeny by service control policy", "implicitDeny by service control policy", "explicitDeny by resource control policy",
			"allowed by identity-based policy", "allowed by resource-based policy", "allowed by role trust policy"} {
			if tally[name] < 50 {
				t.Errorf("%d cases ended in %s", tally[name], name)
			}
		}
	})
	t.Run("SingleStatement", func(t *testing.T) {
		t.Parallel()
		tally := compare(t, seed, cases, (*policytest.Generator).Single)
		for _, outcome := range []policy.Outcome{policy.ExplicitDeny, policy.ImplicitDeny, policy.Allow} {
			if tally[fmt.Sprintf("%v by %v", outcome, policy.Identity)] < cases/10 {
				t.Errorf("too few cases ended in %v", outcome)
			}
		}
	})
}

// compare runs the cases and counts how they end.
func compare(t *testing.T, seed uint64, cases int, next func(*policytest.Generator) *policytest.World) map[string]int {
	t.Logf("seed %d, %d cases", seed, cases)
	g := policytest.New(seed)
	m := members{compiled: map[string]*policy.Policy{}}
	tally := map[string]int{}
	for i := range cases {
		w := next(g)
		r, err := w.Request(m.of)
		if err != nil {
			t.Fatalf("seed %d, case %d: %v", seed, i, err)
		}
		got := policy.Decide(r)
		want := w.Judge()
		if got.Outcome != want.Outcome || got.Kind != want.Kind || got.Allowed != (want.Outcome == policy.Allow) {
			t.Fatalf("seed %d, case %d: Decide = %v by %v, oracle says %v by %v\n%v", seed, i, got.Outcome, got.Kind, want.Outcome, want.Kind, w)
		}
		if i%4 > 0 {
			tally[fmt.Sprintf("%v by %v", got.Outcome, got.Kind)]++
			continue
		}
		if x := policy.Explain(r); x.Decision != got {
			t.Fatalf("seed %d, case %d: Explain decides %+v, Decide %+v", seed, i, x.Decision, got)
		}
		if got.Allowed != (got.Message() == "") {
			t.Fatalf("seed %d, case %d: allowed %t with the message %q", seed, i, got.Allowed, got.Message())
		}
		tally[fmt.Sprintf("%v by %v", got.Outcome, got.Kind)]++
	}
	t.Log(tally)
	return tally
}

// members reads organizations upwards from the account, as package organization does.
type members struct {
	world    []*policytest.Organization
	compiled map[string]*policy.Policy
}

func (m *members) of(w *policytest.World, account string) *policytest.Membership {
	if now := w.Organizations(); len(m.world) == 0 || m.world[0] != now[0] {
		m.world = now
		clear(m.compiled)
	}
	for _, o := range m.world {
		place, ok := o.Parents[account]
		if !ok {
			continue
		}
		path, chain := "", []string{account}
		for ; place != ""; place = o.Parents[place] {
			path, chain = place+"/"+path, append([]string{place}, chain...)
		}
		levels := func(kind policy.Kind, enabled bool) [][]*policy.Policy {
			if !enabled || account == o.Management {
				return nil
			}
			levels := make([][]*policy.Policy, len(chain))
			for i, target := range chain {
				for _, a := range o.Attachments {
					if a.Target == target && o.Kinds[a.Policy] == kind {
						levels[i] = append(levels[i], m.compile(o, a.Policy))
					}
				}
			}
			return levels
		}
		return &policytest.Membership{OrgID: o.ID, Paths: []string{o.ID + "/" + path}, SCP: levels(policy.SCP, o.SCPs), RCP: func(action string) [][]*policy.Policy {
			if action == "kms:RetireGrant" || strings.HasPrefix(action, "iam:") {
				return nil
			}
			return levels(policy.RCP, o.RCPs)
		}}
	}
	return nil
}

func (m *members) compile(o *policytest.Organization, id string) *policy.Policy {
	p, ok := m.compiled[o.ID+id]
	if !ok {
		var err error
		if p, err = policytest.Compile(o.Policies[id], o.Kinds[id]); err != nil {
			panic(err)
		}
		m.compiled[o.ID+id] = p
	}
	return p
}
