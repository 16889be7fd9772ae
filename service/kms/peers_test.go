package kms_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/remote"
)

// apart starts a cloud of two processes, one for us-east-1 and one for west. As long as away is true the second cannot be reached.
func apart(t *testing.T) (w, there *world, away *atomic.Bool) {
	t.Helper()
	away = new(atomic.Bool)
	process := func(region, other string, address *url.URL) *world {
		return start(t, func(c *cloud.Config) {
			c.Region = region
			c.Peers = &remote.PeersConfig{Secret: []byte("a secret of the cloud, which nobody can guess"), Peers: map[string]*url.URL{other: address}}
		})
	}
	front := func(process *atomic.Pointer[world]) *url.URL {
		s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if p := process.Load(); p != nil && !away.Load() {
				p.ServeHTTP(rw, r)
				return
			}
			rw.WriteHeader(http.StatusBadGateway)
		}))
		t.Cleanup(s.Close)
		u, err := url.Parse(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	var first, second atomic.Pointer[world]
	toEast, toWest := front(&first), front(&second)
	first.Store(process("us-east-1", west, toWest))
	second.Store(process(west, "us-east-1", toEast))
	return first.Load(), second.Load(), away
}

// eventually waits for what is carried from one process to the other.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it never came to be that %s", what)
		}
	}
}

// TestPeersImport imports the same material into related keys that are in processes of their own. The material itself is carried nowhere.
func TestPeersImport(t *testing.T) {
	t.Parallel()
	w, there, away := apart(t)
	isNew := func(in *kms.ImportKeyMaterialInput) { in.ImportType = types.ImportTypeNewKeyMaterial }
	key := w.key(t, external, multiRegion)
	ok(t)(w.ImportKeyMaterial(ctx, w.usual(t, key).input(material(1, 32))))
	made, err := w.ReplicateKey(ctx, &kms.ReplicateKeyInput{KeyId: &key, ReplicaRegion: aws.String(west)})
	ok(t)(made, err)
	replica := *made.ReplicaKeyMetadata.Arn
	is := func(c *world, key string, state types.KeyState) func() bool {
		return func() bool {
			out, err := c.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &key})
			return err == nil && out.KeyMetadata.KeyState == state
		}
	}
	eventually(t, "the replica waits for its material", is(there, replica, types.KeyStatePendingImport))
	blob := w.encrypt(t, key, "first")
	refused(t, "KMSInvalidStateException", replica+" is pending import.")(there.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: blob}))
	refused(t, "KMSInvalidStateException", replica+" is pending import.")(w.UpdatePrimaryRegion(ctx, &kms.UpdatePrimaryRegionInput{KeyId: &key, PrimaryRegion: aws.String(west)}))
	q := there.usual(t, replica)
	refused(t, "IncorrectKeyMaterialException", "-")(there.ImportKeyMaterial(ctx, q.input(material(2, 32))))
	ok(t)(there.ImportKeyMaterial(ctx, q.input(material(1, 32))))
	there.decrypts(t, blob, "first")

	// New material is expected in all of them before a rotation takes it; one that cannot be asked counts as one that has not got it.
	ok(t)(w.ImportKeyMaterial(ctx, w.usual(t, key).input(material(2, 32), isNew)))
	refused(t, "KMSInvalidStateException", "-")(w.RotateKeyOnDemand(ctx, &kms.RotateKeyOnDemandInput{KeyId: &key}))
	eventually(t, "the replica expects the new material", func() bool {
		_, err := there.ImportKeyMaterial(ctx, q.input(material(2, 32)))
		return err == nil
	})
	away.Store(true)
	refused(t, "KMSInvalidStateException", "-")(w.RotateKeyOnDemand(ctx, &kms.RotateKeyOnDemandInput{KeyId: &key}))
	away.Store(false)
	ok(t)(w.RotateKeyOnDemand(ctx, &kms.RotateKeyOnDemandInput{KeyId: &key}))
	second := w.encrypt(t, key, "second")
	eventually(t, "the replica has heard of the rotation", func() bool {
		_, err := there.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: second})
		return err == nil
	})
	there.decrypts(t, blob, "first")

	// What is deleted of one is deleted there alone, also when the primary key is elsewhere.
	ok(t)(w.UpdatePrimaryRegion(ctx, &kms.UpdatePrimaryRegionInput{KeyId: &key, PrimaryRegion: aws.String(west)}))
	eventually(t, "the primary key has moved", func() bool { return is(w, key, types.KeyStateEnabled)() && is(there, replica, types.KeyStateEnabled)() })
	ok(t)(there.DeleteImportedKeyMaterial(ctx, &kms.DeleteImportedKeyMaterialInput{KeyId: &replica}))
	there.inState(t, replica, types.KeyStatePendingImport)
	w.decrypts(t, second, "second")
}
