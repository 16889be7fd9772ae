package database_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-cloud/holdfast/database"
	"github.com/holdfast-cloud/holdfast/internal/dbtest"
	"github.com/holdfast-cloud/holdfast/outbound"
)

// TLS is verified, by the roots that were given and under the name that was asked for, and refused otherwise.
func TestTLS(t *testing.T) {
	engines(t, func(t *testing.T, s target) {
		s.user(t, "ann", "first")
		port := s.Port
		for name, tt := range map[string]struct {
			host  string
			ssl   *bool
			roots *x509.CertPool
			want  any // nil, an error or a pointer to one's type
		}{
			"OK":             {"localhost", new(true), dbtest.Roots(t), nil},
			"WrongName":      {"127.0.0.1", new(true), dbtest.Roots(t), new(x509.HostnameError)},
			"WrongAuthority": {"localhost", new(true), nil, new(x509.UnknownAuthorityError)},
			"None":           {"localhost", new(false), nil, nil},
			"Loopback":       {"localhost", nil, nil, nil},
		} {
			t.Run(name, func(t *testing.T) {
				c := s.credentials("ann", "first")
				c.Host, c.SSL, c.Port = tt.host, tt.ssl, port
				if tt.ssl != nil && *tt.ssl {
					c.Port = s.TLSPort
				}
				err := database.New(database.Config{Guard: loopback, Roots: tt.roots}).Login(t.Context(), c)
				switch want := tt.want.(type) {
				case nil:
					if err != nil {
						t.Error(err)
					}
				default:
					if !errors.Is(err, database.ErrUnreachable) || !errors.As(err, want) {
						t.Errorf("Login: %v, want ErrUnreachable and %T", err, want)
					}
				}
			})
		}
		t.Run("NotSpoken", func(t *testing.T) {
			if s.engine != database.Redis {
				return // they speak it when asked
			}
			c := s.credentials("ann", "first")
			c.Host, c.SSL = "localhost", new(true)
			if err := dialer(t).Login(t.Context(), c); !errors.Is(err, database.ErrUnreachable) {
				t.Errorf("Login: %v, want ErrUnreachable", err)
			}
		})
	})
}

// A password goes out in the clear over TLS only, and a user that anybody logs in as is no reason to fail.
func TestMethodsOfPostgreSQL(t *testing.T) {
	s := on(t, database.PostgreSQL)
	d := dialer(t)
	clear, trusted, locked := s.user(t, "clear_text", "s3cr3t"), s.user(t, "trusted", "x"), s.user(t, "locked_out", "x")
	if err := d.Login(t.Context(), clear); !errors.Is(err, database.ErrUnreachable) || strings.Contains(err.Error(), "s3cr3t") {
		t.Errorf("a password in the clear, without TLS: %v, want ErrUnreachable", err)
	}
	clear.Host, clear.SSL = "localhost", new(true)
	if err := d.Login(t.Context(), clear); err != nil {
		t.Errorf("a password in the clear, with TLS: %v", err)
	}
	if err := d.Login(t.Context(), trusted); err != nil {
		t.Errorf("a user that is trusted: %v", err)
	}
	if err := d.Login(t.Context(), locked); !errors.Is(err, database.ErrRefused) {
		t.Errorf("a user that is locked out: %v, want ErrRefused", err)
	}
}

// PostgreSQL stores passwords as it is configured to.
func TestStoredByPostgreSQL(t *testing.T) {
	s := on(t, database.PostgreSQL)
	for method, prefix := range map[string]string{"md5": "md5", "scram-sha-256": "SCRAM-SHA-256$4096:"} {
		ann := s.user(t, "stored", "first")
		s.Exec(t, `ALTER ROLE stored SET password_encryption = '`+method+`'`)
		for _, password := range []string{"sécönd ½ ＡＢ", "second"} { // SASLprep makes others of some
			change(t, dialer(t), ann, "stored", password)
			if got := s.Value(t, `SELECT rolpassword FROM pg_authid WHERE rolname = 'stored'`); !strings.HasPrefix(got, prefix) {
				t.Errorf("%s: stored is %s", method, got)
			}
			s.in(t, "stored", password)
			ann = ann.With("stored", password)
		}
	}
}

