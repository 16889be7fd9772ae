package database

import (
	"context"
	"strings"
)

// clone makes a role that is a member of the other one, and acts as it from the login on: so it may do the same, and what the one creates belongs to the other as well.
func (p *postgres) clone(ctx context.Context, from, to, password string) error {
	if err := p.begin(ctx); err != nil {
		return err
	}
	source, err := p.role(ctx, from)
	if err != nil {
		return err
	}
	target, err := p.role(ctx, to)
	if err != nil {
		return err
	}
	if !source.exists || to == "" || len(to) > maxRole || strings.ContainsRune(to, 0) {
		return ErrUser
	}
	if target.exists {
		err = p.mayBeTwin(ctx, from, to, source, target)
	} else {
		err = p.exec(ctx, "CREATE ROLE "+quoteRole(to)+" LOGIN CONNECTION LIMIT "+source.limit)
	}
	if err != nil {
		return err
	}
	if err := p.setPassword(ctx, "ALTER ROLE "+quoteRole(to), to, password); err != nil {
		return err
	}
	if !target.exists {
		if err := p.exec(ctx, "GRANT "+quoteRole(from)+" TO "+quoteRole(to)); err != nil {
			return err
		}
		if err := p.copySettings(ctx, from, to); err != nil {
			return err
		}
	}
	return p.commit(ctx)
}

// mayBeTwin refuses an existing role whose password would give more than the other's. A member of the other must be a member of nothing that the other is not, and have no attributes that it
// lacks; a role that the other is a member of gives nothing new.
func (p *postgres) mayBeTwin(ctx context.Context, from, to string, source, target role) error {
	const member = `SELECT 1 FROM pg_catalog.pg_auth_members m, pg_catalog.pg_roles r, pg_catalog.pg_roles u WHERE m.roleid = r.oid AND m.member = u.oid AND r.rolname::text = $1 AND u.rolname::text = $2`
	reverse, err := p.query(ctx, member, to, from)
	if err != nil {
		return err
	}
	if len(reverse) > 0 {
		return nil
	}
	direct, err := p.query(ctx, member, from, to)
	if err != nil {
		return err
	}
	more, err := p.query(ctx, `SELECT r.rolname FROM pg_catalog.pg_auth_members m, pg_catalog.pg_roles r, pg_catalog.pg_roles u
		WHERE m.roleid = r.oid AND m.member = u.oid AND u.rolname::text = $2 AND NOT pg_catalog.pg_has_role((SELECT oid FROM pg_catalog.pg_roles WHERE rolname::text = $1), r.oid, 'MEMBER')`, from, to)
	if err != nil {
		return err
	}
	if len(direct) == 0 || len(more) > 0 || target.special && !source.special {
		return ErrClone
	}
	return nil
}

// copySettings gives a role the settings of the other, such as its search_path, and has it act as the other. The values are set first and then taken from the session: as text they are quoted
// in a way of their own.
func (p *postgres) copySettings(ctx context.Context, from, to string) error {
	rows, err := p.query(ctx, `SELECT coalesce(d.datname, ''), split_part(c, '=', 1), substr(c, strpos(c, '=') + 1)
		FROM pg_catalog.pg_db_role_setting s JOIN pg_catalog.pg_roles r ON r.oid = s.setrole LEFT JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase, unnest(s.setconfig) c
		WHERE r.rolname::text = $1 AND split_part(c, '=', 1) NOT IN ('role', 'session_authorization')`, from)
	if err != nil {
		return err
	}
	for _, row := range rows {
		database, name, value := row[0], row[1], row[2]
		if _, err := p.query(ctx, `SELECT pg_catalog.set_config($1, $2, true)`, name, value); err != nil {
			return err
		}
		statement := "ALTER ROLE " + quoteRole(to)
		if database != "" {
			statement += " IN DATABASE " + quoteRole(database)
		}
		if err := p.exec(ctx, statement+" SET "+quoteRole(name)+" FROM CURRENT", "SET LOCAL "+quoteRole(name)+" TO DEFAULT", "SET LOCAL search_path = pg_catalog"); err != nil {
			return err
		}
	}
	return p.exec(ctx, "ALTER ROLE "+quoteRole(to)+" SET role TO "+quoteRole(from))
}
