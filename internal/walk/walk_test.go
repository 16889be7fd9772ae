package walk_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/walk"
	"github.com/holdfast-cloud/holdfast/wire"
)

func TestBuilt(t *testing.T) {
	for _, c := range []struct {
		name   string
		handle func(*call.Call, wire.Shape) (wire.Shape, error)
		want   bool
	}{
		{"NotImplemented", func(*call.Call, wire.Shape) (wire.Shape, error) { return nil, wire.NotImplemented("kms", "Encrypt") }, false},
		{"Fails", func(*call.Call, wire.Shape) (wire.Shape, error) { return nil, errors.New("no key") }, true},
		{"Panics", func(c *call.Call, _ wire.Shape) (wire.Shape, error) { _ = c.Caller.Account; return nil, nil }, true},
		{"Answers", func(*call.Call, wire.Shape) (wire.Shape, error) { return nil, nil }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := call.Endpoint{Op: &wire.Operation{NewInput: func() wire.Shape { return nil }}, Handle: c.handle}
			if got := walk.Built(e); got != c.want {
				t.Errorf("Built = %v, want %v", got, c.want)
			}
		})
	}
}

func TestLists(t *testing.T) {
	file := filepath.Join(t.TempDir(), "walk.txt")
	open := map[string]string{"Who": "anybody may ask"}
	if err := walk.Check(file, []string{"Get"}, open); err == nil {
		t.Error("a list that is not there is right")
	}
	if err := os.WriteFile(file, []byte("Get\nPut\nWho: anybody may ask\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := walk.Check(file, []string{"Put", "Get", "Put"}, open); err != nil {
		t.Error(err)
	}
	for _, done := range [][]string{{"Get"}, {"Get", "Put", "List"}} {
		if err := walk.Check(file, done, open); err == nil {
			t.Errorf("the list is right for a walk of %v", done)
		}
	}
	if err := walk.Check(file, []string{"Get", "Put"}, nil); err == nil {
		t.Error("an exception stays in the list")
	}
	got, err := walk.Read(file)
	if err != nil || !slices.Equal(got, []string{"Get", "Put", "Who"}) {
		t.Errorf("Read = %v, %v", got, err)
	}
}
