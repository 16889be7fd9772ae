package lakesql_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/engine/lakesql"
	"github.com/holdfast-cloud/holdfast/internal/cputime"
)

// generated is a Source of n records, each asked for anew.
type generated int

func (g generated) Records(context.Context, string, time.Time, time.Time) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for i := range int(g) {
			if !yield([]byte(generate(i)), nil) {
				return
			}
		}
	}
}

// generate is a record as CloudTrail's are, of about a kilobyte.
func generate(i int) string {
	names := []string{"Decrypt", "GenerateDataKey", "GetObject", "AssumeRole", "DescribeInstances", "PutObject", "GetSecretValue", "ListKeys"}
	sources := []string{"kms", "kms", "s3", "sts", "ec2", "s3", "secretsmanager", "kms"}
	failed := ""
	if i%50 == 0 {
		failed = `"errorCode":"AccessDenied","errorMessage":"User is not authorized to perform this",`
	}
	at := time.Date(2023, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(i) * time.Second)
	return fmt.Sprintf(`{"eventVersion":"1.09","userIdentity":{"type":"AssumedRole","principalId":"AROAEXAMPLEEXAMPLE:session%[1]d","arn":"arn:aws:sts::111122223333:assumed-role/role%[2]d/session",`+
		`"accountId":"111122223333","accessKeyId":"ASIAEXAMPLE","sessionContext":{"sessionIssuer":{"type":"Role","principalId":"AROAEXAMPLE","arn":"arn:aws:iam::111122223333:role/role%[2]d",`+
		`"accountId":"111122223333","userName":"role%[2]d"},"attributes":{"creationDate":"2023-01-01T00:00:00Z","mfaAuthenticated":"false"}}},"eventTime":"%[3]s",`+
		`"eventSource":"%[4]s.amazonaws.com","eventName":"%[5]s","awsRegion":"eu-west-1","sourceIPAddress":"10.0.%[6]d.%[7]d","userAgent":"aws-sdk-go-v2/1.24.0 os/linux lang/go#1.26",%[8]s`+
		`"requestParameters":{"keyId":"arn:aws:kms:eu-west-1:111122223333:key/%[9]d","encryptionContext":{"aws:s3:arn":"arn:aws:s3:::bucket"}},"responseElements":null,`+
		`"requestID":"r-%[1]d","eventID":"e-%[1]d","readOnly":true,"resources":[{"accountId":"111122223333","type":"AWS::KMS::Key","ARN":"arn:aws:kms:eu-west-1:111122223333:key/%[9]d"}],`+
		`"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"111122223333","eventCategory":"Management","tlsDetails":{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256"}}`,
		i, i%97, at.Format(time.RFC3339), sources[i%8], names[i%8], i%16, i%251, failed, i%1000)
}

func run(t *testing.T, ctx context.Context, source lakesql.Source, statement string, limits lakesql.Limits) (*lakesql.Result, error) {
	t.Helper()
	q, err := lakesql.Parse(statement)
	if err != nil {
		t.Fatalf("Parse(%.200s): %v", statement, err)
	}
	return q.Run(ctx, source, limits)
}

