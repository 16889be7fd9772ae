package audit

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"slices"
)

// Traced is a record with the trace beside it, which may be nil. It is for whoever runs the cloud: no account may see the trace.
type Traced struct {
	Record, Trace json.RawMessage
}

// findLimit bounds what Find returns: the records of one request.
const findLimit = 1000

// Find returns the records of the request that an ID leads to, which may be that of an event, of a copy of it in another account, or of the request:
// those of the calls that services made in it come before its own. Only its oldest 1000 are returned; none means that there is no such record. With an error that
// wraps ErrAltered comes what could be read.
func (t *Trail) Find(ctx context.Context, id string) (found []Traced, err error) {
	if id == "" {
		return nil, nil
	}
	request, direct := "", []Traced(nil)
	damage := t.eachWithID(ctx, id, func(f *facts, r Traced) bool {
		if f.event != id && f.request != id && f.shared != id {
			return true
		}
		if request = f.request; request == "" {
			direct = []Traced{r}
		}
		return false
	})
	if damage != nil && !errors.Is(damage, ErrAltered) || request == "" {
		return direct, damage
	}
	err = t.eachWithID(ctx, request, func(f *facts, r Traced) bool {
		if f.request == request {
			found = append(found, r)
		}
		return len(found) < findLimit
	})
	if err != nil && !errors.Is(err, ErrAltered) {
		return nil, err
	}
	return found, errors.Join(damage, err)
}

// eachWithID calls fn with the records that may have an ID, those of the log first and in the order in which they were written, until it returns false. An error
// that wraps ErrAltered comes when all that could be read was.
func (t *Trail) eachWithID(ctx context.Context, id string, fn func(*facts, Traced) bool) error {
	done := false
	meet := func(stored []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if done || !mayHold(stored, id) {
			return nil
		}
		f, err := factsOf(stored)
		if err != nil {
			return err
		}
		rec, trace, _ := splitStored(stored)
		done = !fn(&f, Traced{slices.Clone(rec), slices.Clone(trace)})
		return nil
	}
	var changes [][]byte
	keep := func(stored []byte) error {
		if mayHold(stored, id) {
			changes = append(changes, stored)
		}
		return nil
	}
	return t.snapshot(ctx, math.MinInt64, math.MaxInt64, false, keep, func(log *logSnapshot) error {
		var damage []error
		if log.l == nil {
			if err := log.eachRemembered(meet); err != nil {
				return err
			}
		} else {
			for i, seg := range log.segments {
				err := errors.Join(log.gapBefore(i), log.eachHaving(seg, idTerm(id), meet))
				if err := tolerate(&damage, seg, err); err != nil {
					return err
				}
				if done {
					break
				}
			}
		}
		for _, c := range changes {
			if err := meet(c); err != nil {
				return err
			}
		}
		return errors.Join(damage...)
	})
}

// Each calls fn with the records that the filter chooses, except for its Limit, in no particular order. fn must not keep them. An error of fn ends it, and is
// returned. One that wraps ErrAltered comes when all that could be read was.
func (t *Trail) Each(ctx context.Context, f Filter, fn func(Traced) error) error {
	each := func(stored []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		rec, trace, _ := splitStored(stored)
		_, ok, err := f.chooses(rec)
		if err != nil || !ok {
			return err
		}
		return fn(Traced{rec, trace})
	}
	return t.eachIn(ctx, f, each)
}
