package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/holdfast-cloud/holdfast/internal/sdkclient"
	"github.com/holdfast-cloud/holdfast/internal/syncbuffer"
	"github.com/holdfast-cloud/holdfast/runner"
)

// TestMain is also the process that tests kill.
func TestMain(m *testing.M) {
	runner.Init()
	if os.Getenv("HOLDFAST_TEST_AS_MAIN") != "" {
		main()
	}
	os.Exit(m.Run())
}

// environment is one whose variables are given in pairs.
func environment(variables ...string) (*env, *syncbuffer.Buffer, *syncbuffer.Buffer) {
	var out, err syncbuffer.Buffer
	return &env{strings.NewReader(""), &out, &err, func(name string) string {
		for i := 0; i < len(variables); i += 2 {
			if variables[i] == name {
				return variables[i+1]
			}
		}
		return ""
	}}, &out, &err
}

// runCommand runs a command to its end.
func runCommand(t *testing.T, args ...string) (status int, out, err string) {
	t.Helper()
	e, o, er := environment()
	status = run(t.Context(), e, args)
	return status, o.String(), er.String()
}

func wantCommand(t *testing.T, status int, args ...string) string {
	t.Helper()
	got, out, err := runCommand(t, args...)
	if got != status {
		t.Errorf("holdfast %s ended with %d, want %d\n%s%s", strings.Join(args, " "), got, status, out, err)
	}
	return out + err
}

// server is a holdfast serve that runs.
type server struct {
	endpoint    string
	id, secret  string // of the root user, if they were told
	out, log    *syncbuffer.Buffer
	stop        context.CancelFunc
	ended       chan int
	transport   *http.Transport
	stoppedOnce sync.Once
}

var (
	listens = regexp.MustCompile(`listens on (https?://\S+)`)
	keyID   = regexp.MustCompile(`AWS_ACCESS_KEY_ID=(\S+)`)
	secret  = regexp.MustCompile(`AWS_SECRET_ACCESS_KEY=(\S+)`)
	ready   = "aws --endpoint-url"
)

// start runs holdfast serve until stop or the test's end.
func start(t *testing.T, dir string, args ...string) *server {
	t.Helper()
	e, out, log := environment()
	ctx, cancel := context.WithCancel(context.Background())
	s := &server{out: out, log: log, stop: cancel, ended: make(chan int, 1), transport: &http.Transport{}}
	go func() {
		s.ended <- run(ctx, e, append([]string{"serve", "--listen", "127.0.0.1:0", "--data", dir}, args...))
	}()
	t.Cleanup(func() { s.end(t, 0) })
	s.read(t)
	return s
}

// read waits for the greeting and takes it apart.
func (s *server) read(t *testing.T) {
	t.Helper()
	for !strings.Contains(s.out.String(), ready) {
		select {
		case status := <-s.ended:
			s.ended <- status
			t.Fatalf("serve ended with %d\n%s%s", status, s.out, s.log)
		case <-time.After(time.Millisecond):
		}
	}
	find := func(re *regexp.Regexp) string {
		if m := re.FindStringSubmatch(s.out.String()); m != nil {
			return m[1]
		}
		return ""
	}
	s.endpoint, s.id, s.secret = find(listens), find(keyID), find(secret)
}

// end stops the server, which must end with the status.
func (s *server) end(t *testing.T, status int) {
	t.Helper()
	s.stoppedOnce.Do(func() {
		s.transport.CloseIdleConnections()
		s.stop()
		if got := <-s.ended; got != status {
			t.Errorf("serve ended with %d, want %d\n%s", got, status, s.log)
		}
	})
}

func (s *server) config(id, secret string) aws.Config {
	cfg := sdkclient.Config(s.endpoint, "us-east-1", sdk.NewStaticCredentialsProvider(id, secret, ""))
	cfg.HTTPClient = &http.Client{Transport: s.transport}
	return cfg
}

func (s *server) kms() *kms.Client { return kms.NewFromConfig(s.config(s.id, s.secret)) }

func (s *server) whoAmI(t *testing.T, id, secret string) string {
	t.Helper()
	who, err := sts.NewFromConfig(s.config(id, secret)).GetCallerIdentity(t.Context(), nil)
	if err != nil {
		t.Fatalf("GetCallerIdentity: %v", err)
	}
	return *who.Arn
}

