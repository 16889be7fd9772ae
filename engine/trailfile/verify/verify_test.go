package verify_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/engine/trailfile/verify"
)

func check(t *testing.T, f *forge, o verify.Options) *verify.Report {
	t.Helper()
	if o.Keys == nil {
		o.Keys = f.keys()
	}
	r, err := verify.Verify(t.Context(), verify.Tree{FS: f.tree}, o)
	if err != nil {
		t.Fatalf("Verify: %v", err)
	}
	return r
}

// told are the findings, in short, with the names of files as the forge numbers them.
func told(f *forge, r *verify.Report) []string {
	var out []string
	for _, x := range r.Findings {
		name := x.Key
		if i := slices.Index(f.logs, x.Key); i >= 0 {
			name = fmt.Sprintf("log%d", i)
		} else if i := slices.Index(f.digests, x.Key); i >= 0 {
			name = fmt.Sprintf("digest%d", i)
		}
		line := string(x.Kind) + " " + x.What
		if x.Record > 0 {
			line += fmt.Sprintf(" %d", x.Record)
		}
		if x.EventID != "" {
			line += " " + x.EventID
		}
		out = append(out, line+" "+name)
	}
	return out
}

// ordinary is a chain of four digests: log files 0 and 1, 2, none, and 3 to 5.
func ordinary(t *testing.T) *forge {
	f := newForge(t)
	f.hour(4, 3)
	f.hour(5)
	f.hour()
	f.hour(1, 2, 3)
	return f
}

func TestValid(t *testing.T) {
	f := ordinary(t)
	r := check(t, f, verify.Options{})
	if !r.Valid() || len(r.Notes) > 0 {
		t.Errorf("findings %v, notes %q", told(f, r), r.Notes)
	}
	want := []verify.ChainReport{{
		Chain: verify.Chain{Account: "111122223333", Region: "eu-west-1", Trail: "all_of-it", Home: "us-east-1"},
		From:  begin, To: begin.Add(4 * time.Hour), ValidDigests: 4, Digests: 4, ValidLogs: 6, Logs: 6, Records: 18,
	}}
	if d := cmp.Diff(want, r.Chains); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	var text strings.Builder
	if err := r.WriteText(&text); err != nil || !strings.Contains(text.String(), "4 of 4 digests valid, 6 of 6 log files valid with 18 records") || !strings.Contains(text.String(), "\nVALID") {
		t.Errorf("%v\n%s", err, &text)
	}
}

// A digest's signature is in the digest behind it, so that only the newest needs it beside it.
func TestSignatures(t *testing.T) {
	f := ordinary(t)
	for _, name := range f.digests[:3] {
		delete(f.tree, name+verify.Metadata)
	}
	if r := check(t, f, verify.Options{}); !r.Valid() {
		t.Errorf("with the newest alone: %v", told(f, r))
	}
	delete(f.tree, f.digests[3]+verify.Metadata)
	r := check(t, f, verify.Options{})
	if d := cmp.Diff([]string{"unproven digest digest3"}, told(f, r)); d != "" {
		t.Errorf("with none (-want +got):\n%s", d)
	}
	if r.Chains[0].ValidDigests != 3 {
		t.Errorf("with none, %d digests are valid, want 3: the signatures in the digests behind them prove them", r.Chains[0].ValidDigests)
	}
}

