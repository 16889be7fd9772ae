package runner

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// entry is one of a zip file.
type entry struct {
	name, text string
	mode       fs.FileMode
}

func zipOf(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		h.SetMode(e.mode)
		w, err := z.CreateHeader(h)
		if err == nil && !strings.HasSuffix(e.name, "/") {
			_, err = io.WriteString(w, e.text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// unpacked unpacks zip files into a directory and says what is in it, and fails if something is beside it.
func unpacked(t testing.TB, zips ...[]byte) (map[string]string, error) {
	t.Helper()
	outer := t.TempDir()
	dir := filepath.Join(outer, "in")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	var readers []*zip.Reader
	for _, b := range zips {
		z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return nil, err
		}
		readers = append(readers, z)
	}
	failed := unpack(root, readers, maxUnpacked)
	if list, err := os.ReadDir(outer); err != nil || len(list) != 1 {
		t.Fatalf("beside it there is %v, %v", list, err)
	}
	found := map[string]string{}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, text := path[len(dir)+1:], ""
		switch {
		case d.Type()&fs.ModeSymlink != 0:
			text, err = os.Readlink(path)
			found[name] = "-> " + text
			return err
		case d.Type().IsRegular():
			b, err := os.ReadFile(path)
			found[name] = fmt.Sprintf("%v %s", info.Mode(), b)
			return err
		case d.IsDir():
			found[name] = info.Mode().String()
			return nil
		}
		t.Fatalf("%s is %v", name, info.Mode())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found, failed
}

func TestUnpack(t *testing.T) {
	const link = fs.ModeSymlink | 0o777
	t.Run("OK", func(t *testing.T) {
		got, err := unpacked(t,
			zipOf(t, entry{"a", "old", 0o600}, entry{"d/", "", fs.ModeDir | 0o700}, entry{"d/x", "x", 0o4711}, entry{"deep/er/y", "y", 0}, entry{"link", "/etc/passwd", link}, entry{"rel", "d/x", link}, entry{"b", "b", 0o644}),
			zipOf(t, entry{"a", "new", 0o755}, entry{"link", "now a file", 0o644}, entry{"b", "a", link}))
		want := map[string]string{
			"a": "-rwxr-xr-x new", "d": "drwxr-xr-x", "d/x": "-rwxr-xr-x x", "deep": "drwxr-xr-x", "deep/er": "drwxr-xr-x", "deep/er/y": "-rw-r--r-- y", "link": "-rw-r--r-- now a file", "rel": "-> d/x", "b": "-> a",
		}
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, d)
		}
	})
	for name, c := range map[string]struct {
		entries []entry
		want    string
	}{
		"Parent":          {[]entry{{"../x", "x", 0o644}}, "leads out of it"},
		"ParentInside":    {[]entry{{"a/../../x", "x", 0o644}}, "leads out of it"},
		"Absolute":        {[]entry{{"/x", "x", 0o644}}, "leads out of it"},
		"AbsoluteDir":     {[]entry{{"/", "", fs.ModeDir | 0o755}}, "leads out of it"},
		"Nothing":         {[]entry{{"", "x", 0o644}}, "cannot be unpacked"},
		"ThroughALink":    {[]entry{{"out", "..", link}, {"out/x", "x", 0o644}}, "cannot be unpacked"},
		"ThroughAbsolute": {[]entry{{"out", "/tmp", link}, {"out/x", "x", 0o644}}, "cannot be unpacked"},
		"DirThroughALink": {[]entry{{"out", "..", link}, {"out/x/", "", fs.ModeDir | 0o755}}, "cannot be unpacked"},
		"LinkThroughLink": {[]entry{{"out", "..", link}, {"out/x", "/etc", link}}, "cannot be unpacked"},
		"Device":          {[]entry{{"disk", "", fs.ModeDevice | 0o666}}, "neither a file, a directory nor a link"},
		"Pipe":            {[]entry{{"pipe", "", fs.ModeNamedPipe | 0o666}}, "neither a file, a directory nor a link"},
		"FileOverDir":     {[]entry{{"a/b", "x", 0o644}, {"a", "x", 0o644}}, "cannot be unpacked"},
		"DirOverFile":     {[]entry{{"a", "x", 0o644}, {"a/b", "x", 0o644}}, "cannot be unpacked"},
		"LongLink":        {[]entry{{"a", strings.Repeat("x", maxLink+1), link}}, "cannot be read"},
		"LongName":        {[]entry{{strings.Repeat("x", 300), "x", 0o644}}, "cannot be unpacked"},
	} {
		t.Run(name, func(t *testing.T) {
			var want *ArchiveError
			if _, err := unpacked(t, zipOf(t, c.entries...)); !errors.As(err, &want) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), os.TempDir()) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	t.Run("Bomb", func(t *testing.T) {
		b := zipOf(t, entry{"a", strings.Repeat("0", 600_000), 0o644}, entry{"b", strings.Repeat("0", 600_000), 0o644})
		for max, ok := range map[int64]bool{1_200_000: true, 1_199_999: false, 600_000: false, 1: false} {
			root, err := os.OpenRoot(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			r, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
			if err != nil {
				t.Fatal(err)
			}
			if err := unpack(root, []*zip.Reader{r}, max); (err == nil) != ok || err != nil && !strings.Contains(err.Error(), fmt.Sprintf("more than %d bytes", max)) {
				t.Errorf("with %d bytes: %v", max, err)
			}
		}
	})
}

func FuzzUnpack(f *testing.F) {
	f.Add(zipOf(f, entry{"a", "a", 0o644}, entry{"l", "..", fs.ModeSymlink | 0o777}, entry{"l/x", "x", 0o644}))
	f.Add(zipOf(f, entry{"../a", "a", 0o644}))
	f.Add([]byte("PK\x05\x06" + strings.Repeat("\x00", 18)))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = unpacked(t, b)
	})
}

