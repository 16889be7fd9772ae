// Package shamir is the seal whose root key nobody holds: it is split, by Shamir's scheme ("How to Share a Secret", 1979), into shares for several people, of whom
// some number, the threshold, must come together to open the cloud after each start. Fewer of them learn nothing.
//
// The root key is in memory from when the last share needed was given until the process ends.
package shamir

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"

	"github.com/holdfast-cloud/holdfast/seal"
)

// Errors that [Seal.Give] wraps, beside [ErrMistyped]. None tells more than whether the share belongs to the set that sealed the cloud.
var (
	// ErrForeign says that a share is of another set: of another cloud, or of this one before it was sealed anew.
	ErrForeign = errors.New("this share is of another set")
	// ErrAltered says that a share is not one that was dealt, although it says so.
	ErrAltered = errors.New("this share was altered, and is none of those that were dealt")
	// ErrGiven says that a share was given before.
	ErrGiven = errors.New("this share was given already, and counts once")
	// ErrAttempt says that the attempt that a share was meant for is over.
	ErrAttempt = errors.New("the attempt that this share was meant for is over; ask for the status, and give the share again")
	// ErrNotAwaited says that no shares are awaited.
	ErrNotAwaited = errors.New("no shares are awaited")
)

// Seal is the [seal.Provider]. Until enough shares were given, its Unwrap returns [seal.ErrUnavailable].
//
// What it wraps is preceded by what tells shares apart, authenticated with it:
//
//	1        format, 1
//	8        the set's ID
//	1        threshold
//	1        n, the number of shares
//	16 * n   a mark of each share, in the order of their numbers
type Seal struct {
	plan    struct{ threshold, n int } // see Found
	handOut func(threshold int, shares []string) error

	mu      sync.Mutex // guards what follows; nothing is called under it
	set     *set       // the set of root, or the one whose shares are awaited; nil for not known yet
	root    *seal.Key  // nil for not yet
	given   []share
	attempt string
}

// A set is what is known of the shares of a root key.
type set struct {
	id        [setSize]byte
	threshold int
	marks     [][markSize]byte
}

// New returns the seal of a cloud that was sealed by shares.
func New() *Seal { return &Seal{attempt: rand.Text()} }

// Found returns the same for a cloud that may be new: on its very first start, n shares are dealt, of which threshold are needed, and handed out as [Seal.HandOut] says.
func Found(threshold, n int) (*Seal, error) {
	if err := check(threshold, n); err != nil {
		return nil, err
	}
	s := New()
	s.plan.threshold, s.plan.n = threshold, n
	return s, nil
}

// HandOut sets what is done with the shares of a new cloud. They must be in safety when it returns nil. It is to be called before the seal is used.
func (s *Seal) HandOut(to func(threshold int, shares []string) error) { s.handOut = to }

// Deal makes a root key and its shares: n, of which threshold are needed.
func Deal(threshold, n int) ([]string, error) {
	if err := check(threshold, n); err != nil {
		return nil, err
	}
	secret := new([secretSize]byte)
	defer clear(secret[:])
	rand.Read(secret[:])
	shares := deal(secret, threshold, n)
	defer clear(shares)
	texts := make([]string, n)
	for i := range shares {
		texts[i] = shares[i].text()
	}
	return texts, nil
}

func check(threshold, n int) error {
	if threshold < 2 || n < threshold || n > Most {
		return fmt.Errorf("a root key is shared as THRESHOLD/SHARES, with at least 2 and at most all of the shares needed, and at most %d shares", Most)
	}
	return nil
}

// Assemble returns the seal whose root key the shares make: all of those that [Deal] made.
func Assemble(texts []string) (*Seal, error) {
	shares := make([]share, len(texts))
	defer clear(shares)
	for i, text := range texts {
		one, err := parse(text)
		if err != nil {
			return nil, err
		}
		if one.set != shares[0].set && i > 0 {
			return nil, ErrForeign
		}
		if int(one.x) != i+1 || one.threshold != shares[0].threshold && i > 0 {
			return nil, ErrAltered
		}
		shares[i] = *one
		clear(one.y[:])
	}
	if len(shares) == 0 || check(int(shares[0].threshold), len(shares)) != nil {
		return nil, errors.New("all shares of a set are wanted")
	}
	s := New()
	s.set = &set{id: shares[0].set, threshold: int(shares[0].threshold)}
	for i := range shares {
		s.set.marks = append(s.set.marks, shares[i].mark())
	}
	// Any threshold of them must make the same root key: the first ones do, and all of them do.
	first, all := combine(shares[:s.set.threshold]), combine(shares)
	defer clear(first[:])
	defer clear(all[:])
	if !hmac.Equal(first[:], all[:]) {
		return nil, ErrAltered
	}
	var err error
	s.root, err = seal.NewKey(first[:])
	return s, err
}

// Kind implements [seal.Provider].
func (*Seal) Kind() string { return "shamir" }

