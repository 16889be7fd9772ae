package lambda

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/store"
)

// resourceType is what functions are in audit records.
const resourceType = "AWS::Lambda::Function"

// target is a function as a request names it, with the version that this means.
type target struct {
	name            // as asked
	asked    string // the ARN as it was asked for: qualified if it was
	function *functionRecord
	version  *versionRecord
	alias    *aliasRecord  // nil where none was named
	policy   *policyRecord // of the function, the version or the alias as it was asked for; nil if it has none
}

// look finds a function, and the version that its name means, which need not be there: see there. It asks for no permission: see resource. An alias with weights means
// its main version until routed has drawn.
func (s *Service) look(c *call.Call, n name) (t *target, err error) {
	t = &target{name: n, asked: n.arn(c)}
	if t.function, err = get(c, functionTable, n, n.function); err != nil || t.function == nil {
		return t, err
	}
	number, ok := versionNumber(n.qualifier)
	if !ok {
		if t.alias, err = get(c, aliasTable, n, n.function, n.qualifier); err != nil || t.alias == nil {
			return t, err
		}
		number, _ = versionNumber(t.alias.Version)
	}
	if t.version, err = get(c, versionTable, n, n.function, number); err != nil {
		return t, err
	}
	t.policy, err = get(c, policyTable, n, n.function, policyQualifier(n.qualifier))
	return t, err
}

// there returns an error for a target that is not there.
func (t *target) there() error {
	if t.version == nil {
		return noFunction(t.asked)
	}
	return nil
}

// policyQualifier is which policy counts for what is asked for with a qualifier: $LATEST has that of the function.
func policyQualifier(qualifier string) string {
	if qualifier == latest {
		return ""
	}
	return qualifier
}

func noFunction(arn string) error { return notFound("Function not found: %s", arn) }

// routed is the target with the version that an invocation of it goes to: of an alias with weights, one is drawn.
func (t *target) routed(c *call.Call) (*target, error) {
	if t.alias == nil || t.alias.Other == "" {
		return t, nil
	}
	var b [8]byte
	if _, err := io.ReadFull(c.Rand, b[:]); err != nil {
		return nil, err
	}
	if float64(binary.LittleEndian.Uint64(b[:])>>11)/(1<<53) >= t.alias.Weight {
		return t, nil
	}
	number, _ := versionNumber(t.alias.Other)
	v, err := get(c, versionTable, t.name, t.name.function, number)
	if err != nil {
		return nil, err
	}
	if v == nil {
		return nil, noFunction(functionARN(t.scope(c), t.name.function, t.alias.Other))
	}
	other := *t
	other.version = v
	return &other, nil
}

// resource is the target as permission is asked for it, by the ARN that it was asked for.
func (s *Service) resource(c *call.Call, t *target) (*call.Resource, error) {
	r := &call.Resource{ARN: t.asked, Account: t.account, Type: resourceType}
	if t.function != nil {
		r.Tags = t.function.Tags
	}
	if t.policy != nil {
		p, err := s.policies.Get(c.Context, t.policy.Text, t.policy.Pins)
		if err != nil {
			return nil, fmt.Errorf("compiling the policy of %s: %w", t.asked, err)
		}
		r.Policy = p
	}
	return r, nil
}

// archive opens a zip archive in the blob store.
type archive func(context.Context) (io.ReadCloser, error)

// code returns the archive of a target's version, and those of its layers in their order.
func (s *Service) code(t *target) (code archive, layers []archive) {
	for _, l := range t.version.Layers {
		layers = append(layers, s.archive(l.Blob))
	}
	return s.archive(t.version.Code.Blob), layers
}

func (s *Service) archive(blob string) archive {
	return func(ctx context.Context) (io.ReadCloser, error) {
		r, _, err := s.cfg.Blob.Get(ctx, blob, 0, -1)
		return r, err
	}
}

// get returns a record of where a function is, or nil if it is not there.
func get[R any](c *call.Call, t *store.Table[R], n name, key ...any) (*R, error) {
	r, err := t.In(n.account, n.region).Get(c.Tx(), key...)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("loading what belongs to function %s: %w", n.function, err)
	}
	return r, nil
}