func TestTampering(t *testing.T) {
	type tamper func(f *forge)
	for _, tc := range []struct {
		name   string
		tamper tamper
		want   []string
	}{
		{"ARecordIsChanged", func(f *forge) {
			f.edit(f.logs[0], `"eventName":"Decrypt","eventID":"event-2"`, `"eventName":"Encrypt","eventID":"event-2"`)
		},
			[]string{"changed log file log0", "changed record 2 event-2 log0"}},
		{"ARecordIsRemoved", func(f *forge) {
			records := strings.SplitAfter(f.content(f.logs[2]), `"}},`)
			f.put(f.logs[2], strings.Join(slices.Delete(records, 2, 3), ""))
		}, []string{"changed log file log2", "removed record 3 log2"}},
		{"TheLastRecordIsRemoved", func(f *forge) {
			content := f.content(f.logs[2])
			f.put(f.logs[2], content[:strings.LastIndex(content, `,{"eventVersion"`)]+"]}")
		}, []string{"changed log file log2", "removed record 5 log2"}},
		{"ARecordIsAdded", func(f *forge) { f.edit(f.logs[1], `"}},`, `"}},{"eventID":"made-up"},`) },
			[]string{"changed log file log1", "added record 2 made-up log1"}},
		{"RecordsAreSwapped", func(f *forge) {
			records := strings.SplitAfter(f.content(f.logs[2]), `"}},`)
			records[1], records[2] = records[2], records[1]
			f.put(f.logs[2], strings.Join(records, ""))
		}, []string{"changed log file log2", "moved record 3 event-9 log2"}},
		{"SpaceIsAdded", func(f *forge) { f.edit(f.logs[0], `"}},`, `"}}, `) }, []string{"changed log file log0"}},
		{"ALogFileIsRemoved", func(f *forge) { delete(f.tree, f.logs[4]) }, []string{"removed log file log4"}},
		{"ALogFileIsAdded", func(f *forge) {
			f.logs = append(f.logs, strings.Replace(f.logs[4], "_unique4", "_another", 1))
			f.put(f.logs[6], `{"Records":[]}`)
		}, []string{"added log file log6"}},
		{"AFileOfAnotherNameIsAdded", func(f *forge) { f.put("AWSLogs/111122223333/CloudTrail/eu-west-1/2026/11/26/x.json.gz", "") },
			[]string{"added log file AWSLogs/111122223333/CloudTrail/eu-west-1/2026/11/26/x.json.gz"}},
		{"LogFilesAreSwapped", func(f *forge) { f.swap(f.logs[1], f.logs[5]) }, []string{"moved log file log5", "moved log file log1"}},
		{"ALogFileIsRenamed", func(f *forge) {
			name := strings.Replace(f.logs[4], "_unique4", "_another", 1)
			f.tree[name] = f.tree[f.logs[4]]
			delete(f.tree, f.logs[4])
			f.logs = append(f.logs, name)
		}, []string{"removed log file log4", "moved log file log6"}},
		{"ALogFileIsCompressedAgain", func(f *forge) { f.put(f.logs[4], f.content(f.logs[4])) }, nil},
		{"ALogFileIsNotCompressed", func(f *forge) { f.tree[f.logs[4]].Data = []byte(f.content(f.logs[4])) },
			[]string{"changed log file log4", "removed record 1 log4", "removed record 2 log4"}},
		{"ALogFileIsCutOff", func(f *forge) { f.tree[f.logs[4]].Data = f.tree[f.logs[4]].Data[:20] },
			[]string{"changed log file log4", "removed record 1 log4", "removed record 2 log4"}},
		// Python's zlib, and so the AWS CLI, stops at the end of the first of several members; gunzip reads all.
		{"AMemberOfGzipIsAdded", func(f *forge) { f.tree[f.logs[4]].Data = append(f.tree[f.logs[4]].Data, zipped(`{"Records":[{}]}`)...) },
			[]string{"changed log file log4"}},
		{"ADigestIsChanged", func(f *forge) { f.edit(f.digests[1], "unique2", "unique9") }, []string{"changed digest digest1"}},
		{"TheNewestDigestIsChanged", func(f *forge) { f.edit(f.digests[3], "unique5", "unique9") }, []string{"changed digest digest3"}},
		{"ADigestIsSignedByAnother", func(f *forge) {
			g := newForge(f.t)
			g.key = newKey()
			g.hour(4, 3)
			f.tree[f.digests[0]], f.tree[f.digests[0]+verify.Metadata] = g.tree[g.digests[0]], g.tree[g.digests[0]+verify.Metadata]
		}, []string{"changed digest digest0"}},
		{"ASignatureIsChanged", func(f *forge) {
			f.tree[f.digests[1]+verify.Metadata].Data = []byte(`{"signature":"00"}`)
		}, []string{"changed digest digest1"}},
		{"ADigestIsRemoved", func(f *forge) { delete(f.tree, f.digests[1]) }, []string{"removed digest digest1"}},
		{"TheOldestDigestIsRemoved", func(f *forge) { delete(f.tree, f.digests[0]) }, []string{"removed digest digest0"}},
		{"ADigestIsAdded", func(f *forge) {
			f.digests = append(f.digests, strings.Replace(f.digests[1], "T110000Z", "T103000Z", 1))
			f.put(f.digests[4], f.content(f.digests[1]))
		}, []string{"added digest digest4"}},
		{"DigestsAreSwapped", func(f *forge) { f.swap(f.digests[1], f.digests[2]) }, []string{"moved digest digest2", "moved digest digest1"}},
		{"DigestsAreSwappedWithTheirSignatures", func(f *forge) {
			f.swap(f.digests[1], f.digests[2])
			f.swap(f.digests[1]+verify.Metadata, f.digests[2]+verify.Metadata)
		}, []string{"moved digest digest2", "moved digest digest1"}},
		{"ADigestIsNoJSON", func(f *forge) { f.put(f.digests[2], "[") }, []string{"changed digest digest2"}},
		{"AFileIsAddedToTheDigests", func(f *forge) { f.put("AWSLogs/111122223333/CloudTrail-Digest/eu-west-1/2026/11/26/x.json.gz", "") },
			[]string{"added digest AWSLogs/111122223333/CloudTrail-Digest/eu-west-1/2026/11/26/x.json.gz"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := ordinary(t)
			tc.tamper(f)
			r := check(t, f, verify.Options{})
			if d := cmp.Diff(tc.want, told(f, r)); d != "" {
				t.Errorf("findings (-want +got):\n%s%+v", d, r)
			}
			if r.Valid() != (tc.want == nil) {
				t.Errorf("Valid is %v", r.Valid())
			}
		})
	}
}

