package database

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	driverMySQL "github.com/go-sql-driver/mysql"
	"github.com/google/go-cmp/cmp"
)

// script is a server that answers queries by how they begin, and takes all else. The distribution has no MySQL: what it would be told is compared with its manual.
type script struct {
	answers map[string][][]string
	told    []string
	fail    map[string]uint16
}

func (s *script) QueryContext(_ context.Context, query string, _ []driver.NamedValue) (driver.Rows, error) {
	for start, rows := range s.answers {
		if strings.HasPrefix(query, start) {
			return &scriptRows{slices.Clone(rows)}, nil
		}
	}
	return nil, errors.New("no answer to " + query)
}

func (s *script) ExecContext(_ context.Context, query string, _ []driver.NamedValue) (driver.Result, error) {
	s.told = append(s.told, query)
	for start, number := range s.fail {
		if strings.HasPrefix(query, start) {
			return nil, &driverMySQL.MySQLError{Number: number, Message: query}
		}
	}
	return driver.ResultNoRows, nil
}

func (s *script) Prepare(string) (driver.Stmt, error) { return nil, errors.ErrUnsupported }
func (s *script) Begin() (driver.Tx, error)           { return nil, errors.ErrUnsupported }
func (s *script) Close() error                        { return nil }

type scriptRows struct{ rows [][]string }

func (r *scriptRows) Columns() []string {
	if len(r.rows) == 0 {
		return nil
	}
	return r.rows[0]
}
func (r *scriptRows) Close() error { return nil }
func (r *scriptRows) Next(to []driver.Value) error {
	if len(r.rows) == 0 {
		return io.EOF
	}
	for i, v := range r.rows[0] {
		to[i] = []byte(v)
	}
	r.rows = r.rows[1:]
	return nil
}

