// Package ordered is an immutable sorted map: each change returns a new map that shares most of its
// nodes with the old one, so a snapshot is a copy of one pointer.
//
// It is a treap: a search tree by key and a heap by a random priority, which keeps it balanced
// without bookkeeping. Nodes are never changed after they are reachable, so readers need no lock; but for those that a Builder made
// since it last gave its map away.
package ordered

import (
	"bytes"
	"math/rand/v2"
)

// Map is a sorted map from bytes to V. The zero value is empty. Keys and values are kept as given, not copied.
type Map[V any] struct{ root *node[V] }

type node[V any] struct {
	key         []byte
	value       V
	priority    uint32
	age         uint32 // of the Builder that made it; 0 for others, which make no node that is theirs
	left, right *node[V]
}

// Empty reports whether the map has no entries.
func (m Map[V]) Empty() bool { return m.root == nil }

// Get returns the value of key and whether there is one.
func (m Map[V]) Get(key []byte) (v V, ok bool) {
	for n := m.root; n != nil; {
		switch c := bytes.Compare(key, n.key); {
		case c < 0:
			n = n.left
		case c > 0:
			n = n.right
		default:
			return n.value, true
		}
	}
	return v, false
}

// Set returns the map with key set to v.
func (m Map[V]) Set(key []byte, v V) Map[V] { return Map[V]{m.root.set(key, v, 0)} }

// set returns a root that is always fresh, or of the given age, so its caller may change it.
func (n *node[V]) set(key []byte, v V, age uint32) *node[V] {
	if n == nil {
		return &node[V]{key: key, value: v, priority: rand.Uint32(), age: age}
	}
	if n.age != age || age == 0 {
		c := *n
		n, c.age = &c, age
	}
	switch cmp := bytes.Compare(key, n.key); {
	case cmp < 0:
		l := n.left.set(key, v, age)
		if n.left = l; l.priority > n.priority {
			n.left, l.right = l.right, n
			return l
		}
	case cmp > 0:
		r := n.right.set(key, v, age)
		if n.right = r; r.priority > n.priority {
			n.right, r.left = r.left, n
			return r
		}
	default:
		n.value = v
	}
	return n
}

// Builder makes a map in many steps, and changes what nobody else has seen in place. The zero value begins with an empty map. It is used by one goroutine at a time.
type Builder[V any] struct {
	m   Map[V]
	age uint32 // of the nodes that are its own, less one
}

// Set sets key to v.
func (b *Builder[V]) Set(key []byte, v V) { b.m.root = b.m.root.set(key, v, b.age+1) }

// Get returns the value of key and whether there is one.
func (b *Builder[V]) Get(key []byte) (v V, ok bool) { return b.m.Get(key) }

// Map returns the map as it is now, which later steps do not change.
func (b *Builder[V]) Map() Map[V] {
	b.age++
	return b.m
}

// Reset goes back to a map that Map has returned.
func (b *Builder[V]) Reset(m Map[V]) {
	b.age++
	b.m = m
}

// Delete returns the map without key.
func (m Map[V]) Delete(key []byte) Map[V] {
	if _, ok := m.Get(key); !ok {
		return m
	}
	return Map[V]{m.root.delete(key)}
}

func (n *node[V]) delete(key []byte) *node[V] {
	c := *n
	switch cmp := bytes.Compare(key, n.key); {
	case cmp < 0:
		c.left = n.left.delete(key)
	case cmp > 0:
		c.right = n.right.delete(key)
	default:
		return merge(n.left, n.right)
	}
	return &c
}

// merge joins two trees of which all keys of a are less than those of b.
func merge[V any](a, b *node[V]) *node[V] {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	case a.priority > b.priority:
		c := *a
		c.right = merge(a.right, b)
		return &c
	default:
		c := *b
		c.left = merge(a, b.left)
		return &c
	}
}

// Cursor walks over a map. It starts before its first entry.
type Cursor[V any] struct {
	bound   []byte
	reverse bool
	cur     *node[V]
	stack   []*node[V] // nodes still to visit, the next one last; of each the subtree beyond it too
}

// Cursor returns a cursor over from <= key < to, descending if reverse; a nil to means to the end.
func (m Map[V]) Cursor(from, to []byte, reverse bool) *Cursor[V] {
	c := &Cursor[V]{bound: to, reverse: reverse}
	if reverse {
		c.bound = from
	}
	for n := m.root; n != nil; {
		switch {
		case !reverse && bytes.Compare(n.key, from) >= 0:
			c.stack = append(c.stack, n)
			n = n.left
		case !reverse:
			n = n.right
		case to == nil || bytes.Compare(n.key, to) < 0:
			c.stack = append(c.stack, n)
			n = n.right
		default:
			n = n.left
		}
	}
	return c
}

// Next moves to the next entry and reports whether there is one.
func (c *Cursor[V]) Next() bool {
	if len(c.stack) == 0 {
		c.cur = nil
		return false
	}
	n := c.stack[len(c.stack)-1]
	c.stack = c.stack[:len(c.stack)-1]
	if c.reverse {
		if bytes.Compare(n.key, c.bound) < 0 {
			c.stack, c.cur = nil, nil
			return false
		}
		for m := n.left; m != nil; m = m.right {
			c.stack = append(c.stack, m)
		}
	} else {
		if c.bound != nil && bytes.Compare(n.key, c.bound) >= 0 {
			c.stack, c.cur = nil, nil
			return false
		}
		for m := n.right; m != nil; m = m.left {
			c.stack = append(c.stack, m)
		}
	}
	c.cur = n
	return true
}

// Key and Value return the current entry's, after Next returned true.
func (c *Cursor[V]) Key() []byte { return c.cur.key }
func (c *Cursor[V]) Value() V    { return c.cur.value }
