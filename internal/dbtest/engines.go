package dbtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var sharedPostgreSQL, sharedMariaDB shared

// PostgreSQL is a server that the tests of a binary share. It logs every statement. The user clear_text logs in with
// a password in the clear, trusted with any or none, and locked_out not at all.
func PostgreSQL(t testing.TB) *Server {
	t.Helper()
	need(t, "postgresql", postgres("postgres"))
	return sharedPostgreSQL.get(t, startPostgreSQL)
}

// OwnPostgreSQL is one for the test alone, which may stop it.
func OwnPostgreSQL(t testing.TB) *Server {
	t.Helper()
	need(t, "postgresql", postgres("postgres"))
	s, err := startPostgreSQL()
	return own(t, s, err)
}

// MariaDB is a server that the tests of a binary share. It logs every statement.
func MariaDB(t testing.TB) *Server {
	t.Helper()
	need(t, "mariadb-server-core", mariadbd(), mariadbInstall())
	return sharedMariaDB.get(t, startMariaDB)
}

// OwnMariaDB is one for the test alone, which may stop it.
func OwnMariaDB(t testing.TB) *Server {
	t.Helper()
	need(t, "mariadb-server-core", mariadbd(), mariadbInstall())
	s, err := startMariaDB()
	return own(t, s, err)
}

// Redis is one for the test, which takes no time to start. Its configuration has these lines beside what it needs: requirepass, if Password is to be the one of the user default;
// "aclfile users.acl" for a file of users.
func Redis(t testing.TB, config ...string) *Server {
	t.Helper()
	need(t, "redis-server", look("redis-server"))
	s, err := startRedis(config)
	return own(t, s, err)
}

// Run runs PostgreSQL outside of a test. End ends it.
func Run() (*Server, error) {
	if postgres("postgres") == "" {
		return nil, errors.New("postgresql is missing: make deps installs it, or tells how")
	}
	return startPostgreSQL()
}

func need(t testing.TB, debian string, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if p == "" {
			t.Skipf("%s is missing: make deps installs it, or tells how", debian)
		}
	}
}

// look finds a program, where daemons are as well.
func look(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	if path, err := exec.LookPath("/usr/sbin/" + name); err == nil {
		return path
	}
	return ""
}

// postgres finds a program of PostgreSQL, the newest where Debian puts several side by side.
func postgres(name string) string {
	if found, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + name); err == nil && len(found) > 0 {
		return found[len(found)-1]
	}
	return look(name)
}

func mariadbd() string { return look("mariadbd") }

func mariadbInstall() string { return look("mariadb-install-db") }

func startPostgreSQL() (*Server, error) {
	return start("postgres", func(s *Server) error {
		s.ready, s.quit = "database system is ready to accept connections", "QUIT"
		s.command = func() []string {
			args := []string{postgres("postgres"), "-D", s.File("data"), "-F"}
			for _, c := range []string{
				fmt.Sprintf("port=%d", s.Port), "listen_addresses=127.0.0.1", "unix_socket_directories=", "log_statement=all", "log_connections=on", "max_connections=200", "shared_buffers=16MB",
				"ssl=on", "ssl_cert_file=" + s.File("server.pem"), "ssl_key_file=" + s.File("server.key"), "timezone=UTC",
			} {
				args = append(args, "-c", c)
			}
			return args
		}
		if err := s.certify(); err != nil {
			return err
		}
		if err := os.WriteFile(s.File("password"), []byte(Password), 0o600); err != nil {
			return err
		}
		if err := s.own(); err != nil {
			return err
		}
		err := s.run(postgres("initdb"), "-D", "data", "-U", Superuser, "--no-sync", "--no-locale", "-E", "UTF8", "--auth=scram-sha-256", "--pwfile=password")
		if err != nil {
			return err
		}
		return os.WriteFile(s.File("data/pg_hba.conf"), []byte(`
host all clear_text  127.0.0.1/32 password
host all trusted     127.0.0.1/32 trust
host all locked_out  127.0.0.1/32 reject
host all all         127.0.0.1/32 md5
`), 0o644) // md5 is SCRAM for users whose passwords are stored for it
	})
}

func startMariaDB() (*Server, error) {
	return start("mariadb", func(s *Server) error {
		s.ready, s.quit = "ready for connections", "KILL"
		s.command = func() []string {
			return []string{
				mariadbd(), "--no-defaults", "--datadir=" + s.File("data"), fmt.Sprintf("--port=%d", s.Port), "--bind-address=127.0.0.1", "--socket=" + s.File("s"), "--skip-name-resolve",
				"--pid-file=" + s.File("pid"), "--init-file=" + s.File("init.sql"), "--general-log", "--general-log-file=" + s.File("general.log"), "--log-output=FILE", "--slow-query-log=0",
				"--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=8M", "--innodb-log-file-size=4M", "--innodb-fast-shutdown=2", "--max-connections=200",
				"--max-connect-errors=1000000", "--ssl-cert=" + s.File("server.pem"), "--ssl-key=" + s.File("server.key"), "--ssl-ca=" + s.File("ca.pem"), "--tmpdir=" + s.dir,
			}
		}
		if err := s.certify(); err != nil {
			return err
		}
		init := fmt.Sprintf("CREATE USER IF NOT EXISTS '%s'@'%%' IDENTIFIED BY '%s'; GRANT ALL ON *.* TO '%[1]s'@'%%' WITH GRANT OPTION;\n", Superuser, strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(Password))
		if err := os.WriteFile(s.File("init.sql"), []byte(strings.Replace(init, "; ", ";\n", 1)), 0o600); err != nil {
			return err
		}
		if err := s.own(); err != nil {
			return err
		}
		return s.run(mariadbInstall(), "--no-defaults", "--datadir="+s.File("data"), "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve",
			"--innodb-log-file-size=4M", "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=8M", "--tmpdir="+s.dir)
	})
}

func startRedis(config []string) (*Server, error) {
	return start("redis", func(s *Server) error {
		s.ready, s.quit = "Ready to accept connections", "KILL"
		s.command = func() []string {
			return []string{
				look("redis-server"), s.File("redis.conf"), "--port", fmt.Sprint(s.Port), "--tls-port", fmt.Sprint(s.TLSPort),
			}
		}
		lines := append([]string{
			"bind 127.0.0.1", "dir " + s.dir, "save \"\"", "appendonly no", "loglevel verbose", "maxmemory 32mb",
			"tls-cert-file " + s.File("server.pem"), "tls-key-file " + s.File("server.key"), "tls-ca-cert-file " + s.File("ca.pem"), "tls-auth-clients no",
		}, config...)
		for name, text := range map[string]string{"redis.conf": strings.Join(lines, "\n") + "\n", "users.acl": ""} {
			if err := os.WriteFile(s.File(name), []byte(text), 0o600); err != nil {
				return err
			}
		}
		if err := s.certify(); err != nil {
			return err
		}
		return s.own()
	})
}
