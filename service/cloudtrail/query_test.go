package cloudtrail_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
)

// many makes an event data store with so many events from outside, numbered from 1.
func many(t *testing.T, c *cloudtest.Cloud, l lake, n int) (store string) {
	t.Helper()
	store = l.create("many", outside)
	channel := l.channel("many", store)
	var events []putEvent
	for i := range n {
		events = append(events, putEvent{fmt.Sprint(i), happened(c, fmt.Sprintf("E%03d", i+1)), ""})
		if len(events) == 100 || i == n-1 {
			if a := put(t, c.Config(), channel, "", events...); len(a.Successful) != len(events) {
				t.Fatalf("%+v", a)
			}
			events = nil
		}
	}
	return store
}

func TestQuery(t *testing.T) {
	c := cloudtest.Start(t)
	l := lakeOf(t, c.Config())
	store := many(t, c, l, 250)
	q, err := l.StartQuery(t.Context(), &cloudtrail.StartQueryInput{
		QueryStatement:  aws.String("SELECT eventData.eventName AS name FROM " + id(store) + " WHERE eventData.eventName > ? AND eventSource IS NULL OR eventData.eventName = '?' ORDER BY 1"),
		QueryParameters: []string{"E010"},
	})
	if err != nil {
		t.Fatal(err)
	}
	status, rows, message := l.results(q.QueryId, 100)
	if status != types.QueryStatusFinished || len(rows) != 240 || rows[0] != "E011" || rows[239] != "E250" {
		t.Errorf("%s, %s: %v", status, message, rows)
	}
	d, err := l.DescribeQuery(t.Context(), &cloudtrail.DescribeQueryInput{QueryId: q.QueryId})
	if err != nil {
		t.Fatal(err)
	}
	if s := d.QueryStatistics; *s.EventsScanned != 250 || *s.EventsMatched != 240 || *s.BytesScanned < 250*100 || s.CreationTime == nil {
		t.Errorf("statistics %+v", s)
	}
	page, err := l.GetQueryResults(t.Context(), &cloudtrail.GetQueryResultsInput{QueryId: q.QueryId, MaxQueryResults: aws.Int32(7)})
	if err != nil || len(page.QueryResultRows) != 7 || *page.QueryStatistics.ResultsCount != 7 || *page.QueryStatistics.TotalResultsCount != 240 || page.QueryResultRows[0][0]["name"] != "E011" {
		t.Errorf("a page %+v, %v", page, err)
	}
	list, err := l.ListQueries(t.Context(), &cloudtrail.ListQueriesInput{EventDataStore: &store, QueryStatus: types.QueryStatusFinished})
	if err != nil || len(list.Queries) != 1 || *list.Queries[0].QueryId != *q.QueryId {
		t.Errorf("listed %+v, %v", list, err)
	}
	if list, err := l.ListQueries(t.Context(), &cloudtrail.ListQueriesInput{EventDataStore: &store, QueryStatus: types.QueryStatusFailed}); err != nil || len(list.Queries) != 0 {
		t.Errorf("listed %+v, %v", list, err)
	}
	if _, err := l.CancelQuery(t.Context(), &cloudtrail.CancelQueryInput{QueryId: q.QueryId}); code(err) != "InactiveQueryException" {
		t.Errorf("cancelling what has ended: %v", err)
	}
	if _, err := lakeOf(t, c.Root(other)).GetQueryResults(t.Context(), &cloudtrail.GetQueryResultsInput{QueryId: q.QueryId}); code(err) != "QueryIdNotFoundException" {
		t.Errorf("another account: %v", err)
	}
	_, err = lakeOf(t, c.Root(other)).GetQueryResults(t.Context(), &cloudtrail.GetQueryResultsInput{QueryId: q.QueryId, EventDataStoreOwnerAccountId: &c.Account})
	if code(err) != "AccessDeniedException" {
		t.Errorf("another account that names the owner: %v", err)
	}
	c.Advance(7*day + time.Minute)
	if _, err := l.DescribeQuery(t.Context(), &cloudtrail.DescribeQueryInput{QueryId: q.QueryId}); code(err) != "QueryIdNotFoundException" {
		t.Errorf("after seven days: %v", err)
	}
}

