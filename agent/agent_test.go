package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-cloud/holdfast/api/secretsmanager"
	"github.com/holdfast-cloud/holdfast/api/ssm"
	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/remote"
	"github.com/holdfast-cloud/holdfast/sigv4"
)

// fakeCloud answers GetSecretValue and GetParameter with what it is told to.
type fakeCloud struct {
	*httptest.Server
	mu      sync.Mutex
	value   string
	status  int    // 0 is 200
	failure string // the error's body
	calls   []string
	hold    chan struct{} // when not nil, calls wait for it
}

func newCloud(t *testing.T) *fakeCloud {
	f := &fakeCloud{value: "hunter2"}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

func (f *fakeCloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	f.mu.Lock()
	f.calls = append(f.calls, op+string(body))
	value, status, failure, hold := f.value, f.status, f.failure, f.hold
	f.mu.Unlock()
	if hold != nil {
		<-hold
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	if status != 0 {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, failure)
		return
	}
	switch op {
	case "GetSecretValue":
		_ = json.NewEncoder(w).Encode(map[string]any{"ARN": "arn:aws:secretsmanager:us-east-1:000000000000:secret:prod/db-abcdef", "Name": "prod/db",
			"VersionId": "5767290c-d089-49ed-b97c-17086f8c9d79", "SecretString": value, "VersionStages": []string{"AWSCURRENT"}, "CreatedDate": 1569534789.046})
	case "GetParameter":
		_ = json.NewEncoder(w).Encode(map[string]any{"Parameter": map[string]any{"ARN": "arn:aws:ssm:us-east-1:000000000000:parameter/app/url", "Name": "/app/url", "Type": "String",
			"DataType": "text", "Value": value, "Version": 3, "LastModifiedDate": 1569534789.046}})
	default:
		w.WriteHeader(400)
	}
}

func (f *fakeCloud) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fakeCloud) called() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.calls)
}

type harness struct {
	t     *testing.T
	cloud *fakeCloud
	agent *Agent
	clock *clock.Movable
	log   *bytes.Buffer
}

