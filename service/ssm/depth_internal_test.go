package ssm

import (
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	kmsapi "github.com/holdfast-cloud/holdfast/api/kms"
	secretsapi "github.com/holdfast-cloud/holdfast/api/secretsmanager"
	"github.com/holdfast-cloud/holdfast/api/ssm"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/pebblestore"
)

// depth is a store on disk with many parameters in one account and region, and the service over it.
type depth struct {
	*Service
	store store.Store
	scope call.Scope
}

func newDepth(b *testing.B) *depth {
	b.Helper()
	st, err := pebblestore.Open(pebblestore.Options{Dir: b.TempDir(), Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { st.Close() })
	root, err := seal.NewKey(make([]byte, 32))
	if err != nil {
		b.Fatal(err)
	}
	keyring, err := seal.Open(b.Context(), seal.Config{Provider: root, Storage: new(seal.Memory), Clock: new(clock.Real)})
	if err != nil {
		b.Fatal(err)
	}
	s, err := New(Config{Store: st, Seal: keyring, Principals: identity.New(st, keyring, "aws"), Partition: "aws", KMS: kmsapi.Client{}, Secrets: secretsapi.Client{}})
	if err != nil {
		b.Fatal(err)
	}
	return &depth{s, st, call.Scope{Partition: "aws", Account: "111122223333", Region: "us-east-1"}}
}

// fill puts parameters, a hundred in a hierarchy, as PutParameter leaves them.
func (d *depth) fill(b *testing.B, from, to int) {
	b.Helper()
	const atOnce = 5000
	for first := from; first < to; first += atOnce {
		err := d.store.Update(b.Context(), func(tx store.Tx) error {
			for n := first; n < min(first+atOnce, to); n++ {
				at := depthName(n)
				v := version{Version: 1, Type: "String", Tier: standard, DataType: textType, Modified: time.Unix(0, 0), By: "arn:aws:iam::111122223333:root"}
				var err error
				if v.Value, err = d.box.Wrap(sealedAt(at.in(d.scope), &v), []byte("value")); err != nil {
					return err
				}
				if err := parameterTable.In(d.scope.Account, d.scope.Region).Put(tx, &parameterRecord{Dir: at.dir, Leaf: at.leaf, Name: at.String(), Current: v, Oldest: 1}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// depthName is the name of the nth parameter.
func depthName(n int) name {
	return splitName(fmt.Sprintf("/depth/%d/%d/%d", n/10_000, n/100, n%100))
}

// page reads a page of a hierarchy as its handler does, in a transaction of its own, and returns how long that took.
func (d *depth) page(b *testing.B, path string, recursive bool) time.Duration {
	begin := time.Now()
	c := &call.Call{Context: b.Context(), Op: ssm.OpGetParametersByPath, Scope: d.scope, Caller: identity.Root("aws", d.scope.Account, "AKIAEXAMPLE"), Time: time.Unix(0, 0), Rand: rand.Reader}
	c.Bind("ssm", nil, func() (store.Tx, error) { return d.store.Begin(b.Context()) })
	out, err := d.GetParametersByPath(c, &ssm.GetParametersByPathRequest{Path: &path, Recursive: &recursive})
	c.Tx().Discard()
	took := time.Since(begin)
	if err != nil || len(out.Parameters) != pathLimit {
		b.Fatalf("%s: %v, %v", path, out, err)
	}
	return took
}

// BenchmarkByPath measures a page of a hierarchy among 1,000 parameters of one account and region and among as many as HOLDFAST_PARAMETERS says, a million without it.
func BenchmarkByPath(b *testing.B) {
	most := 1_000_000
	if v := os.Getenv("HOLDFAST_PARAMETERS"); v != "" {
		var err error
		if most, err = strconv.Atoi(v); err != nil {
			b.Fatal(err)
		}
	}
	d := newDepth(b)
	made := 0
	for _, n := range []int{1000, most} {
		d.fill(b, made, n)
		made = n
		for _, recursive := range []bool{false, true} {
			b.Run(fmt.Sprintf("%d/recursive=%t", n, recursive), func(b *testing.B) {
				var took []time.Duration
				for i := range b.N {
					at := depthName(i * 7919 % n / 100 * 100).dir
					if recursive {
						at = splitName(at).dir
					}
					took = append(took, d.page(b, at, recursive))
				}
				slices.Sort(took)
				b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
				b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
			})
		}
	}
}
