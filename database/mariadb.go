package database

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
)

// method is one of the ways in which an account of MariaDB logs in; any of them does.
type method struct {
	Plugin string `json:"plugin"`
	Stored string `json:"authentication_string"`
}

// The plugins that check a password which MariaDB stores a form of.
const (
	native  = "mysql_native_password"
	old     = "mysql_old_password"
	ed25519 = "ed25519"
	parsec  = "parsec"
)

func (m method) password() bool {
	switch m.Plugin {
	case native, old, ed25519, parsec, "":
		return true
	}
	return false
}

// String is the method as SQL.
func (m method) String() string {
	if m.Stored == "" && !m.password() {
		return m.Plugin
	}
	return m.Plugin + " USING " + quoteText(m.Stored)
}

// methodFor is how a password is stored from now on. What has a salt, or whose password the server wants to see, it hashes itself.
func (m *mysql) methodFor(ctx context.Context, plugin, password string) (text string, err error) {
	see, err := m.wantsPasswords(ctx)
	if err != nil {
		return "", err
	}
	stored := ""
	switch plugin {
	case ed25519:
		stored, err = ed25519Verifier(password)
	case parsec:
		see = true
	default: // what mysql_old_password stores is no protection
		plugin, stored = native, nativeVerifier(password)
	}
	if see {
		return plugin + " USING PASSWORD(" + quoteText(password) + ")", nil
	}
	return method{plugin, stored}.String(), err
}

// wantsPasswords reports whether the server checks new passwords and takes no hashes, which it cannot check.
func (m *mysql) wantsPasswords(ctx context.Context) (bool, error) {
	rows, err := m.query(ctx, "SELECT @@strict_password_validation AND EXISTS (SELECT 1 FROM information_schema.plugins WHERE plugin_type = 'PASSWORD VALIDATION' AND plugin_status = 'ACTIVE')")
	return err == nil && len(rows) == 1 && rows[0][0] == "1", err
}

// methods are an account's, in order.
func (m *mysql) methods(ctx context.Context, a account) ([]method, error) {
	rows, err := m.query(ctx, "SELECT Priv FROM mysql.global_priv WHERE User = BINARY "+quoteText(a.user)+" AND Host = "+quoteText(a.host))
	if err != nil {
		return nil, err
	}
	if len(rows) != 1 {
		return nil, ErrUser
	}
	return parseMethods(rows[0][0])
}

// parseMethods reads them from the JSON that MariaDB keeps of an account: one method, or several in "auth_or", where an empty one stands for the one outside.
func parseMethods(text string) ([]method, error) {
	var stored struct {
		method
		Or []method `json:"auth_or"`
	}
	if err := json.Unmarshal([]byte(text), &stored); err != nil {
		return nil, ErrUser
	}
	if len(stored.Or) == 0 {
		return []method{stored.method}, nil
	}
	for i, one := range stored.Or {
		if one == (method{}) {
			stored.Or[i] = stored.method
		}
	}
	return stored.Or, nil
}

// mayAlter reports whether this session may alter users: the server says so before it says that there is no such user.
func (m *mysql) mayAlter(ctx context.Context) bool {
	return m.exec(ctx, "ALTER USER IF EXISTS 'holdfast no such user'@'invalid.' ACCOUNT UNLOCK") == nil
}

// changeMariaDB keeps the password before beside the new one where that works for clients of all kinds: for mysql_native_password, which every client begins with, so that it has to change its
// method once at most.
func (m *mysql) changeMariaDB(ctx context.Context, accounts []account, own bool, password string) (change, error) {
	if own && !m.mayAlter(ctx) {
		return m.changeOwnMariaDB(ctx, accounts[0], password)
	}
	out := change{overlaps: true}
	var parts []string
	for _, a := range accounts {
		methods, err := m.methods(ctx, a)
		if err != nil {
			return change{}, err
		}
		before := m.before(methods, own)
		part, err := m.identify(ctx, methods, before, password)
		if err != nil {
			return change{}, err
		}
		parts = append(parts, a.String()+" "+part)
		out.overlaps = out.overlaps && before != (method{})
	}
	out.statement = "ALTER USER " + strings.Join(parts, ", ")
	return out, nil
}

// identify is how an account logs in with a new password. Methods that are no passwords stay, and the password before if there is one to stay.
func (m *mysql) identify(ctx context.Context, methods []method, before method, password string) (string, error) {
	var all []string
	plugin, found := "", false
	for _, one := range methods {
		if !one.password() {
			all = append(all, one.String())
		} else if !found {
			plugin, found = one.Plugin, true
		}
	}
	if !found {
		return "", ErrUser
	}
	fresh, err := m.methodFor(ctx, plugin, password)
	if err != nil {
		return "", err
	}
	if before != (method{}) {
		all = append([]string{before.String()}, all...)
	}
	return "IDENTIFIED VIA " + strings.Join(append([]string{fresh}, all...), " OR "), nil
}

// before is the password that stays beside a new one: one's own is the one that this session was let in with, of another user it is the newest. Empty is that none does.
func (m *mysql) before(methods []method, own bool) method {
	var found method
	for _, one := range methods {
		switch {
		case !one.password():
			return method{} // clients may have to change their method more than once
		case found == (method{}) && one.Plugin == native && one.Stored != "" && (!own || one.Stored == nativeVerifier(m.as.Password)):
			found = one
		}
	}
	return found
}

// changeOwnMariaDB is for users who may do nothing but set their own password. The plugin shows in what they may see of themselves.
func (m *mysql) changeOwnMariaDB(ctx context.Context, self account, password string) (change, error) {
	rows, err := m.query(ctx, "SHOW CREATE USER CURRENT_USER()")
	if err != nil {
		return change{}, err
	}
	see, err := m.wantsPasswords(ctx)
	if err != nil {
		return change{}, err
	}
	stored := nativeVerifier(password)
	if len(rows) > 0 {
		switch words := unquoted(rows[0][0]); {
		case strings.Contains(words, " VIA ed25519"):
			if stored, err = ed25519Verifier(password); err != nil {
				return change{}, err
			}
		case strings.Contains(words, " VIA "+native), !strings.Contains(words, " VIA "):
		default:
			see = true
		}
	}
	if see {
		return change{statement: "SET PASSWORD = PASSWORD(" + quoteText(password) + ")"}, nil
	}
	return change{statement: "SET PASSWORD = " + quoteText(stored)}, nil
}

// settleMariaDB takes the other passwords from accounts that have several.
func (m *mysql) settleMariaDB(ctx context.Context, accounts []account, password string) error {
	if !m.mayAlter(ctx) {
		return nil // then there was no overlap
	}
	for _, a := range accounts {
		methods, err := m.methods(ctx, a)
		if err != nil {
			return err
		}
		if len(methods) < 2 || slices.ContainsFunc(methods, func(one method) bool { return !one.password() }) {
			continue
		}
		fresh, err := m.methodFor(ctx, native, password)
		if err != nil {
			return err
		}
		if err := m.exec(ctx, "ALTER USER "+a.String()+" IDENTIFIED VIA "+fresh); err != nil {
			return err
		}
	}
	return nil
}
