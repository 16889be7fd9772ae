package secretsmanager

import (
	"fmt"
	"io"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/secretsmanager"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
)

// The types of characters of passwords.
const (
	lowercase   = "abcdefghijklmnopqrstuvwxyz"
	uppercase   = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits      = "0123456789"
	punctuation = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"

	defaultPasswordLength = 32
)

// GetRandomPassword draws a password. Nothing of it is kept.
func (s *Service) GetRandomPassword(c *call.Call, in *secretsmanager.GetRandomPasswordRequest) (*secretsmanager.GetRandomPasswordResponse, error) {
	if err := c.Authorize(&call.Resource{ARN: "*"}); err != nil {
		return nil, err
	}
	text, err := password(c.Rand, in)
	if err != nil {
		return nil, err
	}
	return &secretsmanager.GetRandomPasswordResponse{RandomPassword: &text}, nil
}

func password(rand io.Reader, in *secretsmanager.GetRandomPasswordRequest) (string, error) {
	length := defaultPasswordLength
	if in.PasswordLength != nil {
		length = int(*in.PasswordLength)
	}
	var types []string
	for _, t := range []struct {
		chars string
		left  bool // out
	}{
		{lowercase, optional.Value(in.ExcludeLowercase)}, {uppercase, optional.Value(in.ExcludeUppercase)}, {digits, optional.Value(in.ExcludeNumbers)}, {punctuation, optional.Value(in.ExcludePunctuation)},
		{" ", !optional.Value(in.IncludeSpace)},
	} {
		if t.left {
			continue
		}
		chars := strings.Map(func(r rune) rune {
			if strings.ContainsRune(optional.Value(in.ExcludeCharacters), r) {
				return -1
			}
			return r
		}, t.chars)
		if chars != "" {
			types = append(types, chars)
		}
	}
	if len(types) == 0 {
		return "", invalidParameter("At least one character type must be included in the password.")
	}
	all := strings.Join(types, "")
	out := make([]byte, 0, length)
	if in.RequireEachIncludedType == nil || *in.RequireEachIncludedType {
		if length < len(types) {
			return "", invalidParameter("Password length %d is too short based on the required types.", length)
		}
		for _, chars := range types {
			var err error
			if out, err = draw(rand, out, chars); err != nil {
				return "", err
			}
		}
	}
	for len(out) < length {
		var err error
		if out, err = draw(rand, out, all); err != nil {
			return "", err
		}
	}
	for i := len(out) - 1; i > 0; i-- { // so that where the required ones stand tells nothing
		j, err := below(rand, i+1)
		if err != nil {
			return "", err
		}
		out[i], out[j] = out[j], out[i]
	}
	return string(out), nil
}

func draw(rand io.Reader, out []byte, chars string) ([]byte, error) {
	i, err := below(rand, len(chars))
	if err != nil {
		return nil, err
	}
	return append(out, chars[i]), nil
}

// below draws a number below n, each as likely as any other: what would favour the low ones is drawn again. n is at most 65536.
func below(rand io.Reader, n int) (int, error) {
	limit := 1 << 16 / n * n
	var b [2]byte
	for {
		if _, err := io.ReadFull(rand, b[:]); err != nil {
			return 0, fmt.Errorf("drawing at random: %w", err)
		}
		if v := int(b[0])<<8 | int(b[1]); v < limit {
			return v % n, nil
		}
	}
}
