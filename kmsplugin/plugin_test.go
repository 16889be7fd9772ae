package kmsplugin_test

import (
	"bytes"
	"cmp"
	"context"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	plugin "k8s.io/kms/apis/v2"

	api "github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
	"github.com/holdfast-cloud/holdfast/kmsplugin"
	"github.com/holdfast-cloud/holdfast/remote"
	"github.com/holdfast-cloud/holdfast/sigv4"
)

// bench is a cloud with a key in it.
type bench struct {
	*cloudtest.Cloud
	kms *kms.Client
	key *types.KeyMetadata
}

func newBench(t *testing.T, spec types.KeySpec) *bench {
	t.Helper()
	b := &bench{Cloud: cloudtest.Start(t)}
	b.kms = kms.NewFromConfig(b.Config())
	in := &kms.CreateKeyInput{KeySpec: spec, MultiRegion: new(true)}
	if spec != types.KeySpecSymmetricDefault {
		in.KeyUsage = types.KeyUsageTypeSignVerify
	}
	out, err := b.kms.CreateKey(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	b.key = out.KeyMetadata
	return b
}

// config is that of a plugin of cluster "blue" which calls as the user of an SDK configuration.
func (b *bench) config(t *testing.T, as aws.Config) kmsplugin.Config {
	t.Helper()
	return kmsplugin.Config{Key: *b.key.Arn, Cluster: "blue", Region: b.Region, KMS: calls(b.URL, b.Region, as, "")}
}

// calls returns what calls KMS at a URL, in a region, as the user of an SDK configuration, with the secret access key given if there is one.
func calls(at, region string, as aws.Config, secret string) func(context.Context) (api.Client, error) {
	return func(ctx context.Context) (api.Client, error) {
		endpoint, err := url.Parse(at)
		if err != nil {
			return api.Client{}, err
		}
		c, err := as.Credentials.Retrieve(ctx)
		return api.Client{Transport: &remote.Transport{
			Endpoint: endpoint, Region: region, Credentials: sigv4.Credentials{AccessKeyID: c.AccessKeyID, Secret: cmp.Or(secret, c.SecretAccessKey)},
		}}, err
	}
}

// connect serves a plugin on a socket, and returns the official client.
func connect(t *testing.T, cfg kmsplugin.Config) plugin.KeyManagementServiceClient {
	t.Helper()
	dir, err := os.MkdirTemp("", "kms") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	l, err := kmsplugin.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	server := kmsplugin.NewServer(kmsplugin.New(cfg), slog.New(slog.DiscardHandler))
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	conn, err := grpc.NewClient("unix://"+path, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return plugin.NewKeyManagementServiceClient(conn)
}

func wantStatus(t *testing.T, p plugin.KeyManagementServiceClient, healthz string) string {
	t.Helper()
	got, err := p.Status(t.Context(), &plugin.StatusRequest{})
	if err != nil {
		t.Fatalf("Status: %v", err)
	}
	if got.Version != "v2" || !strings.Contains(got.Healthz, healthz) || got.KeyId == "" || len(got.KeyId) > 1023 {
		t.Errorf("Status: %v, want healthz with %q", got, healthz)
	}
	return got.KeyId
}

func wantCode(t *testing.T, err error, code codes.Code, why string) {
	t.Helper()
	if status.Code(err) != code || !strings.Contains(err.Error(), why) {
		t.Errorf("answered %v, want %s with %q", err, code, why)
	}
}

// wrap encrypts, and returns what decrypts it.
func wrap(t *testing.T, p plugin.KeyManagementServiceClient, seed string) *plugin.DecryptRequest {
	t.Helper()
	out, err := p.Encrypt(t.Context(), &plugin.EncryptRequest{Plaintext: []byte(seed), Uid: "1"})
	if err != nil {
		t.Fatalf("Encrypt: %v", err)
	}
	if n := len(out.Ciphertext); n == 0 || n > 1023 {
		t.Errorf("the ciphertext has %d bytes, and Kubernetes takes 1 to 1023", n)
	}
	return &plugin.DecryptRequest{Ciphertext: out.Ciphertext, KeyId: out.KeyId, Annotations: out.Annotations, Uid: "2"}
}

func wantSeed(t *testing.T, p plugin.KeyManagementServiceClient, in *plugin.DecryptRequest, seed string) {
	t.Helper()
	if out, err := p.Decrypt(t.Context(), in); err != nil || string(out.Plaintext) != seed {
		t.Errorf("Decrypt: %v, %v, want %q", out, err, seed)
	}
}

func TestPlugin(t *testing.T) {
	b := newBench(t, types.KeySpecSymmetricDefault)
	cfg := b.config(t, b.Config())
	p := connect(t, cfg)
	seed := strings.Repeat("s", 32)

	t.Run("OK", func(t *testing.T) {
		id := wantStatus(t, p, "ok")
		in := wrap(t, p, seed)
		if in.KeyId != id {
			t.Errorf("encrypted under %s, and Status says %s", in.KeyId, id)
		}
		wantSeed(t, p, in, seed)
		if again := wantStatus(t, p, "ok"); again != id {
			t.Errorf("the key ID went from %s to %s", id, again)
		}
	})
	t.Run("Rotated", func(t *testing.T) {
		before, old := wantStatus(t, p, "ok"), wrap(t, p, seed)
		if _, err := b.kms.RotateKeyOnDemand(t.Context(), &kms.RotateKeyOnDemandInput{KeyId: b.key.KeyId}); err != nil {
			t.Fatal(err)
		}
		after := wantStatus(t, p, "ok")
		if after == before {
			t.Errorf("the key ID is still %s", before)
		}
		if again := wrap(t, p, seed); again.KeyId != after {
			t.Errorf("encrypted under %s, and Status says %s", again.KeyId, after)
		}
		wantSeed(t, p, old, seed)
	})
	t.Run("Altered", func(t *testing.T) {
		good := wrap(t, p, seed)
		for name, change := range map[string]func(*plugin.DecryptRequest){
			"Ciphertext":    func(in *plugin.DecryptRequest) { in.Ciphertext[len(in.Ciphertext)-1] ^= 1 },
			"NoCiphertext":  func(in *plugin.DecryptRequest) { in.Ciphertext = []byte("none of ours") },
			"NoAnnotations": func(in *plugin.DecryptRequest) { in.Annotations = nil },
			"OneMore":       func(in *plugin.DecryptRequest) { in.Annotations["more.example.com"] = nil },
			"Material":      func(in *plugin.DecryptRequest) { in.KeyId = *b.key.Arn + "#" + strings.Repeat("0", 64) },
			"NoMaterial":    func(in *plugin.DecryptRequest) { in.KeyId = *b.key.Arn },
			"NoKey":         func(in *plugin.DecryptRequest) { in.KeyId = "" },
		} {
			t.Run(name, func(t *testing.T) {
				in := &plugin.DecryptRequest{Ciphertext: bytes.Clone(good.Ciphertext), KeyId: good.KeyId, Annotations: maps.Clone(good.Annotations)}
				change(in)
				_, err := p.Decrypt(t.Context(), in)
				wantCode(t, err, codes.InvalidArgument, "")
			})
		}
		wantSeed(t, p, good, seed)
	})
	t.Run("OtherCluster", func(t *testing.T) {
		other := cfg
		other.Cluster = "green"
		in := wrap(t, p, seed)
		_, err := connect(t, other).Decrypt(t.Context(), in)
		wantCode(t, err, codes.InvalidArgument, `for "blue"`)
		// Who lies about the cluster is found out by the encryption context.
		for name := range in.Annotations {
			in.Annotations[name] = []byte("green")
		}
		_, err = connect(t, other).Decrypt(t.Context(), in)
		wantCode(t, err, codes.InvalidArgument, "InvalidCiphertext")
	})
	t.Run("OtherRegion", func(t *testing.T) {
		in := wrap(t, p, seed)
		if _, err := b.kms.ReplicateKey(t.Context(), &kms.ReplicateKeyInput{KeyId: b.key.KeyId, ReplicaRegion: aws.String("eu-west-1")}); err != nil {
			t.Fatal(err)
		}
		other := cfg
		other.Region, other.Key, other.KMS = "eu-west-1", *b.key.KeyId, calls(b.URL, "eu-west-1", b.Config(), "")
		wantSeed(t, connect(t, other), in, seed)
	})
	t.Run("Disabled", func(t *testing.T) {
		in := wrap(t, p, seed)
		if _, err := b.kms.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: b.key.KeyId}); err != nil {
			t.Fatal(err)
		}
		wantStatus(t, p, "is disabled")
		_, err := p.Encrypt(t.Context(), &plugin.EncryptRequest{Plaintext: []byte(seed)})
		wantCode(t, err, codes.FailedPrecondition, "is disabled")
		_, err = p.Decrypt(t.Context(), in)
		wantCode(t, err, codes.FailedPrecondition, "is disabled")
		if _, err := b.kms.EnableKey(t.Context(), &kms.EnableKeyInput{KeyId: b.key.KeyId}); err != nil {
			t.Fatal(err)
		}
		wantStatus(t, p, "ok")
		wantSeed(t, p, in, seed)
	})
	t.Run("NotFound", func(t *testing.T) {
		none := cfg
		none.Key = "alias/none"
		_, err := connect(t, none).Status(t.Context(), &plugin.StatusRequest{})
		wantCode(t, err, codes.NotFound, "alias/none")
	})
	t.Run("TooLarge", func(t *testing.T) {
		_, err := p.Encrypt(t.Context(), &plugin.EncryptRequest{Plaintext: make([]byte, 1000)})
		wantCode(t, err, codes.OutOfRange, "Kubernetes takes")
	})
	t.Run("WrongSecret", func(t *testing.T) {
		wrong := cfg
		wrong.KMS = calls(b.URL, b.Region, b.Config(), strings.Repeat("x", 40))
		_, err := connect(t, wrong).Status(t.Context(), &plugin.StatusRequest{})
		wantCode(t, err, codes.Unauthenticated, "signature")
	})
	t.Run("NoServer", func(t *testing.T) {
		dead := httptest.NewServer(http.NotFoundHandler())
		away := cfg
		away.KMS = calls(dead.URL, b.Region, b.Config(), "")
		dead.Close()
		p := connect(t, away)
		_, err := p.Status(t.Context(), &plugin.StatusRequest{})
		wantCode(t, err, codes.Unavailable, "refused")
		_, err = p.Encrypt(t.Context(), &plugin.EncryptRequest{Plaintext: []byte(seed)})
		wantCode(t, err, codes.Unavailable, "refused")
	})
}

