package database

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

const (
	lower  = "abcdefghijklmnopqrstuvwxyz"
	upper  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits = "0123456789"
)

// rule is what passwords of an engine are made of beside letters and digits, of each of which they have one at least.
type rule struct {
	length  int
	symbols string
}

// ruleOf is an engine's rule. The symbols are none that a URL, a connection string or a shell gives a meaning; 32 characters are what MySQL's replication takes, more than 190 bits, and
// more than validation plugins ask for. ElastiCache allows a hyphen and no other of the symbols.
func ruleOf(e Engine) (rule, bool) {
	switch e {
	case PostgreSQL, MySQL, MariaDB:
		return rule{32, "-_.~+"}, true
	case Redis:
		return rule{64, "-"}, true
	}
	return rule{}, false
}

// NewPassword makes a password that the engine takes, of the names that EngineOf knows.
func NewPassword(rand io.Reader, engine string) (string, error) {
	r, ok := ruleOf(EngineOf(engine))
	if !ok {
		return "", invalid("engine")
	}
	alphabet := lower + upper + digits + r.symbols
	out := make([]byte, r.length)
	for {
		if err := draw(rand, alphabet, out); err != nil {
			return "", fmt.Errorf("drawing a password: %w", err)
		}
		// One that lacks a kind is drawn anew as a whole, so that all that remain are equally likely.
		if bytes.ContainsAny(out, lower) && bytes.ContainsAny(out, upper) && bytes.ContainsAny(out, digits) && bytes.ContainsAny(out, r.symbols) && !strings.Contains(r.symbols, string(out[:1])) {
			return string(out), nil
		}
	}
}

// draw fills out with characters of an alphabet of at most 256, each as likely as the others.
func draw(rand io.Reader, alphabet string, out []byte) error {
	fair := 256 - 256%len(alphabet)
	var random [64]byte
	for n := 0; n < len(out); {
		if _, err := io.ReadFull(rand, random[:]); err != nil {
			return err
		}
		for _, b := range random {
			if int(b) < fair && n < len(out) {
				out[n] = alphabet[int(b)%len(alphabet)]
				n++
			}
		}
	}
	return nil
}
