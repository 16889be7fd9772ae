package kms_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/remote/xksproxy"
	"github.com/holdfast-cloud/holdfast/sigv4"
)

const (
	proxyHost   = "example.com" // of the certificate of httptest
	proxyPrefix = "/tenant"
	proxyID     = "ABCDEFGHIJKLMNOPQRST"
	proxySecret = "kept+by/both+sides0123456789abcdefghijklmnopqr"
)

// proxy is an external key store proxy that does what it is told, wrong things too. Its signatures, its encryption and its hash are real.
type proxy struct {
	*httptest.Server
	mu    sync.Mutex // guards what follows
	keys  map[string]*outsideKey
	asked []asked
	fault func(operation string, w http.ResponseWriter, r *http.Request) bool // answers in place of the proxy if it reports true
	alter func(operation string, answer map[string]any)                       // changes an answer
}

type outsideKey struct {
	secret []byte
	facts  map[string]any // as GetKeyMetadata tells them
}

// asked is a request that the proxy got.
type asked struct {
	operation, key string
	body           struct {
		RequestMetadata                                                                                                 map[string]string
		Plaintext, Ciphertext, CiphertextMetadata, AdditionalAuthenticatedData, InitializationVector, AuthenticationTag []byte
		EncryptionAlgorithm, CiphertextDataIntegrityValueAlgorithm                                                      string
	}
}

func newProxy(t testing.TB, names ...string) *proxy {
	t.Helper()
	p := &proxy{keys: make(map[string]*outsideKey)}
	for _, n := range names {
		p.add(n)
	}
	p.Server = httptest.NewTLSServer(p)
	t.Cleanup(p.Close)
	return p
}

func (p *proxy) add(name string) {
	k := &outsideKey{secret: make([]byte, 32), facts: map[string]any{"keySpec": "AES_256", "keyUsage": []string{"ENCRYPT", "DECRYPT", "DERIVE"}, "keyStatus": "ENABLED"}}
	rand.Read(k.secret)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys[name] = k
}

// behave has the proxy answer as fault and alter say from now on; nil is as it should.
func (p *proxy) behave(fault func(string, http.ResponseWriter, *http.Request) bool, alter func(string, map[string]any)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault, p.alter = fault, alter
}

// requests are those of an operation so far.
func (p *proxy) requests(operation string) (found []asked) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range p.asked {
		if a.operation == operation {
			found = append(found, a)
		}
	}
	return found
}

// reached lets a cloud reach the proxy by its name, with as much time as a busy machine takes.
func (p *proxy) reached(cfg *cloud.Config) {
	at := p.Listener.Addr().String()
	roots := x509.NewCertPool()
	roots.AddCert(p.Certificate())
	cfg.ExternalKeyStores = xksproxy.Config{Roots: roots, Limit: 20 * time.Second, Connect: map[string]string{proxyHost: at, endpointService("proxy"): at}}
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var a asked
	if err := json.Unmarshal(body, &a.body); err != nil {
		refuse(w, 400, "ValidationException")
		return
	}
	path, ok := strings.CutPrefix(r.URL.Path, proxyPrefix+"/kms/xks/v1/")
	parts := strings.Split(path, "/")
	switch {
	case ok && len(parts) == 1 && parts[0] == "health":
		a.operation = "health"
	case ok && len(parts) == 3 && parts[0] == "keys":
		a.key, a.operation = parts[1], parts[2]
	}
	p.mu.Lock()
	p.asked = append(p.asked, a)
	fault, alter, k := p.fault, p.alter, p.keys[a.key]
	p.mu.Unlock()
	auth, err := sigv4.Parse(r)
	if err == nil && auth.AccessKeyID != proxyID {
		err = io.ErrUnexpectedEOF
	}
	if err == nil {
		err = auth.Check(sigv4.Expect{Now: time.Now(), Region: auth.Region, Service: "kms-xks-proxy"})
	}
	if err == nil {
		err = new(sigv4.Verifier).Verify(r, auth, proxySecret, body)
	}
	switch {
	case fault != nil && fault(a.operation, w, r):
		return
	case a.operation == "":
		refuse(w, 404, "InvalidUriPathException")
		return
	case err != nil:
		refuse(w, 401, "AuthenticationFailedException")
		return
	case k == nil && a.operation != "health":
		refuse(w, 404, "KeyNotFoundException")
		return
	}
	answer, name := a.answer(k)
	if name != "" {
		refuse(w, 400, name)
		return
	}
	if alter != nil {
		alter(a.operation, answer)
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func refuse(w http.ResponseWriter, status int, name string) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"errorName": name, "errorMessage": "as the test wants it"})
}

// failing is a fault: all requests are refused so.
func failing(status int, name string) func(string, http.ResponseWriter, *http.Request) bool {
	return func(_ string, w http.ResponseWriter, _ *http.Request) bool { refuse(w, status, name); return true }
}