// TestExpensive runs statements that must not be let go on: each ends soon with ErrLimit or an *Error, whatever it asks for.
func TestExpensive(t *testing.T) {
	store := "FROM " + events
	for name, statement := range map[string]string{
		"CrossJoin":        "SELECT count(*) " + store + " a, " + events + " b, " + events + " c, " + events + " d",
		"NotEqualJoin":     "SELECT count(*) " + store + " a JOIN " + events + " b ON a.eventID <> b.eventID JOIN " + events + " c ON b.eventID < c.eventID",
		"SortedCrossJoin":  "SELECT a.eventID, b.userAgent " + store + " a, " + events + " b ORDER BY b.userAgent, a.eventID",
		"GroupedCrossJoin": "SELECT a.eventID || b.eventID, count(*) " + store + " a, " + events + " b GROUP BY a.eventID || b.eventID",
		"WideRows":         "SELECT eventJson || eventJson || eventJson || eventJson, eventID " + store + " a CROSS JOIN UNNEST(sequence(1, 1000)) AS t(x) ORDER BY 2",
		"Result":           "SELECT eventJson " + store + " CROSS JOIN UNNEST(sequence(1, 10000)) AS t(x)",
		"Aggregate":        "SELECT array_agg(eventJson) " + store + " CROSS JOIN UNNEST(sequence(1, 10000)) AS t(x)",
		"ManyAggregates":   "SELECT x, y, array_agg(eventJson) " + store + " CROSS JOIN UNNEST(sequence(1, 1000)) AS t(x) CROSS JOIN UNNEST(sequence(1, 1000)) AS u(y) GROUP BY x, y",
		"Unnest":           "SELECT count(*) FROM UNNEST(sequence(1, 10000)) AS a(x), UNNEST(sequence(1, 10000)) AS b(y), UNNEST(sequence(1, 10000)) AS c(z)",
		"DistinctUnnest":   "SELECT DISTINCT x, y, z FROM UNNEST(sequence(1, 10000)) AS a(x), UNNEST(sequence(1, 10000)) AS b(y), UNNEST(sequence(1, 10000)) AS c(z)",
		"Doubling":         "SELECT length(h) FROM (SELECT g || g AS h FROM (SELECT f || f AS g FROM (SELECT e || e AS f FROM (SELECT rpad('a', 1000000, 'x') AS e))))",
		"Replace":          "SELECT replace(rpad('a', 1000000, 'a'), 'a', rpad('a', 1000000, 'a'))",
		"RegexpReplace":    "SELECT regexp_replace(rpad('a', 1000000, 'a'), '.+', '" + strings.Repeat("$0", 1000) + "')",
		"RegexpMatches":    "SELECT regexp_extract_all(rpad('a', 1000000, 'a'), '(a*)*b|a')[1] " + store + " a, " + events + " b",
		"Like":             "SELECT rpad('a', 1000000, 'a') LIKE '" + strings.Repeat("%a", 1500) + "b' " + store + " a, " + events + " b",
		"Lambdas":          "SELECT transform(sequence(1, 10000), a -> cardinality(transform(sequence(1, 10000), b -> cardinality(transform(sequence(1, 10000), c -> a + b + c)))))",
		"Correlated":       "SELECT count(*) " + store + " a WHERE (SELECT count(*) " + store + " b WHERE b.eventID > a.eventID) > (SELECT count(*) " + store + " c WHERE c.eventID || 'x' > a.eventID)",
		"Windows":          "SELECT sum(x) OVER (ORDER BY x ROWS BETWEEN 5000 PRECEDING AND 5000 FOLLOWING), array_join(transform(sequence(1, x), y -> y), ',') FROM UNNEST(sequence(1, 10000)) AS t(x) CROSS JOIN UNNEST(sequence(1, 10000)) AS u(y)",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			begin := cputime.Spent()
			_, err := run(t, t.Context(), generated(5000), statement, lakesql.Limits{Time: 1500 * time.Millisecond, Memory: 32 << 20})
			var known *lakesql.Error
			if !errors.Is(err, lakesql.ErrLimit) && !errors.As(err, &known) {
				t.Errorf("Run: %v, want ErrLimit", err)
			}
			// Others work as well meanwhile, as many at once as there are processors for them. With the race detector a function of the engine, which is not interrupted, takes seconds.
			if took := (cputime.Spent() - begin) / time.Duration(runtime.GOMAXPROCS(0)); took > 15*time.Second {
				t.Errorf("Run took %s", took)
			}
			t.Log(err)
		})
	}
}

