package store

import (
	"bytes"
	"sync"
)

// Decoded keeps records as they were decoded last: for those that are read again and again and seldom change, decoding costs more than reading. It is only ever
// asked together with a Reader, and compares what is stored, so it tells what the Reader sees. It is safe for concurrent use.
type Decoded[R any] struct {
	limit int

	mu   sync.Mutex // guards kept; nothing is read or decoded under it
	kept map[string]decoded[R]
}

type decoded[R any] struct {
	value  []byte
	record *R
}

// NewDecoded returns one that keeps about limit records.
func NewDecoded[R any](limit int) *Decoded[R] {
	return &Decoded[R]{limit: limit, kept: make(map[string]decoded[R])}
}

// GetShared is Get for a record that the caller does not change: others are given the same one.
func (w Rows[R]) GetShared(rd Reader, d *Decoded[R], key ...any) (*R, error) {
	k := w.encode("", key)
	value, err := rd.Get(k)
	if err != nil {
		return nil, err
	}
	if r := d.get(k, value); r != nil {
		return r, nil
	}
	r, err := decodeRecord[R](k, value)
	if err == nil {
		d.put(k, value, r)
	}
	return r, err
}

func (d *Decoded[R]) get(key, value []byte) *R {
	d.mu.Lock()
	kept := d.kept[string(key)]
	d.mu.Unlock()
	if kept.record == nil || !bytes.Equal(kept.value, value) {
		return nil
	}
	return kept.record
}

func (d *Decoded[R]) put(key, value []byte, r *R) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.kept[string(key)]; !ok && len(d.kept) >= d.limit {
		clear(d.kept) // those that are still asked for come back at once
	}
	d.kept[string(key)] = decoded[R]{value, r}
}
