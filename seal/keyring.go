package seal

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-cloud/holdfast/clock"
)

// A Keyring wraps and unwraps. All methods may be called concurrently. Get one from [Open].
type Keyring struct {
	provider Provider
	storage  Storage
	clock    clock.Clock
	ring     atomic.Pointer[ring]

	// mu guards provider and lastReload, and lets one change of the stored keyring run at a time. The provider and the
	// storage are called under it; Wrap and Unwrap do not take it, but for a reload.
	mu         sync.Mutex
	lastReload clock.Stopwatch
	reloaded   bool
}

// A ring is the open keyring. It is immutable.
type ring struct {
	keys    map[uint32]*xaes
	current uint32 // the highest version: what Wrap uses
	created map[uint32]time.Time
}

// What is wrapped looks like this, and header and place are authenticated with it:
//
//	1        format, 1
//	4        version of the key-encryption key, big-endian
//	24       nonce
//	n + 16   ciphertext and tag
const (
	format1     = 1
	headerSize  = 1 + 4
	maxWrapped  = 1 << 30
	overhead    = headerSize + nonceSize + tagSize
	reloadPause = time.Second
)

// Overhead is how much longer a wrapped value is than its plaintext.
const Overhead = overhead

// Wrap encrypts plaintext for place under the newest key-encryption key. Wrapping the same twice gives different bytes.
func (k *Keyring) Wrap(place Place, plaintext []byte) ([]byte, error) {
	if place.encoded == "" {
		return nil, errors.New("seal: wrapping needs a place")
	}
	if len(plaintext) > maxWrapped {
		return nil, errors.New("seal: too long to wrap; bulk data belongs into a blob")
	}
	r := k.ring.Load()
	out := make([]byte, headerSize, overhead+len(plaintext))
	out[0] = format1
	binary.BigEndian.PutUint32(out[1:], r.current)
	return r.keys[r.current].seal(out, plaintext, associate(out[:headerSize], place)), nil
}

// Unwrap returns what was wrapped for place; the caller owns it and should clear it when done. It returns an error that
// wraps [ErrDamaged] if wrapped was altered, cut, or wrapped for another place or by another keyring; which of these
// cannot be told.
func (k *Keyring) Unwrap(place Place, wrapped []byte) ([]byte, error) {
	version, err := Version(wrapped)
	if err != nil {
		return nil, err
	}
	if place.encoded == "" {
		return nil, errors.New("seal: unwrapping needs a place")
	}
	key := k.ring.Load().keys[version]
	if key == nil {
		// Another node may have rotated.
		if key, err = k.lookAgain(version); err != nil {
			return nil, err
		}
	}
	return key.open(wrapped[headerSize:], associate(wrapped[:headerSize], place))
}

// Version returns which version of the key-encryption key wrapped a value, to find what was wrapped by old ones.
func Version(wrapped []byte) (uint32, error) {
	if len(wrapped) < overhead || len(wrapped) > overhead+maxWrapped || wrapped[0] != format1 {
		return 0, ErrDamaged
	}
	return binary.BigEndian.Uint32(wrapped[1:]), nil
}

func associate(header []byte, place Place) []byte {
	ad := make([]byte, 0, len(header)+len(place.encoded))
	return append(append(ad, header...), place.encoded...)
}

// lookAgain reloads the keyring for a version that is not in it; once a second at most, since the version may be made up.
func (k *Keyring) lookAgain(version uint32) (*xaes, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if key := k.ring.Load().keys[version]; key != nil {
		return key, nil
	}
	if k.reloaded && k.lastReload.Elapsed() < reloadPause {
		return nil, ErrDamaged
	}
	k.reloaded, k.lastReload = true, clock.Start()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := k.reloadLocked(ctx); err != nil {
		return nil, err
	}
	if key := k.ring.Load().keys[version]; key != nil {
		return key, nil
	}
	return nil, ErrDamaged
}

// Reload reads the stored keyring again, to learn what other nodes did. Unwrap does it by itself when it meets a version
// it does not know.
func (k *Keyring) Reload(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.reloadLocked(ctx)
}

func (k *Keyring) reloadLocked(ctx context.Context) error {
	saved, err := k.storage.Load(ctx)
	if err != nil {
		return fmt.Errorf("seal: loading the keyring: %w", err)
	}
	versions, err := k.unwrapSaved(ctx, saved)
	if err != nil {
		return err
	}
	k.install(versions)
	return nil
}

// A Box is a keyring for one purpose, for packages that know names but no places. Get it from [Keyring.Box].
type Box struct {
	keys    *Keyring
	purpose string
}

// Box returns the keyring for what belongs to At(purpose, name).
func (k *Keyring) Box(purpose string) Box { return Box{k, purpose} }

// Wrap is [Keyring.Wrap] for At(purpose, name).
func (b Box) Wrap(name string, plaintext []byte) ([]byte, error) {
	return b.keys.Wrap(At(b.purpose, name), plaintext)
}

