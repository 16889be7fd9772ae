package cloud_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
	"github.com/holdfast-cloud/holdfast/internal/sdkclient"
	"github.com/holdfast-cloud/holdfast/internal/syncbuffer"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/store"
)

const account = "000000000000"

// open opens a cloud that the caller closes.
func open(t testing.TB, cfg cloud.Config) *cloud.Cloud {
	t.Helper()
	c, err := cloud.Open(t.Context(), cfg)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return c
}

func closeCloud(t testing.TB, c *cloud.Cloud) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
}

// client is a KMS client of a cloud, which it serves until the test ends.
func client(t testing.TB, c *cloud.Cloud, id, secret string) *kms.Client {
	t.Helper()
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	return clientAt(server.URL, id, secret)
}

func clientAt(url, id, secret string) *kms.Client {
	return kms.NewFromConfig(sdkclient.Config(url, "us-east-1", credentials.NewStaticCredentialsProvider(id, secret, "")))
}

func rootKey(t testing.TB, c *cloud.Cloud) (id, secret string) {
	t.Helper()
	id, secret, made, err := c.RootKey(t.Context())
	if err != nil || !made {
		t.Fatalf("RootKey: made %v, %v", made, err)
	}
	return id, secret
}

func createKey(t testing.TB, k *kms.Client) string {
	t.Helper()
	out, err := k.CreateKey(t.Context(), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatalf("CreateKey: %v", err)
	}
	return *out.KeyMetadata.KeyId
}

func encrypt(t testing.TB, k *kms.Client, key, text string) []byte {
	t.Helper()
	out, err := k.Encrypt(t.Context(), &kms.EncryptInput{KeyId: &key, Plaintext: []byte(text)})
	if err != nil {
		t.Fatalf("Encrypt: %v", err)
	}
	return out.CiphertextBlob
}

func wantDecrypt(t testing.TB, k *kms.Client, ciphertext []byte, text string) {
	t.Helper()
	out, err := k.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: ciphertext})
	if err != nil || string(out.Plaintext) != text {
		t.Errorf("Decrypt: %v, %v, want %q", out, err, text)
	}
}

func TestOpenRefusesNonsense(t *testing.T) {
	for _, cfg := range []cloud.Config{{Account: "12"}, {Region: "nowhere"}, {Region: "us-east-x"}, {Dir: "/dev/null/x"}} {
		if c, err := cloud.Open(t.Context(), cfg); err == nil {
			c.Close()
			t.Errorf("Open(%+v): no error", cfg)
		}
	}
}

func TestDiskKeepsEverything(t *testing.T) {
	dir := t.TempDir()
	c := open(t, cloud.Config{Dir: dir})
	id, secret := rootKey(t, c)
	k := client(t, c, id, secret)
	key := createKey(t, k)
	ciphertext := encrypt(t, k, key, "hello")
	closeCloud(t, c)

	c = open(t, cloud.Config{Dir: dir})
	defer closeCloud(t, c)
	if _, _, made, err := c.RootKey(t.Context()); made || err != nil {
		t.Errorf("the root key was made again: %v", err)
	}
	k = client(t, c, id, secret)
	wantDecrypt(t, k, ciphertext, "hello")
	events, err := c.Events(t.Context(), audit.Filter{})
	if err != nil || len(events) != 3 {
		t.Errorf("%d events, %v, want 3", len(events), err)
	}
}

func TestDirectoryInUse(t *testing.T) {
	dir := t.TempDir()
	c := open(t, cloud.Config{Dir: dir})
	defer closeCloud(t, c)
	if _, err := cloud.Open(t.Context(), cloud.Config{Dir: dir}); !errors.Is(err, store.ErrInUse) {
		t.Errorf("Open: %v", err)
	}
}

