package verify

import (
	"context"
	"slices"
	"strings"
	"time"
)

// unnamed looks at a file in case no digest names it.
func (v *verifier) unnamed(ctx context.Context, name string) error {
	at, minute, ok, within := parseLogKey(name)
	if _, kind, base := split(name); kind == digests && base != "" && v.wants(at.account, at.region) {
		if _, _, ok := parseDigestKey(name); !ok {
			v.found(Finding{Kind: Added, What: Digest, Key: name, Detail: "no digest has a name like this"})
		}
		return nil
	}
	if !within || !v.wants(at.account, at.region) || v.shared[at] {
		return nil
	}
	a := v.areas[at]
	if a == nil {
		a = &area{}
		v.areas[at] = a
	}
	if _, named := a.named[nameHash(name)]; named {
		return nil
	}
	// A file of the minute in which one digest ends and the next begins may be in either, or be in one that is not made yet.
	if ok && !a.covers(minute.Add(-time.Second), minute.Add(time.Minute)) {
		if !minute.Before(v.Start) && (v.End.IsZero() || minute.Before(v.End)) {
			a.tell(minute)
		}
		return nil
	}
	detail := "no digest names it, and one covers its time"
	if !ok {
		detail = "no log file has a name like this"
	}
	hash, _, err := v.content(ctx, name, nil)
	switch {
	case err == nil:
	case reason(err) != "":
		detail += "; " + reason(err)
	case !notThere(err):
		return err
	}
	v.wrongLog(wrongFile{name, "", hash})
	v.found(Finding{Kind: Added, What: LogFile, Key: name, Detail: detail})
	return nil
}

// tell counts a log file that is of a time that no digest covers.
func (a *area) tell(t time.Time) {
	a.uncovered++
	if a.from.IsZero() || t.Before(a.from) {
		a.from = t
	}
	if t.After(a.to) {
		a.to = t
	}
}

// tellUncovered says where log files are that no digest tells of.
func (v *verifier) tellUncovered() {
	before := len(v.report.Notes)
	for at := range v.shared {
		if v.areas[at] == nil {
			continue
		}
		v.note("%s: other trails deliver to the same place, so log files that were added cannot be told. Check all trails for that.", at)
	}
	for at, a := range v.areas {
		if a.uncovered > 0 {
			v.note("%s: %d log files from %s to %s are of a time that no valid digest covers, and were not checked.",
				at, a.uncovered, written(a.from), written(a.to))
		}
	}
	slices.Sort(v.report.Notes[before:])
}

// tellMoved says of log files whose content belongs to others whose they are.
func (v *verifier) tellMoved() {
	owners := map[string]string{}
	for _, f := range v.wrong {
		if f.want != "" {
			owners[strings.ToLower(f.want)] = f.key
		}
	}
	moved := map[string]string{}
	for _, f := range v.wrong {
		if owner := owners[f.got]; owner != "" && owner != f.key {
			moved[f.key] = owner
		}
	}
	kept := v.report.Findings[:0]
	for _, f := range v.report.Findings {
		owner := moved[f.Key]
		switch {
		case owner == "":
		case f.What == Record:
			continue // all of them are others, which says nothing
		case f.What == LogFile:
			f.Kind, f.Detail = Moved, "here is the content that belongs to "+owner
		}
		kept = append(kept, f)
	}
	v.report.Findings = kept
}
