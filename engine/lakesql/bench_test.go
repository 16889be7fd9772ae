//go:build unix

package lakesql_test

import (
	"context"
	"iter"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-cloud/holdfast/engine/lakesql"
)

// repeated is a Source of a million records, of which there are fewer that come again and again.
type repeated [][]byte

const million = 1_000_000

func (r repeated) Records(context.Context, string, time.Time, time.Time) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for i := range million {
			if !yield(r[i%len(r)], nil) {
				return
			}
		}
	}
}

// cpu is the processor time that the process has used, since the time on the wall says little on a busy machine.
func cpu(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkMillion answers queries over a million records of a kilobyte.
func BenchmarkMillion(b *testing.B) {
	source := make(repeated, 100_000)
	size := 0
	for i := range source {
		source[i] = []byte(generate(i))
		size += len(source[i])
	}
	for _, c := range []struct{ name, statement string }{
		{"Filter", "SELECT eventTime, userIdentity.arn FROM " + events + " WHERE eventName = 'AssumeRole' AND errorCode = 'AccessDenied'"},
		{"FilterOfFunctions", "SELECT count(*) FROM " + events + " WHERE regexp_like(userIdentity.arn, 'role/1.$') AND date_trunc('hour', eventTime) > TIMESTAMP '2023-01-01 06:00:00'"},
		{"Count", "SELECT count(*) FROM " + events},
		{"Group", "SELECT eventSource, eventName, count(*) AS n FROM " + events + " GROUP BY eventSource, eventName ORDER BY n DESC"},
		{"GroupOfArn", "SELECT userIdentity.arn, count(*) AS n, max(eventTime) FROM " + events + " GROUP BY userIdentity.arn ORDER BY n DESC LIMIT 10"},
		{"Top", "SELECT eventID, eventTime FROM " + events + " ORDER BY eventTime DESC LIMIT 10"},
		{"Join", "SELECT a.eventName, count(*) FROM " + events + " a JOIN (SELECT DISTINCT userIdentity.arn AS arn FROM " + events +
			" WHERE errorCode IS NOT NULL) f ON a.userIdentity.arn = f.arn GROUP BY a.eventName"},
		{"JoinOfStores", "SELECT count(*) FROM " + events + " a JOIN " + channel + " b ON a.eventID = b.eventID WHERE b.errorCode = 'AccessDenied'"},
	} {
		b.Run(c.name, func(b *testing.B) {
			q, err := lakesql.Parse(c.statement)
			if err != nil {
				b.Fatal(err)
			}
			begin := cpu(b)
			for b.Loop() {
				result, err := q.Run(b.Context(), source, lakesql.Limits{Memory: 512 << 20})
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(len(result.Rows)), "rows")
			}
			b.ReportMetric(float64(b.N)*float64(million)/b.Elapsed().Seconds(), "records/s")
			b.ReportMetric((cpu(b)-begin).Seconds()/float64(b.N), "cpu-s/op")
			var memory runtime.MemStats
			runtime.ReadMemStats(&memory)
			b.ReportMetric(float64(memory.Sys)/(1<<20), "MiB-of-process")
		})
	}
}
