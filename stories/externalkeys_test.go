package stories_test

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
	"github.com/holdfast-cloud/holdfast/remote/xksproxy"
	"github.com/holdfast-cloud/holdfast/sigv4"
)

// manager is a cloud that keeps the keys of another one: what that one reaches over TLS is a server in front of it, which can be told to misbehave.
type manager struct {
	*httptest.Server
	mu     sync.Mutex
	cloud  http.Handler
	behave func(w http.ResponseWriter, r *http.Request, next http.Handler) // nil is well
}

func newManager(t *testing.T) *manager {
	m := &manager{}
	m.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.mu.Lock()
		next, behave := m.cloud, m.behave
		m.mu.Unlock()
		if behave != nil {
			behave(w, r, next)
			return
		}
		next.ServeHTTP(w, r)
	}))
	t.Cleanup(m.Close)
	return m
}

func (m *manager) is(c http.Handler) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cloud = c
}

func (m *manager) behaves(fn func(w http.ResponseWriter, r *http.Request, next http.Handler)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.behave = fn
}

// reached lets a cloud reach the manager by its name.
func (m *manager) reached(limit time.Duration) func(*cloud.Config) {
	roots := x509.NewCertPool()
	roots.AddCert(m.Certificate())
	return func(c *cloud.Config) {
		c.ExternalKeyStores = xksproxy.Config{Roots: roots, Limit: limit, Connect: map[string]string{"example.com": m.Listener.Addr().String()}}
	}
}

// patience is far more than a proxy gets of KMS, for machines that are busy.
const patience = 20 * time.Second

// hangsUp is a proxy that is gone.
func hangsUp(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }

// hangs is a proxy that never answers.
func hangs(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
	_, _ = io.Copy(io.Discard, r.Body) // net/http notices that a client has gone away when it waits for its next request
	<-r.Context().Done()
	panic(http.ErrAbortHandler) // returning would be an answer
}

// alters has the proxy answer something else in one member, a base64 text.
func alters(member string) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, r)
		var body map[string]any
		_ = json.Unmarshal(rec.Body.Bytes(), &body)
		if text, ok := body[member].(string); ok {
			first := byte('A')
			if text[0] == 'A' {
				first = 'B'
			}
			body[member] = string(first) + text[1:]
		}
		w.WriteHeader(rec.Code)
		_ = json.NewEncoder(w).Encode(body)
	}
}

// swaps has the proxy use another key than it is asked to use. Who runs it has the credentials, so it can sign for that.
func swaps(asked, other string, c *types.XksProxyAuthenticationCredentialType) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		body, _ := io.ReadAll(r.Body)
		swapped := httptest.NewRequest(r.Method, strings.ReplaceAll(r.URL.Path, asked, other), bytes.NewReader(body))
		sigv4.Sign(swapped, sigv4.Credentials{AccessKeyID: *c.AccessKeyId, Secret: *c.RawSecretAccessKey}, "us-east-1", "kms-xks-proxy", time.Now(), sigv4.PayloadHash(body))
		next.ServeHTTP(w, swapped)
	}
}