// Unwrap is [Keyring.Unwrap] for At(purpose, name).
func (b Box) Unwrap(name string, wrapped []byte) ([]byte, error) {
	return b.keys.Unwrap(At(b.purpose, name), wrapped)
}

// A KeyVersion describes one key-encryption key.
type KeyVersion struct {
	Version uint32
	Created time.Time
}

// Versions lists the key-encryption keys, oldest first. The last one wraps.
func (k *Keyring) Versions() []KeyVersion {
	r := k.ring.Load()
	list := make([]KeyVersion, 0, len(r.created))
	for v := uint32(1); v <= r.current; v++ {
		list = append(list, KeyVersion{v, r.created[v]})
	}
	return list
}

// Provider returns what holds the root at present.
func (k *Keyring) Provider() Provider {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.provider
}

// Rotate adds a key-encryption key, which wraps from now on, and returns its version. Older ones go on to unwrap.
func (k *Keyring) Rotate(ctx context.Context) (uint32, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for {
		saved, err := k.storage.Load(ctx)
		if err != nil {
			return 0, fmt.Errorf("seal: loading the keyring: %w", err)
		}
		versions, err := k.unwrapSaved(ctx, saved)
		if err != nil {
			return 0, err
		}
		if len(versions) == maxVersions {
			wipe(versions)
			return 0, errors.New("seal: the keyring is full")
		}
		versions = append(versions, k.newVersion(uint32(len(versions)+1)))
		next, err := wrapSaved(ctx, k.provider, versions)
		if err == nil {
			err = k.storage.Swap(ctx, saved, next)
		}
		if err != nil {
			wipe(versions)
			if errors.Is(err, ErrChanged) {
				continue
			}
			return 0, fmt.Errorf("seal: rotating the key-encryption key: %w", err)
		}
		// Only now: nothing may be wrapped by a key that a crash could still lose.
		k.install(versions)
		return k.ring.Load().current, nil
	}
}

// Rewrap puts the keyring under the root of another provider, while everything runs. Wrapped values stay as they are.
// Rewrapping a [File] to a file of the same path replaces its key by a new one.
//
// The order is: make the new root; wrap; prove that the new root opens it; store it; settle. The store's swap is the
// moment of change: a crash before it leaves the old root in force, a crash after it the new one. See [File] for how
// its files follow. The old root is not destroyed, unless its file was replaced: that is for its owner to do.
func (k *Keyring) Rewrap(ctx context.Context, p Provider) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if to, ok := p.(*File); ok {
		if from, ok := k.provider.(*File); ok && from.same(to) {
			p = from.successor()
		}
	}
	saved, next, err := k.wrapForLocked(ctx, p)
	if err != nil {
		return err
	}
	if err := k.storage.Swap(ctx, saved, next); err != nil {
		return fmt.Errorf("seal: storing the rewrapped keyring: %w", err)
	}
	k.provider = p
	if s, ok := p.(Settler); ok {
		if err := s.Settle(ctx); err != nil {
			return fmt.Errorf("seal: the new root key is in force, but was not put into its final place: %w", err)
		}
	}
	return nil
}

// WrapFor returns the keyring as [Keyring.Rewrap] would store it, and stores nothing: for a copy of what it protects that another root is to open.
func (k *Keyring) WrapFor(ctx context.Context, p Provider) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, wrapped, err := k.wrapForLocked(ctx, p)
	return wrapped, err
}

// wrapForLocked returns the keyring as it is stored, and as it is under the root of p, which is proven to open it.
func (k *Keyring) wrapForLocked(ctx context.Context, p Provider) (saved, next []byte, err error) {
	if saved, err = k.storage.Load(ctx); err != nil {
		return nil, nil, fmt.Errorf("seal: loading the keyring: %w", err)
	}
	versions, err := k.unwrapSaved(ctx, saved)
	if err != nil {
		return nil, nil, err
	}
	defer wipe(versions)
	if err := p.Create(ctx); err != nil {
		return nil, nil, fmt.Errorf("seal: making the new root key: %w", err)
	}
	next, err = wrapSaved(ctx, p, versions)
	return saved, next, err
}

// found makes and stores the first keyring.
func (k *Keyring) found(ctx context.Context) error {
	if err := k.provider.Create(ctx); err != nil {
		return err
	}
	versions := []version{k.newVersion(1)}
	saved, err := wrapSaved(ctx, k.provider, versions)
	if err != nil {
		return err
	}
	if err := k.storage.Swap(ctx, nil, saved); err != nil {
		return err
	}
	k.install(versions)
	return nil
}

// install takes over the versions and wipes them.
func (k *Keyring) install(versions []version) {
	r := &ring{keys: make(map[uint32]*xaes), created: make(map[uint32]time.Time)}
	for i := range versions {
		v := &versions[i]
		r.keys[v.number] = newXAES(v.key[:])
		r.created[v.number] = time.Unix(v.created, 0).UTC()
		r.current = v.number
	}
	wipe(versions)
	k.ring.Store(r)
}