// MariaDB stores passwords the way that the account has them, and leaves alone what is no password.
func TestMethodsOfMariaDB(t *testing.T) {
	s := on(t, database.MariaDB)
	for name, tt := range map[string]struct {
		identified string
		overlaps   bool
		want       string // of the plugins, after the change was settled
	}{
		"Native":         {"BY 'first'", true, "mysql_native_password"},
		"SocketOrNative": {"VIA unix_socket OR mysql_native_password USING PASSWORD('first')", false, "mysql_native_password OR unix_socket"},
		"Two":            {"VIA mysql_native_password USING PASSWORD('first') OR mysql_native_password USING PASSWORD('zeroth')", true, "mysql_native_password"},
	} {
		t.Run(name, func(t *testing.T) {
			s.Exec(t, "CREATE OR REPLACE USER methods@'%' IDENTIFIED "+tt.identified)
			s.in(t, "methods", "first")
			if got := change(t, dialer(t), s.super(), "methods", "second"); got != tt.overlaps {
				t.Errorf("Overlaps: %v, want %v", got, tt.overlaps)
			}
			if err := dialer(t).Settle(t.Context(), s.super(), "methods", "second"); err != nil {
				t.Fatal(err)
			}
			s.in(t, "methods", "second")
			s.out(t, "methods", "first")
			s.out(t, "methods", "zeroth")
			created, err := s.Query(t.Context(), dbtest.Superuser, dbtest.Password, "SHOW CREATE USER methods@'%'")
			if err != nil || strings.Count(created, " OR ") != strings.Count(tt.want, " OR ") {
				t.Errorf("%s, %v, want %s", created, err, tt.want)
			}
		})
	}
	t.Run("SocketOnly", func(t *testing.T) {
		s.Exec(t, "CREATE OR REPLACE USER methods@'%' IDENTIFIED VIA unix_socket")
		if _, err := dialer(t).Change(t.Context(), s.super(), "methods", "second"); !errors.Is(err, database.ErrUser) {
			t.Errorf("Change: %v, want ErrUser", err)
		}
	})
	t.Run("Ed25519", func(t *testing.T) {
		if _, err := s.Query(t.Context(), dbtest.Superuser, dbtest.Password, "INSTALL SONAME 'auth_ed25519'"); err != nil && !strings.Contains(err.Error(), "already") {
			t.Log("the plugin is not there: it is part of Debian's mariadb-server")
			return
		}
		s.Exec(t, "CREATE OR REPLACE USER methods@'%' IDENTIFIED VIA ed25519 USING PASSWORD('first')")
		own := s.credentials("methods", "first")
		change(t, dialer(t), own, "methods", "second")
		s.in(t, "methods", "second")
		change(t, dialer(t), s.super(), "methods", "third")
		s.in(t, "methods", "third")
		s.out(t, "methods", "second")
		if got := s.Value(t, "SELECT plugin FROM mysql.user WHERE user = 'methods'"); got != "ed25519" {
			t.Errorf("the account has become one of %s", got)
		}
		if err := dialer(t).Clone(t.Context(), s.super(), "methods", "methods_clone", "fourth"); err != nil {
			t.Fatal(err)
		}
		s.in(t, "methods_clone", "fourth")
	})
}

// All accounts with a user's name get the password, whichever host they are for.
func TestHostsOfMariaDB(t *testing.T) {
	s := on(t, database.MariaDB)
	s.Exec(t, "CREATE OR REPLACE USER hosts@'%' IDENTIFIED BY 'first'", "CREATE OR REPLACE USER hosts@'127.0.0.1' IDENTIFIED BY 'first'")
	change(t, dialer(t), s.super(), "hosts", "second")
	s.in(t, "hosts", "second")
	s.Exec(t, "DROP USER hosts@'127.0.0.1'")
	s.in(t, "hosts", "second")
}

