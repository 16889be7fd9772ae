package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/holdfast-cloud/holdfast/internal/syncbuffer"
)

// besides is a holdfast that runs beside the server, as a process of its own.
type besides struct {
	*exec.Cmd
	out, err syncbuffer.Buffer
}

// besides starts a holdfast that calls the server as its root user.
func (s *server) besides(t *testing.T, args ...string) *besides {
	t.Helper()
	p := &besides{Cmd: exec.Command(os.Args[0], args...)}
	p.Env = append(os.Environ(), "HOLDFAST_TEST_AS_MAIN=1", "AWS_ENDPOINT_URL="+s.endpoint, "AWS_ACCESS_KEY_ID="+s.id, "AWS_SECRET_ACCESS_KEY="+s.secret, "AWS_REGION=us-east-1",
		"AWS_CONFIG_FILE="+os.DevNull, "AWS_SHARED_CREDENTIALS_FILE="+os.DevNull, "AWS_TOKEN=", "AWS_SESSION_TOKEN=", "AWS_EC2_METADATA_DISABLED=true")
	p.Stdout, p.Stderr, p.WaitDelay = &p.out, &p.err, time.Minute
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Process.Kill() })
	return p
}

func (p *besides) until(t *testing.T, text string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !strings.Contains(p.out.String()+p.err.String(), text); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("there is no %q in\n%s%s", text, p.out.String(), p.err.String())
		}
	}
}

func (p *besides) wantStatus(t *testing.T, status int) {
	t.Helper()
	_ = p.Wait()
	if got := p.ProcessState.ExitCode(); got != status {
		t.Errorf("%v ended with %d, want %d\n%s%s", p.Args[1:], got, status, p.out.String(), p.err.String())
	}
}

func (s *server) putSecret(t *testing.T, name, value string) {
	t.Helper()
	client := secretsmanager.NewFromConfig(s.config(s.id, s.secret))
	if _, err := client.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: &name, SecretString: &value}); err == nil {
		return
	}
	if _, err := client.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: &value}); err != nil {
		t.Fatal(err)
	}
}

func TestExec(t *testing.T) {
	s := start(t, t.TempDir())
	s.putSecret(t, "prod/db", `{"username":"ann","password":"one"}`)
	name, value := "/app/db/url", "postgres://"
	if _, err := ssm.NewFromConfig(s.config(s.id, s.secret)).PutParameter(t.Context(), &ssm.PutParameterInput{Name: &name, Value: &value, Type: types.ParameterTypeSecureString}); err != nil {
		t.Fatal(err)
	}
	t.Run("Environment", func(t *testing.T) {
		p := s.besides(t, "exec", "--secret", "prod/db#password=PGPASSWORD", "--secret", "prod/db=DB_*", "--param", "/app", "--", "sh", "-c", `echo "$PGPASSWORD $DB_USERNAME $DB_URL"; exit 9`)
		p.wantStatus(t, 9)
		if got := p.out.String(); got != "one ann postgres://\n" {
			t.Errorf("the program printed %q, and holdfast %q", got, p.err.String())
		}
	})
	t.Run("Denied", func(t *testing.T) {
		p := s.besides(t, "exec", "--secret", "prod/other", "--", "echo", "started")
		p.wantStatus(t, 1)
		if p.out.String() != "" || !strings.Contains(p.err.String(), "prod/other: ResourceNotFoundException") {
			t.Errorf("%q, %q", p.out.String(), p.err.String())
		}
	})
	t.Run("Rotation", func(t *testing.T) {
		p := s.besides(t, "exec", "--refresh", "1s", "--secret", "prod/db", "--", "sh", "-c", `trap 'exit 4' TERM; echo "has $PASSWORD"; while :; do sleep 60 >/dev/null 2>&1 & wait $!; done`)
		p.until(t, "has one")
		s.putSecret(t, "prod/db", `{"password":"two"}`)
		p.until(t, "has two")
		if err := p.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		p.wantStatus(t, 4)
		if log := p.err.String(); !strings.Contains(log, "prod/db version") || strings.Contains(log, "two") {
			t.Errorf("the log says\n%s", log)
		}
	})
	t.Run("FirstProcess", func(t *testing.T) {
		unshare, err := exec.LookPath("unshare")
		if err != nil || os.Getuid() != 0 {
			t.Skip("needs unshare (util-linux) and root")
		}
		p := s.besides(t, "version")
		_ = p.Wait()
		first := exec.Command(unshare, "--pid", "--fork", "--mount-proc", os.Args[0], "exec", "--secret", "prod/db", "--", "sh", "-c", `sleep 0.01 & (sleep 0.01 &) ; sleep 0.1; echo "as $$ of $PPID"; exit 6`)
		first.Env = p.Env
		out, _ := first.CombinedOutput()
		if first.ProcessState.ExitCode() != 6 || strings.Contains(string(out), "of 1\n") || !strings.Contains(string(out), "as ") {
			t.Errorf("status %d\n%s", first.ProcessState.ExitCode(), out)
		}
	})
}

