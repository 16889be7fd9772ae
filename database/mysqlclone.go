package database

import (
	"context"
	"slices"
	"strings"
)

// clone gives the twin the same grants, at the same hosts, each time, so that what was granted to the one since it was made goes over to the other. A new twin is locked until it has all of them.
func (m *mysql) clone(ctx context.Context, from, to, password string) error {
	sources, err := m.accounts(ctx, from)
	if err != nil {
		return err
	}
	targets, err := m.accounts(ctx, to)
	if err != nil {
		return err
	}
	if len(sources) == 0 {
		return ErrUser
	}
	if len(targets) > 0 {
		return m.renew(ctx, sources, targets, password)
	}
	var twins []account
	for _, source := range sources {
		twin := account{to, source.host}
		if err := m.make(ctx, source, twin); err != nil {
			return err
		}
		twins = append(twins, twin)
	}
	return m.enter(ctx, sources[0], twins, password)
}

// make makes a locked twin of an account.
func (m *mysql) make(ctx context.Context, source, twin account) error {
	require, limits, err := m.conditions(ctx, source)
	if err != nil {
		return err
	}
	if err := m.exec(ctx, "CREATE USER "+twin.String()+require+limits+" ACCOUNT LOCK"); err != nil {
		return err
	}
	return m.grantAll(ctx, source, twin)
}

// conditions are what an account must fulfil, and its limits.
func (m *mysql) conditions(ctx context.Context, a account) (require, limits string, err error) {
	rows, err := m.query(ctx, "SELECT ssl_type, ssl_cipher, x509_issuer, x509_subject, max_questions, max_updates, max_connections, max_user_connections FROM mysql.user WHERE User = BINARY "+
		quoteText(a.user)+" AND Host = "+quoteText(a.host))
	if err != nil || len(rows) == 0 {
		return "", "", err
	}
	row := rows[0]
	switch row[0] {
	case "ANY":
		require = " REQUIRE SSL"
	case "X509":
		require = " REQUIRE X509"
	case "SPECIFIED":
		var parts []string
		for i, name := range []string{"CIPHER", "ISSUER", "SUBJECT"} {
			if row[i+1] != "" {
				parts = append(parts, name+" "+quoteText(row[i+1]))
			}
		}
		require = " REQUIRE " + strings.Join(parts, " AND ")
	}
	for i, name := range []string{"MAX_QUERIES_PER_HOUR", "MAX_UPDATES_PER_HOUR", "MAX_CONNECTIONS_PER_HOUR", "MAX_USER_CONNECTIONS"} {
		if n := row[i+4]; n != "" && n != "0" && strings.Trim(n, digits) == "" {
			limits += " " + name + " " + n
		}
	}
	if limits != "" {
		limits = " WITH" + limits
	}
	return require, limits, nil
}

// grants are an account's.
func (m *mysql) grants(ctx context.Context, a account) ([]grant, error) {
	rows, err := m.query(ctx, "SHOW GRANTS FOR "+a.String())
	if err != nil {
		return nil, err
	}
	var out []grant
	for _, row := range rows {
		if g, ok := parseGrant(row[0]); ok {
			out = append(out, g)
		}
	}
	return out, nil
}

// grantAll gives an account what another one has.
func (m *mysql) grantAll(ctx context.Context, source, twin account) error {
	grants, err := m.grants(ctx, source)
	if err != nil {
		return err
	}
	for _, g := range grants {
		if err := m.exec(ctx, g.to(twin.String())); err != nil {
			return err
		}
	}
	if m.maria {
		return nil // a line of the grants tells the default role
	}
	rows, err := m.query(ctx, "SELECT DEFAULT_ROLE_USER, DEFAULT_ROLE_HOST FROM mysql.default_roles WHERE USER = BINARY "+quoteText(source.user)+" AND HOST = "+quoteText(source.host))
	if err != nil || len(rows) == 0 {
		return nil //nolint:nilerr // before 8.0 there are no roles
	}
	var roles []string
	for _, row := range rows {
		roles = append(roles, account{row[0], row[1]}.String())
	}
	return m.exec(ctx, "ALTER USER "+twin.String()+" DEFAULT ROLE "+strings.Join(roles, ", "))
}

// renew gives existing twins the password. One that may do on all databases what none of the others may is not a twin.
func (m *mysql) renew(ctx context.Context, sources, targets []account, password string) error {
	var may []grant
	for _, source := range sources {
		grants, err := m.grants(ctx, source)
		if err != nil {
			return err
		}
		may = append(may, grants...)
	}
	for _, target := range targets {
		grants, err := m.grants(ctx, target)
		if err != nil {
			return err
		}
		for _, g := range grants {
			if !within(g, may) {
				return ErrClone
			}
		}
	}
	for _, source := range sources {
		for _, target := range targets {
			if target.host == source.host {
				if err := m.grantAll(ctx, source, target); err != nil {
					return err
				}
			}
		}
	}
	return m.enter(ctx, sources[0], targets, password)
}

// within reports whether what is granted on all databases is so among other grants.
func within(g grant, among []grant) bool {
	if !g.everywhere() {
		return true
	}
	for privilege := range strings.SplitSeq(strings.TrimPrefix(strings.TrimSuffix(g.what, " ON *.*"), "GRANT "), ",") {
		privilege = strings.TrimSpace(privilege)
		found := privilege == "USAGE"
		for _, other := range among {
			found = found || other.everywhere() && other.has(privilege) && (g.option == "" || other.option != "")
		}
		if !found {
			return false
		}
	}
	return true
}

// enter gives twins their password, stored the way that the source's is. Those that were locked when they were made, and had none yet, are let in; others that are locked, are so by
// somebody's will.
func (m *mysql) enter(ctx context.Context, source account, twins []account, password string) error {
	identified, err := m.identified(ctx, source, password)
	if err != nil {
		return err
	}
	for _, twin := range twins {
		rows, err := m.query(ctx, "SELECT 1 FROM mysql.user WHERE User = BINARY "+quoteText(twin.user)+" AND Host = "+quoteText(twin.host)+" AND COALESCE(authentication_string, '') = ''")
		if err != nil {
			return err
		}
		statement := "ALTER USER " + twin.String() + " " + identified
		if len(rows) > 0 {
			statement += " ACCOUNT UNLOCK"
		}
		if err := m.exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// identified is how an account like the source logs in.
func (m *mysql) identified(ctx context.Context, source account, password string) (string, error) {
	if !m.maria {
		plugin, err := m.pluginMySQL(ctx, source)
		return "IDENTIFIED WITH " + quoteText(plugin) + " BY " + quoteText(password), err
	}
	methods, err := m.methods(ctx, source)
	if err != nil {
		return "", err
	}
	methods = slices.DeleteFunc(methods, func(one method) bool { return !one.password() }) // unix_socket is for one name of the system
	return m.identify(ctx, methods, method{}, password)
}
