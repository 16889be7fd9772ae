package database

import (
	"context"
	"crypto/fips140"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// postgres is a session with PostgreSQL. There a change of a password is part of a transaction like any other, so all of it is prepared and only COMMIT is left.
type postgres struct{ conn *pgconn.PgConn }

// maxRole is how long names of roles may be. PostgreSQL cuts off what is longer, and would change another role.
const maxRole = 63

func loginPostgreSQL(ctx context.Context, c *Credentials, conn net.Conn, secure *tls.Config) (session, error) {
	// What the environment says about PostgreSQL is for other programs of this machine. All that matters is set beside it.
	cfg, err := pgconn.ParseConfig("host=x port=5432 user=x password=x database=x sslmode=disable target_session_attrs=any connect_timeout=0")
	if err != nil {
		return nil, fmt.Errorf("settings of PostgreSQL in the environment: %w", err)
	}
	cfg.Host, cfg.User, cfg.Password, cfg.Database = c.Host, c.Username, c.Password, c.DBName
	if cfg.Database == "" {
		cfg.Database = "postgres"
	}
	cfg.TLSConfig, cfg.Fallbacks, cfg.SSLNegotiation = secure, nil, "postgres"
	cfg.RuntimeParams = map[string]string{"application_name": "holdfast", "client_encoding": "UTF8"}
	cfg.MinProtocolVersion, cfg.MaxProtocolVersion, cfg.ChannelBinding = "3.0", "3.0", "prefer"
	cfg.MaxProtocolMessageBodyLen = maxRead
	cfg.RequireAuth = postgresMethods(secure != nil)
	cfg.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil } // it has been resolved
	cfg.DialFunc = func(context.Context, string, string) (net.Conn, error) { return conn, nil }
	p := &postgres{}
	if p.conn, err = pgconn.ConnectConfig(ctx, cfg); err != nil {
		return nil, postgresError(ctx, err)
	}
	return p, nil
}

// postgresMethods says how the server may have us tell who we are. One that asks for the password in the clear gets it over TLS only, whoever it is.
func postgresMethods(secure bool) string {
	methods := "!gss,!sspi,!oauth"
	if !secure {
		methods += ",!password"
	}
	if fips140.Enforced() {
		methods += ",!md5"
	}
	return methods
}

func (p *postgres) close() {
	ctx, cancel := context.WithTimeout(context.Background(), closing)
	defer cancel()
	_ = p.conn.Close(ctx) // it takes a transaction back that is open
}

// exec runs statements that return nothing.
func (p *postgres) exec(ctx context.Context, statements ...string) error {
	for _, s := range statements {
		if _, err := p.conn.Exec(ctx, s).ReadAll(); err != nil {
			return postgresError(ctx, err)
		}
	}
	return nil
}

// query runs a statement and returns its rows; NULL is "".
func (p *postgres) query(ctx context.Context, statement string, parameters ...string) ([][]string, error) {
	values := make([][]byte, len(parameters))
	for i, v := range parameters {
		values[i] = []byte(v)
	}
	result := p.conn.ExecParams(ctx, statement, values, nil, nil, nil).Read()
	if result.Err != nil {
		return nil, postgresError(ctx, result.Err)
	}
	rows := make([][]string, len(result.Rows))
	for i, row := range result.Rows {
		for _, v := range row {
			rows[i] = append(rows[i], string(v))
		}
	}
	return rows, nil
}

// role is what is known of a role.
type role struct {
	exists  bool
	limit   string // how many connections it may have
	special bool   // it may do what no grant gives
}

func (p *postgres) role(ctx context.Context, name string) (role, error) {
	if name == "" || len(name) > maxRole || strings.ContainsRune(name, 0) {
		return role{}, nil
	}
	rows, err := p.query(ctx, `SELECT rolconnlimit, rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls FROM pg_catalog.pg_roles WHERE rolname::text = $1 AND rolcanlogin`, name)
	if err != nil || len(rows) == 0 {
		return role{}, err
	}
	return role{exists: true, limit: rows[0][0], special: rows[0][1] == "t"}, nil
}

// begin opens a transaction that is on disk when it is committed, whatever the server is configured to, and that calls no function which somebody put before PostgreSQL's own.
func (p *postgres) begin(ctx context.Context) error {
	return p.exec(ctx, "BEGIN", "SET LOCAL synchronous_commit = on", "SET LOCAL search_path = pg_catalog")
}

func (p *postgres) commit(ctx context.Context) error {
	results, err := p.conn.Exec(ctx, "COMMIT").ReadAll()
	if err != nil {
		return postgresError(ctx, err)
	}
	if len(results) != 1 || results[0].CommandTag.String() != "COMMIT" {
		return errors.New("PostgreSQL rolled the transaction back")
	}
	return nil
}

func (p *postgres) prepare(ctx context.Context, user, password string) (*prepared, error) {
	if err := p.begin(ctx); err != nil {
		return nil, err
	}
	r, err := p.role(ctx, user)
	if err != nil {
		return nil, err
	}
	if !r.exists {
		return nil, ErrUser
	}
	if err := p.setPassword(ctx, "ALTER ROLE "+quoteRole(user), user, password); err != nil {
		return nil, err
	}
	return &prepared{commit: p.commit}, nil
}

func (p *postgres) settle(context.Context, string, string) error { return nil }

// setPassword completes a statement that makes or alters a role. The server is told what it would store, in the way that it is configured to store it.
func (p *postgres) setPassword(ctx context.Context, statement, user, password string) error {
	rows, err := p.query(ctx, `SELECT current_setting('password_encryption'), current_setting('scram_iterations', true)`)
	if err != nil {
		return err
	}
	stored := ""
	if method := rows[0][0]; (method == "md5" || method == "on") && !fips140.Enforced() {
		stored = md5Verifier(user, password)
	} else if stored, err = scramVerifier(password, rows[0][1]); err != nil {
		return err
	}
	err = p.exec(ctx, statement+" PASSWORD '"+stored+"'")
	if code, ok := errors.AsType[*codeError](err); ok && code.code == "22023" { // what passwordcheck and its like answer
		return fmt.Errorf("%w: %w", ErrPassword, err)
	}
	return err
}

func quoteRole(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// codeError is an error of a database, of which only the code is told: the text may quote a statement.
type codeError struct{ engine, code string }

func (e *codeError) Error() string { return e.engine + " answers with the code " + e.code }

// postgresError sorts an error by its code: https://www.postgresql.org/docs/current/errcodes-appendix.html
func postgresError(ctx context.Context, err error) error {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return unreachable(reason(ctx, err))
	}
	code := &codeError{"PostgreSQL", plainCode(pg.Code)}
	for prefix, kind := range map[string]error{"28": ErrRefused, "08": ErrUnreachable, "53": ErrUnreachable, "57P": ErrUnreachable, "42501": ErrDenied, "42704": ErrUser} {
		if strings.HasPrefix(code.code, prefix) {
			return fmt.Errorf("%w: %w", kind, code)
		}
	}
	return code
}

// plainCode is a code if it looks like one: what the server says is anything.
func plainCode(code string) string {
	if len(code) != 5 || strings.Trim(code, digits+upper) != "" {
		return "that is none"
	}
	return code
}
