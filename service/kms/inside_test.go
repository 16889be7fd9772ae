package kms

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/keys"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/memstore"
	"github.com/holdfast-cloud/holdfast/wire"
)

const ownAccount = "111122223333"

// bench is the service without a door.
type bench struct {
	*Service
	t testing.TB
}

func newBench(t testing.TB) *bench {
	ms, keyring := memstore.New(), seal.Ephemeral()
	s, err := New(Config{Store: ms, Seal: keyring, Principals: identity.New(ms, keyring, "aws"), Partition: "aws"})
	if err != nil {
		t.Fatal(err)
	}
	return &bench{s, t}
}

// call makes a call of the root user and commits what fn did if that succeeded.
func (b *bench) call(op *wire.Operation, fn func(c *call.Call) error) error {
	c := (&call.Call{
		Context: context.Background(), Op: op, Scope: b.scope(ownAccount, "us-east-1"), Caller: identity.Root("aws", ownAccount, "AKIA"),
		Time: time.Unix(1_800_000_000, 0), Rand: rand.Reader,
	}).Bind("kms", nil, func() (store.Tx, error) { return b.cfg.Store.Begin(context.Background()) })
	err := fn(c)
	if tx := c.Begun(); tx != nil {
		if err != nil {
			tx.Discard()
			return err
		}
		return tx.Commit(context.Background())
	}
	return err
}