// secretFiles are the contents of all files but the store's own, which its engine tidies up whenever it is opened.
func secretFiles(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || filepath.Base(filepath.Dir(path)) == "store" {
			return err
		}
		b, err := os.ReadFile(path)
		files[path] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestWrongRootKey(t *testing.T) {
	dir := t.TempDir()
	c := open(t, cloud.Config{Dir: dir})
	id, secret := rootKey(t, c)
	ciphertext := encrypt(t, client(t, c, id, secret), createKey(t, client(t, c, id, secret)), "hello")
	closeCloud(t, c)
	path := filepath.Join(dir, "root.key")
	right, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		do   func() error
		cfg  cloud.Config
		want error
		text string
	}{
		{"Other", func() error {
			return os.WriteFile(path, []byte(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("x"), 32))), 0o600)
		}, cloud.Config{Dir: dir}, seal.ErrWrongRoot, ""},
		{"Missing", func() error { return os.Remove(path) }, cloud.Config{Dir: dir}, seal.ErrNoRoot, ""},
		{"Malformed", func() error { return os.WriteFile(path, []byte("nonsense"), 0o600) }, cloud.Config{Dir: dir}, nil, "root.key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.do(); err != nil {
				t.Fatal(err)
			}
			before := secretFiles(t, dir)
			c, err := cloud.Open(t.Context(), tt.cfg)
			if err == nil {
				c.Close()
				t.Fatal("it opened")
			}
			if tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("Open: %v", err)
			}
			t.Logf("Open: %v", err)
			if after := secretFiles(t, dir); fmt.Sprint(after) != fmt.Sprint(before) {
				t.Errorf("it touched the directory")
			}
		})
	}
	if err := os.WriteFile(path, right, 0o600); err != nil {
		t.Fatal(err)
	}
	c = open(t, cloud.Config{Dir: dir})
	defer closeCloud(t, c)
	wantDecrypt(t, client(t, c, id, secret), ciphertext, "hello")
}

func TestRewrapUnderLoad(t *testing.T) {
	dir := t.TempDir()
	c := open(t, cloud.Config{Dir: dir})
	id, secret := rootKey(t, c)
	k := client(t, c, id, secret)
	key := createKey(t, k)
	ciphertext := encrypt(t, k, key, "hello")
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				wantDecrypt(t, k, encrypt(t, k, createKey(t, k), "load"), "load")
			}
		})
	}
	next := filepath.Join(t.TempDir(), "next.key")
	for i := range 3 {
		if version, err := c.RotateSeal(t.Context()); err != nil || version != uint32(i+2) {
			t.Errorf("RotateSeal() = %d, %v", version, err)
		}
		if err := c.Rewrap(t.Context(), seal.NewFile(next)); err != nil {
			t.Fatalf("Rewrap: %v", err)
		}
	}
	close(done)
	wg.Wait()
	closeCloud(t, c)
	if _, err := cloud.Open(t.Context(), cloud.Config{Dir: dir}); !errors.Is(err, seal.ErrWrongRoot) {
		t.Errorf("Open with the old root key: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "root.key")); err != nil {
		t.Fatal(err)
	}
	c = open(t, cloud.Config{Dir: dir, Seal: seal.NewFile(next)})
	defer closeCloud(t, c)
	wantDecrypt(t, client(t, c, id, secret), ciphertext, "hello")
}

// page asks for a page of a cloud.
func page(c http.Handler, method, path, body string, header ...string) (int, string) {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func wantPage(t *testing.T, c http.Handler, method, path, body string, status int) string {
	t.Helper()
	got, text := page(c, method, path, body)
	if got != status {
		t.Errorf("%s %s %s answered %d %s, want %d", method, path, body, got, text, status)
	}
	return text
}

func TestReset(t *testing.T) {
	for name, dir := range map[string]string{"Memory": "", "Disk": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			c := open(t, cloud.Config{Dir: dir, Dev: true})
			defer closeCloud(t, c)
			k := client(t, c, "test", "test")
			key := createKey(t, k)
			wantPage(t, c, "POST", "/_holdfast/reset", "", 204)
			var missing *types.NotFoundException
			if _, err := k.Encrypt(t.Context(), &kms.EncryptInput{KeyId: &key, Plaintext: []byte("x")}); !errors.As(err, &missing) {
				t.Errorf("Encrypt with a key from before: %v", err)
			}
			wantDecrypt(t, k, encrypt(t, k, createKey(t, k), "hello"), "hello")

			// Calls and pages go on while it is reset.
			done := make(chan struct{})
			var wg sync.WaitGroup
			for range 3 {
				wg.Go(func() {
					for {
						select {
						case <-done:
							return
						default:
						}
						createKey(t, k)
						c.Now()
						_ = c.AdvanceClock(t.Context(), time.Second)
						page(c, "GET", "/metrics", "")
						page(c, "GET", "/_holdfast/health", "")
					}
				})
			}
			for range 3 {
				wantPage(t, c, "POST", "/_holdfast/reset", "", 204)
			}
			close(done)
			wg.Wait()
		})
	}
	t.Run("OnlyInDev", func(t *testing.T) {
		c := open(t, cloud.Config{})
		defer closeCloud(t, c)
		wantPage(t, c, "POST", "/_holdfast/reset", "", 403)
		wantPage(t, c, "POST", "/_holdfast/clock", `{"advance":"1h"}`, 403)
	})
	t.Run("NotFromAWebPage", func(t *testing.T) {
		c := open(t, cloud.Config{Dev: true})
		defer closeCloud(t, c)
		for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "null"}, {"Origin", "http://example.com"}} { // the last is the name asked for, but a public one
			for _, path := range []string{"reset", "clock"} {
				if status, _ := page(c, "POST", "/_holdfast/"+path, `{"advance":"1h"}`, header...); status != 403 {
					t.Errorf("%s of %v answered %d", path, header, status)
				}
			}
		}
	})
}

