package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// Traced is a record with the trace beside it, which may be nil. It is for whoever runs the cloud: no account may see the trace.
type Traced struct {
	Record, Trace json.RawMessage
}

// eventIDs are the names by which a record is found.
type eventIDs struct {
	Event   string `json:"eventID"`
	Request string `json:"requestID"`
	Shared  string `json:"sharedEventID"`
}

// findLimit bounds what Find returns: the records of one request.
const findLimit = 1000

// Find returns the records of the request that an ID leads to, which may be that of an event, of a copy of it in another account, or of the request:
// those of the calls that services made in it come before its own. Only its oldest 1000 are returned; none means that there is no such record. With an error that
// wraps ErrAltered comes what could be read. The trail has no index of IDs, so all of it may be read; the newest comes first.
func (t *Trail) Find(ctx context.Context, id string) ([]Traced, error) {
	if id == "" {
		return nil, nil
	}
	var damage error
	for _, source := range t.sources() {
		found, err := findIn(ctx, source, id)
		if errors.Is(err, ErrAltered) {
			damage = errors.Join(damage, err)
		} else if err != nil {
			return nil, err
		}
		if len(found) > 0 {
			return found, damage
		}
	}
	return nil, damage
}

// source reads a part of the trail that holds all records of any request of which it holds one: what is recorded together is written together.
type source func(ctx context.Context, fn func(stored []byte) error) error

// sources are the parts of the trail, the newest first.
func (t *Trail) sources() []source {
	all := []source{func(ctx context.Context, fn func([]byte) error) error { return t.readStore(ctx, Filter{}, fn) }}
	if t.log == nil {
		return append(all, func(_ context.Context, fn func([]byte) error) error { return t.readLog(Filter{}, fn) })
	}
	names, err := segments(t.log.dir)
	if err != nil {
		return []source{func(context.Context, func([]byte) error) error { return err }}
	}
	// Asked for after the list was made, as in segmentLog.read.
	current, size := t.log.position()
	for _, name := range slices.Backward(names) {
		limit := int64(-1)
		if name == current {
			limit = size
		}
		all = append(all, func(_ context.Context, fn func([]byte) error) error {
			if err := readSegment(t.log.dir, name, limit, fn); err != nil {
				return fmt.Errorf("reading %s: %w", name, err)
			}
			return nil
		})
	}
	return all
}

// findIn looks for the request first, and then for everything of it: the records of inner calls come before the one that was asked for.
func findIn(ctx context.Context, read source, id string) (found []Traced, err error) {
	request := ""
	search := func(want string, match func(eventIDs, Traced) bool) error {
		return read(ctx, func(stored []byte) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			rec, trace := splitStored(stored)
			if !bytes.Contains(rec, []byte(want)) { // which is quick
				return nil
			}
			var ids eventIDs
			if err := json.Unmarshal(rec, &ids); err != nil {
				return fmt.Errorf("reading an audit record: %w", err)
			}
			if match(ids, Traced{rec, trace}) {
				return errFound
			}
			return nil
		})
	}
	err = search(id, func(ids eventIDs, r Traced) bool {
		if ids.Event != id && ids.Request != id && ids.Shared != id {
			return false
		}
		if request = ids.Request; request == "" {
			found = []Traced{{slices.Clone(r.Record), slices.Clone(r.Trace)}}
		}
		return true
	})
	if !errors.Is(err, errFound) || request == "" {
		return found, ignore(err)
	}
	err = search(request, func(ids eventIDs, r Traced) bool {
		if ids.Request == request {
			found = append(found, Traced{slices.Clone(r.Record), slices.Clone(r.Trace)})
		}
		return len(found) == findLimit
	})
	return found, ignore(err)
}

var errFound = errors.New("found")

func ignore(err error) error {
	if errors.Is(err, errFound) {
		return nil
	}
	return err
}

// Each calls fn with the records that the filter chooses, except for its Limit, in no particular order. fn must not keep them. An error of fn ends it, and is
// returned. One that wraps ErrAltered comes when all that could be read was.
func (t *Trail) Each(ctx context.Context, f Filter, fn func(Traced) error) error {
	each := func(stored []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		rec, trace := splitStored(stored)
		_, ok, err := f.chooses(rec)
		if err != nil || !ok {
			return err
		}
		return fn(Traced{rec, trace})
	}
	if err := t.readStore(ctx, f, each); err != nil {
		return err
	}
	return t.readLog(f, each)
}
