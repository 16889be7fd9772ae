package verify

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// maxLogFile bounds the content of a log file. None is held in memory; the bound is on the time that a bomb may take.
const maxLogFile = 4 << 30

// wrongFile is a log file that is not there, or not with its content, or that no digest names.
type wrongFile struct {
	key       string
	want, got string // hashes of content, in hexadecimal; empty for none
}

func nameHash(name string) [16]byte {
	sum := sha256.Sum256([]byte(name))
	return [16]byte(sum[:])
}

// logFile checks a log file that a proven digest names.
func (w *walk) logFile(ctx context.Context, by string, l logEntry) error {
	w.Logs++
	hash, records, err := w.content(ctx, l.Object, nil)
	why := reason(err)
	switch {
	case notThere(err):
		w.wrongLog(wrongFile{l.Object, l.Hash, ""})
		detail := "the digest " + by + " names it"
		if n := len(l.Records) / recordHash; n > 0 {
			detail += fmt.Sprintf("; it had %d records, from %s to %s", n, l.Oldest, l.Newest)
		} else {
			detail += fmt.Sprintf("; its records were from %s to %s", l.Oldest, l.Newest)
		}
		w.found(Finding{Kind: Removed, What: LogFile, Key: l.Object, Detail: detail})
		return nil
	case err != nil && why == "":
		return err
	case strings.EqualFold(hash, l.Hash):
		w.ValidLogs++
		w.Records += records
		if why != "" {
			w.note("%s is as it was delivered, but %s.", l.Object, why)
		}
		return nil
	}
	w.wrongLog(wrongFile{l.Object, l.Hash, hash})
	return w.tellChanged(ctx, by, l, why)
}

func (v *verifier) wrongLog(f wrongFile) {
	if len(v.wrong) < maxFindings {
		v.wrong = append(v.wrong, f)
	}
}

// content reads a log file, and returns the hash and the number of its records. An error about its content comes with the hash where the file could be read to its end. fn, if there is one, is called with each record.
func (v *verifier) content(ctx context.Context, name string, fn func([]byte)) (hash string, records int, err error) {
	h := sha256.New()
	err = v.inflate(ctx, name, func(r io.Reader) error {
		limited := &io.LimitedReader{R: r, N: maxLogFile + 1}
		content := &inContext{ctx, io.TeeReader(limited, h)}
		bad := readRecords(content, func(record []byte) error {
			if records++; fn != nil {
				fn(record)
			}
			return nil
		})
		if bad != nil && reason(bad) == "" {
			return bad
		}
		if _, err := io.Copy(io.Discard, content); err != nil {
			return err
		}
		if limited.N == 0 {
			return wrongContent("it is larger than any log file")
		}
		hash = hex.EncodeToString(h.Sum(nil))
		return bad
	})
	return hash, records, err
}

// inContext reads until ctx ends.
type inContext struct {
	ctx context.Context
	r   io.Reader
}

func (i *inContext) Read(b []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	return i.r.Read(b)
}

// recordHash is how many bytes of a record's SHA-256 a digest has. They only tell which record of a changed file is another one: that the file was changed is told by its whole
// hash.
const recordHash = 8

type recordSum [recordHash]byte

// seen is a record of a changed log file.
type seen struct {
	sum recordSum
	id  string // its eventID
}

// maxSeen bounds how many records of a changed log file are compared.
const maxSeen = 1 << 20

// tellChanged says how a log file differs from what was delivered.
func (w *walk) tellChanged(ctx context.Context, by string, l logEntry, why string) error {
	var records []seen
	var odd []Finding // what is wrong whatever the digest says
	ids := map[string]int{}
	n := 0
	_, _, err := w.content(ctx, l.Object, func(record []byte) {
		if n++; n > maxSeen {
			return
		}
		sum := sha256.Sum256(record)
		var r struct{ EventID, EventTime string }
		_ = json.Unmarshal(record, &r) // one of another form has neither
		r.EventID = trimmed(r.EventID)
		records = append(records, seen{recordSum(sum[:]), r.EventID})
		is := func(detail string) {
			odd = append(odd, Finding{Kind: Changed, What: Record, Key: l.Object, Record: n, EventID: r.EventID, Detail: detail})
		}
		if first := ids[r.EventID]; r.EventID == "" {
			is("it has no eventID")
		} else if first > 0 {
			is(fmt.Sprintf("record %d has the same eventID", first))
		} else {
			ids[r.EventID] = n
		}
		if outside(r.EventTime, l.Oldest, l.Newest) {
			is("its eventTime is not from " + l.Oldest + " to " + l.Newest + ", as the digest says")
		}
	})
	if err != nil && reason(err) == "" && !notThere(err) {
		return err
	}
	file := Finding{Kind: Changed, What: LogFile, Key: l.Object, Detail: "its content is not the one whose hash is in the digest " + by}
	if why != "" {
		file.Detail += "; " + why
	}
	told := odd
	if len(l.Records) > 0 && len(l.Records)%recordHash == 0 && n <= maxSeen {
		told = compare(l.Object, l.Records, records)
		if len(told) == 0 && why == "" {
			file.Detail += "; its records are as they were, but not what stands between them"
		}
	} else {
		file.Detail += "; the digest has no hashes of its records, so that it cannot tell which was changed"
	}
	w.found(file)
	for _, f := range told {
		w.found(f)
	}
	return nil
}

