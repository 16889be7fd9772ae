package kms

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/wire"
)

// importer is a key on the bench that waits for material.
type importer struct {
	*bench
	arn    string
	id     string
	token  []byte
	public *rsa.PublicKey
}

func newImporter(b *bench) *importer {
	b.t.Helper()
	i := &importer{bench: b}
	err := b.call(kms.OpCreateKey, func(c *call.Call) error {
		out, err := b.CreateKey(c, &kms.CreateKeyRequest{Origin: kms.OriginTypeExternal})
		if err == nil {
			i.arn, i.id = *out.KeyMetadata.Arn, *out.KeyMetadata.KeyId
		}
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	err = b.call(kms.OpGetParametersForImport, func(c *call.Call) error {
		out, err := b.GetParametersForImport(c, &kms.GetParametersForImportRequest{
			KeyId: &i.arn, WrappingAlgorithm: kms.AlgorithmSpecRsaesOaepSha256, WrappingKeySpec: kms.WrappingKeySpecRsa2048})
		if err != nil {
			return err
		}
		public, err := x509.ParsePKIXPublicKey(out.PublicKey)
		i.token, i.public = out.ImportToken, public.(*rsa.PublicKey)
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return i
}

func (i *importer) wrap(material []byte) []byte {
	wrapped, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, i.public, material, nil)
	if err != nil {
		i.t.Fatal(err)
	}
	return wrapped
}

func (i *importer) request(material []byte, how kms.ImportType, validTo *time.Time) *kms.ImportKeyMaterialRequest {
	in := &kms.ImportKeyMaterialRequest{KeyId: &i.arn, ImportToken: i.token, EncryptedKeyMaterial: i.wrap(material), ImportType: how, ValidTo: validTo}
	if validTo == nil {
		in.ExpirationModel = kms.ExpirationModelTypeKeyMaterialDoesNotExpire
	}
	return in
}

func (i *importer) do(in *kms.ImportKeyMaterialRequest) error {
	return i.call(kms.OpImportKeyMaterial, func(c *call.Call) error {
		_, err := i.ImportKeyMaterial(c, in)
		return err
	})
}

func (i *importer) record() *keyRecord {
	var r *keyRecord
	err := i.cfg.Store.View(context.Background(), func(v store.Reader) (err error) {
		r, err = keyTable.In(ownAccount, "us-east-1").Get(v, i.id)
		return err
	})
	if err != nil {
		i.t.Fatal(err)
	}
	return r
}

func piece(n byte) []byte { return bytes.Repeat([]byte{n}, 32) }

// TestImportIsAllOrNothing holds that an import whose transaction is not committed, as when the process is killed before, leaves a key that waits on, and that one
// whose answer is lost can be done again.
func TestImportIsAllOrNothing(t *testing.T) {
	t.Parallel()
	i := newImporter(newBench(t))
	killed := errors.New("killed")
	before, _ := json.Marshal(i.record())
	err := i.call(kms.OpImportKeyMaterial, func(c *call.Call) error {
		if _, err := i.ImportKeyMaterial(c, i.request(piece(1), "", nil)); err != nil {
			t.Fatal(err)
		}
		return killed
	})
	if after, _ := json.Marshal(i.record()); err != killed || !bytes.Equal(before, after) {
		t.Fatalf("an import that was not committed left %s (%v)", after, err)
	}
	for range 2 {
		if err := i.do(i.request(piece(1), "", nil)); err != nil {
			t.Fatal(err)
		}
	}
	if r := i.record(); r.State != kms.KeyStateEnabled || len(r.Materials) != 1 || r.Pending != nil {
		t.Errorf("imported twice, the key is %+v", r)
	}
	i.encrypt(i.arn)
}

// TestImportRace has many import different first material into one key: one of them wins, and stays.
func TestImportRace(t *testing.T) {
	t.Parallel()
	i := newImporter(newBench(t))
	var mu sync.Mutex
	var won []byte
	var all sync.WaitGroup
	for n := range byte(8) {
		in := i.request(piece(n), "", nil)
		all.Go(func() {
			err := i.do(in)
			for errors.Is(err, store.ErrConflict) { // the door does so
				err = i.do(in)
			}
			incorrect := new(kms.IncorrectKeyMaterialException)
			switch {
			case err == nil:
				mu.Lock()
				won = append(won, n)
				mu.Unlock()
			case !errors.As(err, &incorrect):
				t.Errorf("importing: %v", err)
			}
		})
	}
	all.Wait()
	if len(won) != 1 {
		t.Fatalf("%d imports won", len(won))
	}
	if err := i.do(i.request(piece(won[0]), kms.ImportTypeExistingKeyMaterial, nil)); err != nil {
		t.Errorf("the winner's material again: %v", err)
	}
}

// TestExpiredBeforeItsTimer holds that material is of no use from the moment it expires on, however late the timer is.
func TestExpiredBeforeItsTimer(t *testing.T) {
	t.Parallel()
	i := newImporter(newBench(t))
	now := time.Unix(1_800_000_000, 0) // as all calls of the bench
	end := now.Add(time.Second)
	if err := i.do(i.request(piece(1), "", &end)); err != nil {
		t.Fatal(err)
	}
	i.encrypt(i.arn)
	for _, in := range []struct {
		after time.Duration
		ok    bool
	}{{0, true}, {time.Second - 1, true}, {time.Second, false}, {time.Hour, false}} {
		err := i.call(kms.OpEncrypt, func(c *call.Call) error {
			c.Time = now.Add(in.after)
			_, err := i.Encrypt(c, &kms.EncryptRequest{KeyId: &i.arn, Plaintext: []byte("x")})
			return err
		})
		if state := new(kms.KMSInvalidStateException); (err == nil) != in.ok || err != nil && !errors.As(err, &state) {
			t.Errorf("%s after the import: %v", in.after, err)
		}
	}
	if r := i.record(); r.State != kms.KeyStateEnabled {
		t.Errorf("using the key changed it: %s", r.State)
	}
	// A timer that comes too early, as after a change of the date, does nothing.
	if err := i.call(nil, func(c *call.Call) error { return i.expireDue(c, i.id, nil) }); err != nil {
		t.Fatal(err)
	}
	if r := i.record(); r.State != kms.KeyStateEnabled {
		t.Errorf("expired early: %s", r.State)
	}
	for range 2 {
		if err := i.call(nil, func(c *call.Call) error { c.Time = end; return i.expireDue(c, i.id, nil) }); err != nil {
			t.Fatal(err)
		}
		if r := i.record(); r.State != kms.KeyStatePendingImport || r.Materials[0].Wrapped != nil {
			t.Errorf("after the timer the key is %+v", r)
		}
	}
}

// TestImportedMaterialAtRest holds that imported material is wrapped, for its place alone, and gone when it is deleted.
func TestImportedMaterialAtRest(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	i, other := newImporter(b), newImporter(b)
	secret := sha256.Sum256([]byte("imported"))
	for _, x := range []*importer{i, other} {
		if err := x.do(x.request(secret[:], "", nil)); err != nil {
			t.Fatal(err)
		}
	}
	if dump := b.dump(); bytes.Contains(dump, secret[:]) || strings.Contains(string(dump), fmt.Sprintf("%x", secret)) {
		t.Error("the material is in the store")
	}
	wrapped := i.record().Materials[0].Wrapped
	err := b.cfg.Store.Update(context.Background(), func(tx store.Tx) error {
		rows := keyTable.In(ownAccount, "us-east-1")
		r, err := rows.Get(tx, other.id)
		if err != nil {
			return err
		}
		r.Materials[0].Wrapped = wrapped
		return rows.Put(tx, r)
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.cache.Get(context.Background(), place{ownAccount, "us-east-1", other.id}); err == nil {
		t.Error("a key opens with another's material")
	}
	held, err := b.cache.Get(context.Background(), place{ownAccount, "us-east-1", i.id})
	if err != nil {
		t.Fatal(err)
	}
	err = b.call(kms.OpDeleteImportedKeyMaterial, func(c *call.Call) error {
		_, err := b.DeleteImportedKeyMaterial(c, &kms.DeleteImportedKeyMaterialRequest{KeyId: &i.arn})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if held.State != kms.KeyStateEnabled || held.Materials[0].Wrapped == nil {
		t.Error("the deletion changed a key that others hold")
	}
	if r := i.record(); r.Materials[0].Wrapped != nil || r.Materials[0].ID == "" {
		t.Errorf("deleted, the material is %+v", r.Materials[0])
	}
	if fresh, err := b.cache.Get(context.Background(), place{ownAccount, "us-east-1", i.id}); err != nil || len(fresh.materials) != 0 {
		t.Errorf("deleted, the cache has %d materials (%v)", len(fresh.materials), err)
	}
}

func FuzzImportKeyMaterial(f *testing.F) {
	b := newBench(f)
	i := newImporter(b)
	good := i.request(piece(1), "", nil)
	if err := i.do(good); err != nil {
		f.Fatal(err)
	}
	id := i.record().Materials[0].ID
	f.Add(good.ImportToken, good.EncryptedKeyMaterial, "", id)
	f.Add(newImporter(b).token, good.EncryptedKeyMaterial, "EXISTING_KEY_MATERIAL", "")
	f.Add(good.ImportToken[:40], i.wrap(piece(2)), "NEW_KEY_MATERIAL", "")
	f.Add(good.ImportToken, i.wrap([]byte("short")), "NEW_KEY_MATERIAL", "")
	f.Add([]byte("{}"), []byte{0}, "x", "y")
	f.Fuzz(func(t *testing.T, token, wrapped []byte, how, named string) {
		in := &kms.ImportKeyMaterialRequest{KeyId: &i.arn, ImportToken: token, EncryptedKeyMaterial: wrapped, ImportType: kms.ImportType(how),
			ExpirationModel: kms.ExpirationModelTypeKeyMaterialDoesNotExpire}
		if named != "" {
			in.KeyMaterialId = &named
		}
		if wire.Validate(in) != nil {
			return
		}
		_ = i.call(kms.OpImportKeyMaterial, func(c *call.Call) error {
			_, err := i.ImportKeyMaterial(c, in)
			var token *kms.InvalidImportTokenException
			var ciphertext *kms.InvalidCiphertextException
			var incorrect *kms.IncorrectKeyMaterialException
			var bad *wire.Error
			if err != nil && !errors.As(err, &token) && !errors.As(err, &ciphertext) && !errors.As(err, &incorrect) && !errors.As(err, &bad) {
				t.Errorf("got %v", err)
			}
			return err
		})
		if r := i.record(); len(r.Materials) != 1 || r.Materials[0].ID != id || r.State != kms.KeyStateEnabled {
			t.Errorf("the key became %+v", r)
		}
	})
}
