package interop

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/server/options/encryptionconfig"
	"k8s.io/apiserver/pkg/storage/value"
)

// TestKubernetes encrypts as the Kubernetes API server does: what it does with its encryption configuration is the library used here, from the file of
// docs/kubernetes.md. Plugin and server are killed, the key is rotated and disabled, and what would lie in etcd is read all the while.
func TestKubernetes(t *testing.T) {
	s := start(t)
	key := s.key(t, &kms.CreateKeyInput{})
	k := s.kms(virginia)
	if _, err := k.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: aws.String("alias/kubernetes-blue"), TargetKeyId: &key}); err != nil {
		t.Fatal(err)
	}
	p := &kmsPlugin{env: s.user(t, "kubernetes-blue", usersPolicy(t, key)), socket: socketPath(t)}
	t.Cleanup(p.kill)
	p.run(t)
	configuration := encryptionConfiguration(t, p.socket)

	api := startAPIServer(t, configuration)
	api.wantHealth(t, "")
	first := api.encrypt(t, "database", "correct horse")
	if !bytes.HasPrefix(first, []byte("k8s:enc:kms:v2:holdfast:")) || bytes.Contains(first, []byte("horse")) {
		t.Errorf("in etcd: %q", first)
	}
	api.want(t, "database", first, "correct horse", current)

	t.Run("AllRestarted", func(t *testing.T) {
		p.kill()
		s.kill()
		s.run(t)
		p.run(t)
		api = startAPIServer(t, configuration)
		api.want(t, "database", first, "correct horse", current)
	})
	t.Run("Rotated", func(t *testing.T) {
		if _, err := k.RotateKeyOnDemand(t.Context(), &kms.RotateKeyOnDemandInput{KeyId: &key}); err != nil {
			t.Fatal(err)
		}
		api = startAPIServer(t, configuration)
		api.wantHealth(t, "")
		api.want(t, "database", first, "correct horse", stale)
		api.want(t, "database", api.encrypt(t, "database", "correct horse"), "correct horse", current)
	})
	t.Run("Moved", func(t *testing.T) { // a value belongs to its place
		if text, _, err := api.decrypt(t, "mail", first); err == nil {
			t.Errorf("decrypted to %q", text)
		}
	})
	t.Run("Disabled", func(t *testing.T) {
		if _, err := k.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: &key}); err != nil {
			t.Fatal(err)
		}
		api.want(t, "database", first, "correct horse", stale) // one that runs has its seeds in memory
		late := startAPIServer(t, configuration)
		late.wantHealth(t, "is disabled")
		if text, _, err := late.decrypt(t, "database", first); err == nil {
			t.Errorf("decrypted to %q under a disabled key", text)
		}
		if _, err := k.EnableKey(t.Context(), &kms.EnableKeyInput{KeyId: &key}); err != nil {
			t.Fatal(err)
		}
		startAPIServer(t, configuration).want(t, "database", first, "correct horse", stale)
	})
}

// kmsPlugin is holdfast kms-plugin.
type kmsPlugin struct {
	env    []string
	socket string
	cmd    *exec.Cmd
}

// run starts the plugin, and waits until it is ready.
func (p *kmsPlugin) run(t *testing.T) {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "kms-plugin", "--listen", "unix://"+p.socket, "--key-id", "alias/kubernetes-blue", "--cluster", "blue")
	cmd.Env = p.env
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.cmd = cmd
	var said strings.Builder
	for lines := bufio.NewScanner(log); !strings.Contains(said.String(), "msg=ready"); fmt.Fprintln(&said, lines.Text()) {
		if !lines.Scan() {
			t.Fatalf("holdfast kms-plugin ended before it was ready\n%s", &said)
		}
	}
	go func() { _, _ = io.Copy(io.Discard, log) }()
}

func (p *kmsPlugin) kill() {
	if p.cmd != nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		p.cmd = nil
	}
}

// socketPath is a short path, as that of a socket must be.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "k8s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "kms.sock")
}

// page is docs/kubernetes.md.
func page(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../docs/kubernetes.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// usersPolicy is the policy that the page gives the plugin's user.
func usersPolicy(t *testing.T, key string) string {
	t.Helper()
	_, policy, _ := strings.Cut(page(t), "--policy-document '")
	policy, _, ok := strings.Cut(policy, "'\naws ")
	if !ok {
		t.Fatal("docs/kubernetes.md has no policy")
	}
	return strings.ReplaceAll(policy, `'"$key"'`, key)
}

// encryptionConfiguration is the page's, with another socket.
func encryptionConfiguration(t *testing.T, socket string) string {
	t.Helper()
	block := regexp.MustCompile("(?s)```yaml\n(apiVersion: apiserver.config.k8s.io/v1\n.*?)```").FindStringSubmatch(page(t))
	if block == nil {
		t.Fatal("docs/kubernetes.md has no encryption configuration")
	}
	file := filepath.Join(t.TempDir(), "encryption.yaml")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(block[1], "/run/holdfast/kms.sock", socket)), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// apiServer is what an API server has made of its encryption configuration.
type apiServer struct {
	*encryptionconfig.EncryptionConfiguration
}

// startAPIServer is what an API server does when it starts: it has no seed in memory, and asks the plugin how it is.
func startAPIServer(t *testing.T, configuration string) apiServer {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	loaded, err := encryptionconfig.LoadEncryptionConfig(ctx, configuration, false, "")
	if err != nil {
		t.Fatal(err)
	}
	return apiServer{loaded}
}

// wantHealth asks what /healthz/kms-providers tells: nothing, or why the plugin is not healthy.
func (a apiServer) wantHealth(t *testing.T, why string) {
	t.Helper()
	if len(a.HealthChecks) != 1 || a.HealthChecks[0].Name() != "kms-providers" {
		t.Fatalf("health checks: %v", a.HealthChecks)
	}
	err := a.HealthChecks[0].Check(httptest.NewRequest("GET", "/healthz/kms-providers", nil))
	if (err == nil) != (why == "") || err != nil && !strings.Contains(err.Error(), why) {
		t.Errorf("health: %v, want %q", err, why)
	}
}

// place is where a secret lies in etcd, which its encryption is bound to.
func place(name string) value.Context {
	return value.DefaultContext("/registry/secrets/default/" + name)
}

func (a apiServer) secrets() value.Transformer {
	return a.Transformers[schema.GroupResource{Resource: "secrets"}]
}

func (a apiServer) encrypt(t *testing.T, name, secret string) []byte {
	t.Helper()
	stored, err := a.secrets().TransformToStorage(t.Context(), []byte(secret), place(name))
	if err != nil {
		t.Fatalf("encrypting %s: %v", name, err)
	}
	return stored
}

func (a apiServer) decrypt(t *testing.T, name string, stored []byte) (string, bool, error) {
	t.Helper()
	text, stale, err := a.secrets().TransformFromStorage(t.Context(), stored, place(name))
	return string(text), stale, err
}

// A value is stale once another key ID is in use: the API server rewrites it when it is replaced.
const current, stale = false, true

func (a apiServer) want(t *testing.T, name string, stored []byte, want string, wantStale bool) {
	t.Helper()
	if got, isStale, err := a.decrypt(t, name, stored); err != nil || got != want || isStale != wantStale {
		t.Errorf("secret %s: %q, stale %v, %v, want %q, stale %v", name, got, isStale, err, want, wantStale)
	}
}
