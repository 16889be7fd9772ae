package occ

import (
	"bytes"
	"sort"

	"github.com/holdfast-cloud/holdfast/store/internal/ordered"
)

// merge walks over the snapshot with the transaction's own writes laid over it.
type merge struct {
	base    Cursor
	over    *ordered.Cursor[Write]
	reverse bool

	started        bool
	inBase, inOver bool // whether the cursor stands on a pair that was not passed yet
	key, value     []byte
}

// next moves on. Key and value stay valid.
func (m *merge) next() bool {
	if !m.started {
		m.started = true
		m.inBase, m.inOver = m.base.Next(), m.over.Next()
	}
	for m.inBase || m.inOver {
		order := 0 // of base's key to over's, in the direction of the walk
		switch {
		case !m.inOver:
			order = -1
		case !m.inBase:
			order = +1
		default:
			if order = bytes.Compare(m.base.Key(), m.over.Key()); m.reverse {
				order = -order
			}
		}
		if order < 0 {
			m.key, m.value = bytes.Clone(m.base.Key()), bytes.Clone(m.base.Value())
			m.inBase = m.base.Next()
			return true
		}
		if order == 0 {
			m.inBase = m.base.Next() // hidden by over
		}
		w := m.over.Value()
		m.key, m.value = m.over.Key(), w.Value
		m.inOver = m.over.Next()
		if !w.Delete {
			return true
		}
	}
	return false
}

// err says why next returned false, if not at the end.
func (m *merge) err() error { return m.base.Err() }

// search returns the index of the first of the sorted keys that is not less than key.
func search(keys [][]byte, key []byte) int {
	return sort.Search(len(keys), func(i int) bool { return bytes.Compare(keys[i], key) >= 0 })
}

// inPoints reports whether the commit wrote one of the keys.
func (c *commit) inPoints(points []string) bool {
	for _, p := range points {
		if i := search(c.keys, []byte(p)); i < len(c.keys) && string(c.keys[i]) == p {
			return true
		}
	}
	return false
}

// inRanges reports whether the commit wrote a key in one of the ranges.
func (c *commit) inRanges(ranges []keyRange) bool {
	for _, r := range ranges {
		if i := search(c.keys, r.from); i < len(c.keys) && (r.to == nil || bytes.Compare(c.keys[i], r.to) < 0) {
			return true
		}
	}
	return false
}
