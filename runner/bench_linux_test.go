package runner_test

import (
	"testing"
)

// BenchmarkWarm is an invocation of an instance that waits for one: what the runner and a small function add up to.
func BenchmarkWarm(b *testing.B) {
	r := newRunner(b)
	f, _ := function("echo")
	invoke(b, r, f, `{}`)
	for b.Loop() {
		invoke(b, r, f, `{"key":"value"}`)
	}
}

// BenchmarkCold starts an instance for each invocation. Its program, this test's own, is unpacked already.
func BenchmarkCold(b *testing.B) {
	r := newRunner(b)
	f, _ := function("echo")
	for b.Loop() {
		invoke(b, r, f, `{}`)
		r.Forget(f.ID)
	}
}