func TestExecUsage(t *testing.T) {
	for _, args := range []string{
		"exec", "exec -- true", "exec --secret a", "exec --secret a=b=c/d -- true", "exec --secret a --as x -- true", "exec --secret a --dir x -- true", "exec --secret a --restart x -- true",
		"exec --secret a --refresh 1ms -- true", "exec --secret a --on-change x -- true", "exec --secret a --as files --env-prefix X -- true",
		"agent --port 80", "agent --ttl 2h", "agent --cache-size 0", "agent extra", "agent",
	} {
		wantCommand(t, 2, strings.Fields(args)...)
	}
}

func TestAgent(t *testing.T) {
	s := start(t, t.TempDir())
	s.putSecret(t, "prod/db", "one")
	name, value := "plain", "v"
	if _, err := ssm.NewFromConfig(s.config(s.id, s.secret)).PutParameter(t.Context(), &ssm.PutParameterInput{Name: &name, Value: &value, Type: types.ParameterTypeString}); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	port, file := freePort(t), filepath.Join(dir, "token")
	config := filepath.Join(dir, "agent.toml")
	if err := os.WriteFile(config, []byte("http_port = "+port+"\nttl_seconds = \"60\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := s.besides(t, "agent", "--config", config, "--token-file", file)
	p.until(t, "ready")
	token, err := os.ReadFile(file)
	if info, _ := os.Stat(file); err != nil || len(token) < 20 || info.Mode().Perm() != 0o600 {
		t.Fatalf("the token %q in %v, %v", token, info, err)
	}
	get := func(path, token string) (int, string) {
		t.Helper()
		req, _ := http.NewRequestWithContext(context.Background(), "GET", "http://127.0.0.1:"+port+path, nil)
		req.Header.Set("X-Aws-Parameters-Secrets-Token", strings.TrimSpace(token))
		resp, err := s.transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var b strings.Builder
		_, _ = io.Copy(&b, resp.Body)
		return resp.StatusCode, b.String()
	}
	for _, c := range []struct {
		name, path, token string
		status            int
		want              string
	}{
		{"Secret", "/secretsmanager/get?secretId=prod/db", string(token), 200, `"SecretString":"one"`},
		{"Path", "/v1/prod/db", string(token), 200, `"VersionStages":["AWSCURRENT"]`},
		{"Parameter", "/systemsmanager/parameters/get?name=plain", string(token), 200, `"Value":"v"`},
		{"NotFound", "/v1/nothing", string(token), 400, `{"__type":"ResourceNotFoundException","message":"Secrets Manager can't find the specified secret."}`},
		{"BadToken", "/v1/prod/db", "x", 403, "Bad Token"},
		{"Ping", "/ping", "", 200, "healthy"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if status, body := get(c.path, c.token); status != c.status || !strings.Contains(body, c.want) {
				t.Errorf("%d %s, want %d %s", status, body, c.status, c.want)
			}
		})
	}
	t.Run("RefreshNow", func(t *testing.T) {
		s.putSecret(t, "prod/db", "two")
		if _, body := get("/v1/prod/db", string(token)); !strings.Contains(body, `"one"`) {
			t.Errorf("the cache did not answer: %s", body)
		}
		if _, body := get("/v1/prod/db?refreshNow=true", string(token)); !strings.Contains(body, `"two"`) {
			t.Errorf("not refreshed: %s", body)
		}
	})
	s.transport.CloseIdleConnections()
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.wantStatus(t, 0)
	if log := p.out.String() + p.err.String(); strings.Contains(log, strings.TrimSpace(string(token))) || strings.Contains(log, `"one"`) {
		t.Errorf("the log tells secrets:\n%s", log)
	}
}

// freePort is one that is free, and stays so until a server listens there, or listens again: systems give none like it to who asks for any, as other tests do.
func freePort(t *testing.T) string {
	t.Helper()
	for range 100 {
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20_000+rand.IntN(10_000))); err == nil {
			defer l.Close()
			_, port, _ := net.SplitHostPort(l.Addr().String())
			return port
		}
	}
	t.Fatal("no port is free")
	return ""
}
