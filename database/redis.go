package database

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
)

// redis is a session with Redis from version 6 on, which has users, or Valkey. A user holds any number of passwords there.
type redis struct {
	resp *resp
	as   *Credentials
}

// defaultUser is whom connections belong to that name none. requirepass is its password.
const defaultUser = "default"

func loginRedis(ctx context.Context, c *Credentials, conn net.Conn, secure *tls.Config) (session, error) {
	if secure != nil {
		conn = tls.Client(conn, secure)
	}
	r := &redis{resp: &resp{conn: conn, in: bufio.NewReader(conn)}, as: c}
	if _, err := r.do(ctx, "AUTH", r.name(c.Username), c.Password); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *redis) close() { _ = r.resp.conn.Close() }

// do is a command.
func (r *redis) do(ctx context.Context, words ...string) (any, error) {
	answer, err := r.resp.do(ctx, words...)
	if err != nil {
		return nil, redisError(ctx, err)
	}
	return answer, nil
}

// name is a user's name; requirepass belongs to one that secrets need not name.
func (r *redis) name(user string) string { return cmp.Or(user, defaultUser) }

// passwords are what Redis stores of a user's; whether it lets the user in with any password is told beside.
func (r *redis) passwords(ctx context.Context, name string) (stored []string, open bool, err error) {
	answer, err := r.do(ctx, "ACL", "GETUSER", name)
	if err != nil {
		return nil, false, err
	}
	fields, ok := answer.([]any)
	if !ok {
		return nil, false, ErrUser
	}
	for i := 0; i+1 < len(fields); i += 2 {
		switch fields[i] {
		case "flags":
			open = slices.Contains(texts(fields[i+1]), "nopass")
		case "passwords":
			stored = texts(fields[i+1])
		}
	}
	return stored, open, nil
}