// Without hashes of records, as AWS's own digests are, events' IDs and times may still tell.
func TestDigestsOfAWS(t *testing.T) {
	f := newForge(t)
	f.plain = true
	f.hour(4)
	if r := check(t, f, verify.Options{}); !r.Valid() {
		t.Errorf("untouched: %v", told(f, r))
	}
	f.edit(f.logs[0], `"event-2"`, `"event-1"`)
	f.edit(f.logs[0], `"eventTime":"2026-11-26T09:03:00Z"`, `"eventTime":"2026-11-26T19:03:00Z"`)
	want := []string{"changed log file log0", "changed record 2 event-1 log0", "changed record 4 event-4 log0"}
	if d := cmp.Diff(want, told(f, check(t, f, verify.Options{}))); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestTimes(t *testing.T) {
	f := ordinary(t)
	delete(f.tree, f.digests[0])
	for _, tc := range []struct {
		name       string
		start, end time.Duration
		want       []string
		digests    int
	}{
		{"AfterWhatIsMissing", time.Hour, 0, nil, 3},
		{"FromWithin", 90 * time.Minute, 150 * time.Minute, nil, 2},
		{"BeforeWhatIsMissing", 59 * time.Minute, 0, []string{"removed digest digest0"}, 3},
		{"UntilTheEnd", time.Hour, 4 * time.Hour, nil, 3},
		{"UntilLater", time.Hour, 4*time.Hour + time.Second, []string{"removed digest digest3"}, 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := verify.Options{Start: begin.Add(tc.start)}
			if tc.end > 0 {
				o.End = begin.Add(tc.end)
			}
			r := check(t, f, o)
			if d := cmp.Diff(tc.want, told(f, r)); d != "" || r.Chains[0].ValidDigests != tc.digests {
				t.Errorf("%d valid digests, want %d; findings (-want +got):\n%s", r.Chains[0].ValidDigests, tc.digests, d)
			}
		})
	}
}

// Logging was off for a time: the chain begins anew, and what was delivered meanwhile cannot be checked.
func TestTheChainBeginsAnew(t *testing.T) {
	f := newForge(t)
	f.hour(2)
	f.last, f.at = nil, f.at.Add(3*time.Hour)
	f.put(f.place("CloudTrail")+"20261126T1130Z_off.json.gz", `{"Records":[]}`)
	f.hour(3)
	f.put(f.place("CloudTrail")+f.at.Format("20060102T1504Z")+"_new.json.gz", `{"Records":[]}`)
	r := check(t, f, verify.Options{})
	if !r.Valid() || len(r.Notes) != 2 || !strings.Contains(r.Notes[0], "was off from 2026-11-26T10:00:00Z to 2026-11-26T13:00:00Z") ||
		!strings.Contains(r.Notes[1], "2 log files from 2026-11-26T11:30:00Z to 2026-11-26T14:00:00Z") {
		t.Errorf("findings %v, notes %q", told(f, r), r.Notes)
	}
}

