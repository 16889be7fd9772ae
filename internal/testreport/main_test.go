package main

import (
	"strings"
	"testing"
)

const (
	passed  = `{"Action":"pass","Package":"p","Test":"TestA","Elapsed":0.1}`
	skipped = `{"Action":"output","Package":"p","Test":"TestB","Output":"=== RUN   TestB\n"}
{"Action":"output","Package":"p","Test":"TestB","Output":"    b_test.go:3: no openssl\n"}
{"Action":"output","Package":"p","Test":"TestB","Output":"--- SKIP: TestB (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestB","Elapsed":0}`
	skippedThenRun = skipped + "\n" + `{"Action":"pass","Package":"p","Test":"TestB","Elapsed":0}`
	failed         = `{"Action":"output","Package":"p","Test":"TestC","Output":"    c_test.go:3: got 1\n"}
{"Action":"fail","Package":"p","Test":"TestC","Elapsed":0}`
	unbuilt = `{"Action":"build-output","ImportPath":"p [p.test]","Output":"p.go:1: syntax error\n"}
{"Action":"fail","Package":"p","Elapsed":0,"FailedBuild":"p [p.test]"}`
)

func TestReport(t *testing.T) {
	for _, c := range []struct {
		name   string
		in     []string
		forbid bool
		good   bool
		says   string
	}{
		{"OK", []string{passed}, true, true, "1 tests passed, 0 failed, 0 skipped"},
		{"Skipped", []string{passed, skipped}, false, true, "SKIP  p TestB: b_test.go:3: no openssl"},
		{"SkippedWhereForbidden", []string{passed, skipped}, true, false, "Nothing may be skipped"},
		{"SkippedOnce", []string{passed, skippedThenRun}, true, true, "0 skipped"},
		{"Failed", []string{passed, failed}, false, false, "c_test.go:3: got 1"},
		{"NotBuilt", []string{passed, unbuilt}, false, false, "p.go:1: syntax error"},
		{"NothingRan", []string{"go: no such package"}, false, false, "go: no such package"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			r := newReport(&out)
			if err := r.read(strings.NewReader(strings.Join(c.in, "\n"))); err != nil {
				t.Fatal(err)
			}
			if good := r.finish(c.forbid); good != c.good || !strings.Contains(out.String(), c.says) {
				t.Errorf("good = %v, want %v, and to say %q:\n%s", good, c.good, c.says, out.String())
			}
		})
	}
}
