package lambda

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"errors"
	"hash/crc32"
	"io/fs"
	"strings"
	"testing"

	"github.com/holdfast-cloud/holdfast/api/lambda"
)

// entry is something in an archive.
type entry struct {
	name, text string
	mode       fs.FileMode
}

func zipped(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		h.SetMode(e.mode)
		f, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(e.text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// zeros is an archive of one file, of so many mebibytes that are all zeros. One of them is deflated and then repeated: to deflate them all takes the race detector half a minute.
func zeros(t testing.TB, mebibytes int) []byte {
	t.Helper()
	block := make([]byte, 1<<20)
	var b bytes.Buffer
	deflate, err := flate.NewWriter(&b, flate.BestCompression)
	if err == nil {
		_, err = deflate.Write(block)
	}
	if err == nil {
		err = deflate.Flush()
	}
	piece := bytes.Clone(b.Bytes())
	b.Reset()
	if err == nil {
		err = deflate.Close()
	}
	data := append(bytes.Repeat(piece, mebibytes), b.Bytes()...)
	h := &zip.FileHeader{Name: "zeros", Method: zip.Deflate, UncompressedSize64: uint64(mebibytes) << 20, CompressedSize64: uint64(len(data))}
	for range mebibytes {
		h.CRC32 = crc32.Update(h.CRC32, crc32.IEEETable, block)
	}
	b.Reset()
	w := zip.NewWriter(&b)
	f, failed := w.CreateRaw(h)
	if failed == nil {
		_, failed = f.Write(data)
	}
	if err := errors.Join(err, failed, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// lying is an archive that announces less than it holds.
func lying(t testing.TB) []byte {
	t.Helper()
	text := zipped(t, entry{name: "f", text: strings.Repeat("a", 1000), mode: 0o644})
	i := bytes.LastIndex(text, []byte("PK\x01\x02"))
	text[i+24], text[i+25] = 10, 0 // the size that it unpacks to
	return text
}

func TestCheckZip(t *testing.T) {
	const bad, large, empty = "Could not unzip uploaded file.", "Unzipped size must be smaller than 262144000 bytes", "Uploaded file must be a non-empty zip"
	encrypted := zipped(t, entry{"f", "x", 0o644})
	encrypted[bytes.LastIndex(encrypted, []byte("PK\x01\x02"))+8] |= 1
	for name, c := range map[string]struct {
		archive []byte
		want    string // "" is that it is good
		size    int64
	}{
		"OK":             {zipped(t, entry{"bootstrap", "#!/bin/sh\n", 0o755}, entry{"lib/", "", fs.ModeDir | 0o755}, entry{"lib/a.py", "x", 0o644}), "", 11},
		"Twice a folder": {zipped(t, entry{"lib/", "", fs.ModeDir | 0o755}, entry{"lib/", "", fs.ModeDir | 0o755}), "", 0},
		"Link":           {zipped(t, entry{"bin/tool", "../lib/tool.js", fs.ModeSymlink | 0o777}), "", 14},
		"Nothing":        {nil, bad, 0},
		"Text":           {[]byte("not a zip"), bad, 0},
		"Empty":          {zipped(t), empty, 0},
		"Cut":            {zipped(t, entry{"f", "x", 0o644})[:40], bad, 0},
		"Up":             {zipped(t, entry{"../f", "x", 0o644}), bad, 0},
		"UpInside":       {zipped(t, entry{"a/../../f", "x", 0o644}), bad, 0},
		"Absolute":       {zipped(t, entry{"/etc/f", "x", 0o644}), bad, 0},
		"Backslash":      {zipped(t, entry{`..\f`, "x", 0o644}), bad, 0},
		"Twice":          {zipped(t, entry{"f", "x", 0o644}, entry{"./f", "y", 0o644}), bad, 0},
		"BehindALink":    {zipped(t, entry{"l", "/etc", fs.ModeSymlink | 0o777}, entry{"l/passwd", "x", 0o644}), bad, 0},
		"BehindAFile":    {zipped(t, entry{"f/g/h", "x", 0o644}, entry{"f", "x", 0o644}), bad, 0},
		"Device":         {zipped(t, entry{"null", "", fs.ModeDevice | 0o666}), bad, 0},
		"Pipe":           {zipped(t, entry{"p", "", fs.ModeNamedPipe | 0o666}), bad, 0},
		"EmptyLink":      {zipped(t, entry{"l", "", fs.ModeSymlink | 0o777}), bad, 0},
		"LongLink":       {zipped(t, entry{"l", strings.Repeat("a", 4097), fs.ModeSymlink | 0o777}), bad, 0},
		"Encrypted":      {encrypted, bad, 0},
		"Zeros":          {zeros(t, 2), "", 2 << 20},
		"Bomb":           {zeros(t, 251), large, 0},
		"Lying":          {lying(t), bad, 0},
	} {
		t.Run(name, func(t *testing.T) {
			size, err := checkZip(c.archive)
			if c.want == "" {
				if err != nil || size != c.size {
					t.Errorf("%d bytes, %v, want %d", size, err, c.size)
				}
				return
			}
			e, ok := errors.AsType[*lambda.InvalidParameterValueException](err)
			if !ok || !strings.Contains(e.Message, c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// FuzzCheckZip finds that nothing panics, and that what is called good stays inside.
func FuzzCheckZip(f *testing.F) {
	f.Add(zipped(f, entry{"bootstrap", "x", 0o755}, entry{"lib/a", "y", 0o644}))
	f.Add(zipped(f, entry{"../f", "x", 0o644}))
	f.Add(zipped(f, entry{"l", "/etc", fs.ModeSymlink | 0o777}, entry{"l/passwd", "x", 0o644}))
	f.Add(lying(f))
	f.Add([]byte("PK"))
	f.Fuzz(func(t *testing.T, archive []byte) {
		size, err := checkZip(archive)
		if err != nil {
			return
		}
		if size > maxUnzipped {
			t.Errorf("%d bytes are good", size)
		}
		z, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range z.File {
			if !fs.ValidPath(strings.TrimSuffix(strings.TrimPrefix(e.Name, "./"), "/")) && (strings.HasPrefix(e.Name, "/") || strings.Contains("/"+e.Name+"/", "/../")) {
				t.Errorf("%q is good", e.Name)
			}
		}
	})
}