func TestHelp(t *testing.T) {
	for _, args := range []string{"help", "-h", "--help"} {
		out := wantCommand(t, 0, args)
		for _, c := range commands {
			if !strings.Contains(out, "holdfast "+c.name) {
				t.Errorf("holdfast %s does not tell of %s", args, c.name)
			}
		}
	}
	wantCommand(t, 2)
	for _, args := range []string{"serve -h", "events --help", "credentials -h", "seal -h", "seal rewrap -h", "seal rotate -h", "version -h"} {
		if out := wantCommand(t, 0, strings.Fields(args)...); !strings.Contains(out, "Usage: holdfast "+strings.Fields(args)[0]) {
			t.Errorf("holdfast %s says %s", args, out)
		}
	}
	help := wantCommand(t, 0, "serve", "-h")
	for _, name := range []string{"listen", "data", "dev", "account", "region", "seal", "tls-cert", "audit-failure"} {
		if !slices.Contains(strings.Fields(help), "--"+name) || !strings.Contains(help, variable(name)) {
			t.Errorf("serve -h does not tell of --%s", name)
		}
	}
}

func TestWrongUsage(t *testing.T) {
	dir := t.TempDir()
	for _, args := range []string{
		"nonsense", "serve --nonsense", "serve extra", "serve --audit-sync x", "serve --idp-network x", "serve --xks-network x", "serve --xks-connect x", "serve --webhook-network x", "serve --database-network x", "serve --rotation-grace 0s --data " + dir, "serve --rotation-grace 3s --data " + dir, "serve --sns-url x --data " + dir, "serve --smtp-from a@b.c --data " + dir, "serve --smtp-server x --smtp-from a@b.c --data " + dir, "serve --smtp-server x:25 --smtp-from a@b.c --smtp-secret x --data " + dir, "serve --public-url x", "serve --public-url https://ann:secret@cloud.example.com", "version extra", "seal", "seal nonsense", "seal rewrap", "events --from yesterday", "credentials --policy x",
		"serve --listen 0.0.0.0:0 --data " + dir, "serve --listen :0 --data " + dir, "serve --tls-cert x --data " + dir, "serve --log-format x", "serve --log-level x",
		"serve --audit-failure x --data " + dir, "serve --data=",
	} {
		if out := wantCommand(t, 2, strings.Fields(args)...); out == "" || strings.Count(out, "holdfast") == 0 {
			t.Errorf("holdfast %s says %q", args, out)
		}
	}
	for _, args := range []string{
		"serve --listen 127.0.0.1:99999 --data " + dir, "serve --seal nonsense --data " + dir, "serve --account 1 --listen 127.0.0.1:0 --data " + dir, "serve --region x --listen 127.0.0.1:0 --data " + dir,
		"serve --tls-cert x --tls-key y --data " + dir, "events --data " + dir, "credentials --data " + filepath.Join(dir, "none"),
	} {
		wantCommand(t, 1, strings.Fields(args)...)
	}
	if entries, _ := os.ReadDir(filepath.Join(dir, "store")); len(entries) != 0 {
		t.Errorf("a store was made: %v", entries)
	}
}

func TestVersion(t *testing.T) {
	if out := wantCommand(t, 0, "version"); !strings.HasPrefix(out, "holdfast ") {
		t.Errorf("version says %s", out)
	}
}

func TestServe(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	first := s
	if s.id == "" || s.whoAmI(t, s.id, s.secret) != "arn:aws:iam::000000000000:root" {
		t.Fatalf("the first start says %s", s.out)
	}
	if strings.Contains(s.log.String(), s.secret) {
		t.Error("the log tells the secret")
	}
	status, out, _ := runCommand(t, "serve", "--listen", "127.0.0.1:0", "--data", dir)
	if status != 1 || strings.Contains(out, "listens") {
		t.Errorf("a second server over the data ended with %d", status)
	}
	s.end(t, 0)
	if _, err := os.Stat(filepath.Join(dir, adminFile)); err == nil {
		t.Error("a server that ended left the way to it")
	}

	// The key is told once.
	s = start(t, dir)
	if strings.Contains(s.out.String(), "AWS_ACCESS_KEY_ID") {
		t.Errorf("the second start says %s", s.out)
	}
	s.whoAmI(t, first.id, first.secret)
}

func TestServeDev(t *testing.T) {
	s := start(t, t.TempDir(), "--dev")
	if !strings.Contains(s.out.String(), "Not for production") || s.whoAmI(t, "test", "test") != "arn:aws:iam::000000000000:user/dev" {
		t.Errorf("dev says %s", s.out)
	}
}