func start(t *testing.T, change func(*Settings)) *harness {
	t.Helper()
	h := &harness{t: t, cloud: newCloud(t), clock: clock.NewFrozen(time.Unix(1_800_000_000, 0)), log: new(bytes.Buffer)}
	endpoint, err := url.Parse(h.cloud.URL)
	if err != nil {
		t.Fatal(err)
	}
	transport := &remote.Transport{Endpoint: endpoint, Region: "us-east-1", Credentials: sigv4.Credentials{AccessKeyID: "A", Secret: "B"}}
	s := Defaults()
	if change != nil {
		change(&s)
	}
	h.agent, err = New(Config{
		Secrets: func(context.Context) (secretsmanager.Client, error) {
			return secretsmanager.Client{Transport: transport}, nil
		},
		Parameters: func(context.Context) (ssm.Client, error) { return ssm.Client{Transport: transport}, nil },
		Clock:      h.clock, Log: slog.New(slog.NewTextHandler(h.log, nil)), Token: "xyzzy", Settings: s,
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *harness) get(target string, headers ...string) (int, string) {
	r := httptest.NewRequest("GET", target, nil)
	if len(headers) == 0 {
		headers = []string{"X-Aws-Parameters-Secrets-Token", "xyzzy"}
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.agent.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func (h *harness) want(target string, status int, body string, headers ...string) {
	h.t.Helper()
	if s, b := h.get(target, headers...); s != status || b != body {
		h.t.Errorf("GET %s: %d %s\nwant %d %s", target, s, b, status, body)
	}
}

const (
	secretBody = `{"ARN":"arn:aws:secretsmanager:us-east-1:000000000000:secret:prod/db-abcdef","Name":"prod/db","VersionId":"5767290c-d089-49ed-b97c-17086f8c9d79",` +
		`"SecretString":%q,"VersionStages":["AWSCURRENT"],"CreatedDate":"1569534789.046"}`
	parameterBody = `{"Parameter":{"ARN":"arn:aws:ssm:us-east-1:000000000000:parameter/app/url","DataType":"text","LastModifiedDate":"2019-09-26T21:53:09.046Z","Name":"/app/url",` +
		`"Selector":null,"SourceResult":null,"Type":"String","Value":%q,"Version":3},"ResultMetadata":{}}`
)

func TestAnswers(t *testing.T) {
	h := start(t, nil)
	h.cloud.set(func() { h.cloud.value = "a<b>&c" })
	h.want("/secretsmanager/get?secretId=prod%2Fdb", 200, fmt.Sprintf(secretBody, "a<b>&c"))
	h.want("/v1/prod/db?versionStage=AWSPENDING&versionId=x", 200, fmt.Sprintf(secretBody, "a<b>&c"))
	h.want("/systemsmanager/parameters/get?name=%2Fapp%2Furl&withDecryption=true&label=blue", 200, fmt.Sprintf(parameterBody, "a<b>&c"))
	h.want("/systemsmanager/parameters/get/?name=%2Fapp%2Furl&version=3", 200, fmt.Sprintf(parameterBody, "a<b>&c"))
	want := []string{
		`GetSecretValue{"SecretId":"prod/db"}`,
		`GetSecretValue{"SecretId":"prod/db","VersionId":"x","VersionStage":"AWSPENDING"}`,
		`GetParameter{"Name":"/app/url:blue","WithDecryption":true}`,
		`GetParameter{"Name":"/app/url:3","WithDecryption":false}`,
	}
	if got := strings.Join(h.cloud.calls, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("the cloud was called with\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

func TestRefusals(t *testing.T) {
	h := start(t, nil)
	token := []string{"X-Aws-Parameters-Secrets-Token", "xyzzy"}
	for _, c := range []struct {
		name, target string
		status       int
		body         string
		headers      []string
	}{
		{"NoToken", "/secretsmanager/get?secretId=a", 403, "Bad Token", []string{"X-Other", "xyzzy"}},
		{"WrongToken", "/secretsmanager/get?secretId=a", 403, "Bad Token", []string{"X-Aws-Parameters-Secrets-Token", "xyzz"}},
		{"Forwarded", "/secretsmanager/get?secretId=a", 400, "Forwarded", append([]string{"X-Forwarded-For", "10.0.0.1"}, token...)},
		{"ForwardedEmpty", "/v1/a", 400, "Forwarded", append([]string{"X-Forwarded-For", ""}, token...)},
		{"TokenNotInQuery", "/secretsmanager/get?secretId=a&X-Aws-Parameters-Secrets-Token=xyzzy", 403, "Bad Token", []string{"X-Other", ""}},
		{"Unknown", "/other", 404, "Not found", token},
		{"UnknownWithoutToken", "/other", 403, "Bad Token", []string{"X-Other", ""}},
		{"NoSecret", "/secretsmanager/get?versionId=a", 400, "missing parameter secretId", token},
		{"NoSecretInPath", "/v1/?versionId=a", 400, "missing secret ID", token},
		{"SecretTwice", "/v1/a?secretId=b", 400, "unknown parameter: secretId", token},
		{"UnknownParameter", "/secretsmanager/get?secretId=a&abc=1", 400, "unknown parameter: abc", token},
		{"Refresh", "/secretsmanager/get?secretId=a&refreshNow=123", 400, "invalid refreshNow value", token},
		{"Escape", "/secretsmanager/get?secretId=%zz", 400, "invalid query", token},
		{"NoName", "/systemsmanager/parameters/get?label=x", 400, "missing parameter name", token},
		{"VersionAndLabel", "/systemsmanager/parameters/get?name=x&label=x&version=1", 400, "version and label exclude each other", token},
		{"Version", "/systemsmanager/parameters/get?name=x&version=x", 400, "invalid version value", token},
	} {
		t.Run(c.name, func(t *testing.T) {
			h.t = t
			h.want(c.target, c.status, c.body, c.headers...)
		})
	}
	h.t = t
	h.want("/ping", 200, "healthy", "X-Other", "")
	h.want("/v1/a", 200, fmt.Sprintf(secretBody, "hunter2"), "X-Vault-Token", "xyzzy")
	w := httptest.NewRecorder()
	r := httptest.NewRequest("POST", "/v1/a", nil)
	r.Header.Set("X-Vault-Token", "xyzzy")
	h.agent.ServeHTTP(w, r)
	if w.Code != 405 || w.Body.String() != "Not allowed" {
		t.Errorf("POST: %d %s", w.Code, w.Body)
	}
	if h.cloud.called() != 1 {
		t.Errorf("the cloud was called %d times, want once", h.cloud.called())
	}
	if log := h.log.String(); strings.Contains(log, "xyzz") || strings.Contains(log, "hunter2") {
		t.Errorf("the log tells secrets:\n%s", log)
	}
}

func TestErrorsOfServices(t *testing.T) {
	h := start(t, nil)
	for _, c := range []struct {
		name       string
		status     int
		failure    string
		wantStatus int
		want       string
		target     string
	}{
		{"NotFound", 400, `{"__type":"ResourceNotFoundException","Message":"Secrets Manager can't find the specified secret."}`, 400,
			`{"__type":"ResourceNotFoundException","message":"Secrets Manager can't find the specified secret."}`, "/v1/a"},
		{"Denied", 400, `{"__type":"AccessDeniedException","Message":"no \"way\""}`, 400, `{"__type":"AccessDeniedException","message":"no \"way\""}`, "/v1/a"},
		{"NoParameter", 400, `{"__type":"ParameterNotFound"}`, 400, `{"__type":"ParameterNotFound"}`, "/systemsmanager/parameters/get?name=a"},
		{"Internal", 500, `{"__type":"InternalServiceError","Message":"An error occurred on the server side."}`, 500,
			`{"__type":"InternalServiceError","message":"An error occurred on the server side."}`, "/v1/a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h.cloud.set(func() { h.cloud.status, h.cloud.failure = c.status, c.failure })
			h.t = t
			h.want(c.target, c.wantStatus, c.want)
		})
	}
	t.Run("Unreachable", func(t *testing.T) {
		h.t = t
		h.cloud.Close()
		h.want("/v1/a", 502, `{"__type":"ConnectionError","message":"Read Error"}`)
	})
}

func TestCache(t *testing.T) {
	old, fresh := fmt.Sprintf(secretBody, "hunter2"), fmt.Sprintf(secretBody, "hunter3")
	down := func(h *harness) {
		h.cloud.status, h.cloud.failure = 503, `{"__type":"ServiceUnavailable","message":"down"}`
	}
	t.Run("KeptUntilTooOld", func(t *testing.T) {
		h := start(t, nil)
		h.want("/v1/a", 200, old)
		h.cloud.set(func() { h.cloud.value = "hunter3" })
		h.want("/v1/a", 200, old)
		h.want("/v1/b", 200, fresh) // another one
		h.clock.Advance(5 * time.Minute)
		h.want("/v1/a", 200, fresh)
	})
	t.Run("RefreshNow", func(t *testing.T) {
		h := start(t, nil)
		h.want("/v1/a", 200, old)
		h.cloud.set(func() { h.cloud.value = "hunter3" })
		h.want("/v1/a?refreshNow=true", 200, fresh)
		h.want("/v1/a", 200, fresh)
		h.cloud.set(func() { down(h) })
		h.want("/v1/a?refreshNow=true", 503, `{"__type":"ServiceUnavailable","message":"down"}`)
		h.want("/v1/a", 200, fresh)
	})
	t.Run("LastKnownWhileDown", func(t *testing.T) {
		h := start(t, nil)
		h.want("/v1/a", 200, old)
		h.cloud.set(func() { down(h) })
		h.clock.Advance(time.Hour)
		h.want("/v1/a", 200, old)
		h.want("/v1/a", 200, old)
		if n := h.cloud.called(); n != 2 {
			t.Errorf("the cloud was asked %d times, want 2: not again at once", n)
		}
		if !strings.Contains(h.log.String(), "last known") {
			t.Error("the log says nothing of it")
		}
		h.cloud.set(func() { h.cloud.status, h.cloud.value = 0, "hunter3" })
		h.clock.Advance(retry)
		h.want("/v1/a", 200, fresh)
	})
	t.Run("DeniedForgets", func(t *testing.T) {
		h := start(t, nil)
		h.want("/v1/a", 200, old)
		denied := `{"__type":"AccessDeniedException","message":"no"}`
		h.cloud.set(func() { h.cloud.status, h.cloud.failure = 400, denied })
		h.clock.Advance(time.Hour)
		h.want("/v1/a", 400, denied)
		h.cloud.set(func() { down(h) })
		h.want("/v1/a", 503, `{"__type":"ServiceUnavailable","message":"down"}`)
	})
	t.Run("NotForgiving", func(t *testing.T) {
		h := start(t, func(s *Settings) { s.IgnoreTransient = false })
		h.want("/v1/a", 200, old)
		h.cloud.set(func() { down(h) })
		h.clock.Advance(time.Hour)
		h.want("/v1/a", 503, `{"__type":"ServiceUnavailable","message":"down"}`)
	})
	t.Run("LeastRecentlyUsedGoes", func(t *testing.T) {
		h := start(t, func(s *Settings) { s.CacheSize = 2 })
		for _, id := range []string{"a", "b", "a", "c", "a", "b"} { // b goes for c, and c for b
			h.want("/v1/"+id, 200, old)
		}
		if n := h.cloud.called(); n != 4 {
			t.Errorf("the cloud was asked %d times, want 4", n)
		}
	})
	t.Run("NothingKept", func(t *testing.T) {
		h := start(t, func(s *Settings) { s.TTL = 0 })
		h.want("/v1/a", 200, old)
		h.want("/v1/a", 200, old)
		if n := h.cloud.called(); n != 2 {
			t.Errorf("the cloud was asked %d times, want 2", n)
		}
	})
	t.Run("OneFetchForMany", func(t *testing.T) {
		h := start(t, nil)
		hold := make(chan struct{})
		h.cloud.set(func() { h.cloud.hold = hold })
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() { h.want("/v1/a", 200, old) })
		}
		for h.cloud.called() == 0 {
		}
		close(hold)
		all.Wait()
		if n := h.cloud.called(); n != 1 {
			t.Errorf("the cloud was asked %d times, want once", n)
		}
	})
	t.Run("WaitsForARefreshThatFails", func(t *testing.T) {
		now := clock.NewFrozen(time.Unix(1_800_000_000, 0))
		c := newCache(10, time.Minute, now)
		k, away, passes := key{id: "a"}, errors.New("away"), func(error) bool { return true }
		if _, _, err := c.get(t.Context(), k, false, func() ([]byte, error) { return []byte("old"), nil }, passes); err != nil {
			t.Fatal(err)
		}
		now.Advance(time.Hour)
		begun, hold := make(chan struct{}), make(chan struct{})
		go func() {
			_, _, _ = c.get(t.Context(), k, true, func() ([]byte, error) { close(begun); <-hold; return nil, away }, passes)
		}()
		<-begun
		waits := watched{t.Context(), make(chan struct{})}
		go func() { <-waits.asked; close(hold) }()
		if got, stale, err := c.get(waits, k, false, func() ([]byte, error) { return nil, away }, passes); err != nil || string(got) != "old" || stale != away {
			t.Errorf("got %q, %v, %v; want the last known value", got, stale, err)
		}
	})
	t.Run("SlowAnswerIsNotNewer", func(t *testing.T) {
		c := newCache(10, time.Minute, clock.NewFrozen(time.Unix(1_800_000_000, 0)))
		k, none := key{id: "a"}, func(error) bool { return false }
		begun, hold := make(chan struct{}), make(chan struct{})
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_, _, _ = c.get(t.Context(), k, false, func() ([]byte, error) { close(begun); <-hold; return []byte("old"), nil }, none)
		}()
		<-begun
		if got, _, err := c.get(t.Context(), k, true, func() ([]byte, error) { return []byte("new"), nil }, none); err != nil || string(got) != "new" {
			t.Fatalf("%s, %v", got, err)
		}
		close(hold)
		<-ended
		if got, _, _ := c.get(t.Context(), k, false, nil, none); string(got) != "new" {
			t.Errorf("the cache has %q, want new", got)
		}
	})
}

// watched tells when somebody begins to wait for its end.
type watched struct {
	context.Context
	asked chan struct{}
}

func (w watched) Done() <-chan struct{} {
	close(w.asked)
	return w.Context.Done()
}

func TestServerLimitsConnections(t *testing.T) {
	h := start(t, func(s *Settings) { s.MaxConnections = 1 })
	server := h.agent.Server()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	ask := func(path string) int {
		t.Helper()
		client := &http.Client{Transport: new(http.Transport)} // a connection of its own, which stays open
		t.Cleanup(client.CloseIdleConnections)
		req, _ := http.NewRequest("GET", "http://"+l.Addr().String()+path, nil)
		req.Header.Set("X-Vault-Token", "xyzzy")
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	for i, c := range []struct {
		path   string
		status int
	}{{"/v1/a", 200}, {"/v1/a", 429}, {"/ping", 200}} {
		if got := ask(c.path); got != c.status {
			t.Errorf("request %d, %s: %d, want %d", i, c.path, got, c.status)
		}
	}
}

func TestSettings(t *testing.T) {
	t.Run("OK", func(t *testing.T) {
		s := Defaults()
		err := s.Read(`# the AWS agent's own example has numbers in quotes
log_level = "DEBUG"   # louder
log_to_file = true
http_port = "2774"
ttl_seconds = 30
cache_size = '10'
max_conn = 5
region = "eu-west-1"
ssrf_headers = [ "X-One", # first
  "X-Two",
]
ssrf_env_variables = ["MY_TOKEN"]
path_prefix = "/secrets/"
ignore_transient_errors = false
validate_credentials = false
`)
		want := Settings{"127.0.0.1", 2774, 30 * time.Second, 10, 5, "/secrets/", []string{"X-One", "X-Two"}, []string{"MY_TOKEN"}, "eu-west-1", false, false, "debug"}
		if err != nil || fmt.Sprint(s) != fmt.Sprint(want) {
			t.Errorf("%+v, %v\nwant %+v", s, err, want)
		}
	})
	for _, c := range []struct{ name, text, err string }{
		{"Unknown", "http_prot = 1", "line 1: http_prot is no setting of the agent"},
		{"Twice", "http_port=2000\nhttp_port=2001", "line 2: http_port is there twice"},
		{"NoSetting", "\n[table]", "line 2 is no setting"},
		{"PortTooLow", "http_port = 80", "the port must be in the range 1024 to 65535"},
		{"PortZero", "http_port = 0", "line 1: http_port must be in the range 1024 to 65535"},
		{"TTL", "ttl_seconds = 3601", "the time to live must be in the range 0 to 3600 seconds"},
		{"Cache", "cache_size = 0", "the cache size must be in the range 1 to 1000"},
		{"Connections", "max_conn = 1001", "the maximum number of connections must be in the range 1 to 1000"},
		{"Prefix", `path_prefix = "v1"`, "the path prefix must begin with /"},
		{"NoHeaders", "ssrf_headers = []", "the list of headers for the token must not be empty"},
		{"Open", `ssrf_headers = ["a"`, "line 1: a list is not closed"},
		{"Word", "region = eu", "line 1: region must be a text in quotes"},
		{"Elsewhere", `http_address = "0.0.0.0"`, `"0.0.0.0" is no address of this machine's own, such as 127.0.0.1: an agent speaks plain HTTP, and must not be reached from elsewhere`},
		{"Level", `log_level = "loud"`, "the log level must be debug, info, warn, error or none"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := Defaults()
			if err := s.Read(c.text); err == nil || err.Error() != c.err {
				t.Errorf("%q: %v, want %s", c.text, err, c.err)
			}
		})
	}
}

func TestToken(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("from file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := Defaults()
	for _, c := range []struct {
		name string
		env  map[string]string
		want string
	}{
		{"Variable", map[string]string{"AWS_TOKEN": "a", "AWS_SESSION_TOKEN": "b"}, "a"},
		{"SecondVariable", map[string]string{"AWS_SESSION_TOKEN": "b"}, "b"},
		{"File", map[string]string{"AWS_TOKEN": "file://" + file}, "from file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, err := s.Token(func(name string) string { return c.env[name] }); err != nil || got != c.want {
				t.Errorf("%q, %v; want %q", got, err, c.want)
			}
		})
	}
	t.Run("None", func(t *testing.T) {
		if _, err := s.Token(func(string) string { return "" }); err == nil {
			t.Error("no error")
		}
	})
	t.Run("NoFile", func(t *testing.T) {
		if _, err := s.Token(func(string) string { return "file:///does/not/exist" }); err == nil {
			t.Error("no error")
		}
	})
}

func FuzzSettings(f *testing.F) {
	f.Add("a = \"b\"\nssrf_headers = [\"x\", 'y' # z\n]\n")
	f.Add("http_port = 2773 # x\nttl_seconds = \"\\u00e9\"")
	f.Add("= [")
	f.Fuzz(func(t *testing.T, text string) {
		s := Defaults()
		if err := s.Read(text); err == nil && s.check() != nil {
			t.Errorf("%q was taken: %+v", text, s)
		}
	})
}

func FuzzQuery(f *testing.F) {
	f.Add("secretId=a&versionId=b&refreshNow=1")
	f.Add("name=%2Fa&label=b&withDecryption=TRUE")
	f.Add("&&=%")
	f.Fuzz(func(t *testing.T, raw string) {
		if q, err := secretQuery(raw, ""); err == nil && q.id == "" {
			t.Errorf("%q names no secret", raw)
		}
		if q, err := parameterQuery(raw); err == nil && q.id == "" {
			t.Errorf("%q names no parameter", raw)
		}
	})
}
