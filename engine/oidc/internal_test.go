package oidc

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-cloud/holdfast/outbound"
)

func TestMayDial(t *testing.T) {
	house := Config{Allow: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("::1/128")}}
	dev := Config{PlainLoopback: true}
	for _, test := range []struct {
		address string
		config  Config
		secure  bool
		want    bool
	}{
		{"93.184.216.34:443", Config{}, true, true},
		{"[2606:2800:220:1:248:1893:25c8:1946]:443", Config{}, true, true},
		{"93.184.216.34:80", Config{}, false, false},
		{"93.184.216.34:80", dev, false, false},
		{"127.0.0.1:80", dev, false, true},
		{"127.0.0.1:443", dev, true, false},
		{"127.0.0.1:80", Config{}, false, false},
		{"127.0.0.1:443", Config{}, true, false},
		{"[::1]:443", house, true, true},
		{"10.1.2.3:443", house, true, true},
		{"10.1.2.3:80", house, false, false},
		{"10.2.2.3:443", house, true, false},
		{"[::ffff:10.1.2.3]:443", house, true, true},
		{"[::ffff:169.254.169.254]:443", Config{}, true, false},
		{"[64:ff9b::a9fe:a9fe]:443", Config{}, true, false},
		{"[2002:a9fe:a9fe::1]:443", Config{}, true, false},
		{"169.254.169.254:443", Config{}, true, false},
		{"192.168.1.1:443", Config{}, true, false},
		{"172.16.0.1:443", Config{}, true, false},
		{"100.64.0.1:443", Config{}, true, false},
		{"0.0.0.0:443", Config{}, true, false},
		{"224.0.0.1:443", Config{}, true, false},
		{"255.255.255.255:443", Config{}, true, false},
		{"[fe80::1%eth0]:443", Config{}, true, false},
		{"[fd00:ec2::254]:443", Config{}, true, false},
		{"[ff02::1]:443", Config{}, true, false},
		{"[::]:443", Config{}, true, false},
		{"example.com:443", Config{}, true, false},
	} {
		err := test.config.mayDial(test.secure, test.address)
		if (err == nil) != test.want || err != nil && !errors.Is(err, outbound.ErrAddress) {
			t.Errorf("mayDial(%v, %s): %v, want success %v", test.secure, test.address, err, test.want)
		}
	}
}

// A key set with every sort of key: RSA, EC, for encryption, symmetric, too small, broken, with a broken certificate.
const keySet = `{"keys":[
	{"kty":"EC","kid":"good","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","x5c":["AAAA"]},
	{"kty":"EC","kid":"off-curve","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"},
	{"kty":"EC","kid":"enc","use":"enc","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},
	{"kty":"oct","kid":"secret","k":"AAAA"},
	{"kty":"RSA","kid":"small","n":"sXchDaQebHnPiGvyDOAT4saGEUetSyo9MKLOoWFsueri23bOdgWp4Dy1WlUzewbgBHod5pcM9H95GQRV3JDXbo","e":"AQAB"},
	{"kty":"RSA","kid":"empty"},
	{"kty":"OKP","kid":"okp","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
	{"kid":"nothing"}, 5, null]}`

func TestParseKeys(t *testing.T) {
	t.Run("SkipsWhatSignsNoTokens", func(t *testing.T) {
		keys, err := parseKeys([]byte(keySet))
		if err != nil || len(keys) != 1 || keys[0].id != "good" {
			t.Errorf("parseKeys = %+v, %v, want the key called good", keys, err)
		}
	})
	t.Run("LongKeyID", func(t *testing.T) {
		long := strings.Replace(keySet, `"good"`, `"`+strings.Repeat("x", maxKeyID+1)+`"`, 1)
		if keys, err := parseKeys([]byte(long)); !errors.Is(err, errKeySet) {
			t.Errorf("parseKeys = %+v, %v, want errKeySet", keys, err)
		}
	})
	t.Run("Refused", func(t *testing.T) {
		for _, bad := range []string{``, `{}`, `[]`, `{"keys":{}}`, `{"keys":[]}`, `{"keys":[{"kty":"oct","k":"AAAA"}]}`, `<html>`} {
			if _, err := parseKeys([]byte(bad)); !errors.Is(err, errKeySet) {
				t.Errorf("parseKeys(%s): %v, want errKeySet", bad, err)
			}
		}
	})
	t.Run("NoChoiceWithoutKeyID", func(t *testing.T) {
		keys, err := parseKeys([]byte(keySet))
		if err != nil {
			t.Fatal(err)
		}
		if got := pick(append(keys, keys...), "", "ES256"); got != nil {
			t.Errorf("pick without key ID = %+v, want none of two", got)
		}
	})
}

func FuzzParseKeys(f *testing.F) {
	f.Add([]byte(keySet))
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"},{"kty":"EC","crv":"P-521"}]}`))
	f.Fuzz(func(t *testing.T, document []byte) {
		keys, err := parseKeys(document)
		if err == nil && (len(keys) == 0 || len(keys) > 2*maxKeys) {
			t.Errorf("%d keys and no error", len(keys))
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add("eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJodHRwczovL2EifQ.AAAA")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add("..")
	f.Fuzz(func(t *testing.T, text string) {
		token, err := Parse(text)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Kind != Invalid {
				t.Errorf("Parse: %v, want an Error that says Invalid", err)
			}
			return
		}
		if token.Issuer() == "" {
			t.Error("a token without issuer was parsed")
		}
	})
}

func FuzzClaims(f *testing.F) {
	f.Add([]byte(`{"iss":"https://a","aud":["c"],"azp":"c","sub":"s","exp":2000000000,"iat":1,"amr":"x",
		"https://aws.amazon.com/tags":{"principal_tags":{"a":["b"]},"transitive_tag_keys":["a"]}}`))
	f.Add([]byte(`{"iss":"https://a","aud":"c","sub":"s","exp":2e9,"iat":1.5,"https://aws.amazon.com/tags/principal_tags/a":"b",
		"https://aws.amazon.com/tags/transitive_tag_keys":"a","https://aws.amazon.com/source_identity":"x"}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		claims, err := decode(payload)
		if err != nil {
			return
		}
		now := time.Unix(1_700_000_000, 0)
		got, err := claims.check(&Provider{Issuer: "https://a", ClientIDs: []string{"c"}}, now)
		if err != nil {
			return
		}
		if got.Issuer != "https://a" || got.Audience != "c" || got.Subject == "" || !got.Expires.After(now) {
			t.Errorf("check(%s) = %+v", payload, got)
		}
		// What was accepted is accepted again from its own JSON: nothing was guessed.
		again, err := json.Marshal(got.Extra)
		if err != nil {
			t.Fatal(err)
		}
		claims, err = decode(bytes.TrimSpace(again))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := claims.check(&Provider{Issuer: "https://a", ClientIDs: []string{"c"}}, now); err != nil {
			t.Errorf("check of the same claims: %v", err)
		}
	})
}