// What the plugin may do is what its user may: a policy for one cluster lets it near nothing else.
func TestPermissions(t *testing.T) {
	b := newBench(t, types.KeySpecSymmetricDefault)
	policy := `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":"kms:DescribeKey","Resource":"` + *b.key.Arn + `"},
		{"Effect":"Allow","Action":["kms:Encrypt","kms:Decrypt"],"Resource":"` + *b.key.Arn + `","Condition":{"StringEquals":{"kms:EncryptionContext:cluster":"blue"}}}]}`
	ann := b.config(t, b.User(b.Account, "ann", policy))
	p := connect(t, ann)
	wantStatus(t, p, "ok")
	wantSeed(t, p, wrap(t, p, "seed"), "seed")

	ann.Cluster = "green"
	p = connect(t, ann)
	wantStatus(t, p, "not authorized to perform: kms:Encrypt")
	_, err := p.Encrypt(t.Context(), &plugin.EncryptRequest{Plaintext: []byte("seed")})
	wantCode(t, err, codes.PermissionDenied, "kms:Encrypt")

	_, err = connect(t, b.config(t, b.User(b.Account, "bob"))).Status(t.Context(), &plugin.StatusRequest{})
	wantCode(t, err, codes.PermissionDenied, "kms:DescribeKey")
}

