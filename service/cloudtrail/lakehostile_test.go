package cloudtrail_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
)

// lakeKey makes a KMS key that CloudTrail may use.
func lakeKey(t *testing.T, c *cloudtest.Cloud) (k *kms.Client, key *string) {
	t.Helper()
	k = kms.NewFromConfig(c.Config())
	policy := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::%s:root"},"Action":"kms:*","Resource":"*"},
		{"Effect":"Allow","Principal":{"Service":"cloudtrail.amazonaws.com"},"Action":["kms:GenerateDataKey","kms:Decrypt"],"Resource":"*"}]}`, c.Account)
	return k, must(k.CreateKey(t.Context(), &kms.CreateKeyInput{Policy: &policy}))(t).KeyMetadata.Arn
}

const encrypts = "SELECT count(*) FROM %s WHERE eventName = 'Encrypt'"

// A store that was stopped while its key was disabled has still to take the events of before, however long that takes.
func TestStoppedUnderDisabledKey(t *testing.T) {
	c := cloudtest.Start(t)
	l := lakeOf(t, c.Config())
	k, key := lakeKey(t, c)
	store := l.create("sealed", func(in *cloudtrail.CreateEventDataStoreInput) { in.KmsKeyId = key })
	must(k.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: key}))(t)
	use(t, c.Config())
	must(l.StopEventDataStoreIngestion(t.Context(), &cloudtrail.StopEventDataStoreIngestionInput{EventDataStore: &store}))(t)
	c.Advance(2 * time.Hour)
	must(k.EnableKey(t.Context(), &kms.EnableKeyInput{KeyId: key}))(t)
	c.Advance(6 * time.Minute)
	if got := l.ask(encrypts, id(store)); got[0] != "1" {
		t.Errorf("found %v", got)
	}
}

// What a store has taken before it got its key stays readable.
func TestEventDataStoreGetsKey(t *testing.T) {
	c := cloudtest.Start(t)
	l := lakeOf(t, c.Config())
	store := l.create("history")
	use(t, c.Config())
	c.Advance(6 * time.Minute)
	_, key := lakeKey(t, c)
	before := must(l.StartQuery(t.Context(), &cloudtrail.StartQueryInput{QueryStatement: aws.String("SELECT eventID FROM " + id(store) + " LIMIT 1")}))(t)
	l.results(before.QueryId, 1)
	must(l.UpdateEventDataStore(t.Context(), &cloudtrail.UpdateEventDataStoreInput{EventDataStore: &store, KmsKeyId: key}))(t)
	use(t, c.Config())
	c.Advance(6 * time.Minute)
	if got := l.ask(encrypts, id(store)); got[0] != "2" {
		t.Errorf("found %v", got)
	}
	if _, rows, _ := l.results(before.QueryId, 1); len(rows) != 1 {
		t.Errorf("results of before: %v", rows)
	}
	c.Advance(2 * day) // merges them
	if got := l.ask(encrypts, id(store)); got[0] != "2" {
		t.Errorf("merged: %v", got)
	}
}

// The results of a query over several stores need permission on all of them, and the keys of all.
func TestResultsOfSeveralStores(t *testing.T) {
	c := cloudtest.Start(t)
	l := lakeOf(t, c.Config())
	k, key := lakeKey(t, c)
	open, secret := l.create("open"), l.create("secret", func(in *cloudtrail.CreateEventDataStoreInput) { in.KmsKeyId = key })
	q := must(l.StartQuery(t.Context(), &cloudtrail.StartQueryInput{
		QueryStatement: aws.String("SELECT eventID FROM " + id(open) + " UNION ALL SELECT eventID FROM " + id(secret) + " UNION ALL VALUES 'one'"),
	}))(t)
	if _, rows, _ := l.results(q.QueryId, 10); len(rows) != 1 {
		t.Errorf("found %v", rows)
	}
	in := &cloudtrail.GetQueryResultsInput{QueryId: q.QueryId}
	policy := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"cloudtrail:GetQueryResults","Resource":"` + open + `"}}`
	if _, err := lakeOf(t, c.User(c.Account, "ann", policy)).GetQueryResults(t.Context(), in); code(err) != "AccessDeniedException" {
		t.Errorf("with permission on one of two: %v", err)
	}
	must(k.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: key}))(t)
	if _, err := l.GetQueryResults(t.Context(), in); code(err) != "KmsException" {
		t.Errorf("with the key of one of two disabled: %v", err)
	}
}

