//go:build race

// Package race tells tests whether the race detector watches. It makes some work ten and more times slower; what has one goroutine is given less of that then, and all of it in a run without, see
// check_tests in .ci/check.
package race

// Enabled is set when the race detector watches.
const Enabled = true
