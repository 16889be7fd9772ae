package interop

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

// regions of the tests: what is encrypted in one is decrypted in the other.
const virginia, ireland = "us-east-1", "eu-west-1"

// binary is Holdfast: HOLDFAST_BINARY, or what the checkout around this module builds.
var binary = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("HOLDFAST_BINARY"); path != "" {
		return filepath.Abs(path)
	}
	dir, err := os.MkdirTemp("", "holdfast")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "holdfast")
	cmd := exec.Command("go", "build", "-C", "..", "-o", path, "./cmd/holdfast")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building Holdfast: %w\n%s", err, out)
	}
	return path, nil
})

// TestMain removes what the tests have built.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "interop")
	if err != nil {
		panic(err)
	}
	if err := os.Setenv("TMPDIR", dir); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// server is a Holdfast that runs.
type server struct {
	data, address, endpoint string
	id, secret              string // the root user's access key
	args                    []string
	cmd                     *exec.Cmd
}

// start runs a cloud until the test ends. args go to holdfast serve.
func start(t *testing.T, args ...string) *server {
	t.Helper()
	return startAt(t, "127.0.0.1:0", args...)
}

func startAt(t *testing.T, address string, args ...string) *server {
	t.Helper()
	s := &server{data: t.TempDir(), address: address, args: args}
	t.Cleanup(s.kill)
	s.run(t)
	return s
}

// run starts the process, at the address that it had before.
func (s *server) run(t *testing.T) {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, append([]string{"serve", "--listen", s.address, "--data", s.data}, s.args...)...)
	cmd.Env = environment()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	log := new(lockedBuffer)
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.cmd = cmd
	var greeting strings.Builder
	for lines := bufio.NewScanner(out); !strings.Contains(greeting.String(), "aws --endpoint-url"); fmt.Fprintln(&greeting, lines.Text()) {
		if !lines.Scan() {
			t.Fatalf("holdfast serve ended before it was ready\n%s%s", &greeting, log)
		}
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	find := func(into *string, pattern string) {
		if m := regexp.MustCompile(pattern).FindStringSubmatch(greeting.String()); m != nil {
			*into = m[1]
		}
	}
	find(&s.endpoint, `listens on (https?://\S+)`)
	find(&s.id, `AWS_ACCESS_KEY_ID=(\S+)`)
	find(&s.secret, `AWS_SECRET_ACCESS_KEY=(\S+)`)
	_, s.address, _ = strings.Cut(s.endpoint, "://")
}

// kill ends the process as a power cut does.
func (s *server) kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

// holdfast runs a command of the binary over the server's data, and returns what it prints.
func (s *server) holdfast(t *testing.T, command string, args ...string) string {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, append([]string{command, "--data", s.data}, args...)...)
	cmd.Env = environment()
	return output(t, cmd)
}

// event is what the tests look at of an audit record.
type event struct {
	EventName, AwsRegion, ErrorCode string
	RequestParameters               struct {
		KeyID             string            `json:"keyId"`
		EncryptionContext map[string]string `json:"encryptionContext"`
	}
}

// events returns the KMS calls on record, oldest first.
func (s *server) events(t *testing.T) []event {
	t.Helper()
	var events []event
	for d := json.NewDecoder(strings.NewReader(s.holdfast(t, "events"))); ; {
		var e struct {
			event
			EventSource string
		}
		if err := d.Decode(&e); errors.Is(err, io.EOF) {
			return events
		} else if err != nil {
			t.Fatalf("holdfast events: %v", err)
		}
		if e.EventSource == "kms.amazonaws.com" {
			events = append(events, e.event)
		}
	}
}

// user makes an IAM user with a policy, and returns the environment of a shell that has its access key.
func (s *server) user(t *testing.T, name, policy string) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "policy.json")
	if err := os.WriteFile(file, []byte(policy), 0o600); err != nil {
		t.Fatal(err)
	}
	env := s.environment()
	for line := range strings.Lines(s.holdfast(t, "credentials", "--user", name, "--policy", file)) {
		if kv, ok := strings.CutPrefix(strings.TrimSpace(line), "export "); ok {
			env = append(env, kv)
		}
	}
	return env
}

