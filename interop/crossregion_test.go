package interop

import (
	"bytes"
	"crypto/rand"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/google/go-cmp/cmp"
)

// Commitment policies, and algorithm suites with and without key commitment.
const (
	required  = "REQUIRE_ENCRYPT_REQUIRE_DECRYPT"
	allowed   = "REQUIRE_ENCRYPT_ALLOW_DECRYPT"
	forbidden = "FORBID_ENCRYPT_ALLOW_DECRYPT"

	committingSigned = 0x0578 // the default
	committing       = 0x0478
	notCommitting    = 0x0178
)

// world is the cloud that the SDKs use.
type world struct {
	*server
	single, other    string // single-Region keys in Virginia and Ireland
	primary, replica string
	off              endpoint // of what is switched off
}

func newWorld(t *testing.T) *world {
	w := &world{server: start(t)}
	w.off = endpoint{"http://" + freeAddress(t), w.id, w.secret}
	w.single = w.key(t, &kms.CreateKeyInput{})
	out, err := w.kms(ireland).CreateKey(t.Context(), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	w.other = *out.KeyMetadata.Arn
	w.primary, w.replica = w.multiRegionKey(t)
	return w
}

// encrypt asks for an encryption under keys.
func (w *world) encrypt(keyring string, data []byte, keys ...string) request {
	return request{
		Op: "encrypt", Keyring: keyring, Keys: keys, Policy: required, Frame: 4096, Data: data,
		Endpoints: map[string]endpoint{virginia: w.as(), ireland: w.as()}, Context: map[string]string{"purpose": "interop", "tenant": "one"},
	}
}

// decrypt asks for a decryption in Ireland, with Virginia switched off; with discovery for keys of Ireland.
func (w *world) decrypt(keyring string, data []byte, keys ...string) request {
	return request{
		Op: "decrypt", Keyring: keyring, Keys: keys, Regions: []string{ireland}, Accounts: []string{"000000000000"},
		Policy: required, Data: data, Endpoints: map[string]endpoint{virginia: w.off, ireland: w.as()},
	}
}

// everywhere lets a request use both regions.
func (w *world) everywhere(r request) request {
	r.Regions, r.Endpoints = []string{virginia, ireland}, map[string]endpoint{virginia: w.as(), ireland: w.as()}
	return r
}

// TestEncryptionSDK has each language read what each has written.
func TestEncryptionSDK(t *testing.T) {
	w := newWorld(t)
	sdks := map[string]sdk{"Go": golang, "JavaScript": javascript(t)}
	for _, writer := range slices.Sorted(maps.Keys(sdks)) {
		for _, reader := range slices.Sorted(maps.Keys(sdks)) {
			t.Run(writer+"To"+reader, func(t *testing.T) { w.talk(t, sdks[writer], sdks[reader]) })
		}
	}
}

func (w *world) talk(t *testing.T, write, read sdk) {
	text := []byte("what only we shall read")
	t.Run("KMSKeyring", func(t *testing.T) {
		sealed := must(t, write, w.encrypt("kms", text, w.single))
		w.wantText(t, read, w.everywhere(w.decrypt("kms", sealed.Data, w.single)), text)
		w.refuse(t, read, w.everywhere(w.decrypt("kms", sealed.Data, w.other)))
		w.refuse(t, read, w.decrypt("kms", sealed.Data, w.single)) // its region is switched off
	})
	t.Run("MultiKeyring", func(t *testing.T) {
		sealed := must(t, write, w.encrypt("kms", text, w.single, w.other))
		w.wantText(t, read, w.everywhere(w.decrypt("kms", sealed.Data, w.single)), text)
		w.wantText(t, read, w.decrypt("kms", sealed.Data, w.other), text)
	})
	t.Run("Discovery", func(t *testing.T) {
		sealed := must(t, write, w.encrypt("kms", text, w.other))
		w.wantText(t, read, w.decrypt("discovery", sealed.Data), text)
		foreign := w.decrypt("discovery", sealed.Data)
		foreign.Accounts = []string{"111122223333"}
		w.refuse(t, read, foreign)
		inVirginia := must(t, write, w.encrypt("kms", text, w.single))
		w.refuse(t, read, w.decrypt("discovery", inVirginia.Data))
	})
	t.Run("MultiRegionKey", func(t *testing.T) {
		sealed := must(t, write, w.encrypt("mrk", text, w.primary))
		before := len(w.events(t))
		w.wantText(t, read, w.decrypt("mrk", sealed.Data, w.replica), text)
		w.wantText(t, read, w.decrypt("mrk discovery", sealed.Data), text)
		calls := w.events(t)[before:]
		if len(calls) != 2 {
			t.Errorf("the trail has %d calls of two decryptions: %+v", len(calls), calls)
		}
		for _, c := range calls {
			if c.EventName != "Decrypt" || c.AwsRegion != ireland || c.ErrorCode != "" {
				t.Errorf("the trail has %+v, want only Decrypt in %s", c, ireland)
			}
		}
		// A keyring that knows nothing of multi-Region keys takes the replica for another key.
		w.refuse(t, read, w.decrypt("kms", sealed.Data, w.replica))
		w.refuse(t, read, w.decrypt("discovery", sealed.Data))
	})
	t.Run("ReplicaToPrimary", func(t *testing.T) {
		sealed := must(t, write, w.encrypt("mrk", text, w.replica))
		w.wantText(t, read, w.everywhere(w.decrypt("mrk", sealed.Data, w.primary)), text)
	})
	t.Run("Commitment", func(t *testing.T) { w.commitment(t, write, read) })
	t.Run("Frames", func(t *testing.T) {
		large := make([]byte, 1<<20+123)
		_, _ = rand.Read(large)
		sealed := must(t, write, w.encrypt("mrk", large, w.primary))
		w.wantText(t, read, w.decrypt("mrk", sealed.Data, w.replica), large)
		for name, cut := range map[string][]byte{"last frame": sealed.Data[:len(sealed.Data)-1000], "signature": sealed.Data[:len(sealed.Data)-1]} {
			if got, err := read(t, w.decrypt("mrk", cut, w.replica)); err == nil {
				t.Errorf("a message without its %s was decrypted to %d bytes", name, len(got.Data))
			}
		}
	})
	t.Run("Tampered", func(t *testing.T) {
		sealed := must(t, write, w.encrypt("mrk", text, w.primary)).Data
		for at := 3; at < len(sealed); at += len(sealed)/17 + 1 {
			altered := bytes.Clone(sealed)
			altered[at] ^= 1
			w.refuse(t, read, w.decrypt("mrk", altered, w.replica))
		}
	})
	t.Run("Context", func(t *testing.T) {
		sealed := must(t, write, w.encrypt("mrk", text, w.primary))
		got := w.wantText(t, read, w.decrypt("mrk", sealed.Data, w.replica), text)
		delete(got.Context, "aws-crypto-public-key") // the SDK's own
		if d := cmp.Diff(map[string]string{"purpose": "interop", "tenant": "one"}, got.Context); d != "" {
			t.Errorf("encryption context (-want +got):\n%s", d)
		}
		// KMS is what checks the context first: the data key is bound to it.
		altered := bytes.Replace(sealed.Data, []byte("one"), []byte("two"), 1)
		before := len(w.events(t))
		w.refuse(t, read, w.decrypt("mrk", altered, w.replica))
		calls := w.events(t)[before:]
		if len(calls) != 1 || calls[0].ErrorCode != "InvalidCiphertextException" || calls[0].RequestParameters.EncryptionContext["tenant"] != "two" {
			t.Errorf("the trail has %+v, want one Decrypt for tenant two with InvalidCiphertextException", calls)
		}
	})
}

func (w *world) commitment(t *testing.T, write, read sdk) {
	text := []byte("bound to one key")
	r := w.encrypt("mrk", text, w.primary)
	if got := must(t, write, r).Suite; got != committingSigned {
		t.Errorf("the default algorithm suite is %#04x, want %#04x", got, committingSigned)
	}
	r.Suite = committing
	sealed := must(t, write, r)
	if got := w.wantText(t, read, w.decrypt("mrk", sealed.Data, w.replica), text).Suite; got != committing {
		t.Errorf("the reader found algorithm suite %#04x, want %#04x", got, committing)
	}
	r.Suite = notCommitting
	w.refuse(t, write, r)
	r.Policy = forbidden
	sealed = must(t, write, r)
	strict := w.decrypt("mrk", sealed.Data, w.replica)
	before := len(w.events(t))
	w.refuse(t, read, strict)
	if calls := w.events(t)[before:]; len(calls) != 0 {
		t.Errorf("a message without commitment went as far as %+v", calls)
	}
	lenient := strict
	lenient.Policy = allowed
	w.wantText(t, read, lenient, text)
}

// TestContextReproduced gives the reader a context that is not the message's. The SDK for Go compares them; that for JavaScript leaves it to its user.
func TestContextReproduced(t *testing.T) {
	w := newWorld(t)
	sealed := must(t, golang, w.encrypt("mrk", []byte("text"), w.primary))
	r := w.decrypt("mrk", sealed.Data, w.replica)
	r.Context = map[string]string{"tenant": "one"}
	w.wantText(t, golang, r, []byte("text"))
	r.Context = map[string]string{"tenant": "two"}
	w.refuse(t, golang, r)
}

// TestReplicaOutlivesPrimary turns the primary off in the cloud itself: the replica has a state of its own.
func TestReplicaOutlivesPrimary(t *testing.T) {
	w := newWorld(t)
	text := []byte("text")
	sealed := must(t, golang, w.encrypt("mrk", text, w.primary))
	if _, err := w.kms(virginia).DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: &w.primary}); err != nil {
		t.Fatal(err)
	}
	w.wantText(t, golang, w.decrypt("mrk", sealed.Data, w.replica), text)
	_, err := golang(t, w.everywhere(w.decrypt("mrk", sealed.Data, w.primary)))
	if err == nil || !strings.Contains(err.Error(), "disabled") {
		t.Errorf("decrypting with a disabled primary: %v, want that it is disabled", err)
	}
	if _, err := w.kms(ireland).DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: aws.String(w.replica)}); err != nil {
		t.Fatal(err)
	}
	w.refuse(t, golang, w.decrypt("mrk", sealed.Data, w.replica))
}

