package verify

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// PublicKeys are those of trails, by fingerprint. More than one may have the same: regions know nothing of each other.
type PublicKeys map[string][]PublicKey

// A PublicKey checks the signatures of digests.
type PublicKey struct {
	Key        *rsa.PublicKey
	Start, End time.Time // it signs digests that end in this time; zero where that is not known
}

// ErrNoKeys says that a file has no public keys in it.
var ErrNoKeys = errors.New("no public keys")

// maxKeysFile bounds a file of public keys.
const maxKeysFile = 64 << 20

// ReadPublicKeys reads what ListPublicKeys answers, as aws cloudtrail list-public-keys prints it. Answers of several regions may stand one behind the other.
func ReadPublicKeys(r io.Reader) (PublicKeys, error) {
	keys := PublicKeys{}
	for d := json.NewDecoder(io.LimitReader(r, maxKeysFile)); ; {
		var answer struct {
			PublicKeyList []struct {
				Value, Fingerprint                 string
				ValidityStartTime, ValidityEndTime stamp
			}
		}
		err := d.Decode(&answer)
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("reading public keys: %w", err)
		}
		for _, k := range answer.PublicKeyList {
			der, err := base64.StdEncoding.DecodeString(k.Value)
			if err != nil {
				return nil, fmt.Errorf("reading the public key %s: %w", k.Fingerprint, err)
			}
			public, err := x509.ParsePKCS1PublicKey(der)
			if err != nil {
				return nil, fmt.Errorf("reading the public key %s: %w", k.Fingerprint, err)
			}
			keys[k.Fingerprint] = append(keys[k.Fingerprint], PublicKey{public, k.ValidityStartTime.Time, k.ValidityEndTime.Time})
		}
	}
	if len(keys) == 0 {
		return nil, ErrNoKeys
	}
	return keys, nil
}

// stamp is a time as text, or in seconds since 1970: the CLI prints either.
type stamp struct{ time.Time }

func (s *stamp) UnmarshalJSON(b []byte) error {
	if text := strings.Trim(string(b), `"`); len(text) < len(b) {
		t, err := time.Parse(time.RFC3339, text)
		s.Time = t
		return err
	}
	var seconds float64
	if err := json.Unmarshal(b, &seconds); err != nil {
		return err
	}
	if seconds < 0 || seconds > 1<<40 {
		return fmt.Errorf("%v is no time", seconds)
	}
	s.Time = time.UnixMilli(int64(seconds * 1000)).UTC()
	return nil
}