func (k *Keyring) newVersion(number uint32) version {
	v := version{number: number, created: k.clock.Now().Unix()}
	rand.Read(v.key[:])
	return v
}

// A version is a key-encryption key in the clear.
type version struct {
	number  uint32
	created int64 // Unix seconds
	key     [keySize]byte
}

func wipe(versions []version) { clear(versions) }

func equalVersions(a, b []version) bool {
	x, y := encodeVersions(a), encodeVersions(b)
	defer clear(x)
	defer clear(y)
	return bytes.Equal(x, y) // both are ours: no attacker times this
}

// The keyring in the clear, which only a provider ever sees:
//
//	6              "HFKR1\n"
//	44 a version   number (4), created (8, Unix seconds), key (32); big-endian, numbered 1, 2, 3 ...
const (
	ringMagic   = "HFKR1\n"
	versionSize = 4 + 8 + keySize
	maxVersions = 1 << 16
)

func encodeVersions(versions []version) []byte {
	out := make([]byte, 0, len(ringMagic)+len(versions)*versionSize) // exact: no copy is left behind by growing
	out = append(out, ringMagic...)
	for i := range versions {
		out = binary.BigEndian.AppendUint32(out, versions[i].number)
		out = binary.BigEndian.AppendUint64(out, uint64(versions[i].created))
		out = append(out, versions[i].key[:]...)
	}
	return out
}

func decodeVersions(b []byte) ([]version, error) {
	rest, ok := bytes.CutPrefix(b, []byte(ringMagic))
	if !ok || len(rest) == 0 || len(rest)%versionSize != 0 || len(rest)/versionSize > maxVersions {
		return nil, errors.New("seal: the keyring is not in a form this version reads")
	}
	versions := make([]version, len(rest)/versionSize)
	for i := range versions {
		v := rest[i*versionSize:][:versionSize]
		versions[i] = version{binary.BigEndian.Uint32(v), int64(binary.BigEndian.Uint64(v[4:])), [keySize]byte(v[12:])}
		if versions[i].number != uint32(i+1) {
			wipe(versions)
			return nil, errors.New("seal: the keyring's versions are not in order")
		}
	}
	return versions, nil
}

// saved is the stored keyring, as JSON: it names the provider, so that the wrong one is refused by name.
type saved struct {
	Format   string `json:"format"` // savedFormat
	Provider string `json:"provider"`
	Wrapped  []byte `json:"wrapped"` // what Provider.Wrap returned
}

const savedFormat = "holdfast-keyring-1"

// wrapSaved returns the keyring as it is stored, once it is proven that the provider opens it: one that wraps but does not unwrap, such as a KMS that allows us only the
// one, would otherwise be found out at the next start, when it is too late.
func wrapSaved(ctx context.Context, p Provider, versions []version) ([]byte, error) {
	plain := encodeVersions(versions)
	defer clear(plain)
	wrapped, err := p.Wrap(ctx, plain)
	if err != nil {
		return nil, fmt.Errorf("seal: wrapping the keyring by %s: %w", p.Kind(), err)
	}
	b, err := json.Marshal(saved{savedFormat, p.Kind(), wrapped})
	if err != nil {
		return nil, err
	}
	proof, err := openSaved(ctx, p, b)
	if err != nil {
		return nil, fmt.Errorf("seal: the root key does not open what it wrapped: %w", err)
	}
	defer wipe(proof)
	if !equalVersions(proof, versions) {
		return nil, errors.New("seal: the root key does not return what it wrapped")
	}
	return b, nil
}

func (k *Keyring) unwrapSaved(ctx context.Context, b []byte) ([]version, error) {
	return openSaved(ctx, k.provider, b)
}

func openSaved(ctx context.Context, p Provider, b []byte) ([]version, error) {
	s, err := parseSaved(b)
	if err != nil {
		return nil, err
	}
	if s.Provider != p.Kind() {
		return nil, fmt.Errorf("%w: it was sealed by a root key of kind %q, and one of kind %q was given",
			ErrWrongRoot, s.Provider, p.Kind())
	}
	plain, err := p.Unwrap(ctx, s.Wrapped)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	return decodeVersions(plain)
}

func parseSaved(b []byte) (saved, error) {
	var s saved
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil || d.InputOffset() != int64(len(b)) {
		return saved{}, fmt.Errorf("%w: the stored keyring cannot be read", ErrDamaged)
	}
	if s.Format != savedFormat {
		return saved{}, fmt.Errorf("seal: the stored keyring has format %.40q, and this version reads %q", s.Format, savedFormat)
	}
	if len(s.Provider) > math.MaxUint8 {
		return saved{}, ErrDamaged
	}
	return s, nil
}