func TestKeyThatSigns(t *testing.T) {
	b := newBench(t, types.KeySpecEccNistP256)
	_, err := connect(t, b.config(t, b.Config())).Status(t.Context(), &plugin.StatusRequest{})
	wantCode(t, err, codes.FailedPrecondition, "no symmetric encryption key")
}

func TestListen(t *testing.T) {
	dir, err := os.MkdirTemp("", "kms")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "made", "s")
	l, err := kmsplugin.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("OnlyForItsOwner", func(t *testing.T) {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the socket: %v, %v, want mode 0600", info, err)
		}
		if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
			t.Errorf("beside the socket: %v, %v", left, err)
		}
	})
	t.Run("Taken", func(t *testing.T) {
		if _, err := kmsplugin.Listen(path); err == nil || !strings.Contains(err.Error(), "listens on") {
			t.Errorf("Listen: %v, want that somebody listens", err)
		}
	})
	t.Run("NoSocket", func(t *testing.T) {
		file := filepath.Join(dir, "file")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := kmsplugin.Listen(file); err == nil || !strings.Contains(err.Error(), "no socket") {
			t.Errorf("Listen: %v, want that it is no socket", err)
		}
	})
	t.Run("Closed", func(t *testing.T) {
		l.Close()
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Errorf("the socket is still there: %v", err)
		}
	})
}