// TestTooComplex parses statements that are too much for a parser or for the engine.
func TestTooComplex(t *testing.T) {
	doubling := "WITH a0 AS (SELECT eventID " + "FROM " + events + ")"
	for i := range 30 {
		doubling += fmt.Sprintf(", a%d AS (SELECT x.eventID FROM a%d x, a%d y)", i+1, i, i)
	}
	for name, statement := range map[string]string{
		"Parentheses":   "SELECT " + strings.Repeat("(", 5000) + "1" + strings.Repeat(")", 5000),
		"Subqueries":    "SELECT * FROM " + strings.Repeat("(SELECT * FROM ", 500) + events + strings.Repeat(")", 500),
		"Functions":     "SELECT " + strings.Repeat("lower(", 2000) + "'a'" + strings.Repeat(")", 2000),
		"Minus":         "SELECT " + strings.Repeat("- ", 5000) + "x",
		"Not":           "SELECT " + strings.Repeat("NOT ", 5000) + "true",
		"Doubling":      doubling + " SELECT * FROM a30",
		"Unions":        "SELECT 1" + strings.Repeat(" UNION ALL SELECT 1", 500),
		"Joins":         "SELECT 1 FROM " + events + strings.Repeat(" CROSS JOIN "+events, 100),
		"Length":        "SELECT '" + strings.Repeat("x", 100_000) + "'",
		"NotUTF8":       "SELECT '\xff'",
		"NestedCase":    "SELECT " + strings.Repeat("CASE ", 25) + "1" + strings.Repeat(" WHEN 1 THEN 1 WHEN 2 THEN 2 WHEN 3 THEN 3 END", 25),
		"NestedBetween": "SELECT " + strings.Repeat("(", 25) + "true" + strings.Repeat(" BETWEEN false AND true)", 25),
		"NestedLambda":  "SELECT " + strings.Repeat("any_match(ARRAY[1], x -> ", 25) + "true" + strings.Repeat(")", 25),
		"ManyArguments": "SELECT concat_ws('x'" + strings.Repeat(", 'a'", 5000) + ")",
	} {
		t.Run(name, func(t *testing.T) {
			var known *lakesql.Error
			if _, err := lakesql.Parse(statement); !errors.As(err, &known) {
				t.Errorf("Parse: %v, want *Error", err)
			}
		})
	}
	for name, statement := range map[string]string{
		"LongSum":   "SELECT 1" + strings.Repeat(" + 1", 5000),
		"LongAnd":   "SELECT count(*) FROM " + events + " WHERE true" + strings.Repeat(" AND eventID <> 'x'", 500),
		"LongIn":    "SELECT count(*) FROM " + events + " WHERE coalesce(eventID, NULL) IN ('x'" + strings.Repeat(", 'y'", 5000) + ")",
		"LongChain": "SELECT 'a'" + strings.Repeat(" || 'a'", 5000),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := run(t, t.Context(), fixture(t), statement, lakesql.Limits{})
			var known *lakesql.Error
			if err != nil && !errors.As(err, &known) {
				t.Errorf("Run: %v, want an answer or *Error", err)
			}
		})
	}
}

// TestMemory holds more than it may, in each place that holds anything.
func TestMemory(t *testing.T) {
	for name, statement := range map[string]string{
		"Sort":      "SELECT eventID, userAgent FROM " + events + " ORDER BY userAgent",
		"Group":     "SELECT eventID, userAgent, count(*) FROM " + events + " GROUP BY eventID, userAgent",
		"Distinct":  "SELECT DISTINCT eventID, userAgent FROM " + events,
		"Union":     "SELECT eventID, userAgent FROM " + events + " UNION SELECT 'a', 'b'",
		"Join":      "SELECT count(*) FROM " + events + " a JOIN " + events + " b ON a.eventID = b.eventID",
		"In":        "SELECT count(*) FROM " + channel + " WHERE eventID IN (SELECT eventID || 'x' FROM " + events + ")",
		"Window":    "SELECT eventID, row_number() OVER (ORDER BY userAgent) FROM " + events,
		"Result":    "SELECT eventID, userAgent FROM " + events,
		"Aggregate": "SELECT histogram(eventID) FROM " + events,
	} {
		t.Run(name, func(t *testing.T) {
			for _, ok := range []bool{false, true} {
				limits := lakesql.Limits{Memory: 100_000}
				if ok {
					limits.Memory = 100 << 20
				}
				_, err := run(t, t.Context(), generated(3000), statement, limits)
				if ok && err != nil || !ok && (!errors.Is(err, lakesql.ErrLimit) || !strings.Contains(err.Error(), "bytes of memory")) {
					t.Errorf("Run within %d bytes: %v", limits.Memory, err)
				}
			}
		})
	}
	if _, err := run(t, t.Context(), generated(5000), "SELECT eventID, userAgent FROM "+events+" ORDER BY userAgent LIMIT 10", lakesql.Limits{Memory: 100_000}); err != nil {
		t.Errorf("Run of a sort of which 10 rows are kept: %v", err)
	}
}

func TestRows(t *testing.T) {
	result, err := run(t, t.Context(), generated(100), "SELECT eventID FROM "+events, lakesql.Limits{Rows: 99})
	if !errors.Is(err, lakesql.ErrLimit) || result.Stats.Scanned != 100 {
		t.Errorf("Run: %v with %+v, want ErrLimit behind 100 records", err, result.Stats)
	}
}

