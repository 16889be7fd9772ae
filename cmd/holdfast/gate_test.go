package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
)

var shareText = regexp.MustCompile(`hfs1(-[a-z2-7]+)+`)

// sealedServer runs holdfast serve with a seal that people open, and waits until it says that it is sealed.
func sealedServer(t *testing.T, dir string) *server {
	t.Helper()
	return beginSealed(t, dir, "--seal", "shamir")
}

func beginSealed(t *testing.T, dir string, args ...string) *server {
	t.Helper()
	s := begin(t, dir, args...)
	for !strings.Contains(s.out.String(), "is sealed") {
		select {
		case status := <-s.ended:
			s.ended <- status
			t.Fatalf("serve ended with %d\n%s%s", status, s.out, s.log)
		case <-time.After(time.Millisecond):
		}
	}
	s.endpoint = strings.TrimSuffix(listens.FindStringSubmatch(s.out.String())[1], ",")
	return s
}

// unsealing runs holdfast unseal with lines on its standard input.
func unsealing(t *testing.T, in string, args ...string) (status int, out string) {
	t.Helper()
	e, o, er := environment()
	e.in = strings.NewReader(in)
	status = run(t.Context(), e, append([]string{"unseal"}, args...))
	return status, o.String() + er.String()
}

func post(t *testing.T, url, body string) (int, unsealStatus) {
	t.Helper()
	resp, err := http.Post(url+unsealPath, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var st unsealStatus
	if err := json.NewDecoder(resp.Body).Decode(&st); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, st
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// founded is the data directory of a cloud that was sealed by 3 of 5 shares at its first start, its shares, and the root user's access key.
func founded(t *testing.T) (dir string, shares []string, id, pass string) {
	t.Helper()
	dir = t.TempDir()
	s := start(t, dir, "--seal", "shamir:3/5")
	shares = shareText.FindAllString(s.out.String(), -1)
	if len(shares) != 5 {
		t.Fatalf("the first start shows %d shares, want 5:\n%s", len(shares), s.out)
	}
	id, pass = s.id, s.secret
	s.end(t, 0)
	return dir, shares, id, pass
}

// A server that was killed leaves the file that tells where it listened. Whoever listens there now gets no share.
func TestNoShareForWhoCameAfterTheServer(t *testing.T) {
	var posts atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			posts.Add(1)
		}
		replyJSON(w, http.StatusOK, unsealStatus{Sealed: true, Seal: "shamir", Needed: 3, Shares: 5})
	}))
	defer other.Close()
	dir := t.TempDir()
	a := newAdmin(dir, other.URL, nil, nil)
	if err := a.leave(); err != nil {
		t.Fatal(err)
	}
	if status, said := unsealing(t, "hfs1-a\n", "--data", dir); status != 1 || !strings.Contains(said, "is not the server") {
		t.Errorf("unseal ended with %d: %s", status, said)
	}
	if posts.Load() != 0 {
		t.Error("somebody else got a share")
	}
}