func TestTrees(t *testing.T) {
	dir := t.TempDir()
	trees := &trees{dir: dir, all: map[string]*tree{}}
	var opened atomic.Int32
	code := func(n int) Archive {
		b := zipOf(t, entry{"n", fmt.Sprint(n), 0o644})
		return Archive{Digest: fmt.Sprint(n), Open: func(context.Context) (io.ReadCloser, error) {
			opened.Add(1)
			return io.NopCloser(bytes.NewReader(b)), nil
		}}
	}
	hold := func(n int) (string, func()) {
		t.Helper()
		name, release, err := trees.hold(t.Context(), []Archive{code(n)})
		if err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(filepath.Join(dir, name, "n")); err != nil || string(b) != fmt.Sprint(n) {
			t.Errorf("%d holds %q, %v", n, b, err)
		}
		return name, release
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			_, release := hold(1)
			release()
			release()
		})
	}
	wg.Wait()
	if n := opened.Load(); n != 1 {
		t.Errorf("it was opened %d times", n)
	}
	first, keep := hold(1)
	for i := range keptTrees + 5 {
		_, release := hold(100 + i)
		release()
	}
	if _, err := os.Stat(filepath.Join(dir, first)); err != nil {
		t.Errorf("what is in use was removed: %v", err)
	}
	if n := len(trees.all); n != keptTrees+1 {
		t.Errorf("%d are kept", n)
	}
	keep()
	if name, release, err := trees.hold(t.Context(), nil); name != "" || err != nil {
		t.Errorf("nothing: %q, %v", name, err)
	} else {
		release()
	}
	if _, _, err := trees.hold(t.Context(), []Archive{{}}); err == nil {
		t.Error("an archive without a digest is held")
	}
	// Two layers the other way round are something else.
	a, releaseA, errA := trees.hold(t.Context(), []Archive{code(1), code(2)})
	b, releaseB, errB := trees.hold(t.Context(), []Archive{code(2), code(1)})
	if errA != nil || errB != nil || a == b {
		t.Fatalf("%q %q %v %v", a, b, errA, errB)
	}
	releaseA()
	releaseB()
}
