//go:build unix

package launch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/api/secretsmanager"
	"github.com/holdfast-cloud/holdfast/api/ssm"
	"github.com/holdfast-cloud/holdfast/remote"
	"github.com/holdfast-cloud/holdfast/sigv4"
)

// fakeCloud has secrets and parameters. Each change of one is a new version.
type fakeCloud struct {
	*httptest.Server
	mu         sync.Mutex
	secrets    map[string]string
	parameters map[string]string
	version    int
	status     int // not 0: what all calls get
	calls      int
}

func newCloud(t *testing.T) *fakeCloud {
	c := &fakeCloud{secrets: map[string]string{}, parameters: map[string]string{}, version: 1}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

func (c *fakeCloud) set(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.version++
	change()
}

func (c *fakeCloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in struct {
		SecretId, Name, Path, NextToken string
	}
	_ = json.NewDecoder(r.Body).Decode(&in)
	_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls++
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	fail := func(status int, code string) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"__type": code, "message": "no", "Message": "no"})
	}
	parameter := func(name string) map[string]any {
		return map[string]any{"Name": name, "Value": c.parameters[name], "Version": c.version, "Type": "String"}
	}
	switch value, ok := c.secrets[in.SecretId]; {
	case c.status != 0:
		fail(c.status, "ServiceUnavailable")
	case op == "GetSecretValue" && ok:
		out := map[string]any{"Name": in.SecretId, "VersionId": "version-" + strconv.Itoa(c.version), "SecretString": value}
		_ = json.NewEncoder(w).Encode(out)
	case op == "GetSecretValue":
		fail(400, "ResourceNotFoundException")
	case op == "GetParameter" && c.parameters[in.Name] == "":
		fail(400, "ParameterNotFound")
	case op == "GetParameter":
		_ = json.NewEncoder(w).Encode(map[string]any{"Parameter": parameter(in.Name)})
	case op == "GetParametersByPath": // one a page
		var below []string
		for _, name := range slices.Sorted(maps.Keys(c.parameters)) {
			if strings.HasPrefix(name, strings.TrimSuffix(in.Path, "/")+"/") && name > in.NextToken {
				below = append(below, name)
			}
		}
		out := map[string]any{"Parameters": []any{}}
		if len(below) > 0 {
			out["Parameters"] = []any{parameter(below[0])}
		}
		if len(below) > 1 {
			out["NextToken"] = below[0]
		}
		_ = json.NewEncoder(w).Encode(out)
	default:
		fail(400, "UnknownOperationException")
	}
}

func (c *fakeCloud) fetcher(t *testing.T, sources ...string) *Fetcher {
	t.Helper()
	endpoint, err := url.Parse(c.URL)
	if err != nil {
		t.Fatal(err)
	}
	transport := &remote.Transport{Endpoint: endpoint, Region: "us-east-1", Credentials: sigv4.Credentials{AccessKeyID: "A", Secret: "B"}}
	f := &Fetcher{
		Secrets: func(context.Context) (secretsmanager.Client, error) {
			return secretsmanager.Client{Transport: transport}, nil
		},
		Parameters: func(context.Context) (ssm.Client, error) { return ssm.Client{Transport: transport}, nil },
		Taken:      func(name string) bool { return name == "PATH" },
	}
	for _, text := range sources {
		parse := ParseSecret
		text, isParameter := strings.CutPrefix(text, "param:")
		if isParameter {
			parse = ParseParameter
		}
		s, err := parse(text)
		if err != nil {
			t.Fatal(err)
		}
		f.Sources = append(f.Sources, s)
	}
	return f
}

