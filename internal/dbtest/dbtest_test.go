package dbtest_test

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-cloud/holdfast/internal/dbtest"
)

func TestServers(t *testing.T) {
	for name, start := range map[string]func(testing.TB) *dbtest.Server{
		"PostgreSQL": dbtest.OwnPostgreSQL, "MariaDB": dbtest.OwnMariaDB,
		"Redis": func(t testing.TB) *dbtest.Server {
			return dbtest.Redis(t, `requirepass "`+strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(dbtest.Password)+`"`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			for _, again := range []bool{false, true} {
				if err := s.Login(t.Context(), dbtest.Superuser, dbtest.Password); err != nil {
					t.Fatalf("login: %v\n%s", err, s.Log())
				}
				if err := s.Login(t.Context(), dbtest.Superuser, "wrong"); !errors.Is(err, dbtest.ErrRefused) {
					t.Fatalf("login with a wrong password: %v, want ErrRefused", err)
				}
				if !again {
					s.Stop("KILL")
					if err := s.Login(t.Context(), dbtest.Superuser, dbtest.Password); err == nil || errors.Is(err, dbtest.ErrRefused) {
						t.Fatalf("login to a stopped server: %v", err)
					}
					if err := s.Start(); err != nil {
						t.Fatal(err)
					}
				}
			}
		})
	}
}

// A server that starts again waits for its port where somebody else took it meanwhile.
func TestPortTaken(t *testing.T) {
	s := dbtest.Redis(t)
	s.Stop("KILL")
	l, err := net.Listen("tcp", s.Address())
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan error, 1)
	go func() { started <- s.Start() }()
	for !strings.Contains(s.Log(), "in use") {
		time.Sleep(time.Millisecond)
	}
	l.Close()
	if err := <-started; err != nil {
		t.Error(err)
	}
}

// A server ends when the test's process is killed, and leaves nothing behind.
func TestKilled(t *testing.T) {
	if os.Getenv("DBTEST_VICTIM") != "" {
		s := dbtest.Redis(t)
		os.Stdout.WriteString(s.Address() + " " + s.File("") + "\n")
		select {}
	}
	dbtest.Redis(t) // skips if there is none
	victim := exec.Command(os.Args[0], "-test.run=^TestKilled$")
	victim.Env = append(os.Environ(), "DBTEST_VICTIM=1")
	out, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	told := make([]byte, 4096)
	n, err := out.Read(told)
	address, dir, ok := strings.Cut(strings.TrimSpace(string(told[:n])), " ")
	if err != nil || !ok {
		t.Fatalf("the victim says %q, %v", told[:n], err)
	}
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = victim.Wait()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		_, statErr := os.Stat(dir)
		if err != nil && os.IsNotExist(statErr) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("a minute after the test was killed: connecting %v, folder %v", err, statErr)
		}
	}
}
