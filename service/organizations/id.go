package organizations

import (
	"fmt"
	"io"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/organization"
)

const (
	lowerAlnum = "0123456789abcdefghijklmnopqrstuvwxyz"
	digits     = "0123456789"
)

// random returns n characters of an alphabet, each as likely as the other.
func random(c *call.Call, alphabet string, n int) (string, error) {
	fair := byte(256 / len(alphabet) * len(alphabet)) // 252 of 36, 250 of 10
	out := make([]byte, 0, n)
	var b [32]byte
	for len(out) < n {
		if _, err := io.ReadFull(c.Rand, b[:]); err != nil {
			return "", fmt.Errorf("making an ID: %w", err)
		}
		for _, x := range b {
			if x < fair && len(out) < n {
				out = append(out, alphabet[int(x)%len(alphabet)])
			}
		}
	}
	return string(out), nil
}

// newID returns an ID such as p-abcdefgh12.
func newID(c *call.Call, prefix string, n int) (string, error) {
	s, err := random(c, lowerAlnum, n)
	return prefix + s, err
}

// newAccountID returns twelve digits that no account known here has.
func newAccountID(c *call.Call) (string, error) {
	for {
		id, err := random(c, digits, 12)
		if err != nil {
			return "", err
		}
		if id[0] == '0' {
			continue // tools take such a number for one that has lost a digit
		}
		if _, err := organization.Profiles.In("", "").Get(c.Tx(), id); err == nil {
			continue
		} else if !missing(err) {
			return "", err
		}
		if _, err := organization.Of(c.Tx(), id); err == nil {
			continue
		} else if !missing(err) {
			return "", err
		}
		return id, nil
	}
}