func TestClock(t *testing.T) {
	dir := t.TempDir()
	c := open(t, cloud.Config{Dir: dir, Dev: true})
	k := client(t, c, "test", "test")
	key := createKey(t, k)
	if _, err := k.ScheduleKeyDeletion(t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: &key, PendingWindowInDays: aws.Int32(7)}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		body   string
		status int
	}{
		{`{"advance":"144h"}`, 200}, {`{"advance":"-1h"}`, 400}, {`{"advance":"x"}`, 400}, {`{}`, 400}, {`{"advance":"1h","set":"2030-01-01T00:00:00Z"}`, 400}, {`nonsense`, 400},
		{`{"set":"2001-01-01T00:00:00Z"}`, 400}, {`{"set":"9999-01-01T00:00:00Z"}`, 400}, {`{"advance":"1h","more":1}`, 400}, {`{"advance":"2562047h"}`, 400},
	} {
		wantPage(t, c, "POST", "/_holdfast/clock", tt.body, tt.status)
	}
	if _, err := k.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: &key}); err != nil {
		t.Errorf("the key is gone after six days: %v", err)
	}
	closeCloud(t, c)

	c = open(t, cloud.Config{Dir: dir, Dev: true})
	defer closeCloud(t, c)
	var told struct{ Now time.Time }
	if err := json.Unmarshal([]byte(wantPage(t, c, "GET", "/_holdfast/clock", "", 200)), &told); err != nil {
		t.Fatal(err)
	}
	if ahead := time.Until(told.Now); ahead < 143*time.Hour || ahead > 145*time.Hour {
		t.Errorf("after a restart the clock is %s ahead", ahead)
	}
	k = client(t, c, "test", "test")
	wantPage(t, c, "POST", "/_holdfast/clock", fmt.Sprintf(`{"set":%q}`, told.Now.Add(48*time.Hour).Format(time.RFC3339)), 200)
	var missing *types.NotFoundException
	if _, err := k.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: &key}); !errors.As(err, &missing) {
		t.Errorf("the key is there after eight days: %v", err)
	}
}

func TestClockMovesAddUp(t *testing.T) {
	c := open(t, cloud.Config{Dev: true})
	defer closeCloud(t, c)
	before := c.Now()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if err := c.AdvanceClock(t.Context(), time.Hour); err != nil {
				t.Errorf("AdvanceClock: %v", err)
			}
		})
	}
	wg.Wait()
	if moved := c.Now().Sub(before); moved < 20*time.Hour || moved > 21*time.Hour {
		t.Errorf("moved by %s, want 20h", moved)
	}
}

func TestHealth(t *testing.T) {
	dir := t.TempDir()
	c := open(t, cloud.Config{Dir: dir, Idle: true}) // or the log may have been written to before its directory goes
	id, secret := rootKey(t, c)
	k := client(t, c, id, secret)
	key := createKey(t, k)
	text := wantPage(t, c, "GET", "/_holdfast/health", "", 200)
	var h struct {
		Status, Reason, Version, Mode, FIPS string
		Services                            []string
	}
	if err := json.Unmarshal([]byte(text), &h); err != nil || h.Status != "ok" || h.Mode != "strict" || h.FIPS != cloud.FIPS() || h.Version != cloud.Version || len(h.Services) < 2 {
		t.Errorf("health is %s", text)
	}
	wantPage(t, c, "HEAD", "/_holdfast/health", "", 200)
	wantPage(t, c, "GET", "/_holdfast/nothing", "", 404)

	// The log's directory is gone: what cannot be recorded is refused, and that is to be seen.
	trail := filepath.Join(dir, "audit")
	if err := os.RemoveAll(trail); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Encrypt(t.Context(), &kms.EncryptInput{KeyId: &key, Plaintext: []byte("x")}); err == nil {
		t.Error("Encrypt went unrecorded")
	}
	if text := wantPage(t, c, "GET", "/_holdfast/health", "", 503); !strings.Contains(text, "audit records cannot be written") || strings.Contains(text, dir) {
		t.Errorf("health is %s", text)
	}
	if text := wantPage(t, c, "GET", "/metrics", "", 200); !strings.Contains(text, "\nholdfast_audit_refused_total 1\n") {
		t.Error("the metrics do not tell of the call that was refused")
	}
	if err := os.Mkdir(trail, 0o700); err != nil {
		t.Fatal(err)
	}
	wantPage(t, c, "GET", "/_holdfast/health", "", 200)
	encrypt(t, k, key, "x")
	closeCloud(t, c)
	if text := wantPage(t, c, "GET", "/_holdfast/health", "", 503); !strings.Contains(text, "store") {
		t.Errorf("health of a closed cloud is %s", text)
	}
}