// endless is a Source that never ends, and cancels the query when it has given some records.
type endless struct {
	cancel func()
	late   int // records that were taken after that
}

func (e *endless) Records(ctx context.Context, _ string, _, _ time.Time) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		record := []byte(generate(1))
		for i := 0; yield(record, nil); i++ {
			if i == 1000 {
				e.cancel()
			}
			if ctx.Err() != nil {
				e.late++
			}
		}
	}
}

func TestCancel(t *testing.T) {
	for name, statement := range map[string]string{
		"Scan":  "SELECT eventID FROM " + events + " WHERE eventName = 'none'",
		"Group": "SELECT eventID, count(*) FROM " + events + " GROUP BY 1",
		"Join":  "SELECT count(*) FROM " + events + " a JOIN " + events + " b ON a.eventID = b.eventID",
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			source := &endless{cancel: cancel}
			if _, err := run(t, ctx, source, statement, lakesql.Limits{}); !errors.Is(err, context.Canceled) {
				t.Errorf("Run: %v, want context.Canceled", err)
			}
			if source.late > 1 {
				t.Errorf("Run took %d records more when it was canceled", source.late)
			}
		})
	}
	t.Run("InTheEngine", func(t *testing.T) { // no source and no function of ours is called meanwhile
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(100*time.Millisecond, cancel)
		// It would run for days.
		_, err := run(t, ctx, generated(0), "WITH a AS (SELECT 1 AS x"+strings.Repeat(" UNION ALL SELECT 1", 60)+
			") SELECT count(*) FROM a a, a b, a c, a d, a e, a f, a g, a h", lakesql.Limits{})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v, want context.Canceled", err)
		}
	})
}

func TestSourceFails(t *testing.T) {
	_, err := run(t, t.Context(), stores{}, "SELECT eventID FROM "+events, lakesql.Limits{})
	if err == nil || !strings.Contains(err.Error(), "no store "+events) {
		t.Errorf("Run: %v, want the source's error", err)
	}
}

// TestParallel runs queries at the same time, with what each of them holds for itself.
func TestParallel(t *testing.T) {
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for n := range 4 {
				limits := lakesql.Limits{}
				if i%4 == 3 {
					limits.Memory = 1 << 12
				}
				size := 200 + 100*i + n
				q, err := lakesql.Parse("SELECT eventName, count(*) AS n, array_agg(eventID) FROM " + events + " WHERE regexp_like(eventID, '^e-') GROUP BY eventName ORDER BY n")
				if err != nil {
					t.Error(err)
					return
				}
				result, err := q.Run(t.Context(), generated(size), limits)
				if i%4 == 3 {
					if !errors.Is(err, lakesql.ErrLimit) {
						t.Errorf("Run of a small limit: %v, want ErrLimit", err)
					}
					continue
				}
				if err != nil || len(result.Rows) != 8 || result.Stats.Scanned != int64(size) || result.Stats.Matched != int64(size) {
					t.Errorf("Run: %v, %d rows, %+v, want 8 rows of %d", err, len(result.Rows), result.Stats, size)
				}
			}
		})
	}
	group.Wait()
}

