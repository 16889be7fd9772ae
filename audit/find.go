package audit

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
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
		if err != nil || f.at < t.horizon.Load() {
			return err
		}
		rec, trace, _ := splitStored(stored)
		done = !fn(&f, Traced{slices.Clone(rec), slices.Clone(trace)})
		return nil
	}
	return t.look(ctx, math.MinInt64, math.MaxInt64, false, func(rows iter.Seq2[[]byte, error], log *logSnapshot) error {
		damage, err := log.eachWith(idTerm(id), meet, func() bool { return done })
		if err != nil {
			return err
		}
		for stored, err := range rows {
			if err == nil {
				err = meet(stored)
			}
			if err != nil {
				return err
			}
		}
		return damage
	})
}

// eachWith calls fn with the records of all blocks in which a term is, until done says so.
func (s *logSnapshot) eachWith(t term, fn func(stored []byte) error, done func() bool) (damage, err error) {
	if s.l == nil {
		return nil, s.eachRemembered(fn)
	}
	var found []error
	for i, seg := range s.segments {
		if err := tolerate(&found, seg, s.gapBefore(i), s.eachHaving(seg, t, fn)); err != nil {
			return nil, err
		}
		if done() {
			break
		}
	}
	return errors.Join(found...), nil
}

// Each calls fn with the records that the filter chooses, except for its Limit, in no particular order. fn must not keep them. An error of fn ends it, and is
// returned. One that wraps ErrAltered comes when all that could be read was.
func (t *Trail) Each(ctx context.Context, f Filter, fn func(Traced) error) error {
	from, to := t.times(f)
	each := func(stored []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, ok, err := f.chooses(stored, from, to); err != nil || !ok {
			return err
		}
		rec, trace, _ := splitStored(stored)
		return fn(Traced{rec, trace})
	}
	return t.look(ctx, from, to, false, func(rows iter.Seq2[[]byte, error], log *logSnapshot) error {
		for stored, err := range rows {
			if err == nil {
				err = each(stored)
			}
			if err != nil {
				return err
			}
		}
		if log.l == nil {
			return log.eachRemembered(each)
		}
		return log.each(from, to, each)
	})
}