func TestSealed(t *testing.T) {
	dir, shares, id, pass := founded(t)
	_, foreign, _, _ := founded(t)
	s := sealedServer(t, dir)
	s.id, s.secret = id, pass

	t.Run("Health", func(t *testing.T) {
		if status, body := get(t, s.endpoint+healthPath); status != http.StatusServiceUnavailable || !strings.Contains(body, `"sealed":true`) {
			t.Errorf("health: %d %s", status, body)
		}
	})
	t.Run("NothingElse", func(t *testing.T) {
		for _, path := range []string{"/", "/metrics", "/_holdfast/clock", "/_holdfast/reset", "/_holdfast/unseal/x", "/latest/meta-data"} {
			if status, body := get(t, s.endpoint+path); status != http.StatusServiceUnavailable || !strings.Contains(body, "sealed") {
				t.Errorf("GET %s: %d %s", path, status, body)
			}
		}
		if status, _ := get(t, s.endpoint+adminPrefix+"events"); status != http.StatusForbidden {
			t.Errorf("admin without a token: %d", status)
		}
	})
	t.Run("SDK", func(t *testing.T) {
		for name, call := range map[string]func() error{
			"JSON":  func() error { _, err := s.kms().ListKeys(t.Context(), &kms.ListKeysInput{}); return err },
			"Query": func() error { return s.call(t) },
		} {
			err := call()
			var api smithy.APIError
			if !errors.As(err, &api) || api.ErrorCode() != "ServiceUnavailable" || !strings.Contains(api.ErrorMessage(), "sealed") {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	t.Run("Commands", func(t *testing.T) {
		for _, args := range [][]string{{"events"}, {"seal", "status"}, {"seal", "rotate"}, {"credentials"}} {
			if out := wantCommand(t, 1, append(args, "--data", dir)...); !strings.Contains(out, "sealed: 0 of the 3 shares") {
				t.Errorf("%s: %s", args, out)
			}
		}
	})
	t.Run("BadShares", func(t *testing.T) {
		if status, out := unsealing(t, shares[0]+"\n", "--data", dir); status != 0 || !strings.Contains(out, "1 of the 3 shares needed") {
			t.Fatalf("the first share: %d %s", status, out)
		}
		for name, c := range map[string]struct{ share, want string }{
			"Twice": {shares[0], "given already"}, "Foreign": {foreign[1], "another set"}, "Mistyped": {shares[1][:40], "not a share as it was printed"},
		} {
			if status, out := unsealing(t, c.share, "--endpoint", s.endpoint); status != 1 || !strings.Contains(out, c.want) {
				t.Errorf("%s: %d %s", name, status, out)
			}
		}
		if status, st := post(t, s.endpoint, `{"share":"`+shares[1]+`","attempt":"ANOTHER"}`); status != http.StatusConflict || st.Given != 1 {
			t.Errorf("another attempt: %d %+v", status, st)
		}
		if status, st := post(t, s.endpoint, `{"reset":true}`); status != http.StatusForbidden || st.Given != 1 {
			t.Errorf("reset by anybody: %d %+v", status, st)
		}
		if strings.Contains(s.log.String(), shares[0][10:30]) || strings.Contains(s.log.String(), foreign[1][10:30]) {
			t.Error("the log holds a share")
		}
	})
	t.Run("Reset", func(t *testing.T) {
		if status, out := unsealing(t, "", "--data", dir, "--reset"); status != 0 {
			t.Fatalf("reset: %s", out)
		}
		if st := s.unsealStatus(t); st.Given != 0 || !st.Sealed {
			t.Errorf("after a reset: %+v", st)
		}
	})
	t.Run("Unsealed", func(t *testing.T) {
		for i, share := range []string{shares[4], shares[1]} {
			if status, out := unsealing(t, share, "--endpoint", s.endpoint); status != 0 {
				t.Fatalf("share %d: %s", i, out)
			}
		}
		if status, out := unsealing(t, "\n"+shares[2]+"\n", "--data", dir); status != 0 || !strings.Contains(out, "is unsealed") {
			t.Fatalf("the last share: %d %s", status, out)
		}
		if err := s.call(t); err != nil {
			t.Errorf("a call once it is unsealed: %v", err)
		}
		if status, body := get(t, s.endpoint+healthPath); status != http.StatusOK {
			t.Errorf("health: %d %s", status, body)
		}
		if out := wantCommand(t, 0, "seal", "status", "--data", dir); !strings.Contains(out, "shamir") || !strings.Contains(out, "version   1") {
			t.Errorf("seal status: %s", out)
		}
		if status, st := post(t, s.endpoint, `{"share":"`+shares[0]+`"}`); status != http.StatusConflict || st.Sealed {
			t.Errorf("a share more: %d %+v", status, st)
		}
		if status, out := unsealing(t, shares[0], "--data", dir); status != 0 || !strings.Contains(out, "is unsealed") {
			t.Errorf("unsealing what is not sealed: %d %s", status, out)
		}
	})
	t.Run("TwoServers", func(t *testing.T) {
		e, _, _ := environment()
		if status := run(t.Context(), e, []string{"serve", "--listen", "127.0.0.1:0", "--data", dir, "--seal", "shamir"}); status != 1 {
			t.Errorf("a second server over the same directory ended with %d", status)
		}
		wantCommand(t, 0, "seal", "status", "--data", dir) // the way to the first one is still there
	})
}

// call makes a call as the root user.
func (s *server) call(t *testing.T) error {
	_, err := sts.NewFromConfig(s.config(s.id, s.secret)).GetCallerIdentity(t.Context(), nil)
	return err
}

// begin runs holdfast serve and does not wait for it.
func begin(t *testing.T, dir string, args ...string) *server {
	t.Helper()
	e, out, log := environment()
	ctx, cancel := context.WithCancel(context.Background())
	s := &server{out: out, log: log, stop: cancel, ended: make(chan int, 1), transport: &http.Transport{}}
	go func() {
		s.ended <- run(ctx, e, append([]string{"serve", "--listen", "127.0.0.1:0", "--data", dir}, args...))
	}()
	t.Cleanup(func() { s.end(t, 0) })
	return s
}

func (s *server) unsealStatus(t *testing.T) (st unsealStatus) {
	t.Helper()
	status, body := get(t, s.endpoint+unsealPath)
	if err := json.Unmarshal([]byte(body), &st); err != nil || status != http.StatusOK {
		t.Fatalf("%d %s: %v", status, body, err)
	}
	return st
}

func TestSealedEnds(t *testing.T) {
	dir, shares, _, _ := founded(t)
	s := sealedServer(t, dir)
	if status, out := unsealing(t, shares[0], "--data", dir); status != 0 {
		t.Fatal(out)
	}
	s.end(t, 0)
	if _, err := os.Stat(filepath.Join(dir, adminFile)); err == nil {
		t.Error("the way to a server that ended is still there")
	}
	// Shares given to a server that ended do not count for the next.
	s = sealedServer(t, dir)
	if st := s.unsealStatus(t); st.Given != 0 || st.Needed != 3 {
		t.Errorf("after a restart: %+v", st)
	}
	s.end(t, 0)
	// No command opens the directory by itself.
	if out := wantCommand(t, 1, "events", "--data", dir, "--seal", "shamir"); !strings.Contains(out, "0 of the 3 shares needed are given") {
		t.Errorf("a command without a server: %s", out)
	}
}

func TestNonsense(t *testing.T) {
	dir, shares, _, _ := founded(t)
	s := sealedServer(t, dir)
	bodies := []string{"", "{}", `{"share":""}`, `{"share":"x"}`, `{"share":1}`, `{"unknown":1}`, strings.Repeat("x", 10_000), `{"share":"hfs1-"}`, `[]`, `{"share":"x","reset":true}`}
	for _, body := range bodies {
		if status, st := post(t, s.endpoint, body); status != http.StatusBadRequest || !st.Sealed || st.Given != 0 {
			t.Errorf("POST %.40s: %d %+v", body, status, st)
		}
	}
	if status, _ := post(t, s.endpoint, `{"share":"`+shares[0]+`"}`); status != http.StatusTooManyRequests {
		t.Errorf("after %d times nonsense: %d, want %d", len(bodies), status, http.StatusTooManyRequests)
	}
	if st := s.unsealStatus(t); st.Given != 0 {
		t.Errorf("%+v", st)
	}
}

func TestUnsealRefusesPlain(t *testing.T) {
	if status, out := unsealing(t, "hfs1-", "--endpoint", "http://192.0.2.1:4566"); status != 2 || !strings.Contains(out, "overheard") {
		t.Errorf("unseal over plain http: %d %s", status, out)
	}
	if status, out := unsealing(t, "", "--data", t.TempDir()); status != 1 || !strings.Contains(out, "no server runs") {
		t.Errorf("unseal without a server: %d %s", status, out)
	}
}

// TestRewrapToShares changes the seal of a running server to shares, kills the server, and opens it by them.
func TestRewrapToShares(t *testing.T) {
	dir := t.TempDir()
	s, cmd := process(t, dir)
	id, pass := s.id, s.secret
	shares := shareText.FindAllString(wantCommand(t, 0, "seal", "rewrap", "--data", dir, "--to", "shamir:2/3"), -1)
	if len(shares) != 3 {
		t.Fatalf("rewrap shows %q", shares)
	}
	if err := s.call(t); err != nil {
		t.Errorf("a call after rewrap: %v", err)
	}
	kill(t, cmd)
	if out := wantCommand(t, 1, "serve", "--listen", "127.0.0.1:0", "--data", dir); !strings.Contains(out, `kind "shamir"`) {
		t.Errorf("starting by the root key before: %s", out)
	}
	sealed := sealedServer(t, dir)
	sealed.id, sealed.secret = id, pass
	slices.Reverse(shares)
	if status, out := unsealing(t, strings.Join(shares, "\n"), "--data", dir); status != 0 || !strings.Contains(out, "is unsealed") {
		t.Fatalf("unseal: %d %s", status, out)
	}
	if err := sealed.call(t); err != nil {
		t.Errorf("a call after unsealing: %v", err)
	}
	// New shares for old ones.
	fresh := shareText.FindAllString(wantCommand(t, 0, "seal", "rewrap", "--data", dir, "--to", "shamir:2/2"), -1)
	sealed.end(t, 0)
	sealedServer(t, dir)
	if status, out := unsealing(t, shares[0], "--data", dir); status != 1 || !strings.Contains(out, "another set") {
		t.Errorf("an old share: %d %s", status, out)
	}
	if status, out := unsealing(t, strings.Join(fresh, "\n"), "--data", dir); status != 0 || !strings.Contains(out, "is unsealed") {
		t.Errorf("the new shares: %d %s", status, out)
	}
	for _, to := range []string{"shamir", "shamir:1/2", "shamir:3", "shamir:3/2"} {
		wantCommand(t, 2, "seal", "rewrap", "--data", dir, "--to", to)
	}
}

func kill(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
}

// TestKMSDown starts a server while the KMS that holds its root key is down. It opens by itself when the KMS is there.
func TestKMSDown(t *testing.T) {
	kmsDir, dir := t.TempDir(), t.TempDir()
	address := "127.0.0.1:" + freePort(t)
	other := start(t, kmsDir, "--listen", address)
	made, err := other.kms().CreateKey(t.Context(), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_CONFIG_FILE", os.DevNull)
	t.Setenv("AWS_ACCESS_KEY_ID", other.id)
	t.Setenv("AWS_SECRET_ACCESS_KEY", other.secret)
	spec := "awskms:" + *made.KeyMetadata.Arn + "?endpoint=" + other.endpoint
	s := start(t, dir)
	id, pass := s.id, s.secret
	wantCommand(t, 0, "seal", "rewrap", "--data", dir, "--to", spec)
	s.end(t, 0)
	other.end(t, 0)

	s = beginSealed(t, dir, "--seal", spec)
	if status, body := get(t, s.endpoint+healthPath); status != http.StatusServiceUnavailable || !strings.Contains(body, `"sealed":true`) {
		t.Errorf("health: %d %s", status, body)
	}
	if status, st := post(t, s.endpoint, `{"share":"hfs1-x"}`); status != http.StatusConflict || st.Seal != "awskms" {
		t.Errorf("a share: %d %+v", status, st)
	}
	if out := wantCommand(t, 1, "seal", "status", "--data", dir); !strings.Contains(out, "opens by itself") || !strings.Contains(out, "does not answer") {
		t.Errorf("seal status: %s", out)
	}
	other = start(t, kmsDir, "--listen", address)
	s.read(t)
	s.endpoint = strings.TrimSuffix(s.endpoint, ",")
	s.id, s.secret = id, pass
	if err := s.call(t); err != nil {
		t.Errorf("a call once the KMS is back: %v", err)
	}
	s.end(t, 0)

	// A key that is disabled ends the start.
	other.id, other.secret = os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY")
	if _, err := other.kms().DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: made.KeyMetadata.Arn}); err != nil {
		t.Fatal(err)
	}
	if out := wantCommand(t, 1, "serve", "--listen", "127.0.0.1:0", "--data", dir, "--seal", spec); !strings.Contains(out, "is disabled") {
		t.Errorf("starting by a disabled key: %s", out)
	}
}
