package lambda

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/holdfast-cloud/holdfast/wire"
)

// https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
const (
	maxZipped   = 50 << 20  // bytes of an archive that comes in a request
	maxUnzipped = 250 << 20 // of what is in it, with that of layers; and of an archive that comes from S3
)

// checkZip returns how many bytes are in an archive, after it was unpacked once to nowhere: what announces little and holds much shows there.
//
// Names must stay inside of where the archive is unpacked. Symbolic links may point anywhere, because a function sees nothing of the host; but nothing in the archive may lie behind one,
// and no name comes twice, so that unpacking writes where it seems to.
func checkZip(archive []byte) (unzipped int64, err error) {
	z, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		return 0, badZip()
	}
	if len(z.File) == 0 {
		return 0, invalid("Uploaded file must be a non-empty zip")
	}
	left := int64(maxUnzipped)
	for _, f := range z.File {
		if f.UncompressedSize64 > uint64(left) {
			return 0, tooMuch()
		}
		left -= int64(f.UncompressedSize64)
	}
	if !inside(z.File) {
		return 0, badZip()
	}
	for _, f := range z.File {
		n, err := sizeOf(f)
		if err != nil {
			return 0, err
		}
		if unzipped += n; unzipped > maxUnzipped {
			return 0, tooMuch()
		}
	}
	return unzipped, nil
}

// inside reports whether the names in an archive are good ones, see checkZip.
func inside(files []*zip.File) bool {
	type entry struct {
		name string // with zeros in place of slashes: what lies behind a name comes right after it then
		dir  bool
	}
	entries := make([]entry, len(files))
	for i, f := range files {
		name, ok := insideZip(f.Name)
		mode := f.Mode()
		if !ok || f.Flags&1 != 0 || !mode.IsDir() && (name == "." || !mode.IsRegular() && mode.Type() != fs.ModeSymlink) { // bit 0 is that it is encrypted
			return false
		}
		entries[i] = entry{strings.ReplaceAll(name, "/", "\x00"), mode.IsDir()}
	}
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	for i := range len(entries) - 1 {
		a, b := entries[i], entries[i+1]
		if a.name == b.name && !(a.dir && b.dir) || !a.dir && strings.HasPrefix(b.name, a.name+"\x00") {
			return false
		}
	}
	return true
}

// sizeOf unpacks a file to nowhere.
func sizeOf(f *zip.File) (int64, error) {
	r, err := f.Open()
	if err != nil {
		return 0, badZip()
	}
	defer r.Close()
	n, err := io.Copy(io.Discard, io.LimitReader(r, int64(f.UncompressedSize64)+1))
	switch {
	case n > int64(f.UncompressedSize64), err != nil:
		return 0, badZip()
	case f.Mode().Type() == fs.ModeSymlink && (n == 0 || n > 4096):
		return 0, badZip()
	}
	return n, nil
}

// insideZip is the name of something in an archive, in its shortest form. It is false for one that would lead out.
func insideZip(name string) (string, bool) {
	if name == "" || name[0] == '/' || strings.ContainsAny(name, "\\\x00") {
		return "", false
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", false
		}
	}
	return path.Clean(name), true
}

func badZip() error {
	return invalid("Could not unzip uploaded file. Please check your file, then try to upload again.")
}

func tooMuch() error { return invalid("Unzipped size must be smaller than %d bytes", maxUnzipped) }

// tooLargeZip is the error of an archive; the model's own is not what AWS answers.
func tooLargeZip(limit int) error {
	return &wire.Error{Code: "RequestEntityTooLargeException", Status: 413, Message: fmt.Sprintf("Zipped size must be smaller than %d bytes", limit)}
}

func sumOf(archive []byte) string {
	sum := sha256.Sum256(archive)
	return base64.StdEncoding.EncodeToString(sum[:])
}