// The keys of one cloud can stay in another one: it encrypts and decrypts with them, sees who does what with which key, and has the last word. Whatever happens to it,
// callers get an error that says what is wrong, never a wrong plaintext; and what was encrypted comes back when it does.
func TestKeysStayInAnotherCloud(t *testing.T) {
	dirA, dirB := t.TempDir(), t.TempDir()
	m := newManager(t)
	var key, other *types.KeyMetadata // of the manager
	var made *types.KeyMetadata       // of the cloud that uses it
	var ciphertext []byte
	var credential types.XksProxyAuthenticationCredentialType

	// live starts both clouds, and stops them when the test t ends.
	live := func(t *testing.T, limit time.Duration) (a, b *kms.Client, cloudA, cloudB *cloudtest.Cloud) {
		cloudB = cloudtest.Start(t, func(c *cloud.Config) { c.Dir, c.Account = dirB, "999988887777" })
		m.is(cloudB.Cloud)
		cloudA = cloudtest.Start(t, m.reached(limit), func(c *cloud.Config) { c.Dir = dirA })
		return kms.NewFromConfig(cloudA.Config()), kms.NewFromConfig(cloudB.Config()), cloudA, cloudB
	}
	wantRefused := func(t *testing.T, err error, text string) {
		t.Helper()
		if invalid, ok := errors.AsType[*types.KMSInvalidStateException](err); !ok || !strings.Contains(invalid.ErrorMessage(), text) {
			t.Errorf("got %v, want KMSInvalidStateException: %s", err, text)
		}
	}
	decrypts := func(t *testing.T, a *kms.Client) {
		t.Helper()
		wantText(t, a, ciphertext, "hello")
	}

	t.Run("Used", func(t *testing.T) {
		a, b, cloudA, cloudB := live(t, patience)
		key, other = newKey(t, b), newKey(t, b)
		cloudB.User(cloudB.Account, "tenant", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Resource":"*","Action":["kms-xks-proxy:*","kms:DescribeKey","kms:Encrypt","kms:Decrypt"]}}`)
		id, secret, err := cloudB.CreateProxyKey(t.Context(), cloudB.Account, "tenant")
		if err != nil {
			t.Fatal(err)
		}
		credential = types.XksProxyAuthenticationCredentialType{AccessKeyId: &id, RawSecretAccessKey: &secret}

		store, err := a.CreateCustomKeyStore(t.Context(), &kms.CreateCustomKeyStoreInput{
			CustomKeyStoreName: aws.String("elsewhere"), CustomKeyStoreType: types.CustomKeyStoreTypeExternalKeyStore, XksProxyConnectivity: types.XksProxyConnectivityTypePublicEndpoint,
			XksProxyUriEndpoint: aws.String("https://example.com"), XksProxyUriPath: aws.String("/us-east-1/kms/xks/v1"), XksProxyAuthenticationCredential: &credential,
		})
		if err != nil {
			t.Fatalf("CreateCustomKeyStore: %v", err)
		}
		if _, err := a.ConnectCustomKeyStore(t.Context(), &kms.ConnectCustomKeyStoreInput{CustomKeyStoreId: store.CustomKeyStoreId}); err != nil {
			t.Fatalf("ConnectCustomKeyStore: %v", err)
		}
		cloudA.Advance(time.Second)
		out, err := a.CreateKey(t.Context(), &kms.CreateKeyInput{CustomKeyStoreId: store.CustomKeyStoreId, Origin: types.OriginTypeExternalKeyStore, XksKeyId: key.KeyId})
		if err != nil {
			t.Fatalf("CreateKey: %v", err)
		}
		made = out.KeyMetadata
		ciphertext = encrypt(t, a, made, "hello")
		decrypts(t, a)
		data, err := a.GenerateDataKey(t.Context(), &kms.GenerateDataKeyInput{KeyId: made.Arn, KeySpec: types.DataKeySpecAes256, EncryptionContext: map[string]string{"purpose": "story"}})
		if err != nil {
			t.Fatalf("GenerateDataKey: %v", err)
		}
		again, err := a.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: data.CiphertextBlob, EncryptionContext: map[string]string{"purpose": "story"}})
		if err != nil || !bytes.Equal(again.Plaintext, data.Plaintext) {
			t.Errorf("Decrypt of the data key: %v", err)
		}
		long := strings.Repeat("x", 4096)
		wantText(t, a, encrypt(t, a, made, long), long)

		// The manager's trail tells of each use who made it, and with which key, and leads to the record there.
		there := make(map[string]bool)
		for _, e := range cloudA.Trail(cloudA.Account) {
			var r struct {
				RequestID string `json:"requestID"`
			}
			_ = json.Unmarshal(e.Raw, &r)
			there[r.RequestID] = true
		}
		uses := 0
		for _, e := range cloudB.Trail(cloudB.Account) {
			if e.EventSource != "kms-xks-proxy.amazonaws.com" || e.EventName != "Encrypt" && e.EventName != "Decrypt" {
				continue
			}
			uses++
			about, _ := e.RequestParameters["requestMetadata"].(map[string]any)
			id, _ := about["kmsRequestId"].(string)
			if about["awsPrincipalArn"] != "arn:aws:iam::"+cloudA.Account+":root" || about["kmsKeyArn"] != *made.Arn || !there[id] {
				t.Errorf("the manager's record says %v", about)
			}
		}
		if uses != 6 {
			t.Errorf("the manager has %d records of uses, want 6", uses)
		}
	})

	t.Run("RestartOfBoth", func(t *testing.T) {
		a, _, _, _ := live(t, patience)
		decrypts(t, a)
	})

	t.Run("DisabledThere", func(t *testing.T) {
		a, b, _, _ := live(t, patience)
		if _, err := b.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: key.KeyId}); err != nil {
			t.Fatal(err)
		}
		_, err := decrypt(t, a, ciphertext)
		wantRefused(t, err, "is not enabled in the external key manager")
		if _, err := b.EnableKey(t.Context(), &kms.EnableKeyInput{KeyId: key.KeyId}); err != nil {
			t.Fatal(err)
		}
		decrypts(t, a)
	})

	t.Run("DeniedThere", func(t *testing.T) {
		a, _, _, cloudB := live(t, patience)
		cloudB.User(cloudB.Account, "tenant", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Resource":"*","Action":["kms-xks-proxy:*","kms:*"]},
			{"Effect":"Deny","Resource":"*","Action":"kms-xks-proxy:*","Condition":{"StringEquals":{"kms-xks-proxy:awsPrincipalArn":"arn:aws:iam::111122223333:root"}}}]}`)
		_, err := decrypt(t, a, ciphertext)
		wantRefused(t, err, "denied access to the operation")
		cloudB.User(cloudB.Account, "tenant", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Resource":"*","Action":["kms-xks-proxy:*","kms:*"]}}`)
		decrypts(t, a)
	})

	t.Run("Down", func(t *testing.T) {
		a, _, _, _ := live(t, patience)
		decrypts(t, a)
		m.behaves(hangsUp)
		_, err := decrypt(t, a, ciphertext)
		wantRefused(t, err, "AWS KMS cannot communicate with the external key store proxy.")
		_, err = a.Encrypt(t.Context(), &kms.EncryptInput{KeyId: made.Arn, Plaintext: []byte("x")})
		wantRefused(t, err, "AWS KMS cannot communicate with the external key store proxy.")
		m.behaves(nil)
		decrypts(t, a)
	})

	t.Run("Slow", func(t *testing.T) {
		a, _, _, _ := live(t, 100*time.Millisecond)
		m.behaves(hangs)
		defer m.behaves(nil)
		_, err := decrypt(t, a, ciphertext)
		wantRefused(t, err, "did not respond in time")
	})

	t.Run("Lying", func(t *testing.T) {
		a, _, _, _ := live(t, patience)
		m.behaves(alters("plaintext"))
		_, err := decrypt(t, a, ciphertext)
		wantRefused(t, err, "is corrupted, missing, or otherwise invalid")
		for _, member := range []string{"ciphertext", "authenticationTag", "initializationVector", "ciphertextMetadata", "ciphertextDataIntegrityValue"} {
			m.behaves(alters(member))
			_, err = a.Encrypt(t.Context(), &kms.EncryptInput{KeyId: made.Arn, Plaintext: []byte("x")})
			wantRefused(t, err, "")
		}
		m.behaves(swaps(*key.KeyId, *other.KeyId, &credential))
		_, err = decrypt(t, a, ciphertext)
		wantRefused(t, err, "rejected the request because the specified ciphertext or encryption context is corrupted, missing, or otherwise invalid")
		m.behaves(nil)
		decrypts(t, a)
	})
}