// Where calls go on without their records, the log, the metrics and the health page say so.
func TestCallsThatGoOnUnrecorded(t *testing.T) {
	dir := t.TempDir()
	var log syncbuffer.Buffer
	c := open(t, cloud.Config{Dir: dir, Idle: true, AuditKeepOn: true, Log: slog.New(slog.NewTextHandler(&log, nil))})
	defer closeCloud(t, c)
	id, secret := rootKey(t, c)
	k := client(t, c, id, secret)
	key := createKey(t, k)
	if err := os.RemoveAll(filepath.Join(dir, "audit")); err != nil {
		t.Fatal(err)
	}
	encrypt(t, k, key, "x")
	if text := wantPage(t, c, "GET", "/_holdfast/health", "", 200); !strings.Contains(text, `"warning":"audit records cannot be written`) {
		t.Errorf("health is %s", text)
	}
	if text := wantPage(t, c, "GET", "/metrics", "", 200); !strings.Contains(text, "\nholdfast_audit_missing_total 1\n") {
		t.Error("the metrics do not tell of the record that is missing")
	}
	if !strings.Contains(log.String(), "Encrypt goes on without its record") {
		t.Errorf("logged %s", log.String())
	}
}

func TestMetrics(t *testing.T) {
	c := cloudtest.Start(t)
	k := kms.NewFromConfig(c.Config())
	createKey(t, k)
	if _, err := k.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: aws.String("nonsense")}); err == nil {
		t.Fatal("DescribeKey found nonsense")
	}
	text := wantPage(t, c, "GET", "/metrics", "", 200)
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatalf("the metrics do not parse: %v", err)
	}
	calls := make(map[string]float64)
	for _, m := range families["holdfast_calls_total"].GetMetric() {
		var labels []string
		for _, l := range m.GetLabel() {
			labels = append(labels, l.GetValue())
		}
		calls[strings.Join(labels, " ")] = m.GetCounter().GetValue()
	}
	if calls[" CreateKey kms"] != 1 || calls["NotFoundException DescribeKey kms"] != 1 {
		t.Errorf("calls: %v", calls)
	}
	for _, name := range []string{"holdfast_call_seconds", "holdfast_store_commits_total", "holdfast_store_disk_bytes", "holdfast_timers_fired_total", "holdfast_cache_values", "holdfast_cache_loads_total", "go_goroutines"} {
		if families[name] == nil {
			t.Errorf("there is no %s", name)
		}
	}
	// Signed requests to that path are calls: a bucket may have the name.
	if status, _ := page(c, "GET", "/metrics", "", "Authorization", "AWS4-HMAC-SHA256 x"); status == 200 {
		t.Error("a call was answered with metrics")
	}
}

func TestRetention(t *testing.T) {
	dir := t.TempDir()
	c := open(t, cloud.Config{Dir: dir, Dev: true})
	createKey(t, client(t, c, "test", "test"))
	if err := c.AdvanceClock(t.Context(), 100*24*time.Hour); err != nil {
		t.Fatal(err)
	}
	createKey(t, client(t, c, "test", "test"))
	closeCloud(t, c)
	c = open(t, cloud.Config{Dir: dir, Dev: true})
	defer closeCloud(t, c)
	for {
		events, err := c.Events(t.Context(), audit.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		if len(events) == 1 { // what is older than ninety days is forgotten in the background
			return
		}
		if t.Context().Err() != nil {
			t.Fatalf("%d events", len(events))
		}
	}
}

// An idle cloud changes nothing by itself.
func TestIdle(t *testing.T) {
	dir := t.TempDir()
	c := open(t, cloud.Config{Dir: dir, Dev: true})
	k := client(t, c, "test", "test")
	key := createKey(t, k)
	if _, err := k.ScheduleKeyDeletion(t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: &key, PendingWindowInDays: aws.Int32(7)}); err != nil {
		t.Fatal(err)
	}
	closeCloud(t, c)
	c = open(t, cloud.Config{Dir: dir, Dev: true, Idle: true})
	defer closeCloud(t, c)
	if _, _, err := c.CreateKey(t.Context(), account, ""); err != nil {
		t.Error(err)
	}
	if err := c.EnsureUser(t.Context(), account, "ann", ""); err != nil {
		t.Error(err)
	}
	if events, err := c.Events(context.Background(), audit.Filter{}); err != nil || len(events) != 2 {
		t.Errorf("%d events, %v", len(events), err)
	}
}
