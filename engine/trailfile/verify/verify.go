// Package verify checks the files that a trail left in its bucket: that each log file and each digest file is there, as it was delivered, and that nothing was put
// between them. It needs the files and the public keys, and no server.
//
// It reads the formats by itself and shares no code with what writes them, so that a mistake there is not repeated here. The algorithm is AWS's:
// https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-log-file-custom-validation.html
//
// Each digest file of a trail says which log files were delivered since the one before it, with the hashes of their contents, and the hash and the signature of that one.
// [Verify] follows these chains from the newest digest back. A digest is proven if a signature over it can be checked with a public key, wherever the signature was found, or if
// the digest behind it is proven and has its hash. What proven digests say is then compared with the files.
//
// What no offline check can see is the end of a chain: whoever removes the newest digests and all log files since leaves a shorter chain that is sound. The report
// tells until when files are proven; with [Options].End they must be until then.
package verify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"time"
)

// A Source is a bucket, or a copy of one. Its names are the keys of objects.
type Source interface {
	// Files calls fn with each name, in any order, until fn returns an error, which it returns.
	Files(ctx context.Context, fn func(name string) error) error
	// Open reads a file as it is stored. The error wraps [fs.ErrNotExist] when there is none.
	Open(ctx context.Context, name string) (io.ReadCloser, error)
	// Signature is the metadata "signature" of a digest file, in hexadecimal; empty when it is not known.
	Signature(ctx context.Context, name string) (string, error)
}

// Options say what is checked.
type Options struct {
	Keys PublicKeys // required

	Account, Region, Trail string // only these, where not empty

	Start, End time.Time // only digests of this time, where not zero; chains must reach over all of it
}

// A Kind is what was done to a file.
type Kind string

// What may have been done.
const (
	Changed  Kind = "changed"
	Removed  Kind = "removed"
	Added    Kind = "added"
	Moved    Kind = "moved"    // to where another file belongs
	Unproven Kind = "unproven" // there is no signature, or no public key, so it may have been changed
)

// What a [Finding] is about.
const (
	Digest  = "digest"
	LogFile = "log file"
	Record  = "record"
)

// A Finding is one sign that files are not as they were delivered.
type Finding struct {
	Kind    Kind   `json:"kind"`
	What    string `json:"what"`
	Key     string `json:"key"`               // of the file
	Record  int    `json:"record,omitempty"`  // which record of the file, from 1; of a removed one, where it was
	EventID string `json:"eventID,omitempty"` // of that record, as the file has it now
	Detail  string `json:"detail,omitempty"`
}

// A Report is what [Verify] found.
type Report struct {
	Chains   []ChainReport `json:"chains"`
	Findings []Finding     `json:"findings"`
	More     int           `json:"moreFindings,omitempty"` // findings that are left out because there are so many
	Notes    []string      `json:"notes,omitempty"`        // what is no sign of tampering, and good to know
}

// A ChainReport counts what was checked of one chain of digests.
type ChainReport struct {
	Chain
	From         time.Time `json:"from"` // proven digests reach from here
	To           time.Time `json:"to"`   // to here
	ValidDigests int       `json:"validDigests"`
	Digests      int       `json:"digests"` // those missing included
	ValidLogs    int       `json:"validLogFiles"`
	Logs         int       `json:"logFiles"`
	Records      int       `json:"records"` // of valid log files
}

// Valid tells whether nothing was found, and anything was checked.
func (r *Report) Valid() bool { return len(r.Findings)+r.More == 0 && len(r.Chains) > 0 }

// maxFindings bounds what a report holds: a bucket may have millions of files, and all of them may be wrong.
const maxFindings = 10_000

func (v *verifier) found(f Finding) {
	if len(v.report.Findings) == maxFindings {
		v.report.More++
		return
	}
	v.report.Findings = append(v.report.Findings, f)
}

func (v *verifier) note(format string, args ...any) {
	if len(v.report.Notes) < maxFindings {
		v.report.Notes = append(v.report.Notes, fmt.Sprintf(format, args...))
	}
}

// verifier is one run of [Verify].
type verifier struct {
	Options
	src    Source
	report Report

	maxDigest int64 // bytes of a digest's content, which is held in memory

	chains map[Chain][]digestFile
	areas  map[folder]*area
	shared map[folder]bool // where a trail delivers, too, that is not asked for: what it named is not known
	wrong  []wrongFile     // log files that are missing, changed or added
}

// Verify checks the files of src. Its error says why it could not; what is wrong with the files is in the report. Memory is bounded by the number of files (some tens of
// bytes for each), and not by their sizes.
func Verify(ctx context.Context, src Source, o Options) (*Report, error) {
	v := &verifier{Options: o, src: src, maxDigest: maxDigest, chains: map[Chain][]digestFile{}, areas: map[folder]*area{}, shared: map[folder]bool{}}
	v.report.Findings = []Finding{}
	if err := src.Files(ctx, v.sort); err != nil {
		return nil, fmt.Errorf("listing the files: %w", err)
	}
	for _, c := range slices.SortedFunc(maps.Keys(v.chains), Chain.compare) {
		if err := v.chain(ctx, c, v.chains[c]); err != nil {
			return nil, err
		}
	}
	for _, a := range v.areas {
		a.join()
	}
	if err := src.Files(ctx, func(name string) error { return v.unnamed(ctx, name) }); err != nil {
		return nil, fmt.Errorf("looking for files that no digest names: %w", err)
	}
	v.tellUncovered()
	v.tellMoved()
	return &v.report, nil
}

// sort puts a digest file to its chain.
func (v *verifier) sort(name string) error {
	c, end, ok := parseDigestKey(name)
	if !ok || !v.wants(c.Account, c.Region) {
		return nil
	}
	if v.Trail != "" && v.Trail != c.Trail {
		v.shared[c.folder()] = true
		return nil
	}
	v.chains[c] = append(v.chains[c], digestFile{name, end})
	return nil
}

func (v *verifier) wants(account, region string) bool {
	return (v.Account == "" || v.Account == account) && (v.Region == "" || v.Region == region)
}

// inTime are the digests, newest first, that have something of the time that is asked for. The last digest to begin in it ends behind it.
func (v *verifier) inTime(files []digestFile) []digestFile {
	slices.SortFunc(files, func(a, b digestFile) int { return cmp.Or(b.end.Compare(a.end), cmp.Compare(b.name, a.name)) })
	from, to := 0, len(files)
	for !v.End.IsZero() && from+1 < to && !files[from+1].end.Before(v.End) {
		from++
	}
	for !v.Start.IsZero() && to > from && !files[to-1].end.After(v.Start) {
		to--
	}
	return files[from:to]
}

// notThere tells whether a file is missing, rather than hard to read.
func notThere(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) }
