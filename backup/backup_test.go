package backup

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
)

// kept is a sink that keeps everything, in words.
type kept struct{ list []string }

func (k *kept) Pair(key, value []byte) error {
	k.list = append(k.list, fmt.Sprintf("%s=%d", key, len(value)))
	return nil
}

func (k *kept) Segment(name string, r io.Reader) error {
	b, err := io.ReadAll(r)
	k.list = append(k.list, fmt.Sprintf("%s:%d", name, len(b)))
	return err
}

func (k *kept) Object(key string, r io.Reader) error {
	b, err := io.ReadAll(r)
	k.list = append(k.list, fmt.Sprintf("object %s:%d", key, len(b)))
	return err
}

var (
	testKey    = bytes.Repeat([]byte{7}, KeySize)
	testHeader = Header{ID: "one", Taken: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), Software: "0", Keyring: []byte("ring"), Key: []byte("wrapped")}
)

// noise does not compress, so that files have the lengths that tests want.
func noise(n int) []byte {
	b := make([]byte, n)
	state := uint32(n)*2654435761 + 1
	for i := range b {
		state = state*1664525 + 1013904223
		b[i] = byte(state >> 24)
	}
	return b
}

func write(t testing.TB, h Header, pairs, segments, objects int) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out, h, testKey)
	if err != nil {
		t.Fatal(err)
	}
	for i := range pairs {
		if err := w.Pair(fmt.Appendf(nil, "key-%04d", i), noise(i*997%5000)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range segments {
		if err := w.Segment(fmt.Sprintf("seg-%d", i), bytes.NewReader(noise(i*100_000))); err != nil {
			t.Fatal(err)
		}
	}
	for i := range objects {
		if err := w.Object(fmt.Sprintf("a/%d", i), bytes.NewReader(noise(i*30_000))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func read(file []byte, sink Sink) (Contents, error) {
	f, err := Open(bytes.NewReader(file))
	if err != nil {
		return Contents{}, err
	}
	return f.Read(testKey, sink)
}

func TestRoundTrip(t *testing.T) {
	for _, c := range []struct{ pairs, segments, objects int }{{0, 0, 0}, {1, 0, 0}, {0, 1, 0}, {0, 0, 1}, {0, 3, 2}, {1, 0, 3}, {1000, 4, 5}} {
		t.Run(fmt.Sprintf("%dPairs%dSegments%dObjects", c.pairs, c.segments, c.objects), func(t *testing.T) {
			file := write(t, testHeader, c.pairs, c.segments, c.objects)
			f, err := Open(bytes.NewReader(file))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(testHeader, f.Header); d != "" {
				t.Errorf("the header differs:\n%s", d)
			}
			var got kept
			contents, err := f.Read(testKey, &got)
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			var size int
			for i := range c.pairs {
				want = append(want, fmt.Sprintf("key-%04d=%d", i, i*997%5000))
				size += 8 + i*997%5000
			}
			for i := range c.segments {
				want = append(want, fmt.Sprintf("seg-%d:%d", i, i*100_000))
				size += i * 100_000
			}
			for i := range c.objects {
				want = append(want, fmt.Sprintf("object a/%d:%d", i, i*30_000))
				size += i * 30_000
			}
			if d := cmp.Diff(want, got.list); d != "" {
				t.Errorf("the contents differ:\n%s", d)
			}
			if want := (Contents{uint64(c.pairs), uint64(c.segments), uint64(c.objects), uint64(size)}); contents != want {
				t.Errorf("Read = %+v, want %+v", contents, want)
			}
		})
	}
}

// A sink need not read what it is given.
func TestReadPassesOverWhatTheSinkLeft(t *testing.T) {
	if _, err := read(write(t, testHeader, 10, 3, 2), lazy{}); err != nil {
		t.Error(err)
	}
}

type lazy struct{}

func (lazy) Pair([]byte, []byte) error       { return nil }
func (lazy) Segment(string, io.Reader) error { return nil }
func (lazy) Object(string, io.Reader) error  { return nil }

// What versions before objects have written is read.
func TestFormatWithoutObjects(t *testing.T) {
	entries := []byte("p\x01a\x01bs\x03segd\x02xy")
	end := append([]byte("e\x01\x01\x04"), sum(entries)...)
	for name, c := range map[string]struct {
		entries []byte
		want    error
	}{
		"OK":     {append(bytes.Clone(entries), end...), nil},
		"Object": {append(append(bytes.Clone(entries), "o\x03keyd\x02xy"...), end...), ErrDamaged},
		"Ending": {append(append(bytes.Clone(entries), "e\x01\x01\x00\x04"...), sum(entries)...), ErrDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			header := []byte(`{"id":"old"}`)
			file := append([]byte(magic), 0, 1, 0, 0, 0, byte(len(header)))
			file = append(file, header...)
			ciphers, err := newChunks(testKey, file)
			if err != nil {
				t.Fatal(err)
			}
			out := bytes.NewBuffer(file)
			s := &sealer{chunks: ciphers, w: out, buf: make([]byte, 0, chunkSize)}
			z, err := zstd.NewWriter(s)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := z.Write(c.entries); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(z.Close(), s.Close()); err != nil {
				t.Fatal(err)
			}
			contents, err := read(out.Bytes(), &kept{})
			if !errors.Is(err, c.want) || err == nil && contents != (Contents{Pairs: 1, Segments: 1, Bytes: 4}) {
				t.Errorf("read = %+v, %v, want %v", contents, err, c.want)
			}
		})
	}
}

func sum(b []byte) []byte {
	h := sha256.Sum256(b)
	return h[:]
}

// start is where the chunks of a file begin.
func start(file []byte) int {
	n := len(magic) + 2
	return n + 4 + int(binary.BigEndian.Uint32(file[n:]))
}

// Every change of a file is found, whatever it is and wherever.
func TestDamageIsFound(t *testing.T) {
	good := write(t, testHeader, 200, 3, 2)
	first := start(good)
	if len(good) < first+4*sealedSize {
		t.Fatalf("the file of %d bytes has too few chunks", len(good))
	}
	chunk := func(i int) []byte { return good[first+i*sealedSize:][:sealedSize] }
	splice := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	other := testHeader
	other.ID = "two"
	another := write(t, other, 200, 3, 2)
	newer := bytes.Clone(good)
	newer[len(magic)+1] = Format + 1
	cases := map[string]struct {
		file []byte
		want error
		text string
	}{
		"Empty":               {nil, ErrNoBackup, ""},
		"SomethingElse":       {[]byte("SQLite format 3\x00 and so on"), ErrNoBackup, ""},
		"CutInMagic":          {good[:5], ErrNoBackup, ""},
		"CutInHeader":         {good[:first-1], ErrDamaged, "ends in its header"},
		"OnlyHeader":          {good[:first], ErrDamaged, "its end is missing"},
		"CutInChunk":          {good[:first+sealedSize+100], ErrDamaged, "its end is missing"},
		"CutBetweenChunks":    {good[:first+2*sealedSize], ErrDamaged, "its end is missing"},
		"CutByOne":            {good[:len(good)-1], ErrDamaged, "its end is missing"},
		"AppendedByte":        {splice(good, []byte{0}), ErrDamaged, ""},
		"AppendedChunk":       {splice(good, chunk(0)), ErrDamaged, ""},
		"AppendedItself":      {splice(good, good), ErrDamaged, ""},
		"ChunksExchanged":     {splice(good[:first], chunk(1), chunk(0), good[first+2*sealedSize:]), ErrDamaged, "altered"},
		"ChunkLeftOut":        {splice(good[:first], chunk(0), good[first+2*sealedSize:]), ErrDamaged, "altered"},
		"ChunkTwice":          {splice(good[:first], chunk(0), chunk(0), good[first+sealedSize:]), ErrDamaged, "altered"},
		"ChunkOfAnother":      {splice(good[:first], another[first:][:sealedSize], good[first+sealedSize:]), ErrDamaged, "altered"},
		"HeaderOfAnother":     {splice(another[:first], good[first:]), ErrDamaged, "altered"},
		"Newer":               {newer, ErrNewer, "its format is 3"},
		"LengthBeyondTheFile": {append([]byte(magic), 0, 1, 0, 0x70, 0, 0, '{'), ErrDamaged, "ends in its header"},
		"LengthBeyondReason":  {append([]byte(magic), 0, 1, 0x7f, 0, 0, 0, '{'), ErrDamaged, "bytes"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if _, err := read(c.file, lazy{}); !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("read = %v, want %v with %q", err, c.want, c.text)
			}
		})
	}
	t.Run("AnyByte", func(t *testing.T) {
		for at := 0; at < len(good); at += 1 + at/9 {
			bad := bytes.Clone(good)
			bad[at] ^= 0x20
			if _, err := read(bad, lazy{}); err == nil {
				t.Fatalf("byte %d was altered, and nobody noticed", at)
			}
		}
	})
	t.Run("AnyLength", func(t *testing.T) {
		for n := 0; n < len(good); n += 1 + n/9 {
			if _, err := read(good[:n], lazy{}); err == nil {
				t.Fatalf("only %d bytes of %d were there, and nobody noticed", n, len(good))
			}
		}
	})
	t.Run("WrongKey", func(t *testing.T) {
		f, err := Open(bytes.NewReader(good))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Read(bytes.Repeat([]byte{8}, KeySize), lazy{}); !errors.Is(err, ErrDamaged) {
			t.Errorf("Read = %v, want ErrDamaged", err)
		}
	})
}

// A disk that fails is no damage.
func TestAFailingFileIsNotCalledDamaged(t *testing.T) {
	good := write(t, testHeader, 200, 3, 2)
	broken := errors.New("input/output error")
	for _, n := range []int{3, 30, start(good) + 10, start(good) + sealedSize, len(good) - 1} {
		f, err := Open(io.MultiReader(bytes.NewReader(good[:n]), failing{broken}))
		if err == nil {
			_, err = f.Read(testKey, lazy{})
		}
		if !errors.Is(err, broken) || errors.Is(err, ErrDamaged) {
			t.Errorf("after %d bytes: %v, want the disk's error", n, err)
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// What a sink or the writer's disk refuses is reported as it is.
func TestErrorsOfOthers(t *testing.T) {
	full := errors.New("no space left on device")
	t.Run("Sink", func(t *testing.T) {
		if _, err := read(write(t, testHeader, 10, 1, 0), refusing{full}); !errors.Is(err, full) || errors.Is(err, ErrDamaged) {
			t.Errorf("Read = %v, want the sink's error", err)
		}
	})
	t.Run("Disk", func(t *testing.T) {
		w, err := NewWriter(&limited{n: 100_000, err: full}, testHeader, testKey)
		if err != nil {
			t.Fatal(err)
		}
		err = w.Segment("seg", bytes.NewReader(noise(1<<20)))
		if err == nil {
			_, err = w.Close()
		}
		if !errors.Is(err, full) {
			t.Errorf("writing = %v, want the disk's error", err)
		}
	})
	t.Run("PairsOutOfOrder", func(t *testing.T) {
		w, err := NewWriter(io.Discard, testHeader, testKey)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(w.Pair([]byte("b"), nil), w.Pair([]byte("a"), nil)); err == nil {
			t.Error("pairs out of order were taken")
		}
	})
}

type refusing struct{ err error }

func (r refusing) Pair([]byte, []byte) error       { return r.err }
func (r refusing) Segment(string, io.Reader) error { return r.err }
func (r refusing) Object(string, io.Reader) error  { return r.err }

type limited struct {
	n   int
	err error
}

func (l *limited) Write(b []byte) (int, error) {
	if l.n -= len(b); l.n < 0 {
		return 0, l.err
	}
	return len(b), nil
}

// FuzzRead reads any bytes as a backup: it never panics, and takes nothing for one that was not written.
func FuzzRead(f *testing.F) {
	good := write(f, testHeader, 3, 2, 2)
	want, err := read(good, lazy{})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:start(good)+5])
	f.Add([]byte(magic + "\x00\x01\x00\x00\x00\x02{}"))
	f.Add([]byte(magic + "\x00\x02"))
	f.Fuzz(func(t *testing.T, file []byte) {
		// Each process of a fuzzing run has written a file of its own, of the same contents.
		if contents, err := read(file, lazy{}); err == nil && contents != want {
			t.Errorf("%d bytes that were never written are a backup of %+v", len(file), contents)
		}
	})
}

// FuzzEntries reads any bytes as what the chunks hold.
func FuzzEntries(f *testing.F) {
	f.Add([]byte("p\x01a\x01b"))
	f.Add([]byte("s\x03segd\x02xyd\x00e\x00\x01\x02"))
	f.Add([]byte("o\x03keyd\x02xyd\x00s\x01x"))
	f.Add([]byte("p\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = newEntries(bytes.NewReader(b)).read(&kept{})
	})
}

func BenchmarkWrite(b *testing.B) {
	value := noise(1000)
	b.SetBytes(int64(len(value)))
	w, err := NewWriter(io.Discard, testHeader, testKey)
	if err != nil {
		b.Fatal(err)
	}
	for i := 0; b.Loop(); i++ {
		if err := w.Pair(binary.BigEndian.AppendUint64(nil, uint64(i)), value); err != nil {
			b.Fatal(err)
		}
	}
}