// environment is that of a shell with the exports of the greeting.
func (s *server) environment() []string {
	return environment("AWS_ENDPOINT_URL="+s.endpoint, "AWS_DEFAULT_REGION="+virginia, "AWS_REGION="+virginia, "AWS_ACCESS_KEY_ID="+s.id,
		"AWS_SECRET_ACCESS_KEY="+s.secret)
}

// environment is the test's, without what configures AWS, Holdfast and the tools, and with more.
func environment(more ...string) []string {
	env := []string{"AWS_CONFIG_FILE=" + os.DevNull, "AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull, "AWS_EC2_METADATA_DISABLED=true", "NO_PROXY=127.0.0.1"}
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		prefix, _, _ := strings.Cut(name, "_")
		switch prefix {
		case "AWS", "HOLDFAST", "SOPS", "COSIGN", "SIGSTORE", "VAULT", "AWSKMS":
		default:
			if !strings.EqualFold(name, "NO_PROXY") {
				env = append(env, kv)
			}
		}
	}
	return append(env, more...)
}

// endpoint is how a region is spoken to.
type endpoint struct {
	URL    string `json:"url"`
	ID     string `json:"id"` // of the access key
	Secret string `json:"secret"`
}

// kms is the SDK's client for a region, as the root user.
func (s *server) kms(region string) *kms.Client { return s.as().kms(region) }

// as is how the root user speaks to the server.
func (s *server) as() endpoint { return endpoint{s.endpoint, s.id, s.secret} }

func (e endpoint) kms(region string) *kms.Client {
	return kms.New(kms.Options{
		Region: region, BaseEndpoint: &e.URL, Credentials: credentials.NewStaticCredentialsProvider(e.ID, e.Secret, ""),
		Retryer: retry.AddWithMaxAttempts(retry.NewStandard(), 1),
	})
}

// key makes a key in Virginia and returns its ARN.
func (s *server) key(t *testing.T, in *kms.CreateKeyInput) string {
	t.Helper()
	out, err := s.kms(virginia).CreateKey(t.Context(), in)
	if err != nil {
		t.Fatalf("CreateKey: %v", err)
	}
	return *out.KeyMetadata.Arn
}

// multiRegionKey makes a key in Virginia with a replica in Ireland, and returns both ARNs.
func (s *server) multiRegionKey(t *testing.T) (primary, replica string) {
	t.Helper()
	primary = s.key(t, &kms.CreateKeyInput{MultiRegion: aws.Bool(true)})
	out, err := s.kms(virginia).ReplicateKey(t.Context(), &kms.ReplicateKeyInput{KeyId: &primary, ReplicaRegion: aws.String(ireland)})
	if err != nil {
		t.Fatalf("ReplicateKey: %v", err)
	}
	return primary, *out.ReplicaKeyMetadata.Arn
}

// freeAddress is one that nobody listens on: it refuses connections, like that of a region that is switched off.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// output runs a command that has to succeed, and returns what it prints on standard output.
func output(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(cmd.Args, " "), err, &out, &problems)
	}
	return out.String()
}

// refusal runs a command that has to fail and say why.
func refusal(t *testing.T, cmd *exec.Cmd, why string) {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() <= 0 {
		t.Fatalf("%s: %v, want it to fail\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	if !strings.Contains(string(out), why) {
		t.Fatalf("%s failed, but did not say %q:\n%s", strings.Join(cmd.Args, " "), why, out)
	}
}

// tool returns the path of a tool of this module, and builds it if that was not done before.
func tool(t *testing.T, name string) string {
	t.Helper()
	started := time.Now()
	cmd := exec.Command("go", "tool", "-n", name)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	path := strings.TrimSpace(output(t, cmd))
	t.Logf("%s is ready after %s", name, time.Since(started).Round(time.Second))
	return path
}

// lockedBuffer takes a process's output while the test reads it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