// answer does what is asked, or names an error.
func (a *asked) answer(k *outsideKey) (answer map[string]any, refusal string) {
	b := &a.body
	if a.operation == "health" {
		return map[string]any{"xksProxyFleetSize": 1, "xksProxyVendor": "Test", "xksProxyModel": "Test", "ekmVendor": "Test",
			"ekmFleetDetails": []any{map[string]any{"id": "1", "model": "Test", "healthStatus": "DEGRADED"}, map[string]any{"id": "2", "model": "Test", "healthStatus": "UNAVAILABLE"}}}, ""
	}
	if a.operation == "metadata" {
		return maps.Clone(k.facts), ""
	}
	block, _ := aes.NewCipher(k.secret)
	aead, _ := cipher.NewGCM(block)
	hidden := []byte("version=1")
	if a.operation == "decrypt" {
		hidden = b.CiphertextMetadata
	}
	aad := append(binary.BigEndian.AppendUint16(nil, uint16(len(b.AdditionalAuthenticatedData))), b.AdditionalAuthenticatedData...)
	aad = append(append(aad, byte(len(hidden))), hidden...)
	if a.operation == "decrypt" {
		plaintext, err := aead.Open(nil, b.InitializationVector, slices.Concat(b.Ciphertext, b.AuthenticationTag), aad)
		if err != nil {
			return nil, "InvalidCiphertextException"
		}
		return map[string]any{"plaintext": plaintext}, ""
	}
	iv := make([]byte, 12)
	rand.Read(iv)
	sealed := aead.Seal(nil, iv, b.Plaintext, aad)
	ciphertext, tag := sealed[:len(b.Plaintext)], sealed[len(b.Plaintext):]
	sum := sha256.Sum256(slices.Concat(b.AdditionalAuthenticatedData, hidden, iv, ciphertext, tag))
	return map[string]any{"ciphertext": ciphertext, "initializationVector": iv, "authenticationTag": tag, "ciphertextMetadata": hidden, "ciphertextDataIntegrityValue": sum[:]}, ""
}

// publicStore is a request for an external key store at the proxy.
func publicStore(name string) *kms.CreateCustomKeyStoreInput {
	return &kms.CreateCustomKeyStoreInput{
		CustomKeyStoreName: &name, CustomKeyStoreType: types.CustomKeyStoreTypeExternalKeyStore, XksProxyConnectivity: types.XksProxyConnectivityTypePublicEndpoint,
		XksProxyUriEndpoint: aws.String("https://" + proxyHost), XksProxyUriPath: aws.String(proxyPrefix + "/kms/xks/v1"),
		XksProxyAuthenticationCredential: &types.XksProxyAuthenticationCredentialType{AccessKeyId: aws.String(proxyID), RawSecretAccessKey: aws.String(proxySecret)},
	}
}

// endpointService names a VPC endpoint service.
func endpointService(name string) string {
	return "com.amazonaws.vpce.us-east-1.vpce-svc-" + name + "0123456789"
}

// endpointServices has a cloud know some services, behind which nothing is.
func endpointServices(cfg *cloud.Config) {
	cfg.ExternalKeyStores.Connect = make(map[string]string)
	for _, name := range []string{"create", "connect", "disconnect", "update", "delete", "a", "b"} {
		cfg.ExternalKeyStores.Connect[endpointService(name)] = "127.0.0.1:1"
	}
}

// through is a request for an external key store behind the VPC endpoint service of the name.
func through(name string) *kms.CreateCustomKeyStoreInput {
	in := publicStore(name)
	in.XksProxyConnectivity, in.XksProxyVpcEndpointServiceName = types.XksProxyConnectivityTypeVpcEndpointService, aws.String(endpointService(name))
	in.XksProxyUriEndpoint = aws.String("https://" + name + ".example.com")
	return in
}

// withStore makes a store for a walked operation, and connecting one that is being connected.
func withStore(name string) func(*testing.T, *subject) {
	return func(t *testing.T, s *subject) { s.store = s.w.store(t, through(name)) }
}

func connecting(name string) func(*testing.T, *subject) {
	return func(t *testing.T, s *subject) {
		s.store = s.w.store(t, through(name))
		ok(t)(s.w.ConnectCustomKeyStore(ctx, &kms.ConnectCustomKeyStoreInput{CustomKeyStoreId: &s.store}))
	}
}

// store makes a store and returns its ID.
func (w *world) store(t *testing.T, in *kms.CreateCustomKeyStoreInput) string {
	t.Helper()
	out, err := w.CreateCustomKeyStore(ctx, in)
	ok(t)(out, err)
	return *out.CustomKeyStoreId
}

func (w *world) shown(t *testing.T, id string) types.CustomKeyStoresListEntry {
	t.Helper()
	out, err := w.DescribeCustomKeyStores(ctx, &kms.DescribeCustomKeyStoresInput{CustomKeyStoreId: &id})
	ok(t)(out, err)
	return out.CustomKeyStores[0]
}

// connect connects a store, waits until that has ended, and returns it.
func (w *world) connect(t *testing.T, id string) types.CustomKeyStoresListEntry {
	t.Helper()
	ok(t)(w.ConnectCustomKeyStore(ctx, &kms.ConnectCustomKeyStoreInput{CustomKeyStoreId: &id}))
	return w.settled(t, id)
}

// settled is a store once it is not connecting any more.
func (w *world) settled(t *testing.T, id string) types.CustomKeyStoresListEntry {
	t.Helper()
	w.Advance(time.Second) // what is due is done then
	return w.shown(t, id)
}

func (w *world) disconnect(t *testing.T, id string) {
	t.Helper()
	ok(t)(w.DisconnectCustomKeyStore(ctx, &kms.DisconnectCustomKeyStoreInput{CustomKeyStoreId: &id}))
}

// connected makes a store at the proxy that is connected.
func (w *world) connected(t *testing.T, name string) string {
	t.Helper()
	id := w.store(t, publicStore(name))
	if st := w.connect(t, id); st.ConnectionState != types.ConnectionStateTypeConnected {
		t.Fatalf("the store is %s: %s", st.ConnectionState, st.ConnectionErrorCode)
	}
	return id
}

// standsFor has CreateKey make a key in a store, for a key outside.
func standsFor(store, outside string) func(*kms.CreateKeyInput) {
	return func(in *kms.CreateKeyInput) {
		in.Origin, in.CustomKeyStoreId, in.XksKeyId = types.OriginTypeExternalKeyStore, &store, &outside
	}
}
