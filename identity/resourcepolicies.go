package identity

import (
	"context"
	"encoding/json"

	"github.com/holdfast-cloud/holdfast/cache"
	"github.com/holdfast-cloud/holdfast/engine/policy"
)

// ResourcePolicies keeps compiled policies of resources ready, by their texts and pins. It is safe for concurrent use.
type ResourcePolicies struct {
	compiled *cache.Cache[pinned, *policy.Policy]
}

// pinned is what a compiled policy is made of. What is made of it does not change, so nothing has to be forgotten.
type pinned struct{ text, pins string }

// maxPolicies is how many compiled policies are kept ready.
const maxPolicies = 1000

// NewResourcePolicies returns a keeper of policies that has none yet.
func NewResourcePolicies() *ResourcePolicies {
	return &ResourcePolicies{cache.New(maxPolicies, compilePinned)}
}

// Get returns the policy that a text is, for those alone whom it was written for.
func (p *ResourcePolicies) Get(ctx context.Context, text string, pins Pins) (*policy.Policy, error) {
	k := pinned{text: text}
	if len(pins) > 0 {
		b, err := json.Marshal(pins)
		if err != nil {
			return nil, err
		}
		k.pins = string(b)
	}
	return p.compiled.Get(ctx, k)
}

// Stats tells how full the cache is, and how often it had to load.
func (p *ResourcePolicies) Stats() cache.Stats { return p.compiled.Stats() }

func compilePinned(_ context.Context, k pinned) (*policy.Policy, error) {
	p, err := policy.Parse([]byte(k.text), policy.Resource)
	if err != nil || k.pins == "" {
		return p, err
	}
	var pins Pins
	if err := json.Unmarshal([]byte(k.pins), &pins); err != nil {
		return nil, err
	}
	return pins.Bind(p), nil
}
