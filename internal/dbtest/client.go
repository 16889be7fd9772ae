package dbtest

import (
	"bufio"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
)

// ErrRefused is the error of a login with a wrong password.
var ErrRefused = errors.New("login refused")

// Login logs in as a client does, and out again. It returns ErrRefused, or what else went wrong.
func (s *Server) Login(ctx context.Context, user, password string) error {
	_, err := s.Query(ctx, user, password, s.hello())
	return err
}

func (s *Server) hello() string {
	if s.Engine == "redis" {
		return "PING"
	}
	return "SELECT 1"
}

// Exec runs statements as the superuser, and fails the test if one does not work.
func (s *Server) Exec(t testing.TB, statements ...string) {
	t.Helper()
	if _, err := s.Query(t.Context(), Superuser, Password, statements...); err != nil {
		t.Fatal(err)
	}
}

// Value runs a statement as the superuser, and returns the first value of the first row of its result.
func (s *Server) Value(t testing.TB, statement string) string {
	t.Helper()
	v, err := s.Query(t.Context(), Superuser, Password, statement)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Query runs statements on one connection, and returns the first value of the last one's result; "" if there is none. Redis's commands are words with blanks between.
func (s *Server) Query(ctx context.Context, user, password string, statements ...string) (string, error) {
	switch s.Engine {
	case "postgres":
		return s.queryPostgreSQL(ctx, user, password, statements)
	case "mariadb":
		return s.queryMariaDB(ctx, user, password, statements)
	}
	var commands [][]string
	for _, c := range statements {
		commands = append(commands, strings.Fields(c))
	}
	return s.Redis(ctx, user, password, commands...)
}

func (s *Server) queryPostgreSQL(ctx context.Context, user, password string, statements []string) (value string, err error) {
	cfg, err := pgconn.ParseConfig("sslmode=disable host=" + s.Host + " user=x password=x database=postgres")
	if err != nil {
		return "", err
	}
	cfg.Port, cfg.User, cfg.Password = uint16(s.Port), user, password
	conn, err := pgconn.ConnectConfig(ctx, cfg)
	if err != nil {
		if pg, ok := errors.AsType[*pgconn.PgError](err); ok && strings.HasPrefix(pg.Code, "28") {
			return "", fmt.Errorf("%w: %w", ErrRefused, err)
		}
		return "", err
	}
	defer func() { _ = conn.Close(ctx) }()
	for _, statement := range statements {
		results, err := conn.Exec(ctx, statement).ReadAll()
		if err != nil {
			return "", fmt.Errorf("%s: %w", statement, err)
		}
		value = ""
		if len(results) > 0 && len(results[0].Rows) > 0 {
			value = string(results[0].Rows[0][0])
		}
	}
	return value, nil
}

func (s *Server) queryMariaDB(ctx context.Context, user, password string, statements []string) (value string, err error) {
	cfg := mysql.NewConfig()
	cfg.Net, cfg.Addr, cfg.User, cfg.Passwd, cfg.Logger = "tcp", s.Address(), user, password, &mysql.NopLogger{}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return "", err
	}
	conn, err := connector.Connect(ctx)
	if err != nil {
		if my, ok := errors.AsType[*mysql.MySQLError](err); ok && (my.Number == 1045 || my.Number == 1698) {
			return "", fmt.Errorf("%w: %w", ErrRefused, err)
		}
		return "", err
	}
	defer func() { _ = conn.Close() }()
	for _, statement := range statements {
		rows, err := conn.(driver.QueryerContext).QueryContext(ctx, statement, nil)
		if err != nil {
			return "", fmt.Errorf("%s: %w", statement, err)
		}
		value = ""
		row := make([]driver.Value, max(1, len(rows.Columns())))
		if err := rows.Next(row); err == nil {
			value = fmt.Sprintf("%s", row[0])
			if n, ok := row[0].(int64); ok {
				value = fmt.Sprint(n)
			}
		} else if err != io.EOF {
			return "", err
		}
		if err := rows.Close(); err != nil {
			return "", err
		}
	}
	return value, nil
}

// Redis runs commands, whose words may have blanks in them, on one connection. It speaks just enough of Redis's protocol for tests. Superuser is the user default.
func (s *Server) Redis(ctx context.Context, user, password string, commands ...[]string) (value string, err error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.Address())
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	auth := []string{"AUTH", user, password}
	if user == Superuser {
		auth = []string{"AUTH", password}
	}
	answers := bufio.NewReader(conn)
	for i, words := range append([][]string{auth}, commands...) {
		fmt.Fprintf(conn, "*%d\r\n", len(words))
		for _, w := range words {
			fmt.Fprintf(conn, "$%d\r\n%s\r\n", len(w), w)
		}
		value, err = answer(answers)
		if err != nil && i == 0 && strings.Contains(err.Error(), "WRONGPASS") {
			return "", fmt.Errorf("%w: %w", ErrRefused, err)
		}
		if err != nil && !(i == 0 && strings.Contains(err.Error(), "without any password configured")) {
			return "", fmt.Errorf("%s: %w", words[0], err)
		}
	}
	return value, nil
}

// answer reads an answer as text; arrays are their elements with blanks between.
func answer(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimSuffix(line, "\r\n")
	n := 0
	switch line[0] {
	case '-':
		return "", errors.New(line[1:])
	case '$':
		if _, err := fmt.Sscan(line[1:], &n); err != nil || n < 0 {
			return "", err
		}
		text := make([]byte, n+2)
		_, err := io.ReadFull(r, text)
		return string(text[:n]), err
	case '*':
		_, err := fmt.Sscan(line[1:], &n)
		var all []string
		for range n {
			one, err := answer(r)
			if err != nil {
				return "", err
			}
			all = append(all, one)
		}
		return strings.Join(all, " "), err
	}
	return line[1:], nil
}
