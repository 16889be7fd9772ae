package stories_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	plugin "k8s.io/kms/apis/v2"
)

// The secrets of a Kubernetes cluster are encrypted under a key in Holdfast. They outlive kill -9 of the plugin and of the server, the key's rotation is seen by the
// API server, and a disabled key makes the cluster unhealthy instead of losing anything.
func TestKubernetesSecretsAreEncryptedUnderAKey(t *testing.T) {
	dir, err := os.MkdirTemp("", "k8s") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	server, file := newServer(t).start(), filepath.Join(dir, "credentials")
	k, keyID := pluginsKey(t, server, file)
	socket := filepath.Join(dir, "kms.sock")
	p := &process{t: t, args: []string{
		"kms-plugin", "--listen", "unix://" + socket, "--key-id", "alias/kubernetes", "--cluster", "blue", "--endpoint", server.url(), "--credentials-file", file,
	}}
	p.start()
	api := newAPIServer(t, socket)

	api.write(t, "database", "correct horse")
	p.kill()
	p.start() // over the socket that was left behind
	api.wantSecret(t, "database", "correct horse")

	server.kill()
	if _, err := api.plugin.Status(t.Context(), &plugin.StatusRequest{}); status.Code(err) != codes.Unavailable {
		t.Errorf("Status without a server: %v, want Unavailable", err)
	}
	server.start()
	api.wantSecret(t, "database", "correct horse")

	before := api.status(t, "ok")
	done(t)(k.RotateKeyOnDemand(t.Context(), &kms.RotateKeyOnDemandInput{KeyId: &keyID}))
	after := api.status(t, "ok")
	if after == before || api.status(t, "ok") != after {
		t.Errorf("the key ID was %s, and is %s after the rotation", before, after)
	}
	api.write(t, "mail", "battery staple")
	if used := api.etcd["mail"].keyID; used != after {
		t.Errorf("a secret was written under %s, want %s", used, after)
	}
	api.wantSecret(t, "database", "correct horse")
	api.wantSecret(t, "mail", "battery staple")

	done(t)(k.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: &keyID}))
	api.status(t, "is disabled")
	if _, err := api.read(t, "mail"); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("reading under a disabled key: %v, want FailedPrecondition", err)
	}
	done(t)(k.EnableKey(t.Context(), &kms.EnableKeyInput{KeyId: &keyID}))
	api.status(t, "ok")
	api.wantSecret(t, "mail", "battery staple")

	p.end()
	server.end()
	if _, err := os.Stat(socket); !os.IsNotExist(err) {
		t.Errorf("the plugin left its socket: %v", err)
	}
}

// pluginsKey makes a key, and a user who may use it for cluster "blue" only, whose access key it leaves in a file.
func pluginsKey(t *testing.T, server *process, file string) (k *kms.Client, keyID string) {
	t.Helper()
	k = server.kms("us-east-1")
	key := newKey(t, k)
	done(t)(k.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: aws.String("alias/kubernetes"), TargetKeyId: key.KeyId}))
	admin, name := iam.NewFromConfig(server.config("us-east-1")), aws.String("kubernetes-blue")
	done(t)(admin.CreateUser(t.Context(), &iam.CreateUserInput{UserName: name}))
	done(t)(admin.PutUserPolicy(t.Context(), &iam.PutUserPolicyInput{UserName: name, PolicyName: aws.String("kms"), PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":"kms:DescribeKey","Resource":"` + *key.Arn + `"},
		{"Effect":"Allow","Action":["kms:Encrypt","kms:Decrypt"],"Resource":"` + *key.Arn + `","Condition":{"StringEquals":{"kms:EncryptionContext:cluster":"blue"}}}]}`)}))
	access, err := admin.CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{UserName: name})
	if err != nil {
		t.Fatal(err)
	}
	writeAccessKey(t, file, *access.AccessKey.AccessKeyId, *access.AccessKey.SecretAccessKey)
	return k, *key.KeyId
}

// apiServer does with a plugin what the Kubernetes API server does: what it stores is encrypted under a seed, and the seed by the plugin.
type apiServer struct {
	plugin plugin.KeyManagementServiceClient
	etcd   map[string]stored
}

// stored is what lies in etcd.
type stored struct {
	secret, seed []byte // both encrypted
	keyID        string
	annotations  map[string][]byte
}

func newAPIServer(t *testing.T, socket string) *apiServer {
	t.Helper()
	conn, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.WaitForReady(true)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &apiServer{plugin.NewKeyManagementServiceClient(conn), make(map[string]stored)}
}

// status wants the plugin's health, and returns the key ID.
func (a *apiServer) status(t *testing.T, healthz string) string {
	t.Helper()
	s, err := a.plugin.Status(t.Context(), &plugin.StatusRequest{})
	if err != nil {
		t.Fatalf("Status: %v", err)
	}
	if s.Version != "v2" || !strings.Contains(s.Healthz, healthz) {
		t.Errorf("Status: %v, want healthz with %q", s, healthz)
	}
	return s.KeyId
}

func (a *apiServer) cipher(t *testing.T, seed []byte) cipher.AEAD {
	t.Helper()
	block, err := aes.NewCipher(seed)
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		t.Fatal(err)
	}
	return aead
}

func (a *apiServer) write(t *testing.T, name, secret string) {
	t.Helper()
	seed := make([]byte, 32)
	rand.Read(seed)
	out, err := a.plugin.Encrypt(t.Context(), &plugin.EncryptRequest{Plaintext: seed})
	if err != nil {
		t.Fatalf("Encrypt: %v", err)
	}
	a.etcd[name] = stored{a.cipher(t, seed).Seal(nil, nil, []byte(secret), []byte(name)), out.Ciphertext, out.KeyId, out.Annotations}
}

func (a *apiServer) read(t *testing.T, name string) (string, error) {
	t.Helper()
	s := a.etcd[name]
	out, err := a.plugin.Decrypt(t.Context(), &plugin.DecryptRequest{Ciphertext: s.seed, KeyId: s.keyID, Annotations: s.annotations})
	if err != nil {
		return "", err
	}
	secret, err := a.cipher(t, out.Plaintext).Open(nil, nil, s.secret, []byte(name))
	return string(secret), err
}

func (a *apiServer) wantSecret(t *testing.T, name, want string) {
	t.Helper()
	if got, err := a.read(t, name); err != nil || got != want {
		t.Errorf("secret %s is %q, %v, want %q", name, got, err, want)
	}
}
