//go:build unix

package audit

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-cloud/holdfast/store/memstore"
)

// BenchmarkAppend is what recording costs the call of a key, in processor time of the whole process, so that writing to the files is in it. The machine may be
// shared: what counts is µs/best, of the fastest of many stretches. The floor makes a checksum of as many bytes and copies them once.
func BenchmarkAppend(b *testing.B) {
	records := kmsRecords(1 << 12)
	b.Run("Floor", func(b *testing.B) {
		stored := make([][]byte, len(records))
		for i := range records {
			stored[i] = records[i].appendStored(nil)
		}
		mem := make([]byte, spoolSize)
		at, sum := 0, uint32(0)
		best(b, func(i int) error {
			rec := stored[i%len(stored)]
			if at+len(rec) > len(mem) {
				at = 0
			}
			sum += crc32.Checksum(rec, castagnoli)
			at += copy(mem[at:], rec)
			return nil
		})
	})
	b.Run("JSON", func(b *testing.B) {
		var buf []byte
		best(b, func(i int) error {
			buf = records[i%len(records)].appendStored(buf[:0])
			return nil
		})
	})
	b.Run("Terms", func(b *testing.B) {
		var buf []term
		n := new(names)
		best(b, func(i int) error {
			f := records[i%len(records)].facts(n)
			buf, _ = f.appendTerms(buf[:0])
			return nil
		})
	})
	b.Run("Append", func(b *testing.B) {
		s := memstore.New()
		defer s.Close()
		t, err := Open(Config{Store: s, Dir: filepath.Join(b.TempDir(), "audit"), Sync: 100 * time.Millisecond})
		if err != nil {
			b.Fatal(err)
		}
		t.log.limit = math.MaxInt64 // what is compressed is no call's
		defer func() {
			if err := errors.Join(t.Prune(context.Background(), time.Now()), t.Close()); err != nil {
				b.Error(err)
			}
		}()
		best(b, func(i int) error { return t.Append(&records[i%len(records)]) })
	})
}

// stretch is long enough for the spool to be flushed in each, and short enough for some to be left alone by what else the machine has to do.
const stretch = 400

// best does something in stretches.
func best(b *testing.B, do func(i int) error) {
	b.ReportAllocs()
	best, i := time.Duration(math.MaxInt64), 0
	for b.Loop() {
		begin := processorTime()
		for range stretch {
			if err := do(i); err != nil {
				b.Fatal(err)
			}
			i++
		}
		best = min(best, processorTime()-begin)
	}
	b.ReportMetric(float64(best.Nanoseconds())/1000/stretch, "µs/best")
}

func processorTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// kmsRecords are records of calls of n keys by a tenth as many users.
func kmsRecords(n int) []Record {
	records := make([]Record, n)
	for i := range records {
		const account = "111122223333"
		user, arn := fmt.Sprintf("user%d", i%(n/10)), fmt.Sprintf("arn:aws:kms:us-east-1:%s:key/8f0e0000-0000-4000-8000-%012d", account, i)
		records[i] = Record{
			Time: time.Date(2026, 6, 1, 0, 0, 0, 77_000_000*i, time.UTC), Source: "kms.amazonaws.com", Name: "Encrypt", Region: "us-east-1", SourceIP: "10.0.0.17",
			Identity: fmt.Appendf(nil, `{"type":"IAMUser","principalId":"AIDAEXAMPLE%[1]09d","arn":"arn:aws:iam::%[2]s:user/%[3]s","accountId":"%[2]s","accessKeyId":"AKIAEXAMPLE%[1]09d","userName":"%[3]s"}`,
				i%(n/10), account, user),
			UserAgent:         "aws-sdk-go-v2/1.48.0 ua/2.1 os/linux lang/go#1.26.8 md/GOOS#linux md/GOARCH#amd64 api/kms#1.62.6 m/E,e",
			RequestParameters: fmt.Appendf(nil, `{"keyId":%q,"encryptionAlgorithm":"SYMMETRIC_DEFAULT"}`, arn),
			RequestID:         fmt.Sprintf("0d5b3c1e-0000-4000-8000-%012d", i), EventID: fmt.Sprintf("7c1f9a2b-0000-4000-8000-%012d", i),
			ReadOnly: true, Resources: []Resource{{Account: account, Type: "AWS::KMS::Key", ARN: arn}}, Type: APICall, Management: true, Recipient: account,
			Trace: fmt.Appendf(nil, `{"asked":[{"action":"kms:Encrypt","resource":%q,"outcome":"allowed","by":"identity","set":"c0ffee00c0ffee00c0ffee00","statement":1}]}`, arn),
		}
	}
	return records
}
