// Package dbtest runs the distribution's own PostgreSQL, MariaDB and Redis for tests: on free ports of loopback, in folders of their own, with TLS by an authority made for the test. They
// end with the test, and with its process however that ends.
package dbtest

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-cloud/holdfast/clock"
)

// Superuser is the user of every server who may do everything, with Password. In Redis it is called default.
const (
	Superuser = "super"
	Password  = "super's \"pass\\word"
)

// Server is a database server.
type Server struct {
	// Engine is postgres, mariadb or redis.
	Engine string
	// Host is an address of loopback. The server's certificate is for the name localhost, and not for it.
	Host string
	Port int
	// TLSPort is where TLS is spoken from the first byte on, as Redis does; others speak it on Port when asked.
	TLSPort int

	dir     string
	command func() []string
	ready   string // what the server's log has in it when it takes connections
	quit    string // the signal that ends it at once
	as      *syscall.Credential

	stdin io.WriteCloser
	gone  chan struct{}
	mu    sync.Mutex
	log   bytes.Buffer // guarded by mu
}

// start brings a server into being: its folder, what prepare makes in it, and the process.
func start(engine string, prepare func(*Server) error) (*Server, error) {
	s := &Server{Engine: engine, Host: "127.0.0.1"}
	var err error
	if s.dir, err = os.MkdirTemp("", "holdfast-"+engine); err != nil {
		return nil, err
	}
	if s.as, err = unprivileged(); err == nil {
		err = prepare(s)
	}
	for tries := 0; err == nil; tries++ {
		if err = s.listenAnywhere(); err != nil {
			break
		}
		if err = s.launch(); err == nil || tries == 3 || !strings.Contains(s.Log(), "in use") {
			break
		}
		err = nil // somebody took the port meanwhile
	}
	if err != nil {
		_ = os.RemoveAll(s.dir)
		return nil, fmt.Errorf("%s: %w", engine, err)
	}
	return s, nil
}

// unprivileged is whom servers run as when the test is root, which PostgreSQL refuses. Nil is the test's own user.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("nobody")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// own gives the server's folder with all in it to the user that it runs as.
func (s *Server) own() error {
	if s.as == nil {
		return nil
	}
	return filepath.Walk(s.dir, func(path string, _ os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(s.as.Uid), int(s.as.Gid))
	})
}

// run runs a program as the server's user, in its folder, to its end.
func (s *Server) run(name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = s.dir, s.environment()
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.as}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}

func (s *Server) environment() []string {
	return []string{"PATH=" + os.Getenv("PATH") + ":/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "HOME=" + s.dir, "TMPDIR=" + s.dir}
}

// keeper is the shell script that stands between the test and the server. It waits for a line with a signal to end the server with; when the pipe ends instead, because the test's process
// is gone, it ends the server and removes its folder.
const keeper = `dir=$1 quit=$2; shift 2
"$@" </dev/null &
server=$!
exec >/dev/null 2>&1
read -r signal
kill -s "${signal:-$quit}" $server
wait $server
[ "$signal" ] || rm -rf "$dir"`

// Start starts the server, which was stopped, on the same port with the same data. Where another test took the port meanwhile, it waits until that is over.
func (s *Server) Start() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		s.mu.Lock()
		before := s.log.Len()
		s.mu.Unlock()
		err := s.launch()
		s.mu.Lock()
		taken := strings.Contains(s.log.String()[before:], "in use")
		s.mu.Unlock()
		if err == nil || !taken || clock.Pause(ctx, 100*time.Millisecond) != nil {
			return err
		}
	}
}

// launch starts the process, on the ports that were chosen.
func (s *Server) launch() error {
	cmd := exec.Command("/bin/sh", append([]string{"-c", keeper, "keeper", s.dir, s.quit}, s.command()...)...)
	cmd.Dir, cmd.Env = s.dir, s.environment()
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.as, Setpgid: true} // an interrupt from the keyboard is not for it
	// Its own pipes: those of exec.Cmd would be waited for by a test's process, and closed by it.
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = write, write
	if s.stdin, err = cmd.StdinPipe(); err != nil {
		return err
	}
	err = cmd.Start()
	_ = write.Close()
	if err != nil {
		return err
	}
	ready := make(chan struct{})
	s.gone = make(chan struct{})
	go func() {
		s.listen(read, ready)
		_ = cmd.Wait()
		close(s.gone)
	}()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	select {
	case <-ready:
		return nil
	case <-s.gone:
		return fmt.Errorf("it does not start:\n%s", s.Log())
	case <-ctx.Done():
		s.Stop("KILL")
		return fmt.Errorf("it is not ready after a minute:\n%s", s.Log())
	}
}

// listen keeps the server's log, until no process of it is left.
func (s *Server) listen(log io.ReadCloser, ready chan<- struct{}) {
	defer func() { _ = log.Close() }()
	lines := bufio.NewReader(log)
	waiting := true
	for {
		line, err := lines.ReadString('\n')
		s.mu.Lock()
		s.log.WriteString(line)
		s.mu.Unlock()
		if waiting && strings.Contains(line, s.ready) {
			close(ready)
			waiting = false
		}
		if err != nil {
			_, _ = io.WriteString(s.stdin, "TERM\n") // a server that ended by itself leaves the shell waiting for a line
			return
		}
	}
}

// Stop ends the server with a signal: TERM in an orderly way, KILL as a power cut does. Its data remain.
func (s *Server) Stop(signal string) {
	_, _ = io.WriteString(s.stdin, signal+"\n")
	<-s.gone
}

// End ends the server for good, which tests need not: it ends with them.
func (s *Server) End() {
	_ = s.stdin.Close()
	<-s.gone
	_ = os.RemoveAll(s.dir)
}

// Log is what the server has logged, its statements included.
func (s *Server) Log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.log.String()
	for _, name := range []string{"general.log"} {
		if more, err := os.ReadFile(filepath.Join(s.dir, name)); err == nil {
			out += string(more)
		}
	}
	return out
}

// Address is host:port.
func (s *Server) Address() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

// File is the path of a file in the server's folder.
func (s *Server) File(name string) string { return filepath.Join(s.dir, name) }

// listenAnywhere chooses ports that are free now.
func (s *Server) listenAnywhere() (err error) {
	if s.Port, err = port(); err != nil {
		return err
	}
	s.TLSPort = s.Port
	if s.Engine == "redis" {
		s.TLSPort, err = port()
	}
	return err
}

// port is a port of loopback that is free now.
func port() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// shared is a server that is started for the first test that wants it, and used by all others of the binary.
type shared struct {
	once   sync.Once
	server *Server
	err    error
}

func (h *shared) get(t testing.TB, start func() (*Server, error)) *Server {
	t.Helper()
	h.once.Do(func() { h.server, h.err = start() })
	if h.err != nil {
		t.Fatal(h.err)
	}
	return h.server
}

// own is a server for one test.
func own(t testing.TB, s *Server, err error) *Server {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.End)
	return s
}