func TestMySQLIsTold(t *testing.T) {
	accounts := func(plugin string, more map[string][][]string) map[string][][]string {
		all := map[string][][]string{
			"SELECT CURRENT_USER()": {{"app@10.%"}}, "SHOW GRANTS": {{"GRANT USAGE ON *.* TO `app`@`%`"}},
			"SELECT User, Host FROM mysql.user": {{"app", "%"}, {"app", "10.%"}}, "SELECT plugin": {{plugin}},
		}
		for k, v := range more {
			all[k] = v
		}
		return all
	}
	admin := map[string][][]string{"SHOW GRANTS": {{"GRANT SELECT, CREATE USER ON *.* TO `root`@`%`"}, {"GRANT APPLICATION_PASSWORD_ADMIN ON *.* TO `root`@`%`"}}}
	for name, tt := range map[string]struct {
		version  int
		as       string
		answers  map[string][][]string
		overlaps bool
		commit   string
		settle   []string
	}{
		"Own":          {80036, "app", accounts("", nil), false, `ALTER USER USER() IDENTIFIED BY 'n\'w' REPLACE 'old'`, []string{"ALTER USER USER() DISCARD OLD PASSWORD"}},
		"OwnOverlaps":  {80036, "app", accounts("", map[string][][]string{"SHOW GRANTS": {{"GRANT APPLICATION_PASSWORD_ADMIN ON *.* TO `app`@`%`"}}}), true, `ALTER USER USER() IDENTIFIED BY 'n\'w' REPLACE 'old' RETAIN CURRENT PASSWORD`, []string{"ALTER USER USER() DISCARD OLD PASSWORD"}},
		"Other":        {80036, "root", accounts("caching_sha2_password", admin), true, `ALTER USER 'app'@'%' IDENTIFIED WITH 'caching_sha2_password' BY 'n\'w' RETAIN CURRENT PASSWORD, 'app'@'10.%' IDENTIFIED WITH 'caching_sha2_password' BY 'n\'w' RETAIN CURRENT PASSWORD`, []string{"ALTER USER 'app'@'%' DISCARD OLD PASSWORD, 'app'@'10.%' DISCARD OLD PASSWORD"}},
		"OldVersion":   {50744, "root", accounts("mysql_native_password", admin), false, `ALTER USER 'app'@'%' IDENTIFIED WITH 'mysql_native_password' BY 'n\'w', 'app'@'10.%' IDENTIFIED WITH 'mysql_native_password' BY 'n\'w'`, nil},
		"OldVersion'2": {50744, "app", accounts("", nil), false, `ALTER USER USER() IDENTIFIED BY 'n\'w'`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			server := &script{answers: tt.answers}
			m := &mysql{conn: server, as: &Credentials{Engine: MySQL, Username: tt.as, Password: "old"}, version: tt.version}
			p, err := m.prepare(t.Context(), "app", "n'w")
			if err != nil || p.overlaps != tt.overlaps || len(server.told) > 0 {
				t.Fatalf("prepare: %+v, %v, told %q", p, err, server.told)
			}
			if err := p.commit(t.Context()); err != nil || !slices.Equal(server.told, []string{tt.commit}) {
				t.Errorf("commit: %v (-want +got):\n%s", err, cmp.Diff([]string{tt.commit}, server.told))
			}
			server.told = nil
			if err := m.settle(t.Context(), "app", "n'w"); err != nil || !slices.Equal(server.told, tt.settle) {
				t.Errorf("settle: %v (-want +got):\n%s", err, cmp.Diff(tt.settle, server.told))
			}
		})
	}
	t.Run("NoPassword", func(t *testing.T) {
		m := &mysql{conn: &script{answers: accounts("auth_socket", admin)}, as: &Credentials{Username: "root"}, version: 80036}
		if _, err := m.prepare(t.Context(), "app", "new"); !errors.Is(err, ErrUser) {
			t.Errorf("prepare: %v, want ErrUser", err)
		}
	})
	t.Run("Refused", func(t *testing.T) {
		m := &mysql{conn: &script{answers: accounts("", nil), fail: map[string]uint16{"ALTER USER": 1819}}, as: &Credentials{Username: "app", Password: "old"}, version: 80036}
		p, err := m.prepare(t.Context(), "app", "s3cr3t")
		if err != nil {
			t.Fatal(err)
		}
		if err := p.commit(t.Context()); !errors.Is(err, ErrPassword) || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("commit: %v, want ErrPassword", err)
		}
	})
}

// A twin in MySQL is locked until it has its grants and roles.
func TestMySQLTwin(t *testing.T) {
	server := &script{answers: map[string][][]string{
		"SELECT User, Host FROM mysql.user WHERE User = BINARY 'app'": {{"app", "%"}}, "SELECT User, Host FROM mysql.user WHERE User = BINARY 'app_clone'": nil,
		"SELECT ssl_type": {{"ANY", "", "", "", "0", "0", "0", "20"}}, "SHOW GRANTS": {{"GRANT USAGE ON *.* TO `app`@`%`"}, {"GRANT `clerk`@`%` TO `app`@`%`"}},
		"SELECT DEFAULT_ROLE_USER": {{"clerk", "%"}}, "SELECT plugin": {{"caching_sha2_password"}}, "SELECT 1 FROM mysql.user": {{"1"}},
	}}
	m := &mysql{conn: server, as: &Credentials{Username: "root"}, version: 80036}
	if err := m.clone(t.Context(), "app", "app_clone", "p"); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"CREATE USER 'app_clone'@'%' REQUIRE SSL WITH MAX_USER_CONNECTIONS 20 ACCOUNT LOCK", "GRANT USAGE ON *.* TO 'app_clone'@'%'", "GRANT `clerk`@`%` TO 'app_clone'@'%'",
		"ALTER USER 'app_clone'@'%' DEFAULT ROLE 'clerk'@'%'", "ALTER USER 'app_clone'@'%' IDENTIFIED WITH 'caching_sha2_password' BY 'p' ACCOUNT UNLOCK",
	}
	if diff := cmp.Diff(want, server.told); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}