func TestFetch(t *testing.T) {
	c := newCloud(t)
	c.secrets["prod/db"] = `{"username":"ann","password":"p\"1","port":5432,"tls":true,"none":null,"tags":{"a":[1, 2]}}`
	c.secrets["prod/api-key"] = "k=1\n2"
	c.secrets["a=b"] = "x"
	c.secrets["evil"] = `{"path":"/evil"}`
	c.secrets["loader"] = `{"ld-preload":"/evil.so"}`
	c.secrets["interpreter"] = `{"node-options":"--require /evil.js"}`
	c.secrets["clash"] = `{"a-b":1,"a_b":2}`
	c.secrets["zero"] = "a\x00b"
	c.secrets["unnamed"] = `{"":"x"}`
	c.parameters["/app/db/url"] = "postgres://"
	c.parameters["/app/1st"] = "one"
	c.parameters["/app2"] = "other"
	c.parameters["plain"] = "v"
	for _, test := range []struct {
		name    string
		naming  Naming
		sources []string
		want    map[string]string
		err     string
	}{
		{"Members", Naming{}, []string{"prod/db"}, map[string]string{"USERNAME": "ann", "PASSWORD": `p"1`, "PORT": "5432", "TLS": "true", "TAGS": `{"a":[1,2]}`}, ""},
		{"MembersWithPrefix", Naming{Prefix: "X_"}, []string{"prod/db=DB_*", "prod/api-key"}, map[string]string{"DB_USERNAME": "ann", "DB_PASSWORD": `p"1`, "DB_PORT": "5432", "DB_TLS": "true",
			"DB_TAGS": `{"a":[1,2]}`, "X_API_KEY": "k=1\n2"}, ""},
		{"OneMember", Naming{}, []string{"prod/db#password=PGPASSWORD", "prod/db#username"}, map[string]string{"PGPASSWORD": `p"1`, "USERNAME": "ann"}, ""},
		{"NoMember", Naming{}, []string{"prod/db#x"}, nil, "prod/db#x: the secret has no such member"},
		{"Whole", Naming{}, []string{"prod/db=DB"}, map[string]string{"DB": c.secrets["prod/db"]}, ""},
		{"EqualsInName", Naming{}, []string{"a=b=V"}, map[string]string{"V": "x"}, ""},
		{"NotAnObject", Naming{}, []string{"prod/api-key=K_*"}, nil, "prod/api-key=K_*: the secret is no JSON object, so it has no members"},
		{"NotFound", Naming{}, []string{"nothing"}, nil, "nothing: ResourceNotFoundException: no"},
		{"MemberTakesVariable", Naming{}, []string{"evil"}, nil, "evil: the variable PATH has a meaning already, and is only replaced where =PATH says so"},
		{"MemberOfLoader", Naming{}, []string{"loader"}, nil, "loader: the variable LD_PRELOAD has a meaning already, and is only replaced where =LD_PRELOAD says so"},
		{"MemberOfInterpreter", Naming{}, []string{"interpreter"}, nil, "interpreter: the variable NODE_OPTIONS has a meaning already, and is only replaced where =NODE_OPTIONS says so"},
		{"PrefixMakesVariable", Naming{}, []string{"interpreter=X_*"}, map[string]string{"X_NODE_OPTIONS": "--require /evil.js"}, ""},
		{"TakenByName", Naming{}, []string{"evil#path=PATH"}, map[string]string{"PATH": "/evil"}, ""},
		{"Twice", Naming{}, []string{"clash"}, nil, "clash: two values would be called A_B, the other one of clash"},
		{"Binary", Naming{}, []string{"zero"}, nil, "zero: the value for ZERO is binary, which fits a file but no variable"},
		{"BinaryFile", Naming{Files: true}, []string{"zero"}, map[string]string{"zero": "a\x00b"}, ""},
		{"Unnamed", Naming{}, []string{"unnamed"}, nil, "unnamed: has a member without a name"},
		{"Parameter", Naming{}, []string{"param:plain", "param:/app/db/url=URL"}, map[string]string{"PLAIN": "v", "URL": "postgres://"}, ""},
		{"Path", Naming{}, []string{"param:/app/"}, map[string]string{"DB_URL": "postgres://", "_1ST": "one"}, ""},
		{"PathWithoutSlash", Naming{}, []string{"param:/app=A_*"}, map[string]string{"A_DB_URL": "postgres://", "A_1ST": "one"}, ""},
		{"NoParameter", Naming{}, []string{"param:/nothing"}, nil, "/nothing: there is no parameter of that name, nor one below it"},
		{"NoParameterNamed", Naming{}, []string{"param:/app=URL"}, nil, "/app=URL: ParameterNotFound: no"},
		{"Files", Naming{Files: true}, []string{"prod/db#password=tls.key", "param:/app/", "prod/api-key"}, map[string]string{"tls.key": `p"1`, "db_url": "postgres://", "1st": "one", "api-key": "k=1\n2"}, ""},
		{"NotForVariables", Naming{}, []string{"prod/db#password=tls.key"}, nil, "prod/db#password=tls.key: tls.key can not be the name of a variable"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := c.fetcher(t, test.sources...)
			f.Naming = test.naming
			v, err := f.Fetch(t.Context())
			if test.err != "" {
				if err == nil || err.Error() != test.err {
					t.Errorf("error %v, want %s", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, v.byName); diff != "" {
				t.Errorf("values (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("EachSecretOnce", func(t *testing.T) {
		before := c.calls
		if _, err := c.fetcher(t, "prod/db#password", "prod/db#username").Fetch(t.Context()); err != nil || c.calls != before+1 {
			t.Errorf("%v after %d calls, want one", err, c.calls-before)
		}
	})
}

func TestParse(t *testing.T) {
	for _, text := range []string{"", "=X", "a=", "a=b c", "a=B*C", "a#b=X*", "#b", "a#", "a=../x"} {
		if s, err := ParseSecret(text); err == nil {
			t.Errorf("ParseSecret(%q) = %+v, want an error", text, s)
		}
	}
	for _, text := range []string{"/app/=X", "", "/a=x/y"} {
		if s, err := ParseParameter(text); err == nil {
			t.Errorf("ParseParameter(%q) = %+v, want an error", text, s)
		}
	}
	for _, text := range []string{"restart", "none", "signal:HUP", "signal:sigusr1"} {
		if _, err := ParseOnChange(text); err != nil {
			t.Errorf("ParseOnChange(%q): %v", text, err)
		}
	}
	for _, text := range []string{"", "HUP", "signal:KILLED", "signal:"} {
		if _, err := ParseOnChange(text); err == nil {
			t.Errorf("ParseOnChange(%q): no error", text)
		}
	}
}

func FuzzSource(f *testing.F) {
	f.Add("prod/db#password=PG", `{"password":"x","a":{"b":[null]}}`)
	f.Add("a=b=*", "{")
	f.Fuzz(func(t *testing.T, text, value string) {
		if s, err := ParseSecret(text); err == nil && s.String() != text {
			t.Errorf("%q is read as %q", text, s)
		}
		if p, err := ParseParameter(text); err == nil && p.String() != text {
			t.Errorf("%q is read as %q", text, p)
		}
		members, _ := members(value)
		for name := range members {
			for _, n := range []Naming{{}, {Files: true}} {
				if got := n.of(&Source{}, name); strings.ContainsAny(got, "/=\x00") || got == "." || got == ".." {
					t.Errorf("%q is called %q", name, got)
				}
			}
		}
	})
}

// buffer is written by programs and the supervisor, and read by the test.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// launched is a supervisor that runs.
type launched struct {
	t        *testing.T
	out, log buffer
	status   int
	err      error
	done     chan struct{}
}

func launch(t *testing.T, f *Fetcher, script string, change func(*Config)) *launched {
	t.Helper()
	l := &launched{t: t, done: make(chan struct{})}
	cfg := Config{Args: []string{"sh", "-c", script}, Environment: []string{"PATH=" + os.Getenv("PATH")}, Out: &l.out, Err: &l.out, Refresh: 10 * time.Millisecond, Stop: 10 * time.Second,
		Log: slog.New(slog.NewTextHandler(&l.log, nil))}
	if change != nil {
		change(&cfg)
	}
	go func() {
		defer close(l.done)
		l.status, l.err = Run(context.WithoutCancel(t.Context()), cfg, f)
	}()
	return l
}

// until waits for the program to have printed something.
func (l *launched) until(text string) {
	l.t.Helper()
	l.wait(text, l.out.String)
}

func (l *launched) wait(text string, of func() string) {
	l.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(of(), text); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			l.t.Fatalf("there is no %q in\n%s\nlog:\n%s", text, of(), l.log.String())
		}
	}
}

func (l *launched) wantStatus(status int) {
	l.t.Helper()
	select {
	case <-l.done:
	case <-time.After(20 * time.Second):
		l.t.Fatalf("it goes on\n%s%s", l.out.String(), l.log.String())
	}
	if l.status != status {
		l.t.Errorf("status %d, %v; want %d\n%s", l.status, l.err, status, l.log.String())
	}
}

// idle is a script that prints, and waits for signals in a way that lets it act on them at once.
const idle = `echo "ready $PASSWORD"; while :; do sleep 30 >/dev/null 2>&1 & wait $!; done`

func TestRun(t *testing.T) {
	db := func(t *testing.T) (*fakeCloud, *Fetcher) {
		c := newCloud(t)
		c.secrets["db"] = `{"password":"one"}`
		return c, c.fetcher(t, "db")
	}
	t.Run("Status", func(t *testing.T) {
		_, f := db(t)
		l := launch(t, f, `echo "got $PASSWORD"; exit 7`, nil)
		l.wantStatus(7)
		if l.out.String() != "got one\n" || l.log.String() != "" {
			t.Errorf("printed %q, logged %q", l.out.String(), l.log.String())
		}
	})
	t.Run("StatusOfSignal", func(t *testing.T) {
		_, f := db(t)
		launch(t, f, `kill -9 $$`, nil).wantStatus(128 + 9)
	})
	t.Run("NoProgram", func(t *testing.T) {
		c, f := db(t)
		launch(t, f, "", func(c *Config) { c.Args = []string{"/does/not/exist"} }).wantStatus(127)
		launch(t, f, "", func(c *Config) { c.Args = []string{t.TempDir()} }).wantStatus(126)
		if c.calls != 0 {
			t.Error("secrets were fetched for nothing")
		}
	})
	t.Run("NoSecret", func(t *testing.T) {
		c, f := db(t)
		delete(c.secrets, "db")
		l := launch(t, f, "echo started", func(c *Config) { c.Start = time.Hour })
		l.wantStatus(1)
		if l.out.String() != "" {
			t.Error("the program was started without its secret")
		}
	})
	t.Run("WaitsForTheCloud", func(t *testing.T) {
		c, f := db(t)
		c.set(func() { c.status = 503 })
		l := launch(t, f, `echo "got $PASSWORD"`, func(c *Config) { c.Start = time.Hour })
		for calls := 0; calls < 2; {
			c.set(func() { calls = c.calls })
		}
		c.set(func() { c.status = 0 })
		l.until("got one")
		l.wantStatus(0)
	})
	t.Run("CloudAwayAtTheStart", func(t *testing.T) {
		c, f := db(t)
		c.Close()
		launch(t, f, "", func(c *Config) { c.Start = 10 * time.Millisecond }).wantStatus(1)
	})
	t.Run("RestartsOnRotation", func(t *testing.T) {
		c, f := db(t)
		l := launch(t, f, `trap 'echo stopping; exit 0' TERM; `+idle, nil)
		l.until("ready one")
		c.set(func() { c.secrets["db"] = `{"password":"two"}` })
		l.until("stopping\nready two")
		signalSelf(t, syscall.SIGTERM)
		l.wantStatus(0)
		if strings.Contains(l.log.String(), "two") {
			t.Errorf("the log tells the secret:\n%s", l.log.String())
		}
	})
	t.Run("NewVersionOfSameValue", func(t *testing.T) {
		c, f := db(t)
		l := launch(t, f, `trap 'exit 3' TERM; `+idle, nil)
		l.until("ready one")
		c.set(func() {}) // a new version
		l.wait("gets the same values", l.log.String)
		if strings.Count(l.out.String(), "ready") != 1 {
			t.Error("the program was restarted for nothing")
		}
		signalSelf(t, syscall.SIGTERM)
		l.wantStatus(3)
	})
	t.Run("KillsWhatDoesNotStop", func(t *testing.T) {
		c, f := db(t)
		l := launch(t, f, `trap '' TERM; echo "ready $PASSWORD $$"; while :; do sleep 1; done`, func(c *Config) { c.Stop = 20 * time.Millisecond })
		l.until("ready one")
		c.set(func() { c.secrets["db"] = `{"password":"two"}` })
		l.until("ready two")
		if !strings.Contains(l.log.String(), "was killed") {
			t.Errorf("the log does not say so:\n%s", l.log.String())
		}
		signalSelf(t, syscall.SIGTERM) // which it ignores
		syscall.Kill(l.pid(), syscall.SIGKILL)
		l.wantStatus(128 + 9)
	})
	t.Run("Signals", func(t *testing.T) {
		c, f := db(t)
		l := launch(t, f, `trap 'echo hup; read x' HUP; trap 'echo usr1' USR1; trap 'exit 5' TERM; `+idle, func(c *Config) { c.OnChange.Signal = syscall.SIGHUP })
		l.until("ready one")
		c.set(func() { c.secrets["db"] = `{"password":"two"}` })
		l.until("hup")
		signalSelf(t, syscall.SIGUSR1)
		l.until("usr1")
		signalSelf(t, syscall.SIGTERM)
		l.wantStatus(5)
	})
	t.Run("Files", func(t *testing.T) {
		c := newCloud(t)
		c.secrets["db"] = `{"username":"ann","password":"one"}`
		f := c.fetcher(t, "db")
		f.Naming.Files = true
		dir := filepath.Join(t.TempDir(), "secrets")
		d, err := NewDirectory(dir, os.Getenv)
		if err != nil {
			t.Fatal(err)
		}
		l := launch(t, f, `trap 'echo "now $(cat $HOLDFAST_SECRETS_DIR/password)"' HUP; trap 'exit 0' TERM; echo "was $(cat $HOLDFAST_SECRETS_DIR/password) ${PASSWORD-none}"; `+idle,
			func(c *Config) { c.Directory, c.OnChange.Signal = d, syscall.SIGHUP })
		l.until("was one none")
		info, err := os.Stat(filepath.Join(dir, "username"))
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("%v, %v; want mode 0600", info, err)
		}
		l.until("ready")
		c.set(func() { c.secrets["db"] = `{"password":"two"}` })
		l.until("now two")
		if _, err := os.Stat(filepath.Join(dir, "username")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a value that is no more is still a file: %v", err)
		}
		signalSelf(t, syscall.SIGTERM)
		l.wantStatus(0)
		if left, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	})
	t.Run("FilesThatCannotBeWrittenYet", func(t *testing.T) {
		c := newCloud(t)
		c.secrets["db"] = `{"password":"one"}`
		f := c.fetcher(t, "db")
		f.Naming.Files = true
		dir := filepath.Join(t.TempDir(), "secrets")
		d, err := NewDirectory(dir, os.Getenv)
		if err != nil {
			t.Fatal(err)
		}
		l := launch(t, f, `trap 'echo "now $(cat $HOLDFAST_SECRETS_DIR/password)"' HUP; trap 'exit 0' TERM; `+idle, func(c *Config) { c.Directory, c.OnChange.Signal = d, syscall.SIGHUP })
		l.until("ready")
		if err := errors.Join(os.Remove(dir), os.MkdirAll(filepath.Join(dir, "full"), 0o700)); err != nil {
			t.Fatal(err)
		}
		c.set(func() { c.secrets["db"] = `{"password":"two"}` })
		l.wait("does not get the new values", l.log.String)
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		l.until("now two")
		signalSelf(t, syscall.SIGTERM)
		l.wantStatus(0)
	})
	t.Run("CloudAway", func(t *testing.T) {
		c, f := db(t)
		l := launch(t, f, `trap 'exit 0' TERM; `+idle, nil)
		l.until("ready one")
		c.set(func() { c.status = 503 })
		l.wait("goes on with those last known", l.log.String)
		c.set(func() { c.status = 0 })
		l.wait("can be fetched again", l.log.String)
		if n := strings.Count(l.log.String(), "last known"); n != 1 {
			t.Errorf("the log says it %d times, want once:\n%s", n, l.log.String())
		}
		// A value that can not be taken over is like none.
		c.set(func() { c.secrets["db"] = `{"path":"/evil"}` })
		l.wait("variable PATH", l.log.String)
		c.set(func() { c.secrets["db"] = `{"password":"two"}` })
		l.until("ready two")
		signalSelf(t, syscall.SIGTERM)
		l.wantStatus(0)
	})
	t.Run("StartsAgainWhenItFails", func(t *testing.T) {
		_, f := db(t)
		file := filepath.Join(t.TempDir(), "been")
		l := launch(t, f, `if [ -e `+file+` ]; then echo twice; exit 0; fi; touch `+file+`; exit 1`, func(c *Config) { c.Retry = true })
		l.until("twice")
		l.wantStatus(0)
	})
	t.Run("EndsWhileItWaitsToStartAgain", func(t *testing.T) {
		_, f := db(t)
		l := launch(t, f, `exit 1`, func(c *Config) { c.Retry = true })
		l.wait("starts again", l.log.String)
		signalSelf(t, syscall.SIGTERM)
		l.wantStatus(128 + 15)
	})
}

// pid is the process of the program, which printed it last.
func (l *launched) pid() int {
	l.t.Helper()
	fields := strings.Fields(l.out.String())
	pid, err := strconv.Atoi(fields[len(fields)-1])
	if err != nil {
		l.t.Fatal(err)
	}
	return pid
}

func signalSelf(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(os.Getpid(), s); err != nil {
		t.Fatal(err)
	}
}

func TestDirectory(t *testing.T) {
	v := func(pairs ...string) *Values {
		w := &Values{byName: map[string]string{}}
		for i := 0; i < len(pairs); i += 2 {
			w.byName[pairs[i]] = pairs[i+1]
		}
		return w
	}
	t.Run("NotOverOthers", func(t *testing.T) {
		if _, err := NewDirectory(t.TempDir(), os.Getenv); err == nil {
			t.Error("a directory that exists was taken")
		}
		link := filepath.Join(t.TempDir(), "link")
		if err := os.Symlink("/etc", link); err != nil {
			t.Fatal(err)
		}
		if _, err := NewDirectory(link, os.Getenv); err == nil {
			t.Error("somebody's link was taken")
		}
	})
	t.Run("AfterAKill", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "s")
		killed, err := NewDirectory(path, os.Getenv)
		if err != nil {
			t.Fatal(err)
		}
		if err := killed.Write(v("a", "1")); err != nil {
			t.Fatal(err)
		}
		d, err := NewDirectory(path, os.Getenv)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Write(v("b", "2")); err != nil {
			t.Fatal(err)
		}
		names, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".s*"))
		if err != nil || len(names) != 1 {
			t.Errorf("%v, %v; want one directory behind the link", names, err)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Run("InMemory", func(t *testing.T) {
		base := t.TempDir()
		d, err := NewDirectory("", func(string) string { return base })
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Write(v("a", "1")); err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(filepath.Join(d.Path(), "a")); err != nil || string(b) != "1" {
			t.Errorf("%q, %v", b, err)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if left, _ := os.ReadDir(base); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
	t.Run("StaysInside", func(t *testing.T) {
		d, err := NewDirectory(filepath.Join(t.TempDir(), "s"), os.Getenv)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Write(v("../outside", "1")); err == nil {
			t.Error("a file was written outside")
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
}