func (b *bench) key(spec keys.Spec) string {
	b.t.Helper()
	var arn string
	err := b.call(kms.OpCreateKey, func(c *call.Call) error {
		out, err := b.CreateKey(c, &kms.CreateKeyRequest{KeySpec: kms.KeySpec(spec), KeyUsage: kms.KeyUsageType(spec.Usages()[0])})
		if err == nil {
			arn = *out.KeyMetadata.Arn
		}
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return arn
}

func (b *bench) encrypt(key string) []byte {
	b.t.Helper()
	var blob []byte
	err := b.call(kms.OpEncrypt, func(c *call.Call) error {
		out, err := b.Encrypt(c, &kms.EncryptRequest{KeyId: &key, Plaintext: []byte("text")})
		if err == nil {
			blob = out.CiphertextBlob
		}
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return blob
}

func (b *bench) dump() []byte {
	var out bytes.Buffer
	err := b.cfg.Store.View(context.Background(), func(r store.Reader) error {
		for kv, err := range r.Scan(nil, nil, store.ScanOptions{}) {
			if err != nil {
				return err
			}
			out.Write(kv.Key)
			out.Write(kv.Value)
		}
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return out.Bytes()
}

// TestMaterialIsWrapped looks for the material of keys of every spec, and for parts of it, in the store.
func TestMaterialIsWrapped(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, spec := range keys.Specs() {
		if spec.SlowToGenerate() && spec != keys.RSA2048 || spec == keys.SM2 {
			continue
		}
		arn := b.key(spec)
		id := arn[strings.LastIndexByte(arn, '/')+1:]
		if spec == keys.SymmetricDefault {
			err := b.call(kms.OpRotateKeyOnDemand, func(c *call.Call) error {
				_, err := b.RotateKeyOnDemand(c, &kms.RotateKeyOnDemandRequest{KeyId: &arn})
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		k, err := b.cache.Get(context.Background(), place{ownAccount, "us-east-1", id})
		if err != nil {
			t.Fatal(err)
		}
		dump := b.dump()
		for materialID, m := range k.materials {
			bare := m.Material()
			secret := bare[len(bare)-28:] // what comes before is the same in all PKCS #8 keys
			for _, form := range [][]byte{secret, fmt.Appendf(nil, "%x", secret), []byte(base64.RawStdEncoding.EncodeToString(secret))} {
				if bytes.Contains(dump, form) {
					t.Errorf("%s: material %s is in the store", spec, materialID)
				}
			}
			for shift := range 3 { // base64 of the whole is another text by where the part begins
				text := base64.RawStdEncoding.EncodeToString(bare[len(bare)-24-shift : len(bare)-shift])
				if bytes.Contains(dump, []byte(text)) {
					t.Errorf("%s: material %s is in the store", spec, materialID)
				}
			}
		}
	}
}

// TestMaterialIsBoundToItsKey holds that wrapped material put into another key's record does not open.
func TestMaterialIsBoundToItsKey(t *testing.T) {
	b := newBench(t)
	a, other := b.key(keys.SymmetricDefault), b.key(keys.SymmetricDefault)
	id := func(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }
	err := b.cfg.Store.Update(context.Background(), func(tx store.Tx) error {
		rows := keyTable.In(ownAccount, "us-east-1")
		from, err := rows.Get(tx, id(a))
		if err != nil {
			return err
		}
		to, err := rows.Get(tx, id(other))
		if err != nil {
			return err
		}
		to.Materials = from.Materials
		return rows.Put(tx, to)
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.cache.Get(context.Background(), place{ownAccount, "us-east-1", id(other)}); err == nil {
		t.Error("a key opens with another's material")
	} else if modelled := new(kms.NotFoundException); errors.As(err, &modelled) {
		t.Errorf("got %v", err)
	}
}

// TestCachedKeysAreNotChanged has every change made to a key that others hold, and holds the key against what it was.
func TestCachedKeysAreNotChanged(t *testing.T) {
	b := newBench(t)
	arn := b.key(keys.SymmetricDefault)
	p := place{ownAccount, "us-east-1", arn[strings.LastIndexByte(arn, '/')+1:]}
	changes := map[string]func(c *call.Call) error{
		"TagResource": func(c *call.Call) error {
			_, err := b.TagResource(c, &kms.TagResourceRequest{KeyId: &arn, Tags: []kms.Tag{{TagKey: new("a"), TagValue: new("b")}}})
			return err
		},
		"UntagResource": func(c *call.Call) error {
			_, err := b.UntagResource(c, &kms.UntagResourceRequest{KeyId: &arn, TagKeys: []string{"a"}})
			return err
		},
		"Rotate": func(c *call.Call) error {
			_, err := b.RotateKeyOnDemand(c, &kms.RotateKeyOnDemandRequest{KeyId: &arn})
			return err
		},
		"Describe": func(c *call.Call) error {
			_, err := b.UpdateKeyDescription(c, &kms.UpdateKeyDescriptionRequest{KeyId: &arn, Description: new("x")})
			return err
		},
		"Policy": func(c *call.Call) error {
			_, err := b.PutKeyPolicy(c, &kms.PutKeyPolicyRequest{KeyId: &arn, Policy: new(defaultPolicy("aws", ownAccount) + " ")})
			return err
		},
		"EnableRotation": func(c *call.Call) error {
			_, err := b.EnableKeyRotation(c, &kms.EnableKeyRotationRequest{KeyId: &arn})
			return err
		},
		"Grant": func(c *call.Call) error {
			_, err := b.CreateGrant(c, &kms.CreateGrantRequest{KeyId: &arn, GranteePrincipal: new(rootARN("aws", ownAccount)), Operations: []kms.GrantOperation{kms.GrantOperationEncrypt}})
			return err
		},
		"Alias": func(c *call.Call) error {
			_, err := b.CreateAlias(c, &kms.CreateAliasRequest{AliasName: new("alias/a"), TargetKeyId: &arn})
			return err
		},
		"Disable": func(c *call.Call) error {
			_, err := b.DisableKey(c, &kms.DisableKeyRequest{KeyId: &arn})
			return err
		},
		"Enable": func(c *call.Call) error {
			_, err := b.EnableKey(c, &kms.EnableKeyRequest{KeyId: &arn})
			return err
		},
	}
	for _, name := range []string{"TagResource", "UntagResource", "Rotate", "Describe", "Policy", "EnableRotation", "Grant", "Alias", "Disable", "Enable"} {
		held, err := b.cache.Get(context.Background(), p)
		if err != nil {
			t.Fatal(err)
		}
		before, _ := json.Marshal(held.keyRecord)
		materials, aliases, grants := len(held.materials), len(held.aliases), len(held.grants)
		if err := b.call(kms.OpEnableKey, changes[name]); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		after, _ := json.Marshal(held.keyRecord)
		if string(before) != string(after) || len(held.materials) != materials || len(held.aliases) != aliases || len(held.grants) != grants {
			t.Errorf("%s changed a key that others hold:\n%s\n%s", name, before, after)
		}
		if fresh, err := b.cache.Get(context.Background(), p); err != nil || fresh == held {
			t.Errorf("%s: the cache still has the old key (%v)", name, err)
		}
	}
}

// TestConcurrentUse uses a key while it is rotated, tagged and renamed; the race detector looks on, and everything encrypted meanwhile decrypts.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	arn := b.key(keys.SymmetricDefault)
	var users sync.WaitGroup
	done := make(chan struct{})
	for range 4 {
		users.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				blob := b.encrypt(arn)
				err := b.call(kms.OpDecrypt, func(c *call.Call) error {
					out, err := b.Decrypt(c, &kms.DecryptRequest{CiphertextBlob: blob})
					if err == nil && string(out.Plaintext) != "text" {
						err = fmt.Errorf("decrypted %q", out.Plaintext)
					}
					return err
				})
				if err != nil {
					t.Errorf("using the key: %v", err)
					return
				}
			}
		})
	}
	for i := range maxOnDemand {
		err := b.call(kms.OpRotateKeyOnDemand, func(c *call.Call) error {
			if _, err := b.TagResource(c, &kms.TagResourceRequest{KeyId: &arn, Tags: []kms.Tag{{TagKey: new(fmt.Sprint(i)), TagValue: new("")}}}); err != nil {
				return err
			}
			_, err := b.RotateKeyOnDemand(c, &kms.RotateKeyOnDemandRequest{KeyId: &arn})
			return err
		})
		if err != nil {
			t.Errorf("rotating: %v", err)
		}
	}
	close(done)
	users.Wait()
}

func FuzzParse(f *testing.F) {
	b := newBench(f)
	for _, s := range []string{
		"", "1234abcd-12ab-34cd-56ef-1234567890ab", "mrk-1234abcd12ab34cd56ef1234567890ab", "alias/a", "alias/", "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
		"arn:aws:kms:us-east-1:111122223333:alias/aws/s3", "arn:aws:kms:eu-west-1:1:key/x", "arn:aws:kms:::", "arn:", "arn:aws:kms:us-east-1:111122223333:key/alias/x", "key/x", "1234abcd-12ab-34cd-56ef-1234567890aB", "\x00/\xff",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		_ = b.call(kms.OpDescribeKey, func(c *call.Call) error {
			got, err := parse(c, s)
			if err != nil {
				if modelled := new(kms.NotFoundException); !errors.As(err, &modelled) {
					t.Errorf("parse(%q): %v", s, err)
				}
				return err
			}
			if (got.alias == "") == (got.id == "") || got.region != "us-east-1" || got.id != "" && !wellFormed(got.id) {
				t.Errorf("parse(%q) is %+v", s, got)
			}
			if _, err := b.DescribeKey(c, &kms.DescribeKeyRequest{KeyId: &s}); err == nil {
				t.Errorf("there is a key %q", s)
			}
			return err
		})
	})
}

func FuzzAliasName(f *testing.F) {
	b := newBench(f)
	arn := b.key(keys.SymmetricDefault)
	for _, s := range []string{"alias/a", "alias/", "alias/aws/x", "a", "", "alias/a/b:c_d-e", "alias/\x00", "ALIAS/a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		_ = b.call(kms.OpCreateAlias, func(c *call.Call) error {
			in := &kms.CreateAliasRequest{AliasName: &name, TargetKeyId: &arn}
			if err := wire.Validate(in); err != nil {
				return err
			}
			if _, err := b.CreateAlias(c, in); err != nil {
				return err
			}
			if !strings.HasPrefix(name, "alias/") || strings.HasPrefix(name, "alias/aws/") || len(name) < 7 {
				t.Errorf("made alias %q", name)
			}
			if out, err := b.Encrypt(c, &kms.EncryptRequest{KeyId: &name, Plaintext: []byte("x")}); err != nil || *out.KeyId != arn {
				t.Errorf("the alias %q does not name the key: %v", name, err)
			}
			return errors.New("not to be kept")
		})
	})
}

func FuzzGrantToken(f *testing.F) {
	b := newBench(f)
	arn := b.key(keys.SymmetricDefault)
	var token string
	if err := b.call(kms.OpCreateGrant, func(c *call.Call) error {
		out, err := b.CreateGrant(c, &kms.CreateGrantRequest{KeyId: &arn, GranteePrincipal: new(rootARN("aws", ownAccount)), Operations: []kms.GrantOperation{kms.GrantOperationEncrypt}})
		if err == nil {
			token = *out.GrantToken
		}
		return err
	}); err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{token, "", "x", "====", token[:len(token)-4], token + token} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := b.readToken(s)
		if modelled := new(kms.InvalidGrantTokenException); err != nil && !errors.As(err, &modelled) {
			t.Errorf("readToken(%q): %v", s, err)
		}
		if err == nil && (got.Account != ownAccount || !strings.HasSuffix(arn, got.KeyID)) {
			t.Errorf("readToken(%q) is %+v", s, got)
		}
	})
}

func FuzzDecrypt(f *testing.F) {
	b := newBench(f)
	arn, rsa := b.key(keys.SymmetricDefault), b.key(keys.RSA2048)
	blob := b.encrypt(arn)
	f.Add(blob, false)
	f.Add(blob[:20], false)
	f.Add([]byte{}, true)
	f.Add(bytes.Repeat([]byte{0xff}, 256), true)
	f.Fuzz(func(t *testing.T, given []byte, asymmetric bool) {
		in := &kms.DecryptRequest{CiphertextBlob: given}
		if asymmetric {
			in.KeyId, in.EncryptionAlgorithm = &rsa, kms.EncryptionAlgorithmSpecRsaesOaepSha256
		}
		err := b.call(kms.OpDecrypt, func(c *call.Call) error {
			_, err := b.Decrypt(c, in)
			return err
		})
		invalid, denied := new(kms.InvalidCiphertextException), new(call.Denied)
		switch {
		case err == nil && !bytes.Equal(given, blob):
			t.Errorf("decrypted %x", given)
		case err != nil && !errors.As(err, &invalid) && !errors.As(err, &denied):
			t.Errorf("got %v", err)
		}
	})
}
