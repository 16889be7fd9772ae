package secretsmanager

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/database"
)

// A secret that holds a database's credentials is rotated by Secrets Manager itself, now and every thirty days.
func TestManagedRotation(t *testing.T) {
	w := newWorkshop(t)
	w.app("db", `,"note":"kept"`)
	first := w.record("db").Labels[currentLabel]
	version := w.rotate("db", object{"RotationRules": object{"AutomaticallyAfterDays": 30}})
	w.advance(0)
	if got := w.record("db").Labels; !cmp.Equal(got, map[string]string{currentLabel: version, previousLabel: first}) {
		t.Errorf("labels %v", got)
	}
	value := w.value("db")
	if !w.logsIn("db") || strings.Contains(value, "first") || !strings.Contains(value, `"note":"kept"`) {
		t.Errorf("the value is %s, and the database has %v", value, w.db.users)
	}
	if d := cmp.Diff([]string{"prepare", "prepare", "commit", "login app"}, w.db.events); d != "" {
		t.Errorf("the database saw (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"RotationStarted", "RotationSucceeded"}, w.events()); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
	out := w.must("DescribeSecret", object{"SecretId": "db"})
	if out["RotationEnabled"] != true || out["LastRotatedDate"] == nil || !time.Unix(int64(out["NextRotationDate"].(float64)), 0).Equal(time.Date(2026, 12, 27, 23, 59, 59, 0, time.UTC)) {
		t.Errorf("described as %v", out)
	}
	w.advance(365 * day)
	if n := len(w.events()); n != 2*13 {
		t.Errorf("%d events in a year: %v", n, w.events())
	}
	if !w.logsIn("db") {
		t.Error("AWSCURRENT does not log in after a year")
	}
}

// With two users, the one that is in use stays as it is.
func TestAlternatingUsers(t *testing.T) {
	w := newWorkshop(t)
	master := w.super()
	w.app("db", `,"masterarn":"`+master+`"`)
	users := []string{"app_clone", "app", "app_clone"}
	for i, user := range users {
		before, err := database.Parse(w.value("db"))
		if err != nil {
			t.Fatal(err)
		}
		w.rotate("db", nil)
		w.advance(0)
		now, err := database.Parse(w.value("db"))
		if err != nil {
			t.Fatal(err)
		}
		if now.Username != user || !w.db.takes(now) || !w.db.takes(before) || now.MasterARN != master {
			t.Errorf("rotation %d: %s follows %s in %v", i, now.Username, before.Username, w.db.users)
		}
	}
	if w.record("db").Rotation.Overlap != "" || len(w.db.users["root"]) != 1 {
		t.Errorf("%+v", w.record("db").Rotation)
	}
}

// Where a database takes two passwords, nobody is kept waiting, and the one before is taken away five minutes later.
func TestOverlappingPasswords(t *testing.T) {
	w := newWorkshop(t)
	w.db.overlaps = true
	w.app("db", "")
	w.rotate("db", nil)
	w.advance(0)
	if len(w.db.users["app"]) != 2 || !w.logsIn("db") {
		t.Errorf("after the rotation: %v", w.db.users)
	}
	w.advance(overlapTime)
	if len(w.db.users["app"]) != 1 || !w.logsIn("db") || w.record("db").Rotation.Overlap != "" {
		t.Errorf("later: %v, %+v", w.db.users, w.record("db").Rotation)
	}
	if d := cmp.Diff([]string{"prepare", "prepare", "commit", "login app", "settle"}, w.db.events); d != "" {
		t.Errorf("the database saw (-want +got):\n%s", d)
	}
}
