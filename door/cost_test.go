//go:build unix

package door

import (
	"context"
	"log/slog"
	"math"
	"net/netip"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/organization"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/memstore"
)

// BenchmarkRecord is what recording adds to an Encrypt: its event ID, its record, and the way of that into the trail's log. It is the processor time of the whole process, and
// µs/best that of the fastest stretch of calls: the machine may be shared.
func BenchmarkRecord(b *testing.B) {
	const account, region = "111122223333", "us-east-1"
	s := memstore.New()
	defer s.Close()
	trail, err := audit.Open(audit.Config{Store: s, Dir: filepath.Join(b.TempDir(), "audit"), Sync: 100 * time.Millisecond})
	if err != nil {
		b.Fatal(err)
	}
	defer trail.Close()
	room := Room{Service: kms.Service, Endpoints: kms.Endpoints(kms.Unimplemented{})}
	d, err := New(Config{
		Store: s, Clock: new(clock.Real), Trail: trail, Directory: identity.New(s, seal.Ephemeral(), "aws"), Organizations: organization.New(s, "aws"), Log: slog.New(slog.DiscardHandler),
		Partition: "aws", Account: account, Region: region,
	}, room)
	if err != nil {
		b.Fatal(err)
	}
	rt := &route{endpoint: &call.Endpoint{Op: kms.OpEncrypt}}
	caller := identity.Root("aws", account, "AKIAEXAMPLE000000001")
	key := audit.Resource{Account: account, Type: "AWS::KMS::Key", ARN: "arn:aws:kms:" + region + ":" + account + ":key/1234abcd-12ab-34cd-56ef-1234567890ab"}
	in, out := &kms.EncryptRequest{KeyId: &key.ARN, Plaintext: make([]byte, 32)}, new(kms.EncryptResponse)
	source := call.Source{
		IP: netip.MustParseAddr("10.0.0.17"), UserAgent: "aws-sdk-go-v2/1.48.0 ua/2.1 os/linux lang/go#1.26.8 md/GOOS#linux md/GOARCH#amd64 api/kms#1.62.6 m/E,e",
	}
	scope := call.Scope{Partition: "aws", Account: account, Region: region}
	began := func(eventID string) *call.Call {
		c := &call.Call{
			Context: context.Background(), Op: kms.OpEncrypt, Scope: scope, Caller: caller, Time: time.Unix(1_800_000_000, 77_000_000), Source: source,
			RequestID: "0d5b3c1e-0000-4000-8000-000000000001", EventID: eventID,
		}
		c.Touch(key)
		return c.Bind("kms", nil, func() (store.Tx, error) { return nil, nil })
	}
	best := func(b *testing.B, do func()) {
		const stretch = 400 // the log is written to its file twice in each
		b.ReportAllocs()
		best := time.Duration(math.MaxInt64)
		for b.Loop() {
			begin := processorTime()
			for range stretch {
				do()
			}
			best = min(best, processorTime()-begin)
		}
		b.ReportMetric(float64(best.Nanoseconds())/1000/stretch, "µs/best")
	}
	b.Run("Without", func(b *testing.B) { best(b, func() { began("") }) })
	b.Run("With", func(b *testing.B) {
		best(b, func() {
			if err := d.record(began(newID()), rt, in, out, nil); err != nil {
				b.Fatal(err)
			}
		})
	})
}

func processorTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