func TestQuery(t *testing.T) {
	at := func(text string) time.Time {
		v, err := time.Parse(time.DateTime, text)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, c := range []struct {
		statement string
		stores    []string
		from, to  time.Time
	}{
		{"SELECT 1", nil, time.Time{}, time.Time{}},
		{"SELECT * FROM " + events, []string{events}, time.Time{}, time.Time{}},
		{"SELECT 1 FROM " + events + " WHERE eventTime > '2023-01-01 00:00:00' AND eventTime < '2023-02-01'", []string{events}, at("2023-01-01 00:00:00"), at("2023-02-01 00:00:00")},
		{"SELECT 1 FROM " + events + " WHERE eventTime <= '2023-02-01' AND (eventName = 'x' AND TIMESTAMP '2023-01-01 00:00:00' <= eventTime)", []string{events},
			at("2023-01-01 00:00:00"), at("2023-02-01 00:00:00").Add(time.Millisecond)},
		{"SELECT 1 FROM " + events + " WHERE eventTime > '2023-01-01' OR eventName = 'x'", []string{events}, time.Time{}, time.Time{}},
		{"SELECT 1 FROM " + events + " WHERE eventTime BETWEEN '2023-01-01' AND '2023-01-02' UNION SELECT 1 FROM " + channel + " WHERE eventTime BETWEEN '2023-01-05' AND '2023-01-06'",
			[]string{events, channel}, at("2023-01-01 00:00:00"), at("2023-01-06 00:00:00").Add(time.Millisecond)},
		{"SELECT 1 FROM " + events + " a LEFT JOIN " + channel + " b ON a.eventID = b.eventID WHERE a.eventTime > '2023-01-01' AND b.eventTime > '2023-01-01'",
			[]string{events, channel}, time.Time{}, time.Time{}},
		{"SELECT 1 FROM " + events + " WHERE NOT eventTime BETWEEN '2023-01-01' AND '2023-01-02'", []string{events}, time.Time{}, time.Time{}},
	} {
		q, err := lakesql.Parse(c.statement)
		if err != nil {
			t.Errorf("Parse(%s): %v", c.statement, err)
			continue
		}
		from, to := q.Range()
		if diff := cmp.Diff(c.stores, q.Stores()); diff != "" || !from.Equal(c.from) || !to.Equal(c.to) {
			t.Errorf("%s\nreads %s from %s to %s, want %s from %s to %s", c.statement, q.Stores(), from, to, c.stores, c.from, c.to)
		}
	}
}

// ranged remembers the range that was asked for.
type ranged struct{ from, to time.Time }

func (r *ranged) Records(_ context.Context, _ string, from, to time.Time) iter.Seq2[[]byte, error] {
	r.from, r.to = from, to
	return func(func([]byte, error) bool) {}
}

func TestRangeOfNow(t *testing.T) {
	var source ranged
	_, err := run(t, t.Context(), &source, "SELECT 1 FROM "+events+" WHERE eventTime >= current_timestamp - INTERVAL '7' DAY AND eventTime < date_trunc('day', now())", lakesql.Limits{Now: now})
	if want := now.AddDate(0, 0, -7); err != nil || !source.from.Equal(want) || !source.to.Equal(now.Truncate(24*time.Hour)) {
		t.Errorf("Run: %v, from %s to %s, want from %s", err, source.from, source.to, want)
	}
}

// FuzzStatement looks for statements that panic, or that parse and then fail in a way that is nobody's fault.
func FuzzStatement(f *testing.F) {
	for _, statement := range []string{
		"SELECT * FROM " + events, "SELECT a.eventID, count(*) FROM " + events + " a JOIN " + channel + " b USING (eventTime) GROUP BY 1 HAVING count(*) > 1 ORDER BY 2 DESC NULLS FIRST LIMIT 3",
		"WITH a AS (SELECT 1 AS x) SELECT x, sum(x) OVER (PARTITION BY x ORDER BY x ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM a",
		"SELECT CASE eventName WHEN 'a' THEN 1 ELSE 2 END, requestParameters['x'], resources[1].arn, try(1/0), cast('1' AS bigint) FROM " + events,
		"SELECT t.x FROM " + events + " CROSS JOIN UNNEST(transform(resources, r -> r.arn)) WITH ORDINALITY AS t(x, n) WHERE x LIKE '%a\\_%' ESCAPE '\\'",
		"SELECT eventID FROM " + events + " WHERE eventTime BETWEEN TIMESTAMP '2023-01-01 00:00:00' AND now() - INTERVAL '1' DAY AND eventID NOT IN (SELECT eventID FROM " + channel + ")",
		"(SELECT 1) UNION ALL (VALUES (2)) EXCEPT SELECT NULL -- x", "SELECT json_extract_scalar(eventJson, '$.a[0][\"b\"]'), 'it''s', \"x\", .5e3, -9223372036854775808 FROM " + events,
	} {
		f.Add(statement)
	}
	source := fixture(f)
	f.Fuzz(func(t *testing.T, statement string) {
		q, err := lakesql.Parse(statement)
		var known *lakesql.Error
		if err != nil {
			if !errors.As(err, &known) {
				t.Fatalf("Parse(%q): %v", statement, err)
			}
			return
		}
		_, err = q.Run(t.Context(), source, lakesql.Limits{Now: now, Time: time.Second, Memory: 16 << 20})
		if err != nil && !errors.As(err, &known) && !errors.Is(err, lakesql.ErrLimit) && !strings.Contains(err.Error(), "no store") {
			t.Fatalf("Run(%q): %v", statement, err)
		}
	})
}
