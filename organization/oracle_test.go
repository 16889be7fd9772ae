package organization_test

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/engine/policy/policytest"
	"github.com/holdfast-cloud/holdfast/organization"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/memstore"
)

// TestOracle puts generated organizations into a store, decides by what the Directory says of them, and compares with the
// oracle, which walks the records itself.
func TestOracle(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	const cases = 3000
	g := policytest.New(seed)
	var world *policytest.Organization
	var d *organization.Directory
	for i := range cases {
		w := g.Organized()
		if first := w.Organizations()[0]; world != first {
			world, d = first, directory(t, w)
		}
		r, err := w.Request(func(_ *policytest.World, account string) *policytest.Membership {
			m, err := d.Member(context.Background(), account)
			if err != nil {
				t.Fatalf("Member(%s) = %v", account, err)
			}
			if m == nil {
				return nil
			}
			return &policytest.Membership{OrgID: m.OrgID, Paths: m.Paths, SCP: m.SCP, RCP: m.RCPFor}
		})
		if err != nil {
			t.Fatalf("seed %d, case %d: %v", seed, i, err)
		}
		got, want := policy.Decide(r), w.Judge()
		if got.Outcome != want.Outcome || got.Kind != want.Kind {
			t.Fatalf("seed %d, case %d: Decide = %v by %v, oracle says %v by %v\n%v", seed, i, got.Outcome, got.Kind, want.Outcome, want.Kind, w)
		}
	}
}

// directory stores the organizations of a world.
func directory(t *testing.T, w *policytest.World) *organization.Directory {
	s := memstore.New()
	t.Cleanup(func() { _ = s.Close() })
	change(t, s, func(tx store.Tx) error {
		for _, o := range w.Organizations() {
			record := &organization.Organization{ID: o.ID, Management: o.Management, Root: o.Root, All: true}
			if o.SCPs {
				record.Types = append(record.Types, organization.ServiceControl)
			}
			if o.RCPs {
				record.Types = append(record.Types, organization.ResourceControl)
			}
			slices.Sort(record.Types)
			errs := []error{organization.Organizations.In(o.Management, "").Put(tx, record)}
			for id, parent := range o.Parents {
				if id[:3] == "ou-" {
					errs = append(errs, organization.Units.In(o.Management, "").Put(tx, &organization.Unit{ID: id, Parent: parent, Name: id}))
					continue
				}
				errs = append(errs, organization.Accounts.In(o.Management, "").Put(tx, &organization.Account{
					ID: id, OrgID: o.ID, Management: o.Management, Parent: parent, Status: organization.Active}))
			}
			for id, doc := range o.Policies {
				if organization.Managed(id) != nil {
					continue
				}
				text, err := json.Marshal(doc)
				errs = append(errs, err, organization.Policies.In(o.Management, "").Put(tx, &organization.Policy{
					ID: id, Type: typeOf(o.Kinds[id]), Name: id, Content: string(text)}))
			}
			for _, a := range o.Attachments {
				errs = append(errs, organization.Attachments.In(o.Management, "").Put(tx, &organization.Attachment{
					Target: a.Target, Type: typeOf(o.Kinds[a.Policy]), Policy: a.Policy}))
			}
			if err := first(errs...); err != nil {
				return err
			}
		}
		return nil
	})
	return organization.New(s, "aws")
}

func typeOf(kind policy.Kind) string {
	if kind == policy.SCP {
		return organization.ServiceControl
	}
	return organization.ResourceControl
}
