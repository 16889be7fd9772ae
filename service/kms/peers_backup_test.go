package kms

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/store"
)

// record reads a key's record, and put puts it back: what a backup from then would.
func (w *world) record(id, region string) *keyRecord {
	w.t.Helper()
	return w.key(id, region).keyRecord
}

func (w *world) put(region string, r *keyRecord) {
	w.t.Helper()
	if err := w.at(region).store.Update(context.Background(), func(tx store.Tx) error { return keyTable.In(ownAccount, region).Put(tx, r) }); err != nil {
		w.t.Fatal(err)
	}
}

// A process that was put back to a backup which is older than what it has told others, or been told, replaces nothing silently.
func TestPeersAfterABackup(t *testing.T) {
	pair := func(t *testing.T) (w *world, id string) {
		w = newWorld(t, "us-east-1", "eu-west-1")
		id = w.create("us-east-1")
		if _, err := w.replicate(id, "us-east-1", "eu-west-1"); err != nil {
			t.Fatal(err)
		}
		if err := w.carryAll(); err != nil {
			t.Fatal(err)
		}
		return w, id
	}
	rotate := func(t *testing.T, w *world, id string) {
		t.Helper()
		if err := w.rotate(id, "us-east-1"); err != nil {
			t.Fatal(err)
		}
	}
	// stuck holds that what waits goes on to wait, with a reason, and that the replica is as it was.
	stuck := func(t *testing.T, w *world, id, why string) {
		t.Helper()
		before := w.record(id, "eu-west-1")
		if err := w.carryAll(); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("carrying: %v, want %q", err, why)
		}
		after := w.record(id, "eu-west-1")
		if after.Revision != before.Revision || len(after.Materials) != len(before.Materials) {
			t.Errorf("the replica is at revision %d with %d materials, and was at %d with %d", after.Revision, len(after.Materials), before.Revision, len(before.Materials))
		}
	}
	t.Run("PrimaryRotatedAgain", func(t *testing.T) {
		w, id := pair(t)
		old := w.record(id, "us-east-1")
		rotate(t, w, id)
		if err := w.carryAll(); err != nil {
			t.Fatal(err)
		}
		w.put("us-east-1", old)
		rotate(t, w, id) // to the same revision, with other material
		stuck(t, w, id, "and the primary key has not")
		rotate(t, w, id)
		stuck(t, w, id, "and the primary key has not")
	})
	t.Run("PrimaryBehind", func(t *testing.T) {
		w, id := pair(t)
		old := w.record(id, "us-east-1")
		for range 3 {
			rotate(t, w, id)
		}
		if err := w.carryAll(); err != nil {
			t.Fatal(err)
		}
		w.put("us-east-1", old)
		if err := w.root("us-east-1", kms.OpEnableKeyRotation, func(p *process, c *call.Call) error {
			_, err := p.EnableKeyRotation(c, &kms.EnableKeyRotationRequest{KeyId: &id})
			return err
		}); err != nil {
			t.Fatal(err)
		}
		stuck(t, w, id, "has a backup been restored here")
	})
	t.Run("ReplicaBehind", func(t *testing.T) {
		w, id := pair(t)
		old := w.record(id, "eu-west-1")
		rotate(t, w, id)
		if err := w.carryAll(); err != nil {
			t.Fatal(err)
		}
		w.put("eu-west-1", old)
		rotate(t, w, id) // each message has all that went before
		if err := w.carryAll(); err != nil {
			t.Fatal(err)
		}
		w.wantAgreed(id)
	})
	t.Run("PrimaryBeforeReplication", func(t *testing.T) {
		w := newWorld(t, "us-east-1", "eu-west-1")
		id := w.create("us-east-1")
		old := w.record(id, "us-east-1")
		for _, again := range []bool{false, true} {
			w.put("us-east-1", old)
			w.now = w.now.Add(1e9)
			if _, err := w.replicate(id, "us-east-1", "eu-west-1"); err != nil {
				t.Fatal(err)
			}
			if again {
				stuck(t, w, id, "is there already")
			} else if err := w.carryAll(); err != nil {
				t.Fatal(err)
			}
		}
	})
	t.Run("ReplicaBeforeItsEnd", func(t *testing.T) {
		w, id := pair(t)
		old := w.record(id, "eu-west-1")
		if err := w.end(id, "eu-west-1"); err != nil {
			t.Fatal(err)
		}
		if err := w.carryAll(); err != nil {
			t.Fatal(err)
		}
		w.put("eu-west-1", old)
		w.now = w.now.Add(1e9)
		if _, err := w.replicate(id, "us-east-1", "eu-west-1"); err != nil {
			t.Fatal(err)
		}
		stuck(t, w, id, "is there already")
		if err := w.end(id, "eu-west-1"); err != nil {
			t.Fatal(err)
		}
		if err := w.carryAll(); err != nil {
			t.Fatal(err)
		}
		w.wantAgreed(id)
	})
}

// What waits for a region from one that has moved to another process keeps nothing of this process's waiting.
func TestPeersWaitNotForOthers(t *testing.T) {
	w := newWorld(t, "us-east-1", "eu-west-1")
	id := w.create("us-east-1")
	if err := w.at("us-east-1").store.Update(context.Background(), func(tx store.Tx) error {
		for i := range pageSize + 1 {
			r := &carryRecord{KeyID: fmt.Sprintf("a%d", i), Account: ownAccount, Region: "us-west-2", To: "eu-west-1"}
			if err := carryTable.In(ownAccount, r.Region).Put(tx, r); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.replicate(id, "us-east-1", "eu-west-1"); err != nil {
		t.Fatal(err)
	}
	if err := w.carryAll(); err != nil {
		t.Fatal(err)
	}
	if w.key(id, "eu-west-1") == nil {
		t.Error("the replica was not made")
	}
}

// Whoever answers in a peer's place cannot fill the log.
func TestPeersReportBriefly(t *testing.T) {
	w := newWorld(t, "us-east-1", "eu-west-1")
	id := w.create("us-east-1")
	if _, err := w.replicate(id, "us-east-1", "eu-west-1"); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	w.fault = func() fault { return wordy }
	p := w.at("us-east-1")
	p.cfg.Report = func(err error) {
		w.reports = append(w.reports, err.Error())
		stop()
	}
	p.runCouriers(ctx)
	if len(w.reports) != 1 || len(w.reports[0]) > 1200 {
		t.Errorf("%d reports, of which the first has %d bytes", len(w.reports), len(w.reports[0]))
	}
}
