package database_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/holdfast-cloud/holdfast/database"
	"github.com/holdfast-cloud/holdfast/internal/dbtest"
)

// Two users in turns: the twin is made once, either may do what the other may, and each rotation leaves the one alone that clients use.
func TestClone(t *testing.T) {
	engines(t, func(t *testing.T, s target) {
		d := dialer(t)
		s.user(t, "app", "p0")
		use := grants(t, s)
		users := []string{"app", "app_clone"}
		passwords := map[string]string{"app": "p0"}
		for i, next := range []string{"p1", "p2", "p3"} {
			from, to := users[i%2], users[(i+1)%2]
			if err := d.Clone(t.Context(), s.super(), from, to, next); err != nil {
				t.Fatal(err)
			}
			passwords[to] = next
			for user, password := range passwords {
				s.in(t, user, password)
				use(user, password)
			}
		}
		s.out(t, "app_clone", "p1")
		s.out(t, "app", "p0")
	})
}

// grants gives app something to do, and returns what tries whether a user may do just that.
func grants(t *testing.T, s target) func(user, password string) {
	t.Helper()
	try := func(user, password string, may bool, statements ...string) {
		t.Helper()
		if _, err := s.Query(t.Context(), user, password, statements...); (err == nil) != may {
			t.Errorf("%s: %v: %v, want success %v", user, statements, err, may)
		}
	}
	switch s.engine {
	case database.PostgreSQL:
		s.Exec(t, `DROP SCHEMA IF EXISTS stock CASCADE`, `DROP SCHEMA IF EXISTS "odd, name" CASCADE`, `DROP ROLE IF EXISTS app_clone`, `CREATE SCHEMA stock`, `CREATE SCHEMA "odd, name"`, `CREATE TABLE stock.items (n int)`,
			`GRANT USAGE, CREATE ON SCHEMA stock TO app`, `GRANT SELECT, INSERT ON stock.items TO app`, `CREATE TABLE stock.secrets (n int)`, `ALTER ROLE app SET search_path = "odd, name", stock, public`,
			`ALTER ROLE app IN DATABASE postgres SET statement_timeout = '50s'`, `ALTER ROLE app SET "my.setting" = 'it''s'`, `ALTER ROLE app CONNECTION LIMIT 20`)
		return func(user, password string) {
			t.Helper()
			try(user, password, true, `INSERT INTO items VALUES (1)`, `SELECT count(*) FROM items`)
			try(user, password, false, `SELECT count(*) FROM stock.secrets`)
			// What the one makes belongs to the other.
			try(user, password, true, `DROP TABLE IF EXISTS stock.mine`, `CREATE TABLE stock.mine (n int)`)
			for setting, want := range map[string]string{"search_path": `"odd, name", stock, public`, "statement_timeout": "50s", "my.setting": "it's"} {
				if got, err := s.Query(t.Context(), user, password, `SELECT current_setting('`+setting+`')`); err != nil || got != want {
					t.Errorf("%s of %s: %q, %v, want %q", setting, user, got, err, want)
				}
			}
			if got := s.Value(t, `SELECT rolconnlimit FROM pg_roles WHERE rolname = '`+user+`'`); got != "20" {
				t.Errorf("%s may have %s connections, want 20", user, got)
			}
		}
	case database.MariaDB:
		s.Exec(t, "CREATE DATABASE IF NOT EXISTS `stock TO x`", "CREATE TABLE IF NOT EXISTS `stock TO x`.items (n int, hidden int)", "CREATE DATABASE IF NOT EXISTS other", "CREATE OR REPLACE TABLE other.mine (n int)", "CREATE OR REPLACE TABLE other.role (n int)",
			"CREATE OR REPLACE ROLE clerk", "GRANT SELECT ON other.role TO clerk", "GRANT clerk TO app@'%'", "SET DEFAULT ROLE clerk FOR app@'%'", "DROP USER IF EXISTS app_clone@'%'",
			"GRANT SELECT (n), INSERT ON `stock TO x`.items TO app@'%'", "GRANT ALL ON other.mine TO app@'%' WITH GRANT OPTION", "GRANT PROCESS ON *.* TO app@'%'", "ALTER USER app@'%' WITH MAX_USER_CONNECTIONS 20")
		return func(user, password string) {
			t.Helper()
			try(user, password, true, "INSERT INTO `stock TO x`.items VALUES (1, 2)", "SELECT n FROM `stock TO x`.items", "SELECT n FROM other.role", "SELECT n FROM other.mine", "SHOW PROCESSLIST")
			try(user, password, false, "SELECT hidden FROM `stock TO x`.items")
			try(user, password, false, "SELECT user FROM mysql.user")
			if got := s.Value(t, "SELECT max_user_connections FROM mysql.user WHERE user = '"+user+"'"); got != "20" {
				t.Errorf("%s may have %s connections, want 20", user, got)
			}
		}
	}
	for _, words := range [][]string{{"ACL", "SETUSER", "app", "reset", "on", ">p0", "~items:*", "+get", "+set", "+ping", "(~other:* +get)"}, {"SET", "other:1", "v"}} {
		if err := redisDo(t, s.Server, "default", dbtest.Password, words...); err != nil {
			t.Fatal(err)
		}
	}
	return func(user, password string) {
		t.Helper()
		try(user, password, true, "SET items:1 v", "GET items:1", "GET other:1")
		try(user, password, false, "SET other:1 v")
		try(user, password, false, "ACL LIST")
	}
}