// outside tells whether an event's time is not where the digest says that those of its file are.
func outside(at, oldest, newest string) bool {
	t, err := time.Parse(time.RFC3339, at)
	from, err1 := time.Parse(time.RFC3339, oldest)
	to, err2 := time.Parse(time.RFC3339, newest)
	return err1 == nil && err2 == nil && (err != nil || t.Before(from) || t.After(to))
}

// trimmed is what a report shows of an eventID, which may be anything in a file that was changed.
func trimmed(id string) string {
	const most = 64
	if len(id) > most {
		id = id[:most]
	}
	return strings.ToValidUTF8(id, "")
}

// compare says which records are others than the hashes tell, and where any are missing or were added.
func compare(key string, hashes []byte, now []seen) []Finding {
	were := len(hashes) / recordHash
	places := make(map[recordSum][]int, were) // where records with a hash were, in order
	for i := range were {
		sum := recordSum(hashes[i*recordHash:])
		places[sum] = append(places[sum], i)
	}
	// kept[i] is where the record is now that was at i, from 1.
	kept, last := make([]int, were), -1
	from := make([]int, len(now)) // where the record that is now at i was; -1 for nowhere
	var told []Finding
	for i, r := range now {
		from[i] = -1
		if p := places[r.sum]; len(p) > 0 {
			from[i], kept[p[0]], places[r.sum] = p[0], i+1, p[1:]
		}
	}
	for i, was := range from {
		switch {
		case was >= 0 && was < last:
			told = append(told, Finding{Kind: Moved, What: Record, Key: key, Record: i + 1, EventID: now[i].id, Detail: fmt.Sprintf("it was record %d", was+1)})
		case was >= 0:
			last = was
		}
	}
	// Between two records that were kept, others than before stand for the ones that are not there, in order.
	told = append(told, between(key, now, from, kept)...)
	return told
}

// between pairs the records that are new with those that are gone, from gap to gap.
func between(key string, now []seen, from, kept []int) []Finding {
	var told []Finding
	was := 0
	for i := 0; i <= len(now); i++ {
		if i < len(now) && from[i] < 0 {
			// The record that stood behind the last one that was kept, if it is gone, was changed to this one.
			f := Finding{Kind: Added, What: Record, Key: key, Record: i + 1, EventID: now[i].id}
			if was < len(kept) && kept[was] == 0 {
				f.Kind, f.Detail = Changed, fmt.Sprintf("it was record %d", was+1)
				was++
			}
			told = append(told, f)
			continue
		}
		next := len(kept)
		if i < len(now) {
			if next = from[i]; next < was {
				continue // it was moved, which is told
			}
		}
		for ; was < next; was++ {
			if kept[was] == 0 {
				told = append(told, Finding{Kind: Removed, What: Record, Key: key, Record: was + 1, Detail: "it stood " + place(now, i)})
			}
		}
		was = max(was, next+1)
	}
	return told
}

// place says between which records that are there now another one stood.
func place(now []seen, i int) string {
	before, after := "", ""
	if i > 0 {
		before = "behind the event " + cmp.Or(now[i-1].id, "of record "+fmt.Sprint(i))
	}
	if i < len(now) {
		after = "before the event " + cmp.Or(now[i].id, "of record "+fmt.Sprint(i+1))
	}
	switch {
	case before == "" && after == "":
		return "alone"
	case before != "" && after != "":
		return before + " and " + after
	}
	return before + after
}
