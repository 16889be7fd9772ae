// Package walk keeps account of the walks: tests of the services that carry out every operation with just the permission it needs, and see it refused
// with less. Each service has the list of what its walk does in testdata/walk.txt. Its own test holds the list against the walk, and a test of the cloud
// holds all lists against the operations that are built, so that none is forgotten.
package walk

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/wire"
)

// File is where a service has its list, from its own folder: an operation a line, sorted. Those that need no permission have their reason behind a colon.
const File = "testdata/walk.txt"

// Built finds out whether an operation is built by handing it an empty call. One that is not says so. One that is does not get far: it fails, or
// panics for want of a caller.
func Built(e call.Endpoint) (built bool) {
	defer func() {
		if recover() != nil {
			built = true
		}
	}()
	_, err := e.Handle(&call.Call{Context: context.Background(), Op: e.Op}, e.Op.NewInput())
	w, ok := errors.AsType[*wire.Error](err)
	return !ok || w.Status != http.StatusNotImplemented
}

// Check returns an error unless a file lists just the operations that a walk has done, which may be named more than once, and those that it leaves out for
// the reasons given.
func Check(file string, done []string, open map[string]string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("the list of the walk: %w", err)
	}
	if want := list(done, open); string(text) != want {
		return fmt.Errorf("%s does not tell what the walk does; it should read:\n%s", file, want)
	}
	return nil
}

func list(done []string, open map[string]string) string {
	lines := slices.Clone(done)
	for name, reason := range open {
		lines = append(lines, name+": "+reason)
	}
	slices.Sort(lines)
	return strings.Join(slices.Compact(lines), "\n") + "\n"
}

// Read returns the operations that a file lists.
func Read(file string) (names []string, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("the list of a walk: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		name, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		names = append(names, name)
	}
	return names, nil
}
