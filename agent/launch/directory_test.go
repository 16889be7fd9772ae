//go:build unix

package launch

import (
	"os"
	"path/filepath"
	"testing"
)

func TestDirectory(t *testing.T) {
	v := func(pairs ...string) *Values {
		w := &Values{byName: map[string]string{}}
		for i := 0; i < len(pairs); i += 2 {
			w.byName[pairs[i]] = pairs[i+1]
		}
		return w
	}
	t.Run("NotOverOthers", func(t *testing.T) {
		if _, err := NewDirectory(t.TempDir(), os.Getenv); err == nil {
			t.Error("a directory that exists was taken")
		}
		link := filepath.Join(t.TempDir(), "link")
		if err := os.Symlink("/etc", link); err != nil {
			t.Fatal(err)
		}
		if _, err := NewDirectory(link, os.Getenv); err == nil {
			t.Error("somebody's link was taken")
		}
	})
	t.Run("AfterAKill", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "s")
		killed, err := NewDirectory(path, os.Getenv)
		if err != nil {
			t.Fatal(err)
		}
		if err := killed.Write(v("a", "1")); err != nil {
			t.Fatal(err)
		}
		d, err := NewDirectory(path, os.Getenv)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Write(v("b", "2")); err != nil {
			t.Fatal(err)
		}
		names, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".s*"))
		if err != nil || len(names) != 1 {
			t.Errorf("%v, %v; want one directory behind the link", names, err)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Run("InMemory", func(t *testing.T) {
		base := t.TempDir()
		d, err := NewDirectory("", func(string) string { return base })
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Write(v("a", "1")); err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(filepath.Join(d.Path(), "a")); err != nil || string(b) != "1" {
			t.Errorf("%q, %v", b, err)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if left, _ := os.ReadDir(base); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
	t.Run("StaysInside", func(t *testing.T) {
		d, err := NewDirectory(filepath.Join(t.TempDir(), "s"), os.Getenv)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Write(v("../outside", "1")); err == nil {
			t.Error("a file was written outside")
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
}
