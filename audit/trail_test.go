package audit_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/memstore"
)

var epoch = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

func record(id string) *audit.Record {
	return &audit.Record{
		Time: epoch, Identity: []byte(`{"type":"Root"}`), Source: "kms.amazonaws.com", Name: "Encrypt", Region: "us-east-1", EventID: id,
		Type: audit.APICall, Management: true, Recipient: "111122223333", ReadOnly: true,
	}
}

// at is a record of a time, in seconds after epoch, for an account.
func at(second int, account string) *audit.Record {
	r := record(fmt.Sprintf("%s@%d", account, second))
	r.Time, r.Recipient = epoch.Add(time.Duration(second)*time.Second), account
	return r
}

func TestRecordIsCloudTrails(t *testing.T) {
	hostile := "quote\" back\\slash \n\r\t\x00\x1f \xff\xfe </script> \u2028 ü"
	r := &audit.Record{
		Time: epoch.Add(123 * time.Millisecond), Identity: []byte(`{"type":"IAMUser"}`), Source: "kms.amazonaws.com", Name: hostile, Region: hostile,
		SourceIP: hostile, UserAgent: hostile, ErrorCode: "AccessDenied", ErrorMessage: hostile,
		RequestParameters: []byte(`{"keyId":"x"}`), ServiceDetails: []byte(`{"a":1}`), RequestID: hostile, EventID: hostile, SharedEventID: hostile,
		Resources: []audit.Resource{{Account: "1", Type: "AWS::KMS::Key", ARN: hostile}, {ARN: "b"}}, Type: audit.APICall, Recipient: hostile,
		TLS:            &audit.TLS{Version: "TLSv1.3", Cipher: "TLS_AES_128_GCM_SHA256", Host: hostile},
		AdditionalData: []byte(`{"b":2}`), VPCEndpoint: hostile, VPCEndpointAccount: "1",
	}
	var got map[string]any
	if err := json.Unmarshal(r.AppendJSON(nil), &got); err != nil {
		t.Fatalf("the record is not JSON: %v", err)
	}
	text := strings.ToValidUTF8(hostile, "\ufffd\ufffd")
	want := map[string]any{
		"eventVersion": "1.11", "userIdentity": map[string]any{"type": "IAMUser"}, "eventTime": "2026-11-26T12:00:00Z", "eventSource": "kms.amazonaws.com",
		"eventName": text, "awsRegion": text, "sourceIPAddress": text, "userAgent": text, "errorCode": "AccessDenied", "errorMessage": text,
		"requestParameters": map[string]any{"keyId": "x"}, "responseElements": nil, "serviceEventDetails": map[string]any{"a": 1.0},
		"requestID": text, "eventID": text, "sharedEventID": text, "readOnly": false,
		"resources": []any{map[string]any{"accountId": "1", "type": "AWS::KMS::Key", "ARN": text}, map[string]any{"accountId": "", "ARN": "b"}},
		"eventType": "AwsApiCall", "managementEvent": false, "recipientAccountId": text, "eventCategory": "Data",
		"tlsDetails":          map[string]any{"tlsVersion": "TLSv1.3", "cipherSuite": "TLS_AES_128_GCM_SHA256", "clientProvidedHostHeader": text},
		"additionalEventData": map[string]any{"b": 2.0}, "vpcEndpointId": text, "vpcEndpointAccountId": "1",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("record (-want +got):\n%s", d)
	}
}

func TestRecordIsNeverTooLargeToKeep(t *testing.T) {
	huge := strings.Repeat("ü\x01", 1<<20)
	r := record("x")
	r.UserAgent, r.ErrorCode, r.ErrorMessage = huge, "X", huge
	r.TLS = &audit.TLS{Host: huge}
	r.RequestParameters, r.ResponseElements = []byte(`"`+huge+`"`), []byte(`"`+huge+`"`)
	b := r.AppendJSON(nil)
	if len(b) > 64<<10 || !json.Valid(b) {
		t.Errorf("a record of %d bytes, valid %v", len(b), json.Valid(b))
	}
}

func ids(t *testing.T, trail *audit.Trail, f audit.Filter) (ids []string) {
	t.Helper()
	events, err := trail.Events(t.Context(), f)
	if err != nil {
		t.Fatalf("Events(%+v): %v", f, err)
	}
	for _, e := range events {
		var got struct{ EventID string }
		if err := json.Unmarshal(e, &got); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, got.EventID)
	}
	return ids
}

