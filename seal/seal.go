// Package seal is the root of trust: what is secret is wrapped here before it reaches a store, a file or a log.
//
// There are three levels:
//
//	root      held by a [Provider]: a file, a passphrase, a token, another KMS. It wraps one thing, the keyring.
//	keyring   versions of key-encryption keys. It lies in the [Storage], wrapped by the root, and in memory, open.
//	the rest  key material, secrets, data keys: wrapped by the keyring, and kept wherever their owner keeps things.
//
// So the root is needed at start only, changing it ([Keyring.Rewrap]) rewrites one small record while everything runs,
// and a new key-encryption key ([Keyring.Rotate]) leaves everything that was wrapped before readable.
//
//	keys, err := seal.Open(ctx, seal.Config{Provider: provider, Storage: storage})
//	place := seal.At("kms", account, region, keyID)
//	wrapped, err := keys.Wrap(place, material)
//	material, err = keys.Unwrap(place, wrapped)
//
// What is wrapped is bound to its [Place]. Someone who can write to the store can delete or restore old versions of
// records, but can neither read nor forge one, nor pass one record's secret off as another's.
package seal

import (
	"context"
	"errors"
	"fmt"

	"github.com/holdfast-cloud/holdfast/clock"
)

var (
	// ErrWrongRoot says that the provider's root is not the one that wrapped the keyring.
	ErrWrongRoot = errors.New("seal: the root key does not open this data directory")

	// ErrNoRoot says that there is a keyring, but no root key where the provider looks for it.
	ErrNoRoot = errors.New("seal: there is data but no root key to open it")

	// ErrUnavailable says that the root is out of reach for now: shares are missing, or the KMS that holds it does not answer.
	ErrUnavailable = errors.New("seal: the root key is out of reach for now")

	// ErrDamaged says that wrapped bytes were changed, cut, or wrapped for another place.
	ErrDamaged = errors.New("seal: wrapped bytes are damaged or belong elsewhere")

	// ErrEmpty is returned by [Storage.Load] on the very first start.
	ErrEmpty = errors.New("seal: nothing is stored yet")

	// ErrChanged is returned by [Storage.Swap] when another process was faster.
	ErrChanged = errors.New("seal: the stored keyring changed meanwhile")
)

// Storage keeps the wrapped keyring: one value of a few hundred bytes, in the same place as what it protects.
type Storage interface {
	// Load returns the value. It returns [ErrEmpty] only if nothing at all is stored: when there is other data but no
	// keyring, the keyring was lost, and an implementation must say so with another error, or a new keyring would be
	// made that opens nothing.
	Load(ctx context.Context) ([]byte, error)

	// Swap durably replaces the value old, byte for byte what Load returned or nil for none, by new. It returns
	// [ErrChanged], having done nothing, if the value is not old. After any other error either may be stored.
	Swap(ctx context.Context, old, new []byte) error
}

// A Provider holds a root key and uses it. It never hands the key out, so that a token, a TPM, another KMS or people
// holding shares can be one. Its methods are called rarely, one at a time, and may take long: an implementation that
// waits for people obeys ctx.
type Provider interface {
	// Kind names the sort of provider, such as "file". It is stored beside the keyring, in the clear.
	Kind() string

	// Create makes the root if there is none yet, and must do nothing if there is one. It is called before the first
	// Wrap, and never when there is a keyring that this provider should open.
	Create(ctx context.Context) error

	// Wrap encrypts and authenticates the keyring. What it returns is stored in the clear and holds whatever Unwrap will
	// need besides the root: a salt, the name of a key.
	Wrap(ctx context.Context, keyring []byte) ([]byte, error)

	// Unwrap reverses Wrap. It returns an error that wraps [ErrWrongRoot] if another root wrapped it, [ErrNoRoot] if it
	// finds no root, [ErrDamaged] if it was altered, [ErrUnavailable] if trying again later may help. It changes nothing.
	Unwrap(ctx context.Context, wrapped []byte) ([]byte, error)
}

// A Settler is a Provider with something to do once the keyring that it wrapped is durably stored, such as moving a new
// key into the place of the old. A crash just before Settle must leave what Unwrap can open.
type Settler interface {
	Settle(ctx context.Context) error
}

// Config is what [Open] needs.
type Config struct {
	Provider Provider
	Storage  Storage
	Clock    clock.Clock // dates key versions; nil is real time

	// Wait is called with an error that wraps ErrUnavailable, and returns when another try is worth it. An error of its own ends Open. Without it, Open does not
	// wait.
	Wait func(ctx context.Context, cause error) error
}

// Open unwraps the stored keyring, or makes one on the very first start. When the provider cannot open the keyring, Open
// says why and changes nothing.
func Open(ctx context.Context, cfg Config) (*Keyring, error) {
	if cfg.Provider == nil || cfg.Storage == nil {
		return nil, errors.New("seal: a provider and a storage are required")
	}
	if cfg.Clock == nil {
		cfg.Clock = new(clock.Real)
	}
	k := &Keyring{provider: cfg.Provider, storage: cfg.Storage, clock: cfg.Clock}
	for {
		err := k.open(ctx)
		switch {
		case err == nil:
			return k, nil
		case errors.Is(err, ErrChanged):
			// Another node founded it: join.
		case errors.Is(err, ErrUnavailable) && cfg.Wait != nil:
			if err := cfg.Wait(ctx, err); err != nil {
				return nil, err
			}
		default:
			return nil, err
		}
	}
}

func (k *Keyring) open(ctx context.Context) error {
	saved, err := k.storage.Load(ctx)
	if errors.Is(err, ErrEmpty) {
		if err := k.found(ctx); err != nil {
			return fmt.Errorf("seal: making the first keyring: %w", err)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("seal: loading the keyring: %w", err)
	}
	versions, err := k.unwrapSaved(ctx, saved)
	if err != nil {
		return err
	}
	k.install(versions)
	if s, ok := k.provider.(Settler); ok {
		// Finishes what a crash may have interrupted. Should it fail, what opened now opens again next time.
		_ = s.Settle(ctx)
	}
	return nil
}