// TestRegionKilled has each region in a process of its own, and kills the one that a message was encrypted in.
func TestRegionKilled(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "peer-secret")
	if err := os.WriteFile(secret, []byte(strings.Repeat("what the processes share ", 2)), 0o600); err != nil {
		t.Fatal(err)
	}
	addresses := map[string]string{virginia: freeAddress(t), ireland: freeAddress(t)}
	region := func(here, there string) *server {
		return startAt(t, addresses[here], "--region", here, "--peer", there+"=http://"+addresses[there], "--peer-secret", "file:"+secret)
	}
	first, second := region(virginia, ireland), region(ireland, virginia)
	primary, replica := first.multiRegionKey(t)
	second.waitEnabled(t, ireland, replica)
	text := []byte("written in Virginia")
	r := request{
		Op: "encrypt", Keyring: "mrk", Keys: []string{primary}, Regions: []string{ireland}, Accounts: []string{"000000000000"}, Policy: required, Frame: 4096,
		Endpoints: map[string]endpoint{virginia: first.as(), ireland: second.as()}, Data: text,
	}
	sealed := must(t, golang, r)
	first.kill()
	r.Op, r.Data = "decrypt", sealed.Data
	if got, err := golang(t, r); err == nil {
		t.Errorf("decrypting with the primary, whose region is dead: %q", got.Data)
	}
	r.Keys = []string{replica}
	sdks := map[string]sdk{"Go": golang, "JavaScript": javascript(t)}
	for _, keyring := range []string{"mrk", "mrk discovery"} {
		r.Keyring = keyring
		for name, read := range sdks {
			if got := must(t, read, r); !bytes.Equal(got.Data, text) {
				t.Errorf("%s with keyring %s: %q", name, keyring, got.Data)
			}
		}
	}
	for _, e := range second.events(t) {
		if e.AwsRegion != ireland {
			t.Errorf("the trail of %s has %+v", ireland, e)
		}
	}
	first.run(t)
	if calls := first.events(t); calls[len(calls)-1].EventName == "Decrypt" {
		t.Errorf("the trail of %s has a decryption: %+v", virginia, calls[len(calls)-1])
	}
}

// waitEnabled asks until a key is there and enabled.
func (s *server) waitEnabled(t *testing.T, region, key string) {
	t.Helper()
	for {
		out, err := s.kms(region).DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: &key})
		if err == nil && out.KeyMetadata.Enabled {
			return
		}
		if t.Context().Err() != nil {
			t.Fatal(t.Context().Err())
		}
	}
}

func must(t *testing.T, s sdk, r request) reply {
	t.Helper()
	got, err := s(t, r)
	if err != nil {
		t.Fatalf("%s with keyring %s: %v", r.Op, r.Keyring, err)
	}
	return got
}

func (w *world) wantText(t *testing.T, s sdk, r request, want []byte) reply {
	t.Helper()
	got := must(t, s, r)
	if !bytes.Equal(got.Data, want) {
		t.Errorf("%s with keyring %s: %d bytes that differ from the %d that went in", r.Op, r.Keyring, len(got.Data), len(want))
	}
	return got
}

func (w *world) refuse(t *testing.T, s sdk, r request) {
	t.Helper()
	if got, err := s(t, r); err == nil {
		t.Errorf("%s with keyring %s: %d bytes, want it refused", r.Op, r.Keyring, len(got.Data))
	}
}
