//go:build unix

package launch

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-cloud/holdfast/internal/syncbuffer"
)

// launched is a supervisor that runs.
type launched struct {
	t        *testing.T
	out, log syncbuffer.Buffer
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
	for deadline := time.Now().Add(time.Minute); !strings.Contains(of(), text); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			l.t.Fatalf("there is no %q in\n%s\nlog:\n%s", text, of(), l.log.String())
		}
	}
}

func (l *launched) wantStatus(status int) {
	l.t.Helper()
	select {
	case <-l.done:
	case <-time.After(time.Minute):
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
	t.Run("ValuesThatDoNotFit", func(t *testing.T) {
		c, f := db(t)
		l := launch(t, f, `trap 'exit 0' TERM; `+idle, nil)
		l.until("ready one")
		c.set(func() { c.secrets["db"] = `{"password":"` + strings.Repeat("x", 8<<20) + `"}` }) // more than any system takes
		l.wait("cannot be started with the new values", l.log.String)
		l.until("ready one\nready one")
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