// No position in a statement reads the store of another account, whatever it is called there.
func TestQueriesOfOthersStores(t *testing.T) {
	c := cloudtest.Start(t)
	l := lakeOf(t, c.Config())
	mine, theirs := id(l.create("mine")), lakeOf(t, c.Root(other)).create("theirs")
	for _, name := range []string{id(theirs), `"` + id(theirs) + `"`, `"` + theirs + `"`} {
		for _, statement := range []string{
			"SELECT eventID FROM " + mine + " WHERE eventID IN (SELECT eventID FROM X)",
			"SELECT (SELECT max(eventID) FROM X) FROM " + mine,
			"WITH w AS (SELECT eventID FROM X) SELECT eventID FROM " + mine,
			"WITH w AS (SELECT eventID FROM X) SELECT eventID FROM w",
			"SELECT eventID FROM " + mine + " UNION SELECT eventID FROM X",
			"SELECT eventID FROM " + mine + " EXCEPT SELECT eventID FROM X",
			"SELECT eventID FROM " + mine + " a WHERE EXISTS (SELECT 1 FROM X b WHERE a.eventID = b.eventID)",
			"SELECT m.eventID FROM " + mine + " m LEFT JOIN (SELECT eventID FROM X) t ON true",
			"SELECT m.eventID FROM " + mine + " m CROSS JOIN (SELECT 1 FROM X) t",
			"SELECT eventID FROM " + mine + " ORDER BY (SELECT count(*) FROM X)",
			"SELECT count(*) FROM " + mine + " HAVING count(*) > (SELECT count(*) FROM X)",
			"SELECT CASE WHEN false THEN (SELECT eventID FROM X LIMIT 1) END FROM " + mine,
		} {
			statement = strings.Replace(statement, "FROM X", "FROM "+name, 1)
			_, err := l.StartQuery(t.Context(), &cloudtrail.StartQueryInput{QueryStatement: &statement})
			if got := code(err); got != "EventDataStoreNotFoundException" && !(got == "InvalidQueryStatementException" && strings.Contains(statement, "ORDER BY (")) {
				t.Errorf("%s: %v", statement, err)
			}
			_, err = l.StartQuery(t.Context(), &cloudtrail.StartQueryInput{QueryStatement: &statement, EventDataStoreOwnerAccountId: aws.String(other)})
			if got := code(err); got != "AccessDeniedException" && got != "InvalidQueryStatementException" {
				t.Errorf("%s, with the other account named: %v", statement, err)
			}
		}
	}
	for _, statement := range []string{"SELECT 1", "VALUES 1", "SELECT * FROM (VALUES 1) AS t(x)", "SELECT '\x00' FROM " + mine + "\x00", `SELECT "a"";DROP" FROM ` + mine} {
		if _, err := l.StartQuery(t.Context(), &cloudtrail.StartQueryInput{QueryStatement: &statement}); code(err) != "InvalidQueryStatementException" {
			t.Errorf("%q: %v", statement, err)
		}
	}
}

// The bounds of a query's time range leave out no event, pending or in a segment, of the past or ahead of the clock.
func TestTimeBounds(t *testing.T) {
	c := cloudtest.Start(t)
	l := lakeOf(t, c.Config())
	store := l.create("store", outside)
	channel := l.channel("shop", store)
	now := c.Now().UTC().Truncate(time.Second)
	at := func(d time.Duration) string { return now.Add(d).Format("2006-01-02 15:04:05.000") }
	var events []putEvent
	for i, d := range []time.Duration{-48 * time.Hour, -time.Second + 900*time.Millisecond, 0, 20 * time.Hour} {
		events = append(events, putEvent{fmt.Sprint(i), happened(c, fmt.Sprint("E", i), now.Format(time.RFC3339), now.Add(d).Format("2006-01-02T15:04:05.000Z")), ""})
	}
	if a := put(t, c.Config(), channel, "", events...); len(a.Successful) != len(events) {
		t.Fatalf("%+v", a)
	}
	check := func(when string) {
		t.Helper()
		for where, want := range map[string][]string{
			"eventTime < '" + at(-500*time.Millisecond) + "'":                               {"E0", "E1"},
			"eventTime <= '" + at(-time.Second) + "'":                                       {"E0", "E1"},
			"eventTime >= '" + at(0) + "'":                                                  {"E2", "E3"},
			"eventTime > '" + at(0) + "'":                                                   {"E3"},
			"eventTime > '" + at(19*time.Hour) + "'":                                        {"E3"},
			"eventTime BETWEEN '" + at(-48*time.Hour) + "' AND '" + at(-47*time.Hour) + "'": {"E0"},
		} {
			if d := cmp.Diff(want, l.ask("SELECT eventData.eventName FROM %s WHERE %s ORDER BY 1", id(store), where)); d != "" {
				t.Errorf("%s, %s:\n%s", when, where, d)
			}
		}
	}
	check("pending")
	c.Advance(6 * time.Minute)
	check("in a segment")
}

// A segment that was damaged on disk keeps no store from taking its events, or from forgetting the old ones.
func TestDamagedSegment(t *testing.T) {
	dir := t.TempDir()
	c := cloudtest.Start(t, func(cfg *cloud.Config) { cfg.Dir = dir })
	l := lakeOf(t, c.Config())
	damaged, sound := l.create("damaged"), lakeOf(t, c.Root(other))
	store := sound.create("sound")
	use(t, c.Config())
	c.Advance(6 * time.Minute)
	err := filepath.WalkDir(filepath.Join(dir, "blob", "lake"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		return os.WriteFile(path, []byte("lightning"), 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	since := c.Now().UTC().Format("2006-01-02 15:04:05")
	const batches = 14
	for range batches {
		use(t, c.Config())
		use(t, c.Root(other))
		c.Advance(5 * time.Minute)
	}
	check := func(when string) {
		t.Helper()
		for _, of := range []struct {
			lake
			store string
		}{{l, damaged}, {sound, store}} {
			if got := of.ask(encrypts+" AND eventTime >= '%s'", id(of.store), since); got[0] != fmt.Sprint(batches) {
				t.Errorf("%s: found %v of %d", when, got, batches)
			}
		}
	}
	check("at once")
	c.Advance(2 * day)
	check("when days were merged")
}