// What an account has to fulfil is what its twin has to.
func TestCloneConditions(t *testing.T) {
	s := on(t, database.MariaDB)
	s.Exec(t, "DROP USER IF EXISTS tls@'%', tls_clone@'%', tls@'127.0.0.%', tls_clone@'127.0.0.%'", "CREATE USER tls@'%' IDENTIFIED BY 'p0' REQUIRE SUBJECT '/CN=it\\'s' AND ISSUER '/CN=x'", "CREATE USER tls@'127.0.0.%' IDENTIFIED BY 'p0' REQUIRE SSL")
	if err := dialer(t).Clone(t.Context(), s.super(), "tls", "tls_clone", "p1"); err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"%", "127.0.0.%"} {
		const columns = "SELECT CONCAT_WS('|', ssl_type, ssl_cipher, x509_issuer, x509_subject) FROM mysql.user WHERE host = '"
		if one, other := s.Value(t, columns+host+"' AND user = 'tls'"), s.Value(t, columns+host+"' AND user = 'tls_clone'"); one != other {
			t.Errorf("at %s: tls must fulfil %s, its twin %s", host, one, other)
		}
	}
	s.out(t, "tls_clone", "p1") // without TLS
	c := s.credentials("tls_clone", "p1")
	c.Host, c.SSL = "localhost", new(true)
	if err := dialer(t).Login(t.Context(), c); err != nil {
		t.Error(err)
	}
}

// A user of that name who is not the twin of the other does not get a password that others know.
func TestCloneOfOthers(t *testing.T) {
	engines(t, func(t *testing.T, s target) {
		s.user(t, "low", "p0")
		boss := s.user(t, "low_clone", "p1")
		switch s.engine {
		case database.PostgreSQL:
			// A member of the other, but of more as well.
			s.Exec(t, `DROP ROLE IF EXISTS bosses`, `CREATE ROLE bosses`, `GRANT low TO low_clone`, `GRANT bosses TO low_clone`)
		case database.MariaDB:
			s.Exec(t, "GRANT SELECT ON *.* TO low_clone@'%'")
		default:
			if err := redisDo(t, s.Server, "default", dbtest.Password, "ACL", "SETUSER", "low_clone", "allkeys"); err != nil {
				t.Fatal(err)
			}
		}
		if err := dialer(t).Clone(t.Context(), s.super(), "low", "low_clone", "p2"); !errors.Is(err, database.ErrClone) {
			t.Errorf("Clone: %v, want ErrClone", err)
		}
		s.in(t, boss.Username, "p1")
		if s.engine == database.PostgreSQL {
			for _, statement := range []string{`REVOKE bosses FROM low_clone`, `REVOKE low FROM low_clone`, `ALTER ROLE low_clone CREATEROLE`} {
				s.Exec(t, statement)
				if err := dialer(t).Clone(t.Context(), s.super(), "low", "low_clone", "p2"); (err == nil) != (statement == `REVOKE bosses FROM low_clone`) {
					t.Errorf("after %s: Clone: %v", statement, err)
				}
			}
		}
		if err := dialer(t).Clone(t.Context(), s.super(), "nobody", "nobody_clone", "p2"); !errors.Is(err, database.ErrUser) {
			t.Errorf("Clone of nobody: %v, want ErrUser", err)
		}
		if err := dialer(t).Clone(t.Context(), s.credentials("low", "p0"), "low", "low_two", "p2"); !errors.Is(err, database.ErrDenied) && s.engine != database.Redis {
			t.Errorf("Clone as somebody who may not: %v, want ErrDenied", err)
		}
	})
}

func TestCloneHostile(t *testing.T) {
	engines(t, func(t *testing.T, s target) {
		for _, name := range []string{`a"b`, "a'b", "a`b", `a\`, "a%s"} {
			s.user(t, name, "p0")
			password := `s3cr3t' "` + "`" + `\;`
			from := len(s.Log())
			if err := dialer(t).Clone(t.Context(), s.super(), name, name+"_clone", password); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			s.in(t, name+"_clone", password)
			if strings.Contains(s.Log()[from:], "s3cr3t") {
				t.Error("the server's log has a password")
			}
		}
	})
}

// A role that may make roles, and is no superuser, is enough.
func TestCloneAsRoleMaker(t *testing.T) {
	s := on(t, database.PostgreSQL)
	s.user(t, "plain", "p0")
	s.Exec(t, `DROP ROLE IF EXISTS plain_clone`, `DROP ROLE IF EXISTS maker`, `CREATE ROLE maker LOGIN CREATEROLE PASSWORD 'm'`)
	if err := dialer(t).Clone(t.Context(), s.credentials("maker", "m"), "plain", "plain_clone", "p1"); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Query(t.Context(), "plain_clone", "p1", `SELECT current_user`); err != nil || got != "plain" {
		t.Errorf("the twin acts as %q, %v, want plain", got, err)
	}
}
