package database_test

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-cloud/holdfast/database"
	"github.com/holdfast-cloud/holdfast/internal/dbtest"
	"github.com/holdfast-cloud/holdfast/outbound"
)

var loopback = outbound.Guard{Only: true, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}

func dialer(t testing.TB) *database.Dialer {
	t.Helper()
	return database.New(database.Config{Guard: loopback, Roots: dbtest.Roots(t), Timeout: 30 * time.Second})
}

// target is a real server with what tests do to it.
type target struct {
	*dbtest.Server
	engine database.Engine
}

// engines runs a test against each server.
func engines(t *testing.T, test func(*testing.T, target)) {
	t.Helper()
	for _, engine := range []database.Engine{database.PostgreSQL, database.MariaDB, database.Redis} {
		t.Run(string(engine), func(t *testing.T) { test(t, on(t, engine)) })
	}
}

func on(t testing.TB, engine database.Engine) target {
	t.Helper()
	switch engine {
	case database.PostgreSQL:
		return target{dbtest.PostgreSQL(t), engine}
	case database.MariaDB:
		return target{dbtest.MariaDB(t), engine}
	}
	return target{redis(t), engine}
}

// redis is a server with a superuser, like the others, and a file of users.
func redis(t testing.TB) *dbtest.Server {
	t.Helper()
	s := dbtest.Redis(t, "aclfile users.acl")
	if err := redisDo(t, s, "", "", "ACL", "SETUSER", "default", "resetpass", ">"+dbtest.Password); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s target) credentials(user, password string) *database.Credentials {
	if s.engine == database.Redis && user == dbtest.Superuser {
		user = "default"
	}
	return &database.Credentials{Engine: s.engine, Host: s.Host, Port: s.Port, Username: user, Password: password}
}

func (s target) super() *database.Credentials {
	return s.credentials(dbtest.Superuser, dbtest.Password)
}

// user makes a user who may change its own password and no other's.
func (s target) user(t testing.TB, name, password string) *database.Credentials {
	t.Helper()
	switch s.engine {
	case database.PostgreSQL:
		s.Exec(t, fmt.Sprintf(`DROP ROLE IF EXISTS %s`, ident(name)), fmt.Sprintf(`CREATE ROLE %s LOGIN PASSWORD %s`, ident(name), postgresText(password)))
	case database.MariaDB:
		s.Exec(t, fmt.Sprintf(`CREATE OR REPLACE USER %s@'%%' IDENTIFIED BY %s`, mariaText(name), mariaText(password)))
	default:
		if err := redisDo(t, s.Server, "default", dbtest.Password, "ACL", "SETUSER", name, "reset", "on", ">"+password, "~"+name+":*", "+@all"); err != nil {
			t.Fatal(err)
		}
	}
	return s.credentials(name, password)
}

func ident(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func postgresText(text string) string {
	return `E'` + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + `'`
}

func mariaText(text string) string {
	return `'` + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + `'`
}

// in and out want a login to work, and not to, as a client sees it that knows nothing of package database.
func (s target) in(t testing.TB, user, password string) {
	t.Helper()
	if err := s.Login(t.Context(), user, password); err != nil {
		t.Errorf("%s cannot log in: %v", user, err)
	}
}

func (s target) out(t testing.TB, user, password string) {
	t.Helper()
	if err := s.Login(t.Context(), user, password); !errors.Is(err, dbtest.ErrRefused) {
		t.Errorf("logging in as %s: %v, want it refused", user, err)
	}
}

// change changes a password for good.
func change(t testing.TB, d *database.Dialer, as *database.Credentials, user, password string) (overlaps bool) {
	t.Helper()
	ch, err := d.Change(t.Context(), as, user, password)
	if err != nil {
		t.Fatalf("preparing: %v", err)
	}
	defer ch.Close()
	overlaps = ch.Overlaps()
	if err := ch.Commit(t.Context()); err != nil {
		t.Fatalf("committing: %v", err)
	}
	return overlaps
}

// redisDo is a command whose words have anything in them.
func redisDo(t testing.TB, s *dbtest.Server, user, password string, words ...string) error {
	t.Helper()
	_, err := s.Redis(t.Context(), cmp.Or(user, "default"), password, words)
	return err
}
