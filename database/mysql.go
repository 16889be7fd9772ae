package database

import (
	"context"
	"crypto/tls"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"

	driverMySQL "github.com/go-sql-driver/mysql"
)

// mysql is a session with MySQL or MariaDB. There each statement about a user is made true at once, so that a change is prepared by asking for all that may be in its way.
type mysql struct {
	conn    driver.Conn
	as      *Credentials
	maria   bool
	version int // 8.0.14 is 80014
}

func loginMySQL(ctx context.Context, c *Credentials, conn net.Conn, secure *tls.Config) (session, error) {
	cfg := driverMySQL.NewConfig()
	cfg.User, cfg.Passwd, cfg.DBName, cfg.TLS = c.Username, c.Password, c.DBName, secure
	cfg.Net, cfg.Addr = "tcp", c.address()
	cfg.Logger, cfg.ConnectionAttributes = &driverMySQL.NopLogger{}, "program_name:holdfast"
	cfg.CheckConnLiveness = false
	cfg.DialFunc = func(context.Context, string, string) (net.Conn, error) { return conn, nil }
	connector, err := driverMySQL.NewConnector(cfg)
	if err != nil {
		return nil, unreachable(reason(ctx, err))
	}
	m := &mysql{as: c}
	if m.conn, err = connector.Connect(ctx); err != nil {
		return nil, mysqlError(ctx, err)
	}
	// Quotes as they are quoted below, whatever the server is configured to.
	if err := m.exec(ctx, "SET SESSION sql_mode = '', sql_quote_show_create = 1"); err != nil {
		m.close()
		return nil, err
	}
	rows, err := m.query(ctx, "SELECT VERSION()")
	if err != nil {
		m.close()
		return nil, err
	}
	if len(rows) > 0 {
		m.maria, m.version = strings.Contains(rows[0][0], "MariaDB"), versionOf(rows[0][0])
	}
	return m, nil
}

// versionOf reads 8.0.14-log as 80014.
func versionOf(text string) int {
	n := 0
	text, _, _ = strings.Cut(text, "-")
	parts := strings.SplitN(text, ".", 3)
	for i := range 3 {
		part := 0
		if i < len(parts) {
			part, _ = strconv.Atoi(parts[i]) // what is no number is none
		}
		n = n*100 + min(max(part, 0), 99)
	}
	return n
}

func (m *mysql) close() { _ = m.conn.Close() }

func (m *mysql) exec(ctx context.Context, statements ...string) error {
	for _, s := range statements {
		if _, err := m.conn.(driver.ExecerContext).ExecContext(ctx, s, nil); err != nil {
			return mysqlError(ctx, err)
		}
	}
	return nil
}

// query returns rows as text; NULL is "".
func (m *mysql) query(ctx context.Context, statement string) (all [][]string, err error) {
	rows, err := m.conn.(driver.QueryerContext).QueryContext(ctx, statement, nil)
	if err != nil {
		return nil, mysqlError(ctx, err)
	}
	defer func() { _ = rows.Close() }()
	values := make([]driver.Value, len(rows.Columns()))
	for {
		if err := rows.Next(values); err == io.EOF {
			return all, nil
		} else if err != nil {
			return nil, mysqlError(ctx, err)
		}
		row := make([]string, len(values))
		for i, v := range values {
			switch v := v.(type) {
			case nil:
			case []byte:
				row[i] = string(v)
			default:
				row[i] = fmt.Sprint(v)
			}
		}
		all = append(all, row)
	}
}

// account is a user at the hosts that it logs in from.
type account struct{ user, host string }

func (a account) String() string { return quoteText(a.user) + "@" + quoteText(a.host) }

// quoteText is a literal, for a session whose sql_mode is empty and whose character set is UTF-8.
func quoteText(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\x00", `\0`, "\n", `\n`, "\r", `\r`, "\x1a", `\Z`).Replace(text) + "'"
}

// self is the account that this session is logged in to.
func (m *mysql) self(ctx context.Context) (account, error) {
	rows, err := m.query(ctx, "SELECT CURRENT_USER()")
	if err != nil {
		return account{}, err
	}
	if len(rows) == 0 {
		return account{}, ErrUser
	}
	at := strings.LastIndexByte(rows[0][0], '@')
	if at < 0 {
		return account{}, ErrUser
	}
	return account{rows[0][0][:at], rows[0][0][at+1:]}, nil
}

// accounts are those with a user's name, at all hosts.
func (m *mysql) accounts(ctx context.Context, user string) ([]account, error) {
	if user == "" {
		return nil, ErrUser // anybody
	}
	roles := ""
	if m.maria {
		roles = " AND is_role = 'N'"
	}
	rows, err := m.query(ctx, "SELECT User, Host FROM mysql.user WHERE User = BINARY "+quoteText(user)+roles)
	if err != nil {
		return nil, err
	}
	out := make([]account, len(rows))
	for i, r := range rows {
		out[i] = account{r[0], r[1]}
	}
	return out, nil
}

