package database_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/holdfast-cloud/holdfast/database"
	"github.com/holdfast-cloud/holdfast/internal/dbtest"
)

func TestLogin(t *testing.T) {
	engines(t, func(t *testing.T, s target) {
		d := dialer(t)
		ann := s.user(t, "ann", "first")
		for name, tt := range map[string]struct {
			c    *database.Credentials
			want error
		}{
			"OK":            {ann, nil},
			"Superuser":     {s.super(), nil},
			"WrongPassword": {ann.With("ann", "second"), database.ErrRefused},
			"NoSuchUser":    {ann.With("nobody at all", "first"), database.ErrRefused},
		} {
			t.Run(name, func(t *testing.T) {
				if err := d.Login(t.Context(), tt.c); !errors.Is(err, tt.want) {
					t.Errorf("Login: %v, want %v", err, tt.want)
				}
			})
		}
	})
}

// A user changes its own password: nothing has changed before the commit, and the old password goes when the change is settled, if not at once.
func TestChangeOwn(t *testing.T) {
	engines(t, func(t *testing.T, s target) {
		d := dialer(t)
		ann := s.user(t, "ann", "first")
		ch, err := d.Change(t.Context(), ann, "ann", "second")
		if err != nil {
			t.Fatal(err)
		}
		s.in(t, "ann", "first")
		s.out(t, "ann", "second")
		if err := ch.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.in(t, "ann", "second")
		if ch.Overlaps() {
			s.in(t, "ann", "first")
		} else {
			s.out(t, "ann", "first")
		}
		if want := s.engine == database.Redis; ch.Overlaps() != want { // the others want rights that ann has not
			t.Errorf("Overlaps: %v, want %v", ch.Overlaps(), want)
		}
		if err := d.Settle(t.Context(), ann.With("ann", "second"), "ann", "second"); err != nil {
			t.Fatal(err)
		}
		s.in(t, "ann", "second")
		s.out(t, "ann", "first")
		if err := ch.Commit(t.Context()); err == nil {
			t.Error("a change was committed twice")
		}
	})
}

func TestChangeTakenBack(t *testing.T) {
	engines(t, func(t *testing.T, s target) {
		ann := s.user(t, "ann", "first")
		for _, as := range []*database.Credentials{ann, s.super()} {
			ch, err := dialer(t).Change(t.Context(), as, "ann", "second")
			if err != nil {
				t.Fatal(err)
			}
			ch.Close()
			ch.Close()
			s.in(t, "ann", "first")
			s.out(t, "ann", "second")
		}
	})
}

// A superuser changes another's password, which overlaps where the engine can do that; a change that was not settled does not stand in the next one's way.
func TestChangeOther(t *testing.T) {
	engines(t, func(t *testing.T, s target) {
		d := dialer(t)
		s.user(t, "ann", "p0")
		before := "p0"
		for _, next := range []string{"p1", "p2", "p3"} {
			overlaps := change(t, d, s.super(), "ann", next)
			if want := s.engine != database.PostgreSQL; overlaps != want {
				t.Fatalf("Overlaps: %v, want %v", overlaps, want)
			}
			s.in(t, "ann", next)
			if overlaps {
				s.in(t, "ann", before)
			} else {
				s.out(t, "ann", before)
			}
			before = next
		}
		if err := d.Settle(t.Context(), s.super(), "ann", "p3"); err != nil {
			t.Fatal(err)
		}
		s.in(t, "ann", "p3")
		for _, p := range []string{"p0", "p1", "p2"} {
			s.out(t, "ann", p)
		}
		if err := d.Settle(t.Context(), s.super(), "ann", "p3"); err != nil {
			t.Errorf("settling again: %v", err)
		}
		s.in(t, "ann", "p3")
	})
}

func TestChangeRefused(t *testing.T) {
	engines(t, func(t *testing.T, s target) {
		d := dialer(t)
		ann := s.user(t, "ann", "first")
		s.user(t, "bob", "his")
		if s.engine == database.Redis {
			if err := redisDo(t, s.Server, "default", dbtest.Password, "ACL", "SETUSER", "ann", "-acl"); err != nil {
				t.Fatal(err)
			}
		}
		for name, tt := range map[string]struct {
			as   *database.Credentials
			user string
			want error
		}{
			"WrongPassword": {ann.With("ann", "wrong"), "ann", database.ErrRefused},
			"Denied":        {ann, "bob", database.ErrDenied},
			"NoSuchUser":    {s.super(), "carol", database.ErrUser},
			"NoName":        {s.super(), strings.Repeat("x", 300), database.ErrUser},
		} {
			t.Run(name, func(t *testing.T) {
				ch, err := d.Change(t.Context(), tt.as, tt.user, "second")
				if !errors.Is(err, tt.want) {
					t.Errorf("Change: %v, want %v", err, tt.want)
				}
				if err == nil {
					ch.Close()
				}
			})
		}
		s.in(t, "ann", "first")
		s.in(t, "bob", "his")
	})
}

// Names and passwords have anything in them, and end up neither in an error nor in the server's log.
func TestHostile(t *testing.T) {
	names := []string{`ann"; DROP TABLE x; --`, `ann' OR '1'='1`, "ann`x`", `ann\`, `ann\' x`, "ann\nx", "änn", "ann@%", "$1", "%s", `{}`, "ann x"}
	password := func(i int, s string) string { return string(rune('A'+i)) + s + `'"` + "`" + `\;--$$ %s ü☃` }
	engines(t, func(t *testing.T, s target) {
		d := dialer(t)
		for i, name := range names {
			if s.engine == database.Redis && strings.ContainsAny(name, " \n") {
				continue // no user is called that
			}
			ann := s.user(t, name, password(i, "old"))
			from := len(s.Log())
			change(t, d, ann, name, password(i, "s3cr3t own"))
			s.in(t, name, password(i, "s3cr3t own"))
			change(t, d, s.super(), name, password(i, "s3cr3t new"))
			if err := d.Settle(t.Context(), s.super(), name, password(i, "s3cr3t new")); err != nil {
				t.Fatal(err)
			}
			s.in(t, name, password(i, "s3cr3t new"))
			s.out(t, name, password(i, "s3cr3t own"))
			s.out(t, name, password(i, "old"))
			if log := s.Log()[from:]; strings.Contains(log, "s3cr3t") {
				t.Errorf("the server's log has a password: %s", log)
			}
			err := d.Login(t.Context(), ann)
			if !errors.Is(err, database.ErrRefused) || strings.Contains(err.Error(), "s3cr3t") {
				t.Errorf("logging in with the old password: %v", err)
			}
			if _, err := d.Change(t.Context(), s.super(), name+"no such user", password(i, "s3cr3t new")); err == nil || strings.Contains(err.Error(), "s3cr3t") {
				t.Errorf("changing the password of nobody: %v", err)
			}
		}
	})
}