// Create implements [seal.Provider].
func (s *Seal) Create(context.Context) error {
	s.mu.Lock()
	there := s.root != nil
	s.mu.Unlock()
	if there {
		return nil
	}
	switch {
	case s.plan.n == 0:
		return errors.New("seal: nothing is sealed yet; say how many shares are needed, and how many to make: shamir:3/5")
	case s.handOut == nil:
		return errors.New("seal: there is nobody to hand out the shares")
	}
	texts, err := Deal(s.plan.threshold, s.plan.n)
	if err != nil {
		return err
	}
	made, err := Assemble(texts)
	if err != nil {
		return err
	}
	// Before anything is sealed by it: shares that nobody got would be a lock without a key.
	if err := s.handOut(s.plan.threshold, texts); err != nil {
		return fmt.Errorf("seal: handing out the shares: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set, s.root = made.set, made.root
	return nil
}

// Wrap implements [seal.Provider].
func (s *Seal) Wrap(_ context.Context, keyring []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.root == nil {
		return nil, s.unavailableLocked()
	}
	return s.root.WrapAfter(s.set.encode(), keyring), nil
}

// Unwrap implements [seal.Provider].
func (s *Seal) Unwrap(_ context.Context, wrapped []byte) ([]byte, error) {
	want, header, err := decodeSet(wrapped)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.root == nil {
		if s.set == nil || !bytes.Equal(s.set.encode(), header) {
			s.set = want
			s.resetLocked()
		}
		return nil, s.unavailableLocked()
	}
	if s.set.id != want.id {
		return nil, fmt.Errorf("%w: it was sealed by shares of set %x, and these are of set %x", seal.ErrWrongRoot, want.id, s.set.id)
	}
	return s.root.UnwrapAfter(header, wrapped[len(header):])
}

func (s *Seal) unavailableLocked() error {
	if s.set == nil {
		return fmt.Errorf("%w: it is shared by several people", seal.ErrUnavailable)
	}
	return fmt.Errorf("%w: %d of the %d shares needed are given", seal.ErrUnavailable, len(s.given), s.set.threshold)
}

// Status is how far an attempt has come.
type Status struct {
	Needed  int    // shares
	Given   int    // of them, in this attempt
	Shares  int    // that were dealt
	Set     string // the ID of the set, in hex: each share has it, and it is no secret
	Attempt string // made up anew whenever the shares given are forgotten
	Done    bool   // nothing is awaited
}

// Status returns how far the attempt has come. Needed is 0 while it is not known what is awaited.
func (s *Seal) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.statusLocked()
}

func (s *Seal) statusLocked() Status {
	st := Status{Given: len(s.given), Attempt: s.attempt, Done: s.root != nil}
	if s.set != nil {
		st.Needed, st.Shares, st.Set = s.set.threshold, len(s.set.marks), fmt.Sprintf("%x", s.set.id)
	}
	return st
}

// Give counts a share, for the attempt named if one is. When as many as needed were given, the next Unwrap opens. A share that is not good changes nothing.
func (s *Seal) Give(text, attempt string) (Status, error) {
	one, err := parse(text)
	if err != nil {
		return s.Status(), err
	}
	defer clear(one.y[:])
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.giveLocked(one, attempt); err != nil {
		return s.statusLocked(), err
	}
	return s.statusLocked(), nil
}

func (s *Seal) giveLocked(one *share, attempt string) error {
	switch {
	case s.root != nil || s.set == nil:
		return ErrNotAwaited
	case attempt != "" && attempt != s.attempt:
		return ErrAttempt
	case one.set != s.set.id:
		return fmt.Errorf("%w: it is of set %x, and shares of set %x are needed", ErrForeign, one.set, s.set.id)
	case int(one.threshold) != s.set.threshold || int(one.x) > len(s.set.marks):
		return ErrAltered
	}
	mark := one.mark()
	if !hmac.Equal(mark[:], s.set.marks[one.x-1][:]) {
		return ErrAltered
	}
	for i := range s.given {
		if s.given[i].x == one.x {
			return ErrGiven
		}
	}
	if s.given == nil {
		s.given = make([]share, 0, s.set.threshold) // no copy is left behind by growing
	}
	s.given = append(s.given, *one)
	if len(s.given) < s.set.threshold {
		return nil
	}
	secret := combine(s.given)
	defer clear(secret[:])
	root, err := seal.NewKey(secret[:])
	if err != nil {
		return err
	}
	s.root = root
	s.forgetLocked()
	return nil
}

// Reset forgets the shares that were given, and begins another attempt.
func (s *Seal) Reset() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resetLocked()
	return s.statusLocked()
}

func (s *Seal) resetLocked() {
	s.forgetLocked()
	s.attempt = rand.Text()
}

func (s *Seal) forgetLocked() {
	clear(s.given)
	s.given = nil
}

func (s *set) encode() []byte {
	out := []byte{shareFormat}
	out = append(out, s.id[:]...)
	out = append(out, byte(s.threshold), byte(len(s.marks)))
	for i := range s.marks {
		out = append(out, s.marks[i][:]...)
	}
	return out
}

// decodeSet returns the set that wrapped begins with, and its bytes.
func decodeSet(wrapped []byte) (*set, []byte, error) {
	const fixed = 1 + setSize + 2
	if len(wrapped) < fixed || wrapped[0] != shareFormat {
		return nil, nil, seal.ErrDamaged
	}
	s := &set{id: [setSize]byte(wrapped[1:]), threshold: int(wrapped[1+setSize])}
	n := int(wrapped[2+setSize])
	header := fixed + n*markSize
	if len(wrapped) < header || check(s.threshold, n) != nil {
		return nil, nil, seal.ErrDamaged
	}
	for i := range n {
		s.marks = append(s.marks, [markSize]byte(wrapped[fixed+i*markSize:]))
	}
	return s, wrapped[:header:header], nil
}
