package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/blob"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/store/memstore"
)

// What the generated history is made of: the callers and keys of one account of a larger cloud.
const (
	trailAccounts = 5
	trailUsers    = 2_000
	trailKeys     = 20_000
	trailStep     = 77 * time.Millisecond // between records: a hundred million fill the 90 days of the event history
	rareEvery     = 1_000_000             // one record in so many is a ScheduleKeyDeletion
)

var trailBegin = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)

// trailTable fills an audit trail with a generated history, tells what recording cost, and looks events up at each power of ten. An interrupt ends it with the records that there are.
func trailTable(ctx context.Context, o options) error {
	fmt.Printf("## Trail\n\nGenerated records of KMS calls, appended by two writers; with everything that is done in the background until they are compressed, indexed and archived. " +
		"The floor writes the same bytes to a file, and syncs it.\n\n" +
		"| records | records/s | CPU µs/record | bytes/record on disk | floor, records/s | of the floor |\n| ---: | ---: | ---: | ---: | ---: | ---: |\n")
	dir, err := os.MkdirTemp("", "holdfast-bench-trail-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	h := newHistory()
	inCall, least, err := h.inCall(dir)
	if err != nil {
		return err
	}
	var curve []string
	made := 0
	for n := min(10_000, o.records); ; n = min(n*10, o.records) {
		from := made
		var r grown
		if r, made, err = h.grow(ctx, dir, from, n); err != nil {
			return err
		}
		floor, err := h.floor(dir, min(made-from, rareEvery))
		if err != nil {
			return err
		}
		fmt.Printf("| %d | %.0f | %.2f | %.1f | %.0f | %.2f |\n", made, r.rate, r.cpu, r.bytes, floor, r.rate/floor)
		row, err := h.lookups(dir, made)
		if err != nil {
			return err
		}
		curve = append(curve, row)
		if made == o.records || ctx.Err() != nil {
			break
		}
	}
	fmt.Printf("\nOf the CPU time, a call spends %.2f µs on its record, of which a checksum and one copy take %.2f.\n\n### Lookups\n\nThe first page (50 events) of an account's event history, of a trail that was opened anew, by each attribute; the median of five values where there are so many. "+
		"The bar is a second with 100 million records.\n\n| records | open |%s\n| ---: | ---: |%s\n", inCall, least, headings(), slices.Repeat([]byte(" ---: |"), len(h.queries(0))))
	for _, row := range curve {
		fmt.Println(row)
	}
	fmt.Println()
	return nil
}

// history generates records: the same ones in every run, but for the order in which writers put them.
type history struct {
	identities, parameters [][]byte
	arns                   []string
	keys                   blob.Keys // of the archive
}

func newHistory() *history {
	h := &history{keys: seal.Ephemeral().Box("blob")}
	for i := range trailUsers {
		h.identities = append(h.identities, fmt.Appendf(nil, `{"type":"IAMUser","principalId":"AIDAEXAMPLE%[1]09d","arn":"arn:aws:iam::%[2]s:user/%[3]s","accountId":"%[2]s","accessKeyId":"%[4]s","userName":"%[3]s"}`,
			i, accountOf(i), userName(i), accessKey(i)))
	}
	for i := range trailKeys {
		arn := keyARN(i)
		h.arns = append(h.arns, arn)
		h.parameters = append(h.parameters, fmt.Appendf(nil, `{"keyId":%q,"encryptionAlgorithm":"SYMMETRIC_DEFAULT"}`, arn))
	}
	return h
}

func accountOf(user int) string { return fmt.Sprintf("%012d", 111122223330+user%trailAccounts) }
func userName(i int) string     { return "user" + strconv.Itoa(i) }
func accessKey(i int) string    { return fmt.Sprintf("AKIAEXAMPLE%09d", i) }
func keyARN(i int) string {
	return fmt.Sprintf("arn:aws:kms:us-east-1:%s:key/8f0e0000-0000-4000-8000-%012d", accountOf(i), i)
}
func id(n, kind uint64) string  { return uuidOf(mix(n*2+kind), mix(^(n*2 + kind))) }
func trailTime(n int) time.Time { return trailBegin.Add(time.Duration(n) * trailStep) }

// mix is SplitMix64's (Steele, Lea and Flood, 2014): numbers that look random, by their place in the sequence.
func mix(x uint64) uint64 {
	x = (x + 1) * 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func uuidOf(a, b uint64) string {
	var raw [16]byte
	binary.BigEndian.PutUint64(raw[:], a)
	binary.BigEndian.PutUint64(raw[8:], b)
	raw[6], raw[8] = raw[6]&0x0f|0x40, raw[8]&0x3f|0x80
	var s [36]byte
	hex.Encode(s[:8], raw[:4])
	hex.Encode(s[9:13], raw[4:6])
	hex.Encode(s[14:18], raw[6:8])
	hex.Encode(s[19:23], raw[8:10])
	hex.Encode(s[24:], raw[10:])
	s[8], s[13], s[18], s[23] = '-', '-', '-', '-'
	return string(s[:])
}

var (
	trailNames = []string{"Encrypt", "Decrypt", "Decrypt", "Decrypt", "GenerateDataKey", "DescribeKey", "Sign", "Verify"}
	trailTrace = []byte(`{"asked":[{"action":"kms:Encrypt","resource":"arn:aws:kms:us-east-1:000000000000:key/8f0e","outcome":"allowed","by":"identity","set":"c0ffee00c0ffee00c0ffee00","statement":1}]}`)
)

// put makes r record n of the history.
func (h *history) put(r *audit.Record, n int) {
	who, key := int(mix(uint64(n))%trailUsers), int(mix(uint64(n)+1)%trailKeys)
	key -= key%trailAccounts - who%trailAccounts // of the caller's account
	r.Time, r.EventID, r.RequestID = trailTime(n), id(uint64(n), 0), id(uint64(n), 1)
	r.Identity, r.RequestParameters = h.identities[who], h.parameters[key]
	r.Source, r.Name, r.ReadOnly = "kms.amazonaws.com", trailNames[n%len(trailNames)], true
	if n%rareEvery == rareEvery/2 {
		r.Name, r.ReadOnly = "ScheduleKeyDeletion", false
	}
	r.Region, r.SourceIP = "us-east-1", "10.0.0.17"
	r.UserAgent = "aws-sdk-go-v2/1.48.0 ua/2.1 os/linux lang/go#1.26.8 md/GOOS#linux md/GOARCH#amd64 api/kms#1.62.6 m/E,e"
	r.Type, r.Management, r.Recipient, r.Trace = audit.APICall, true, accountOf(who), trailTrace
	r.Resources = append(r.Resources[:0], audit.Resource{Account: r.Recipient, Type: "AWS::KMS::Key", ARN: h.arns[key]})
}

// open opens the trail with its archive, as a cloud does.
func (h *history) open(dir string) (*audit.Trail, error) {
	files, err := blob.OpenFiles(filepath.Join(dir, "blob"))
	if err != nil {
		return nil, err
	}
	return audit.Open(audit.Config{
		Store: memstore.New(), Dir: filepath.Join(dir, "audit"), Archive: blob.Seal(files, h.keys), Sync: 100 * time.Millisecond,
	})
}

// grown is what making records cost.
type grown struct{ rate, cpu, bytes float64 }

// chunk is how many records are made before what is left of them is compressed and shipped, so that they never lie on the disk as they are for long.
const chunk = 5_000_000

// grow makes the records from one number to another, or as many of them as there is time for, and tells up to which.
func (h *history) grow(ctx context.Context, dir string, from, to int) (g grown, made int, err error) {
	cpu, begin := processCPU(), time.Now()
	for made = from; made < to && (made == from || ctx.Err() == nil); {
		next := min(made+chunk, to)
		if err := h.add(dir, made, next); err != nil {
			return g, made, err
		}
		made = next
	}
	n := float64(made - from)
	g.rate = n / time.Since(begin).Seconds()
	g.cpu = float64((processCPU() - cpu).Microseconds()) / n
	size, err := treeSize(dir)
	g.bytes = float64(size) / float64(made)
	return g, made, err
}

// add makes records, and sees all of them into the archive.
func (h *history) add(dir string, from, to int) error {
	t, err := h.open(dir)
	if err != nil {
		return err
	}
	ctx := context.Background()
	run, stop := context.WithCancel(ctx)
	defer stop()
	var running sync.WaitGroup
	running.Go(func() { t.Run(run) }) // ships what is full
	const writers = 2
	errs := make([]error, writers)
	var wait sync.WaitGroup
	for w := range writers {
		wait.Go(func() {
			var r audit.Record
			for n := from + w; n < to && errs[w] == nil; n += writers {
				h.put(&r, n)
				errs[w] = t.Append(&r)
			}
		})
	}
	wait.Wait()
	stop()
	running.Wait()
	return errors.Join(append(errs, t.Close(), h.ship(ctx, dir))...)
}

// ship moves what was left into the archive.
func (h *history) ship(ctx context.Context, dir string) error {
	t, err := h.open(dir)
	if err != nil {
		return err
	}
	return errors.Join(t.Ship(ctx), t.Close())
}

// inCall is how many µs of CPU of the whole process a call spends on its record, while nothing of it is compressed yet, and the floor: a checksum of the same bytes, and one copy of them.
// Others may want the processors too, so each is the fastest of many short stretches. What the generator takes is taken off.
func (h *history) inCall(dir string) (call, floor float64, err error) {
	dir = filepath.Join(dir, "in-call")
	defer os.RemoveAll(dir)
	t, err := h.open(dir)
	if err != nil {
		return 0, 0, err
	}
	const stretches, stretch = 100, 400 // in one segment; the spool is flushed twice in each stretch
	var r audit.Record
	best := func(record func(*audit.Record) error) (float64, error) {
		least := time.Duration(math.MaxInt64)
		for s := range stretches {
			begin := processCPU()
			for i := range stretch {
				h.put(&r, s*stretch+i)
				if err := record(&r); err != nil {
					return 0, err
				}
			}
			least = min(least, processCPU()-begin)
		}
		return float64(least.Nanoseconds()) / 1000 / stretch, nil
	}
	generator, _ := best(func(*audit.Record) error { return nil })
	line := make([]byte, 0, 2<<10)
	h.put(&r, 0)
	line = r.AppendJSON(line)
	copied := make([]byte, len(line))
	table, sum := crc32.MakeTable(crc32.Castagnoli), uint32(0)
	floor, _ = best(func(*audit.Record) error {
		sum ^= crc32.Checksum(line, table)
		copy(copied, line)
		return nil
	})
	call, err = best(func(r *audit.Record) error { return t.Append(r) })
	return call - generator, floor - generator, errors.Join(err, t.Close())
}

// floor writes the bytes of records to a file, and returns how many a second.
func (h *history) floor(dir string, n int) (float64, error) {
	path := filepath.Join(dir, "floor")
	defer os.Remove(path)
	begin := time.Now()
	f, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	var r audit.Record
	var line []byte
	for i := range n {
		h.put(&r, i)
		line = append(r.AppendJSON(line[:0]), '\n')
		if _, err := w.Write(line); err != nil {
			return 0, err
		}
	}
	if err := w.Flush(); err != nil {
		return 0, err
	}
	if err := f.Sync(); err != nil {
		return 0, err
	}
	return float64(n) / time.Since(begin).Seconds(), nil
}

// trailQuery is a column of the table of lookups.
type trailQuery struct {
	name      string
	attribute audit.Attribute
	value     func(i int) string // the i-th to ask for
}

// ofFirst is the next record that is the first account's.
func ofFirst(n int) int {
	for mix(uint64(n))%trailUsers%trailAccounts != 0 {
		n++
	}
	return n
}

// queries ask about the first account of a history of n records. What is asked for by ID is from its first tenth, which is read last.
func (h *history) queries(n int) []trailQuery {
	is := func(s string) func(int) string { return func(int) string { return s } }
	return []trailQuery{
		{"all", "", is("")},
		{"EventId", audit.EventID, func(i int) string { return id(uint64(ofFirst(n/100*(i+1))), 0) }},
		{"EventName, often", audit.EventName, is("Decrypt")},
		{"EventName, 1 in 10⁶", audit.EventName, is("ScheduleKeyDeletion")},
		{"ReadOnly, false", audit.ReadOnly, is("false")},
		{"Username", audit.Username, func(i int) string { return userName(i * trailAccounts) }},
		{"Username, none", audit.Username, func(i int) string { return "nobody" + strconv.Itoa(i) }},
		{"AccessKeyId", audit.AccessKeyID, func(i int) string { return accessKey((i + 9) * trailAccounts) }},
		{"ResourceName", audit.ResourceName, func(i int) string { return keyARN(i * trailAccounts) }},
		{"ResourceType", audit.ResourceType, is("AWS::KMS::Key")},
		{"EventSource", audit.EventSource, is("kms.amazonaws.com")},
	}
}

func headings() (s string) {
	for _, q := range new(history).queries(0) {
		s += " " + q.name + " |"
	}
	return s
}

// lookups opens the trail and asks it for the first page of each query.
func (h *history) lookups(dir string, n int) (row string, err error) {
	begin := time.Now()
	t, err := h.open(dir)
	if err != nil {
		return "", err
	}
	defer t.Close()
	row = fmt.Sprintf("| %d | %s |", n, short(time.Since(begin)))
	for _, q := range h.queries(n) {
		var took []time.Duration
		for i := range 5 {
			begin := time.Now()
			page, err := t.Lookup(context.Background(), audit.Query{Account: accountOf(0), Region: "us-east-1", Attribute: q.attribute, Value: q.value(i), Limit: 50})
			if err != nil {
				return "", err
			}
			took = append(took, time.Since(begin))
			if want := q.name != "Username, none"; n >= 10*rareEvery && want != (len(page.Events) > 0) {
				return "", fmt.Errorf("a lookup by %s found %d events", q.name, len(page.Events))
			}
		}
		slices.Sort(took)
		row += " " + short(took[len(took)/2]) + " |"
	}
	return row, nil
}

func processCPU() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func treeSize(dir string) (size int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	})
	return size, err
}
