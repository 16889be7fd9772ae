package ssm

import (
	"errors"
	"strings"
	"testing"

	"github.com/holdfast-cloud/holdfast/api/ssm"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/memstore"
)

// TestLimits fills the tiers of an account, and empties them again.
func TestLimits(t *testing.T) {
	st := memstore.New()
	defer st.Close()
	s := &Service{cfg: Config{Store: st}, limits: limits{standardSize: 10, advancedSize: 20, standard: 3, advanced: 2}}
	try := func(name, value, tier, was string) (got string, err error) {
		err = st.Update(t.Context(), func(tx store.Tx) error {
			c := (&call.Call{Context: t.Context(), Scope: call.Scope{Partition: "aws", Account: "111122223333", Region: "us-east-1"}}).Bind("ssm", nil, func() (store.Tx, error) { return tx, nil })
			var old *parameterRecord
			if was != "" {
				old = &parameterRecord{Current: version{Tier: was}}
			}
			var v version
			if err := s.chooseTier(c, &ssm.PutParameterRequest{Value: &value, Tier: ssm.ParameterTier(tier)}, old, &v); err != nil {
				return err
			}
			got = v.Tier
			return count(c, splitName(name), was, v.Tier)
		})
		return got, err
	}
	want := func(name, value, tier, was, want string) {
		t.Helper()
		if got, err := try(name, value, tier, was); err != nil || got != want {
			t.Errorf("%s in %q, %q before: %q, %v, want %q", name, tier, was, got, err, want)
		}
	}
	full := func(name, value, tier, was string) {
		t.Helper()
		if got, err := try(name, value, tier, was); !isLimit(err) {
			t.Errorf("%s in %q, %q before: %q, %v, want ParameterLimitExceeded", name, tier, was, got, err)
		}
	}
	want("/a", "v", "", "", standard)
	want("/b", "v", "", "", standard)
	want("/c", "v", intelligent, "", standard)
	full("/d", "v", standard, "")
	want("/a", "v", standard, standard, standard) // an update needs no room
	want("/d", "v", intelligent, "", advanced)
	want("/e", strings.Repeat("x", 15), intelligent, "", advanced)
	full("/f", "v", intelligent, "")
	full("/a", strings.Repeat("x", 15), intelligent, standard)
	want("/a", "v", intelligent, standard, standard)
	remove := func(name, tier string) {
		err := st.Update(t.Context(), func(tx store.Tx) error {
			c := (&call.Call{Context: t.Context(), Scope: call.Scope{Partition: "aws", Account: "111122223333", Region: "us-east-1"}}).Bind("ssm", nil, func() (store.Tx, error) { return tx, nil })
			return count(c, splitName(name), tier, "")
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	remove("/d", advanced)
	want("/a", "v", advanced, standard, advanced)
	want("/f", "v", standard, "", standard)
	full("/g", "v", standard, "")
}

func isLimit(err error) bool {
	_, ok := errors.AsType[*ssm.ParameterLimitExceeded](err)
	return ok
}