func TestServeTakesTheEnvironment(t *testing.T) {
	dir := t.TempDir()
	e, out, log := environment("HOLDFAST_DATA", dir, "HOLDFAST_LISTEN", "127.0.0.1:0", "HOLDFAST_DEV", "true", "HOLDFAST_ACCOUNT", "999988887777", "HOLDFAST_LOG_FORMAT", "json", "HOLDFAST_REGION", "cn-north-1")
	ctx, cancel := context.WithCancel(t.Context())
	s := &server{out: out, log: log, stop: cancel, ended: make(chan int, 1), transport: &http.Transport{}}
	go func() { s.ended <- run(ctx, e, []string{"serve", "--account", "111122223333"}) }()
	s.read(t)
	cfg := s.config("test", "test")
	cfg.Region = "cn-northwest-1"
	who, err := sts.NewFromConfig(cfg).GetCallerIdentity(t.Context(), nil)
	if err != nil || *who.Arn != "arn:aws-cn:iam::111122223333:user/dev" {
		t.Errorf("GetCallerIdentity: %v, %v", who, err)
	}
	s.end(t, 0)
	for line := range strings.Lines(log.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("logged %s", line)
		}
	}
	e, _, log = environment("HOLDFAST_AUDIT_SYNC", "nonsense")
	if status := run(t.Context(), e, []string{"serve"}); status != 2 || !strings.Contains(log.String(), "HOLDFAST_AUDIT_SYNC") {
		t.Errorf("a wrong variable ended with %d: %s", status, log)
	}
}

// certificate makes a self-signed certificate for holdfast.example.
func certificate(t *testing.T, dir string) (certFile, keyFile string, pool *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"holdfast.example"}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for path, b := range map[string][]byte{certFile: cert, keyFile: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	return certFile, keyFile, pool
}

func TestTLS(t *testing.T) {
	dir := t.TempDir()
	cert, key, pool := certificate(t, t.TempDir())
	s := start(t, dir, "--tls-cert", cert, "--tls-key", key, "--listen", "0.0.0.0:0")
	if !strings.HasPrefix(s.endpoint, "https://127.0.0.1:") {
		t.Fatalf("the endpoint is %s", s.endpoint)
	}
	s.transport.ForceAttemptHTTP2 = true
	s.transport.TLSClientConfig = &tls.Config{RootCAs: pool, ServerName: "holdfast.example"}
	s.whoAmI(t, s.id, s.secret)
	resp, err := (&http.Client{Transport: s.transport}).Get(s.endpoint + "/_holdfast/health")
	if err != nil || resp.ProtoMajor != 2 {
		t.Errorf("health: %v, %v, want HTTP/2", resp, err)
	}
	resp.Body.Close()
	// The commands find the server although its certificate does not name the address.
	out := wantCommand(t, 0, "events", "--data", dir)
	var record struct {
		TLSDetails struct{ TLSVersion, CipherSuite, ClientProvidedHostHeader string }
	}
	if err := json.Unmarshal([]byte(out), &record); err != nil || record.TLSDetails.TLSVersion != "TLSv1.3" || record.TLSDetails.ClientProvidedHostHeader == "" {
		t.Errorf("recorded %s", out)
	}
}