func TestEvents(t *testing.T) {
	for name, dir := range map[string]string{"Memory": "", "Disk": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			s := memstore.New()
			trail, err := audit.Open(audit.Config{Store: s, Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			defer trail.Close()
			commit := func(r *audit.Record) {
				if err := s.Update(t.Context(), func(tx store.Tx) error { trail.Commit(tx, r); return nil }); err != nil {
					t.Fatal(err)
				}
			}
			for i := range 4 { // changes on even seconds, reads on odd ones
				commit(at(2*i, "A"))
				if err := trail.Append(at(2*i+1, "A"), at(2*i+1, "B")); err != nil {
					t.Fatal(err)
				}
			}
			if err := trail.Append(); err != nil {
				t.Errorf("Append of nothing: %v", err)
			}
			sec := func(n int) time.Time { return epoch.Add(time.Duration(n) * time.Second) }
			for _, tt := range []struct {
				name string
				f    audit.Filter
				want string
			}{
				{"All", audit.Filter{}, "A@0 A@1 B@1 A@2 A@3 B@3 A@4 A@5 B@5 A@6 A@7 B@7"},
				{"Account", audit.Filter{Account: "B"}, "B@1 B@3 B@5 B@7"},
				{"From", audit.Filter{From: sec(6)}, "A@6 A@7 B@7"},
				{"FromInASecond", audit.Filter{From: sec(6).Add(time.Millisecond)}, "A@6 A@7 B@7"},
				{"To", audit.Filter{To: sec(2)}, "A@0 A@1 B@1"},
				{"Between", audit.Filter{From: sec(2), To: sec(4), Account: "A"}, "A@2 A@3"},
				{"Newest", audit.Filter{Limit: 3}, "A@6 A@7 B@7"},
				{"NewestOfAccount", audit.Filter{Limit: 2, Account: "B"}, "B@5 B@7"},
				{"Nothing", audit.Filter{From: sec(100)}, ""},
			} {
				if got := strings.Join(ids(t, trail, tt.f), " "); got != tt.want {
					t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
				}
			}
			if err := trail.Prune(t.Context(), sec(4)); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(ids(t, trail, audit.Filter{Account: "A"}), " "); got != "A@4 A@5 A@6 A@7" {
				t.Errorf("after Prune: %s", got)
			}
		})
	}
}

func TestRetentionEndsWithItsContext(t *testing.T) {
	s := memstore.New()
	trail, err := audit.Open(audit.Config{Store: s})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Update(t.Context(), func(tx store.Tx) error { trail.Commit(tx, at(0, "A")); return nil }); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var pruned = make(chan struct{}, 1)
	s.OnCommit(nil, func([][]byte) { pruned <- struct{}{} })
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		trail.RunRetention(ctx, clock.NewFrozen(epoch.Add(2*time.Hour)), time.Hour, func(err error) { t.Errorf("RunRetention: %v", err) })
		close(done)
	}()
	<-pruned
	cancel()
	<-done
	if got := ids(t, trail, audit.Filter{}); got != nil {
		t.Errorf("after retention: %v", got)
	}
}

func TestDamageIsReportedBesideWhatIsWhole(t *testing.T) {
	dir := t.TempDir()
	open := func() *audit.Trail {
		trail, err := audit.Open(audit.Config{Store: memstore.New(), Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		return trail
	}
	trail := open()
	if err := trail.Append(at(0, "A"), at(1, "A")); err != nil {
		t.Fatal(err)
	}
	trail.Close()
	found, _ := filepath.Glob(filepath.Join(dir, "*.log"))
	b, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	b[20] ^= 1
	if err := os.WriteFile(found[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	trail = open()
	defer trail.Close()
	if err := trail.Append(at(2, "A")); err != nil {
		t.Fatal(err)
	}
	events, err := trail.Events(t.Context(), audit.Filter{})
	if !errors.Is(err, audit.ErrAltered) || len(events) != 1 {
		t.Errorf("Events: %d events, %v, want one and ErrAltered", len(events), err)
	}
}

// A directory that becomes a file is a disk that takes nothing.
func TestUnrecorded(t *testing.T) {
	for _, keepOn := range []bool{false, true} {
		t.Run(fmt.Sprintf("KeepOn=%v", keepOn), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "audit")
			var told error
			trail, err := audit.Open(audit.Config{Store: memstore.New(), Dir: dir, KeepOn: keepOn, Failed: func(err error) { told = err }})
			if err != nil {
				t.Fatal(err)
			}
			defer trail.Close()
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			err = trail.Append(record("x"))
			if keepOn && (err != nil || told == nil) || !keepOn && !errors.Is(err, audit.ErrUnrecorded) {
				t.Errorf("Append: %v, told %v", err, told)
			}
			if trail.Failure() == nil {
				t.Error("Failure() = nil")
			}
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := trail.Append(record("x")); err != nil || trail.Failure() != nil {
				t.Errorf("Append when the disk is back: %v, Failure() = %v", err, trail.Failure())
			}
		})
	}
}

// tight is a store on a disk with so many free bytes.
type tight struct {
	store.Store
	free atomic.Uint64
}

func (s *tight) Metrics() store.Metrics {
	return store.Metrics{DiskFree: s.free.Load(), DiskSpare: 64 << 20}
}

func TestTrailLeavesTheStoreItsReserve(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files cannot be mapped here")
	}
	s := &tight{Store: memstore.New()}
	s.free.Store(1 << 20)
	trail, err := audit.Open(audit.Config{Store: s, Dir: t.TempDir(), Sync: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer trail.Close()
	n := 0
	for ; ; n++ {
		if err = trail.Append(at(n, "111122223333")); err != nil {
			break
		}
		if n > 10_000 {
			t.Fatal("a nearly full disk takes records without end")
		}
	}
	if !errors.Is(err, audit.ErrUnrecorded) || !errors.Is(err, store.ErrFull) {
		t.Errorf("Append to a nearly full disk = %v", err)
	}
	if err := trail.Failure(); !errors.Is(err, store.ErrFull) {
		t.Errorf("Failure = %v", err)
	}
	s.free.Store(1 << 30)
	if err := trail.Failure(); err != nil {
		t.Errorf("Failure when there is space again = %v", err)
	}
	if got, err := trail.Events(t.Context(), audit.Filter{}); len(got) != n || err != nil {
		t.Errorf("%d records, %v, want the %d that were taken", len(got), err, n)
	}
}