// Several chains are in a bucket, and each is checked by itself.
func TestChains(t *testing.T) {
	f := ordinary(t)
	first := f.digests
	f.last, f.at, f.region, f.prefix, f.digests = nil, begin, "us-east-1", "logs/", nil
	f.hour(1)
	f.last, f.at, f.account, f.trail = nil, begin, "444455556666", "other"
	f.hour(2)
	delete(f.tree, first[1])
	r := check(t, f, verify.Options{})
	if len(r.Chains) != 3 || len(r.Findings) != 1 {
		t.Errorf("chains %+v, findings %v", r.Chains, told(f, r))
	}
	if r := check(t, f, verify.Options{Region: "us-east-1"}); len(r.Chains) != 2 || !r.Valid() {
		t.Errorf("of a region: chains %+v, findings %v", r.Chains, told(f, r))
	}
	if r := check(t, f, verify.Options{Trail: "other", Account: "444455556666"}); len(r.Chains) != 1 || !r.Valid() {
		t.Errorf("of a trail: chains %+v, findings %v", r.Chains, told(f, r))
	}
	f.last, f.at, f.trail = nil, begin, "same place"
	f.hour(1)
	if r := check(t, f, verify.Options{Trail: "other"}); len(r.Chains) != 1 || !r.Valid() || len(r.Notes) != 1 {
		t.Errorf("of a trail beside another: chains %+v, findings %v, notes %q", r.Chains, told(f, r), r.Notes)
	}
	if r := check(t, f, verify.Options{Trail: "nothing"}); r.Valid() {
		t.Error("nothing is valid")
	}
}

func TestKeys(t *testing.T) {
	f := ordinary(t)
	late, err := verify.ReadPublicKeys(strings.NewReader(strings.ReplaceAll(f.keysJSON(), "2026-11-01T", "2026-12-01T")))
	if err != nil {
		t.Fatal(err)
	}
	other := f.keys()
	other["ccdd"] = other["aabb"]
	delete(other, "aabb")
	for name, keys := range map[string]verify.PublicKeys{"Outdated": late, "NotFound": other} {
		r := check(t, f, verify.Options{Keys: keys})
		if d := cmp.Diff([]string{"unproven digest digest3", "unproven digest digest2", "unproven digest digest1", "unproven digest digest0"}, told(f, r)); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
	for _, bad := range []string{"", "{}", "[", `{"PublicKeyList":[{"Value":"?"}]}`, `{"PublicKeyList":[{"Value":"AAAA"}]}`, `{"PublicKeyList":[{"ValidityEndTime":-1}]}`} {
		if _, err := verify.ReadPublicKeys(strings.NewReader(bad)); err == nil {
			t.Errorf("ReadPublicKeys(%q): no error", bad)
		}
	}
}

// Names are whatever somebody put into the bucket.
func TestTextIsSafeAtATerminal(t *testing.T) {
	r := verify.Report{Findings: []verify.Finding{{Kind: verify.Added, What: verify.LogFile, Key: "a\x1b[2J\nVALID\u202e"}}}
	var text strings.Builder
	if err := r.WriteText(&text); err != nil || strings.ContainsAny(text.String(), "\x1b\u202e") || strings.Contains(text.String(), "\nVALID") {
		t.Errorf("%v, %q", err, &text)
	}
}

// The files are a third implementation's, testdata/golden.py, and the AWS CLI's own validator found them valid.
func TestGolden(t *testing.T) {
	f, err := os.Open("testdata/golden-keys.json")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	keys, err := verify.ReadPublicKeys(f)
	if err != nil {
		t.Fatal(err)
	}
	r, err := verify.Verify(t.Context(), verify.Tree{FS: os.DirFS("testdata/golden")}, verify.Options{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	if !r.Valid() || len(r.Notes) > 0 || r.Chains[0].ValidDigests != 3 || r.Chains[0].ValidLogs != 3 || r.Chains[0].Records != 6 {
		t.Errorf("the report is %+v", r)
	}
}