// TestCommands does everything with a server that runs, and again without one.
func TestCommands(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	if _, err := s.kms().CreateKey(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	policy := filepath.Join(t.TempDir(), "policy.json")
	if err := os.WriteFile(policy, []byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:ListKeys","Resource":"*"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	made := make(map[string][2]string)
	everything := func(t *testing.T, user string) {
		t.Helper()
		lines := strings.Count(wantCommand(t, 0, "events", "--data", dir), "\n")
		if lines == 0 {
			t.Error("there are no events")
		}
		if out := wantCommand(t, 0, "events", "--data", dir, "--limit", "1"); strings.Count(out, "\n") != 1 {
			t.Errorf("the newest event: %s", out)
		}
		for _, args := range [][]string{{"--account", "111122223333"}, {"--from", "2100-01-01T00:00:00Z"}, {"--to", "2001-01-01T00:00:00Z"}} {
			if out := wantCommand(t, 0, append([]string{"events", "--data", dir}, args...)...); out != "" {
				t.Errorf("events %v: %s", args, out)
			}
		}
		out := wantCommand(t, 0, "credentials", "--data", dir, "--user", user, "--policy", policy)
		made[user] = [2]string{keyID.FindStringSubmatch(out)[1], secret.FindStringSubmatch(out)[1]}
		out = wantCommand(t, 0, "credentials", "--data", dir, "--account", "999988887777")
		made["root"+user] = [2]string{keyID.FindStringSubmatch(out)[1], secret.FindStringSubmatch(out)[1]}
		wantCommand(t, 0, "credentials", "--data", dir, "--user", user) // another key for the same user, who keeps the policy
		for _, wrong := range [][]string{{"--account", "12"}, {"--user", "x", "--policy", "/nowhere"}} {
			wantCommand(t, 1, append([]string{"credentials", "--data", dir}, wrong...)...)
		}
		if out := wantCommand(t, 0, "seal", "rotate", "--data", dir); !strings.Contains(out, "version") {
			t.Errorf("seal rotate says %s", out)
		}
		wantCommand(t, 1, "seal", "rewrap", "--data", dir, "--to", "nonsense")
	}
	t.Run("Online", func(t *testing.T) { everything(t, "ann") })
	t.Run("NotWithoutTheToken", func(t *testing.T) {
		for _, token := range []string{"", "Bearer ", "Bearer x"} {
			r, _ := http.NewRequest("POST", s.endpoint+adminPrefix+"credentials", strings.NewReader(`{"Account":"000000000000"}`))
			r.Header.Set("Authorization", token)
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			b, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != http.StatusForbidden || strings.Contains(string(b), "AKIA") {
				t.Errorf("answered %d %s", resp.StatusCode, b)
			}
		}
	})
	newRoot := filepath.Join(t.TempDir(), "root.key")
	if out := wantCommand(t, 0, "seal", "rewrap", "--data", dir, "--to", "file:"+newRoot); !strings.Contains(out, "--seal file:"+newRoot) ||
		!strings.Contains(out, "The old root key is still in "+filepath.Join(dir, "root.key")+",") {
		t.Errorf("seal rewrap says %s", out)
	}
	if out := wantCommand(t, 0, "seal", "rewrap", "--data", dir, "--to", "file:"+newRoot); !strings.Contains(out, "The old root key is still in "+newRoot+".old,") {
		t.Errorf("seal rewrap in place says %s", out)
	}
	s.end(t, 0)
	wantCommand(t, 1, "serve", "--data", dir, "--listen", "127.0.0.1:0")
	wantCommand(t, 1, "events", "--data", dir)
	wantCommand(t, 0, "seal", "rewrap", "--data", dir, "--seal", "file:"+newRoot, "--to", "file:"+filepath.Join(dir, "root.key"))
	t.Run("Offline", func(t *testing.T) { everything(t, "bob") })

	s = start(t, dir)
	for _, user := range []string{"ann", "bob"} {
		if who := s.whoAmI(t, made[user][0], made[user][1]); who != "arn:aws:iam::000000000000:user/"+user {
			t.Errorf("%s is %s", user, who)
		}
		if who := s.whoAmI(t, made["root"+user][0], made["root"+user][1]); who != "arn:aws:iam::999988887777:root" {
			t.Errorf("the root user is %s", who)
		}
		k := kms.NewFromConfig(s.config(made[user][0], made[user][1]))
		if _, err := k.ListKeys(t.Context(), nil); err != nil {
			t.Errorf("ListKeys as %s: %v", user, err)
		}
		if _, err := k.CreateKey(t.Context(), nil); err == nil {
			t.Errorf("CreateKey as %s went through", user)
		}
	}
}

// What a killed server leaves must not lead anywhere else.
func TestLeftContact(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	id, pass := s.id, s.secret
	s.end(t, 0)
	other := start(t, t.TempDir())
	stranger, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	web := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(adminHeader, "1")
		io.WriteString(w, "hello")
	})}
	go web.Serve(stranger)
	defer web.Close()
	for _, endpoint := range []string{"http://127.0.0.1:1", other.endpoint, "http://" + stranger.Addr().String()} {
		b, _ := json.Marshal(contact{Endpoint: endpoint, Token: "old", Proof: "old"})
		if err := os.WriteFile(filepath.Join(dir, adminFile), b, 0o600); err != nil {
			t.Fatal(err)
		}
		if out := wantCommand(t, 0, "credentials", "--data", dir); !strings.Contains(out, "AKIA") {
			t.Errorf("credentials says %s", out)
		}
	}
	s = start(t, dir)
	s.whoAmI(t, id, pass)
	wantCommand(t, 0, "events", "--data", dir)
}

// A server that is told to end lets the calls under way finish.
func TestDrain(t *testing.T) {
	s := start(t, t.TempDir(), "--dev")
	body, write := io.Pipe()
	r, _ := http.NewRequest("POST", s.endpoint+"/_holdfast/clock", body)
	// The body is sent when the handler asks for it.
	r.Header.Set("Expect", "100-continue")
	transport := &http.Transport{ExpectContinueTimeout: time.Minute}
	defer transport.CloseIdleConnections()
	answered := make(chan int, 1)
	go func() {
		resp, err := transport.RoundTrip(r)
		if err != nil {
			answered <- 0
			return
		}
		resp.Body.Close()
		answered <- resp.StatusCode
	}()
	io.WriteString(write, `{"advance":`) // the call is under way
	s.stop()
	for !strings.Contains(s.log.String(), "draining") {
		time.Sleep(time.Millisecond)
	}
	io.WriteString(write, `"1h"}`)
	write.Close()
	if status := <-answered; status != 200 {
		t.Errorf("the call under way was answered %d", status)
	}
	s.end(t, 0)
	if !strings.Contains(s.log.String(), "stopped") {
		t.Errorf("logged %s", s.log)
	}
}