// What Redis was told is still so when it starts anew, wherever it keeps its users.
func TestRedisKeeps(t *testing.T) {
	quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(dbtest.Password) + `"`
	for name, config := range map[string][]string{
		"File":          {"aclfile users.acl"},
		"Configuration": {"requirepass " + quoted},
	} {
		t.Run(name, func(t *testing.T) {
			var s target
			if name == "File" {
				s = on(t, database.Redis)
			} else {
				s = target{dbtest.Redis(t, config...), database.Redis}
			}
			d := dialer(t)
			s.user(t, "ann", "first")
			change(t, d, s.super(), "ann", "second")
			again := func() {
				t.Helper()
				s.Stop("KILL")
				if err := s.Start(); err != nil {
					t.Fatal(err)
				}
			}
			again()
			s.in(t, "ann", "first")
			s.in(t, "ann", "second")
			// The user default, whose password may be requirepass, and whom secrets need not name.
			boss := s.super().With("", dbtest.Password)
			if !change(t, d, boss, "", "of the boss") {
				t.Error("no overlap")
			}
			again()
			s.in(t, "default", dbtest.Password)
			s.in(t, "default", "of the boss")
			boss = boss.With("", "of the boss")
			for user, password := range map[string]string{"ann": "second", "": "of the boss"} {
				if err := d.Settle(t.Context(), boss, user, password); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 {
				s.in(t, "ann", "second")
				s.out(t, "ann", "first")
				s.in(t, "default", "of the boss")
				s.out(t, "default", dbtest.Password)
				again()
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	silent := listen(t, func(conn net.Conn) { <-t.Context().Done() })
	nonsense := listen(t, func(conn net.Conn) { fmt.Fprint(conn, strings.Repeat("\x4a\x00\x00\x00\x0a5\xff\r\n", 2000)) })
	endless := listen(t, func(conn net.Conn) {
		for {
			if _, err := conn.Write([]byte("*2\r\n*2\r\n$1000000\r\n" + strings.Repeat("x", 1000))); err != nil {
				return
			}
		}
	})
	huge := listen(t, func(conn net.Conn) { fmt.Fprint(conn, "R\x7f\xff\xff\xff", "$9223372036854775807\r\n") })
	for _, engine := range []database.Engine{database.PostgreSQL, database.MySQL, database.MariaDB, database.Redis} {
		for name, tt := range map[string]struct {
			address string
			guard   outbound.Guard
			want    error
		}{
			"Down":       {closed(t), loopback, nil},
			"Silent":     {silent, loopback, context.DeadlineExceeded},
			"Nonsense":   {nonsense, loopback, nil},
			"Endless":    {endless, loopback, nil},
			"Huge":       {huge, loopback, nil},
			"NotAllowed": {silent, outbound.Guard{Only: true}, outbound.ErrAddress},
			"NoName":     {"no.such.name.invalid:1", loopback, nil},
			"Socket":     {"/var/run:1", loopback, nil},
		} {
			t.Run(string(engine)+name, func(t *testing.T) {
				t.Parallel()
				host, port, err := net.SplitHostPort(tt.address)
				if err != nil {
					t.Fatal(err)
				}
				c := &database.Credentials{Engine: engine, Host: host, Username: "ann", Password: "s3cr3t"}
				if _, err := fmt.Sscan(port, &c.Port); err != nil {
					t.Fatal(err)
				}
				d := database.New(database.Config{Guard: tt.guard, Timeout: time.Second})
				err = d.Login(t.Context(), c)
				if !errors.Is(err, database.ErrUnreachable) || tt.want != nil && !errors.Is(err, tt.want) || strings.Contains(err.Error(), "s3cr3t") {
					t.Errorf("Login: %v, want ErrUnreachable and %v", err, tt.want)
				}
			})
		}
	}
}

// listen is a server that is none of a database.
func listen(t *testing.T, serve func(net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				serve(conn)
			}()
		}
	}()
	return l.Addr().String()
}

func closed(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	return l.Addr().String()
}

// A server that is gone between preparing and committing, or after: nothing hangs, and a login tells what is so.
func TestGoneMeanwhile(t *testing.T) {
	for name, start := range map[database.Engine]func(testing.TB) *dbtest.Server{
		database.PostgreSQL: dbtest.OwnPostgreSQL, database.MariaDB: dbtest.OwnMariaDB, database.Redis: redis,
	} {
		t.Run(string(name), func(t *testing.T) {
			t.Parallel()
			s := target{start(t), name}
			s.user(t, "ann", "first")
			d := dialer(t)
			ch, err := d.Change(t.Context(), s.super(), "ann", "second")
			if err != nil {
				t.Fatal(err)
			}
			defer ch.Close()
			s.Stop("KILL")
			if err := ch.Commit(t.Context()); !errors.Is(err, database.ErrUnreachable) {
				t.Errorf("Commit: %v, want ErrUnreachable", err)
			}
			if err := d.Login(t.Context(), s.super()); !errors.Is(err, database.ErrUnreachable) {
				t.Errorf("Login: %v, want ErrUnreachable", err)
			}
		})
	}
}

// There are no more connections than there may be, to one server or as a whole, and who waits is served, or told that its time is over.
func TestBounds(t *testing.T) {
	var mu sync.Mutex
	reached := sync.NewCond(&mu)
	now, most := map[string]int{}, map[string]int{}
	count := func(address string, by int) {
		for _, key := range []string{address, "whole"} {
			now[key] += by
			most[key] = max(most[key], now[key])
		}
		reached.Broadcast()
	}
	server := func(name string) string {
		return listen(t, func(conn net.Conn) {
			mu.Lock()
			count(name, 1)
			for most[name] < 2 || most["whole"] < 4 { // as many as there may be come in, however busy the machine is
				reached.Wait()
			}
			mu.Unlock()
			time.Sleep(5 * time.Millisecond) // in which one too many would come in
			mu.Lock()
			count(name, -1) // the client cannot be gone before it is let in
			mu.Unlock()
			fmt.Fprint(conn, "+OK\r\n")
			conn.Read(make([]byte, 1024))
		})
	}
	addresses := []string{server("a"), server("b"), server("c")}
	d := database.New(database.Config{Guard: loopback, MaxConnections: 4, MaxPerHost: 2, Timeout: time.Minute})
	login := func(ctx context.Context, address string) error {
		host, port, _ := net.SplitHostPort(address)
		c := &database.Credentials{Engine: database.Redis, Host: host, Password: "x"}
		fmt.Sscan(port, &c.Port)
		return d.Login(ctx, c)
	}
	var all sync.WaitGroup
	for i := range 60 {
		all.Go(func() {
			if err := login(t.Context(), addresses[i%3]); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	mu.Lock()
	defer mu.Unlock()
	if most["a"] != 2 || most["b"] != 2 || most["c"] != 2 || most["whole"] != 4 {
		t.Errorf("at most there were %v connections, want 2 to one server and 4 as a whole", most)
	}
}
