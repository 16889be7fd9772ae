// Command testreport reads what go test -json prints, and tells what matters of it: the output of what failed, a line for each package, and each test
// that was skipped with its reason.
//
//	go test -json ./... | go run ./internal/testreport [-forbid-skips]
//
// A test that was skipped in one run and passed in another, say with and without the race detector, counts as run.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

func main() {
	forbid := flag.Bool("forbid-skips", false, "fail if a test was skipped")
	flag.Parse()
	r := newReport(os.Stdout)
	err := r.read(os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
		os.Exit(1)
	}
	if !r.finish(*forbid) {
		os.Exit(1)
	}
}

// event is a line of go test -json. See go doc test2json.
type event struct {
	Action, Package, Test, Output, ImportPath string
	Elapsed                                   float64
	FailedBuild                               string
}

// test names a test, or a package where Test is empty.
type test struct{ Package, Test string }

type report struct {
	out     io.Writer
	output  map[test][]string
	skipped map[test]string // with the reason
	passed  map[test]bool
	builds  map[string][]string // output of the compiler
	tests   int
	failed  []string
}

func newReport(out io.Writer) *report {
	return &report{
		out: out, output: make(map[test][]string), skipped: make(map[test]string), passed: make(map[test]bool), builds: make(map[string][]string),
	}
}

func (r *report) read(in io.Reader) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			fmt.Fprintln(r.out, lines.Text()) // of go itself
			continue
		}
		r.take(e)
	}
	return lines.Err()
}

func (r *report) take(e event) {
	t := test{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		r.builds[e.ImportPath] = append(r.builds[e.ImportPath], e.Output)
	case "output":
		r.output[t] = append(r.output[t], e.Output)
	case "pass":
		r.passed[t] = true
		delete(r.output, t)
		if e.Test == "" {
			fmt.Fprintf(r.out, "ok    %s  %.1fs\n", e.Package, e.Elapsed)
		} else {
			r.tests++
		}
	case "skip":
		if e.Test != "" {
			r.skipped[t] = reason(r.output[t])
		}
		delete(r.output, t)
	case "fail":
		name := e.Package
		if e.Test != "" {
			name += " " + e.Test
		}
		r.failed = append(r.failed, name)
		fmt.Fprintf(r.out, "FAIL  %s  %.1fs\n%s%s", name, e.Elapsed, strings.Join(r.builds[e.FailedBuild], ""), strings.Join(r.output[t], ""))
		delete(r.output, t)
	}
}

// reason is what a test said when it was skipped: its output without go test's own lines.
func reason(output []string) string {
	var said []string
	for _, line := range output {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "=== ") && !strings.HasPrefix(line, "--- ") {
			said = append(said, line)
		}
	}
	return strings.Join(said, " ")
}

// finish tells the result and reports whether it is a good one.
func (r *report) finish(forbidSkips bool) bool {
	var skips []string
	for t, why := range r.skipped {
		if !r.passed[t] {
			skips = append(skips, fmt.Sprintf("SKIP  %s %s: %s", t.Package, t.Test, why))
		}
	}
	slices.Sort(skips)
	for _, s := range skips {
		fmt.Fprintln(r.out, s)
	}
	fmt.Fprintf(r.out, "%d tests passed, %d failed, %d skipped\n", r.tests, len(r.failed), len(skips))
	if forbidSkips && len(skips) > 0 {
		fmt.Fprintln(r.out, "Nothing may be skipped here.")
		return false
	}
	return len(r.failed) == 0 && r.tests > 0
}
