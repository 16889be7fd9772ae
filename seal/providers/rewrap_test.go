package providers

import (
	"context"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
	"github.com/holdfast-cloud/holdfast/internal/swtpm"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/seal/shamir"
)

// A kind is a seal, as at its first use and as after a restart.
type kind struct {
	name   string
	fresh  func(t *testing.T) seal.Provider
	reopen func(t *testing.T) seal.Provider
}

// kinds are all seals that a default build has.
func kinds(t *testing.T) []kind {
	dir := t.TempDir()
	t.Setenv("TEST_ROOT", base64.StdEncoding.EncodeToString(make([]byte, 32)))
	t.Setenv(PassphraseVariable, "correct horse battery")
	named := func(name, spec string) kind {
		parse := func(t *testing.T) seal.Provider {
			p, err := Parse(spec)
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		return kind{name, parse, parse}
	}
	list := []kind{named("file", "file:"+filepath.Join(dir, "root.key")), named("env", "env:TEST_ROOT"), named("passphrase", "passphrase"), shares(), named("awskms", anotherKMS(t))}
	if path := emulator(t); path != "" {
		list = append(list, named("tpm", "tpm:"+path))
	}
	return list
}

// emulator runs a TPM, if there is one, and skips nothing but itself otherwise.
func emulator(t *testing.T) (path string) {
	t.Run("TPM", func(sub *testing.T) { swtpm.Need(sub) })
	if !swtpm.Installed() {
		return ""
	}
	return swtpm.Start(t).Path
}

func shares() kind {
	var texts []string
	return kind{
		name: "shamir",
		fresh: func(t *testing.T) seal.Provider {
			var err error
			if texts, err = shamir.Deal(2, 3); err != nil {
				t.Fatal(err)
			}
			s, err := shamir.Assemble(texts)
			if err != nil {
				t.Fatal(err)
			}
			return s
		},
		reopen: func(t *testing.T) seal.Provider { return &given{shamir.New(), texts} },
	}
}

// given is a seal of shares whose holders are there.
type given struct {
	*shamir.Seal
	texts []string
}

func (g *given) Unwrap(ctx context.Context, wrapped []byte) ([]byte, error) {
	plain, err := g.Seal.Unwrap(ctx, wrapped)
	if !errors.Is(err, seal.ErrUnavailable) {
		return plain, err
	}
	for _, text := range g.texts[:2] {
		if _, err := g.Give(text, ""); err != nil {
			return nil, err
		}
	}
	return g.Seal.Unwrap(ctx, wrapped)
}

func anotherKMS(t *testing.T) (spec string) {
	c := cloudtest.Start(t)
	made, err := kms.NewFromConfig(c.Config()).CreateKey(t.Context(), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	found, err := c.Config().Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_CONFIG_FILE", os.DevNull)
	t.Setenv("AWS_ACCESS_KEY_ID", found.AccessKeyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", found.SecretAccessKey)
	return "awskms:" + *made.KeyMetadata.Arn + "?endpoint=" + c.URL
}

var errCrash = errors.New("crash")

// faulty is a storage whose Swap fails on demand, having done nothing or its work.
type faulty struct {
	seal.Storage
	before, after error
}

func (f *faulty) Swap(ctx context.Context, old, new []byte) error {
	if f.before != nil {
		return f.before
	}
	return errors.Join(f.Storage.Swap(ctx, old, new), f.after)
}

func open(t *testing.T, p seal.Provider, s seal.Storage) *seal.Keyring {
	t.Helper()
	k, err := seal.Open(t.Context(), seal.Config{Provider: p, Storage: s})
	if err != nil {
		t.Fatalf("Open by %s: %v", p.Kind(), err)
	}
	return k
}

// TestRewrap goes from each seal to each, under load and with a crash at each step: exactly one of both opens what was wrapped, before and while it happened.
func TestRewrap(t *testing.T) {
	all := kinds(t)
	for _, from := range all {
		for _, to := range all {
			for _, crash := range []string{"", "BeforeStored", "AfterStored"} {
				if crash != "" && ((from.name == "file") == (to.name == "file") || from.name == "passphrase" || to.name == "passphrase") {
					continue // the steps are the same for all; package seal tests those of a file that replaces itself, and of a passphrase that costs less
				}
				t.Run(from.name+"To"+to.name+crash, func(t *testing.T) {
					storage := &faulty{Storage: new(seal.Memory)}
					first := from.fresh(t)
					reopenFrom := from.reopen(t) // of the first shares, if both are shares
					k := open(t, first, storage)
					wrapped := load(t, k, func() {
						switch crash {
						case "BeforeStored":
							storage.before = errCrash
						case "AfterStored":
							storage.after = errCrash
						}
						if err := k.Rewrap(t.Context(), to.fresh(t)); (err != nil) != (crash != "") {
							t.Errorf("Rewrap: %v", err)
						}
					})
					storage.before, storage.after = nil, nil
					opens, other := to.reopen(t), reopenFrom
					if crash == "BeforeStored" {
						opens, other = other, opens
					}
					again := open(t, opens, storage)
					for _, w := range wrapped {
						if got, err := again.Unwrap(seal.At("test"), w); string(got) != "secret" || err != nil {
							t.Fatalf("Unwrap after the next start: %q, %v", got, err)
						}
					}
					if v, err := again.Rotate(t.Context()); v != 2 || err != nil {
						t.Errorf("Rotate by the new root: %d, %v", v, err)
					}
					if from.name == to.name && from.name != "shamir" {
						return
					}
					if _, err := seal.Open(t.Context(), seal.Config{Provider: other, Storage: storage}); err == nil {
						t.Errorf("both %s and %s open it", from.name, to.name)
					}
				})
			}
		}
	}
}

// load wraps and unwraps while fn runs, and returns what was wrapped.
func load(t *testing.T, k *seal.Keyring, fn func()) [][]byte {
	done := make(chan struct{})
	var all [][]byte
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := 0; ; n++ {
			w, err := k.Wrap(seal.At("test"), []byte("secret"))
			if err != nil {
				t.Errorf("Wrap while it is rewrapped: %v", err)
				return
			}
			if got, err := k.Unwrap(seal.At("test"), w); string(got) != "secret" || err != nil {
				t.Errorf("Unwrap while it is rewrapped: %q, %v", got, err)
			}
			if n < 100 {
				all = append(all, w)
			}
			select {
			case <-done:
				return
			case <-time.After(50 * time.Microsecond): // leave the processor to the passphrase
			}
		}
	})
	fn()
	close(done)
	wg.Wait()
	return all
}
