package audit

import "sync"

// fresh keeps the terms of records that were committed a moment ago, so that the step that moves them need not read them again.
type fresh struct {
	mu    sync.Mutex // guards known
	known map[string]terms
}

type knownTerms struct {
	key   []byte // of the record in the store
	terms terms
}

// maxFresh bounds them. Of those that are forgotten the records are read.
const maxFresh = 16 * stepRecords

func (f *fresh) add(all []knownTerms) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.known == nil || len(f.known) > maxFresh {
		f.known = make(map[string]terms)
	}
	for _, k := range all {
		f.known[string(k.key)] = k.terms
	}
}

// take returns the terms of a record, and forgets them.
func (f *fresh) take(key []byte) (terms, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, ok := f.known[string(key)]
	delete(f.known, string(key))
	return t, ok
}
