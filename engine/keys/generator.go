package keys

import (
	"context"
	"fmt"
	"io"
	"runtime"
)

// Generator makes keys without letting RSA take the machine: finding two primes keeps a core busy for up to a second, so
// at most a given number of RSA keys are made at a time and further callers wait. All other specs pass at once.
// It is safe for concurrent use.
type Generator struct {
	slots chan struct{}
}

// NewGenerator returns a generator that makes at most limit RSA keys at a time. Zero means half the cores, at least one: the
// other half goes on answering calls.
func NewGenerator(limit int) *Generator {
	if limit <= 0 {
		limit = max(1, runtime.GOMAXPROCS(0)/2)
	}
	return &Generator{slots: make(chan struct{}, limit)}
}

// Generate is [Generate], waiting for its turn no longer than ctx lasts. Once begun, a key is finished.
func (g *Generator) Generate(ctx context.Context, spec Spec, random io.Reader) (*Key, error) {
	if !spec.SlowToGenerate() {
		return Generate(spec, random)
	}
	select {
	case g.slots <- struct{}{}:
		defer func() { <-g.slots }()
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting to generate %s key: %w", spec, context.Cause(ctx))
	}
	// Both may have been ready; a caller that is gone gets no key made.
	if ctx.Err() != nil {
		return nil, fmt.Errorf("waiting to generate %s key: %w", spec, context.Cause(ctx))
	}
	return Generate(spec, random)
}