// holders are the accounts whose passwords are changed for a user: one's own is the one that this session is logged in to.
func (m *mysql) holders(ctx context.Context, user string) ([]account, error) {
	if user == m.as.Username {
		self, err := m.self(ctx)
		return []account{self}, err
	}
	accounts, err := m.accounts(ctx, user)
	if err == nil && len(accounts) == 0 {
		err = ErrUser
	}
	return accounts, err
}

func (m *mysql) prepare(ctx context.Context, user, password string) (*prepared, error) {
	accounts, err := m.holders(ctx, user)
	if err != nil {
		return nil, err
	}
	c, err := m.change(ctx, accounts, user == m.as.Username, password)
	if err != nil {
		return nil, err
	}
	return &prepared{commit: func(ctx context.Context) error { return m.exec(ctx, c.statement) }, overlaps: c.overlaps}, nil
}

// change is a statement that gives accounts a password.
type change struct {
	statement string
	overlaps  bool
}

func (m *mysql) change(ctx context.Context, accounts []account, own bool, password string) (change, error) {
	if m.maria {
		return m.changeMariaDB(ctx, accounts, own, password)
	}
	return m.changeMySQL(ctx, accounts, own, password)
}

// changeMySQL has the server hash the password: it puts no password into its logs, and what it stores has a salt. From 8.0.14 on it keeps the password before beside the new one, if who
// changes it may do that.
func (m *mysql) changeMySQL(ctx context.Context, accounts []account, own bool, password string) (change, error) {
	rights, err := m.query(ctx, "SHOW GRANTS")
	if err != nil {
		return change{}, err
	}
	may := func(right string) bool {
		for _, r := range rights {
			if g, ok := parseGrant(r[0]); ok && g.everywhere() && g.has(right) {
				return true
			}
		}
		return false
	}
	overlaps := m.version >= 80014 && (may("CREATE USER") || own && may("APPLICATION_PASSWORD_ADMIN"))
	var parts []string
	for _, a := range accounts {
		part := a.String() + " IDENTIFIED "
		if own {
			part = "USER() IDENTIFIED "
		} else {
			plugin, err := m.pluginMySQL(ctx, a)
			if err != nil {
				return change{}, err
			}
			part += "WITH " + quoteText(plugin) + " "
		}
		part += "BY " + quoteText(password)
		if own && m.version >= 80013 {
			part += " REPLACE " + quoteText(m.as.Password)
		}
		if overlaps {
			part += " RETAIN CURRENT PASSWORD"
		}
		parts = append(parts, part)
	}
	return change{"ALTER USER " + strings.Join(parts, ", "), overlaps}, nil
}

// pluginMySQL is how an account logs in, if that is by a password.
func (m *mysql) pluginMySQL(ctx context.Context, a account) (string, error) {
	rows, err := m.query(ctx, "SELECT plugin FROM mysql.user WHERE User = BINARY "+quoteText(a.user)+" AND Host = "+quoteText(a.host))
	if err != nil {
		return "", err
	}
	if len(rows) == 1 {
		switch plugin := rows[0][0]; plugin {
		case "mysql_native_password", "sha256_password", "caching_sha2_password":
			return plugin, nil
		}
	}
	return "", ErrUser
}

func (m *mysql) settle(ctx context.Context, user, password string) error {
	accounts, err := m.holders(ctx, user)
	if err != nil {
		return err
	}
	if m.maria {
		return m.settleMariaDB(ctx, accounts, password)
	}
	if m.version < 80014 {
		return nil
	}
	if user == m.as.Username {
		return m.exec(ctx, "ALTER USER USER() DISCARD OLD PASSWORD")
	}
	var parts []string
	for _, a := range accounts {
		parts = append(parts, a.String()+" DISCARD OLD PASSWORD")
	}
	return m.exec(ctx, "ALTER USER "+strings.Join(parts, ", "))
}

// mysqlError sorts an error by its number: https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html and https://mariadb.com/kb/en/mariadb-error-codes/
func mysqlError(ctx context.Context, err error) error {
	my, ok := errors.AsType[*driverMySQL.MySQLError](err)
	if !ok {
		return unreachable(reason(ctx, err))
	}
	code := &codeError{"the server", strconv.Itoa(int(my.Number))}
	switch my.Number {
	case 1045, 1698, 3118, 3955, 4151, 1862: // access denied; account locked; password expired
		return fmt.Errorf("%w: %w", ErrRefused, code)
	case 1040, 1053, 1129, 1130, 1203, 1226, 2002, 2003, 2006, 2013, 3159, 4031: // too many connections; shutdown; host blocked or not allowed; limits; TLS required
		return fmt.Errorf("%w: %w", ErrUnreachable, code)
	case 1044, 1142, 1143, 1227, 1370, 1410: // no right
		return fmt.Errorf("%w: %w", ErrDenied, code)
	case 1819, 3638: // the password does not satisfy the policy
		return fmt.Errorf("%w: %w", ErrPassword, code)
	case 1133, 1396: // no such user
		return fmt.Errorf("%w: %w", ErrUser, code)
	}
	return code
}
