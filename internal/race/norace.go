//go:build !race

package race

// Enabled is set when the race detector watches.
const Enabled = false