func TestQueryRefuses(t *testing.T) {
	c := cloudtest.Start(t)
	l := lakeOf(t, c.Config())
	store := many(t, c, l, 1)
	theirs := lakeOf(t, c.Root(other)).create("theirs")
	for name, tt := range map[string]struct{ statement, want string }{
		"NoSQL":        {"tell me", "InvalidQueryStatementException"},
		"Delete":       {"DELETE FROM " + id(store), "InvalidQueryStatementException"},
		"Drop":         {"DROP TABLE " + id(store), "InvalidQueryStatementException"},
		"TwoAtOnce":    {"SELECT eventID FROM " + id(store) + "; SELECT 1", "InvalidQueryStatementException"},
		"NoStore":      {"SELECT eventID FROM sqlite_master", "EventDataStoreNotFoundException"},
		"NoColumn":     {"SELECT nothing FROM " + id(store), "InvalidQueryStatementException"},
		"AnotherStore": {"SELECT eventID FROM 00000000-0000-4000-8000-000000000000", "EventDataStoreNotFoundException"},
		"Theirs":       {"SELECT eventID FROM " + id(theirs), "EventDataStoreNotFoundException"},
		"JoinTheirs":   {"SELECT a.eventID FROM " + id(store) + " a JOIN " + id(theirs) + " b ON a.eventID = b.eventID", "EventDataStoreNotFoundException"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := l.StartQuery(t.Context(), &cloudtrail.StartQueryInput{QueryStatement: &tt.statement}); code(err) != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
	good := aws.String("SELECT eventID FROM " + id(store))
	_, parameters := l.StartQuery(t.Context(), &cloudtrail.StartQueryInput{QueryStatement: good, QueryParameters: []string{"x"}})
	_, delivery := l.StartQuery(t.Context(), &cloudtrail.StartQueryInput{QueryStatement: good, DeliveryS3Uri: aws.String("s3://bucket/x")})
	_, alias := l.StartQuery(t.Context(), &cloudtrail.StartQueryInput{QueryAlias: aws.String("x")})
	_, unknown := l.DescribeQuery(t.Context(), &cloudtrail.DescribeQueryInput{QueryId: aws.String("00000000-0000-4000-8000-000000000000")})
	_, dates := l.ListQueries(t.Context(), &cloudtrail.ListQueriesInput{EventDataStore: &store, StartTime: aws.Time(c.Now()), EndTime: aws.Time(c.Now().Add(-time.Hour))})
	_, status := l.ListQueries(t.Context(), &cloudtrail.ListQueriesInput{EventDataStore: &store, QueryStatus: "ASLEEP"})
	_, max := l.ListQueries(t.Context(), &cloudtrail.ListQueriesInput{EventDataStore: &store, MaxResults: aws.Int32(1001)})
	_, token := l.ListQueries(t.Context(), &cloudtrail.ListQueriesInput{EventDataStore: &store, NextToken: aws.String("made-up")})
	_, short := l.DescribeQuery(t.Context(), &cloudtrail.DescribeQueryInput{QueryId: aws.String("0")})
	_, long := l.StartQuery(t.Context(), &cloudtrail.StartQueryInput{QueryStatement: aws.String(strings.Repeat(" ", 10_001))})
	got := []string{code(short), code(long), code(parameters), code(delivery), code(alias), code(unknown), code(dates), code(status), code(max), code(token)}
	want := []string{"InvalidParameterException", "InvalidQueryStatementException", "InvalidQueryStatementException", "NotImplemented", "NotImplemented", "QueryIdNotFoundException", "InvalidDateRangeException", "InvalidQueryStatusException",
		"InvalidMaxResultsException", "InvalidNextTokenException"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("refusals:\n%s", d)
	}
}

// Queries that would take for ever end, and no account can run more than some at once.
func TestHostileQueries(t *testing.T) {
	c := cloudtest.Start(t)
	l := lakeOf(t, c.Config())
	store := id(many(t, c, l, 250))
	bomb := "SELECT count(*) FROM " + store + " a, " + store + " b, " + store + " c, " + store + " d, " + store + " e WHERE a.eventID || b.eventID || c.eventID || d.eventID || e.eventID = 'x'"
	var started []*string
	for {
		q, err := l.StartQuery(t.Context(), &cloudtrail.StartQueryInput{QueryStatement: &bomb})
		if code(err) == "MaxConcurrentQueriesException" {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		started = append(started, q.QueryId)
	}
	if len(started) != 10 {
		t.Errorf("%d queries at once", len(started))
	}
	for _, q := range started {
		if out, err := l.CancelQuery(t.Context(), &cloudtrail.CancelQueryInput{QueryId: q}); err != nil || out.QueryStatus != types.QueryStatusCancelled {
			t.Errorf("cancelling: %+v, %v", out, err)
		}
	}
	if got := l.ask("SELECT count(*) FROM %s", store); len(got) != 1 || got[0] != "250" {
		t.Errorf("after the storm: %v", got)
	}
}

// What is taken under a KMS key can be read as long as CloudTrail may use the key.
func TestEventDataStoreUnderKey(t *testing.T) {
	c := cloudtest.Start(t)
	root := c.Config()
	l, k := lakeOf(t, root), kms.NewFromConfig(root)
	key := must(k.CreateKey(t.Context(), nil))(t).KeyMetadata.Arn
	if _, err := l.CreateEventDataStore(t.Context(), &cloudtrail.CreateEventDataStoreInput{Name: aws.String("shut"), KmsKeyId: key}); code(err) != "InsufficientEncryptionPolicyException" {
		t.Errorf("a key that does not let CloudTrail: %v", err)
	}
	policy := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::%s:root"},"Action":"kms:*","Resource":"*"},
		{"Effect":"Allow","Principal":{"Service":"cloudtrail.amazonaws.com"},"Action":["kms:GenerateDataKey","kms:Decrypt"],"Resource":"*"}]}`, c.Account)
	must(k.PutKeyPolicy(t.Context(), &kms.PutKeyPolicyInput{KeyId: key, Policy: &policy}))(t)
	store := l.create("sealed", func(in *cloudtrail.CreateEventDataStoreInput) { in.KmsKeyId = key })
	if got := l.get(store); aws.ToString(got.KmsKeyId) != *key {
		t.Errorf("key %v", got.KmsKeyId)
	}
	use(t, root)
	c.Advance(6 * time.Minute)
	statement := "SELECT count(*) FROM " + id(store) + " WHERE eventName = 'Encrypt'"
	if got := l.ask("%s", statement); got[0] != "1" {
		t.Errorf("found %v", got)
	}
	before := len(c.Trail(c.Account))
	c.Advance(day)
	if after := len(c.Trail(c.Account)); after-before > 100 {
		t.Errorf("a quiet day leaves %d records", after-before)
	}
	must(k.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: key}))(t)
	use(t, root)
	c.Advance(6 * time.Minute)
	if _, err := l.StartQuery(t.Context(), &cloudtrail.StartQueryInput{QueryStatement: &statement}); code(err) != "KmsException" {
		t.Errorf("under a disabled key: %v", err)
	}
	must(k.EnableKey(t.Context(), &kms.EnableKeyInput{KeyId: key}))(t)
	c.Advance(6 * time.Minute)
	if got := l.ask("%s", statement); got[0] != "2" {
		t.Errorf("after the key was enabled again: %v", got)
	}
}

// Events are there once, and queries that a restart interrupted fail.
func TestLakeAfterRestart(t *testing.T) {
	dir := t.TempDir()
	first := cloudtest.Start(t, func(cfg *cloud.Config) { cfg.Dir = dir })
	l := lakeOf(t, first.Config())
	store := l.create("history")
	outer := many(t, first, l, 150)
	for range 3 {
		use(t, first.Config())
		first.Advance(6 * time.Minute)
	}
	use(t, first.Config())
	moved := first.Now()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	idle := cloudtest.Start(t, func(cfg *cloud.Config) { cfg.Dir, cfg.Idle = dir, true }) // answers no queries
	idle.Clock.Set(moved)
	q := must(lakeOf(t, idle.Config()).StartQuery(t.Context(), &cloudtrail.StartQueryInput{QueryStatement: aws.String("SELECT eventID FROM " + id(store))}))(t)
	if err := idle.Close(); err != nil {
		t.Fatal(err)
	}
	second := cloudtest.Start(t, func(cfg *cloud.Config) { cfg.Dir = dir })
	second.Clock.Set(moved)
	second.Advance(6 * time.Minute)
	l = lakeOf(t, second.Config())
	if status, _, message := l.results(q.QueryId, 10); status != types.QueryStatusFailed || !strings.Contains(message, "interrupted") {
		t.Errorf("the query of before: %s, %s", status, message)
	}
	if got := l.ask("SELECT eventName, count(*), count(DISTINCT eventID) FROM %s WHERE eventSource = 'kms.amazonaws.com' GROUP BY eventName ORDER BY 1", id(store)); !cmp.Equal(got, []string{"CreateKey|4|4", "Encrypt|4|4"}) {
		t.Errorf("found %v", got)
	}
	if got := l.ask("SELECT count(*), count(DISTINCT eventID) FROM %s", id(outer)); got[0] != "150|150" {
		t.Errorf("found %v", got)
	}
}

// Many small segments become few, and hold the same.
func TestSegmentsMerge(t *testing.T) {
	dir := t.TempDir()
	c := cloudtest.Start(t, func(cfg *cloud.Config) { cfg.Dir = dir })
	l := lakeOf(t, c.Config())
	store := l.create("history")
	const batches = 30
	for range batches {
		use(t, c.Config())
		c.Advance(5 * time.Minute)
	}
	c.Advance(2 * day)
	if got := l.ask("SELECT count(*), count(DISTINCT eventID) FROM %s WHERE eventSource = 'kms.amazonaws.com'", id(store)); got[0] != fmt.Sprintf("%d|%d", 2*batches, 2*batches) {
		t.Errorf("found %v", got)
	}
	objects, err := filepath.Glob(filepath.Join(dir, "blob", "lake", "*", "*"))
	if err != nil || len(objects) == 0 || len(objects) > 8 {
		t.Errorf("%d objects, %v", len(objects), err)
	}
}