// texts are the strings of an array.
func texts(v any) (out []string) {
	all, _ := v.([]any)
	for _, one := range all {
		if s, ok := one.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// prepare does all of a change but changing anything: a user may be set to what it is, and what Redis keeps can be written.
func (r *redis) prepare(ctx context.Context, user, password string) (*prepared, error) {
	name := r.name(user)
	stored, open, err := r.passwords(ctx, name)
	if err != nil {
		return nil, err
	}
	if _, err := r.do(ctx, "ACL", "SETUSER", name); err != nil {
		return nil, err
	}
	if err := r.save(ctx); err != nil {
		return nil, err
	}
	keep := stored
	if own := redisVerifier(r.as.Password); name == r.name(r.as.Username) && slices.Contains(keep, own) {
		keep = []string{own} // others are left from changes that were not settled
	}
	before := prefixed(stored)
	if open {
		before = append(before, "nopass")
	}
	after := prefixed(append([]string{redisVerifier(password)}, keep...))
	return &prepared{
		overlaps: !open && len(keep) > 0,
		commit:   func(ctx context.Context) error { return r.set(ctx, name, before, after) },
	}, nil
}

// prefixed are stored passwords as rules.
func prefixed(stored []string) []string {
	out := make([]string, len(stored))
	for i, s := range stored {
		out[i] = "#" + s
	}
	return out
}

// set gives a user the passwords of rules and has Redis keep it, or takes it back: what Redis forgets when it starts anew is not changed.
func (r *redis) set(ctx context.Context, name string, before, after []string) error {
	if _, err := r.do(ctx, append([]string{"ACL", "SETUSER", name, "resetpass"}, after...)...); err != nil {
		return err
	}
	err := r.save(ctx)
	if err != nil {
		if _, again := r.do(ctx, append([]string{"ACL", "SETUSER", name, "resetpass"}, before...)...); again != nil {
			return again
		}
	}
	return err
}

// save has Redis keep its users: in the file that it has for them, else in its configuration. One that has neither forgets everything when it ends.
func (r *redis) save(ctx context.Context) error {
	_, err := r.resp.do(ctx, "ACL", "SAVE")
	if said, ok := errors.AsType[refusal](err); ok && strings.Contains(string(said), "not configured to use an ACL file") {
		_, err = r.resp.do(ctx, "CONFIG", "REWRITE")
		if said, ok := errors.AsType[refusal](err); ok && strings.Contains(string(said), "without a config file") {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("having Redis keep its users: %w", redisError(ctx, err))
	}
	return nil
}

func (r *redis) settle(ctx context.Context, user, password string) error {
	name := r.name(user)
	stored, _, err := r.passwords(ctx, name)
	if err != nil {
		return err
	}
	if err := r.set(ctx, name, prefixed(stored), []string{"#" + redisVerifier(password)}); err != nil || name != defaultUser {
		return err
	}
	return r.requirepass(ctx, password)
}

// requirepass keeps the configuration true for a server that has the password of the user default there. What it says otherwise is dead, but looks alive. Who may not see it leaves it.
func (r *redis) requirepass(ctx context.Context, password string) error {
	answer, err := r.do(ctx, "CONFIG", "GET", "requirepass")
	if set := texts(answer); err != nil || len(set) != 2 || set[1] == "" || set[1] == password {
		return nil //nolint:nilerr // see above
	}
	if _, err := r.do(ctx, "CONFIG", "SET", "requirepass", password); err != nil {
		return err
	}
	return r.save(ctx)
}

// clone makes a user with the rules of the other. One that exists must have the same.
func (r *redis) clone(ctx context.Context, from, to, password string) error {
	from, to = r.name(from), r.name(to)
	rules, err := r.rules(ctx, from)
	if err != nil {
		return err
	}
	if rules == nil {
		return ErrUser
	}
	existing, err := r.rules(ctx, to)
	if err != nil {
		return err
	}
	words := []string{"ACL", "SETUSER", to}
	switch {
	case existing == nil:
		words = append(append(words, "reset", "on"), rules...)
	case slices.Equal(existing, rules):
		words = append(words, "resetpass")
	default:
		return ErrClone
	}
	if _, err := r.do(ctx, append(words, "#"+redisVerifier(password))...); err != nil {
		return err
	}
	return r.save(ctx)
}

// rules are a user's, without its passwords and whether it is on; nil if there is no such user.
func (r *redis) rules(ctx context.Context, name string) ([]string, error) {
	answer, err := r.do(ctx, "ACL", "LIST")
	if err != nil {
		return nil, err
	}
	for _, line := range texts(answer) {
		if rest, ok := strings.CutPrefix(line, "user "+name+" "); ok {
			return parseRules(rest), nil
		}
	}
	return nil, nil
}

// parseRules splits the rules of a line of ACL LIST. Selectors, in parentheses, have blanks in them.
func parseRules(line string) []string {
	rules := []string{}
	open := false
	for word := range strings.FieldsSeq(line) {
		switch {
		case open:
			rules[len(rules)-1] += " " + word
		case word == "on" || word == "off" || word == "nopass" || word == "resetpass" || word[0] == '#':
			continue
		default:
			rules = append(rules, word)
		}
		if strings.HasPrefix(word, "(") {
			open = true
		}
		if open && strings.HasSuffix(word, ")") {
			open = false
		}
	}
	return rules
}

// redisError sorts an error by its first word.
func redisError(ctx context.Context, err error) error {
	said, ok := errors.AsType[refusal](err)
	if !ok {
		return unreachable(reason(ctx, err))
	}
	word, _, _ := strings.Cut(string(said), " ")
	if strings.Trim(word, upper) != "" {
		word = "that is none"
	}
	code := &codeError{"Redis", word}
	switch {
	case word == "WRONGPASS":
		return fmt.Errorf("%w: %w", ErrRefused, code)
	case word == "NOPERM":
		return fmt.Errorf("%w: %w", ErrDenied, code)
	case word == "LOADING", word == "MASTERDOWN", word == "DENIED", strings.Contains(string(said), "max number of clients"):
		return fmt.Errorf("%w: %w", ErrUnreachable, code)
	}
	return code
}
