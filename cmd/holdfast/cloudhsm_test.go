package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/holdfast-cloud/holdfast/hsm"
)

func TestClusters(t *testing.T) {
	const good = "cluster-abcdefg2345=pkcs11:token=keys?module-path=/lib/token.so"
	for _, c := range []struct{ name, text, want string }{
		{"Twice", good + " " + good, "cluster-abcdefg2345 is there twice"},
		{"NoID", "cluster-1=pkcs11:token=keys?module-path=/lib/token.so", "want cluster-ID=pkcs11:"},
		{"PIN", good + "&pin-value=13579", "a PIN does not belong into a URI"},
		{"PINSource", good + "&pin-source=file:pin", "KeyStorePassword"},
		{"OneKey", "cluster-abcdefg2345=pkcs11:token=keys;object=one?module-path=/lib/token.so", "not a key in it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s clusters
			if err := s.add(c.text); err != nil {
				t.Fatal(err)
			}
			_, err := s.config()
			if !hsm.Built {
				if !errors.Is(err, hsm.ErrNotBuilt) {
					t.Errorf("config = %v, want %v", err, hsm.ErrNotBuilt)
				}
				return
			}
			if !errors.Is(err, errUsage) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("config = %v, want %s", err, c.want)
			}
			if strings.Contains(err.Error(), "13579") {
				t.Errorf("config = %v, which tells the PIN", err)
			}
		})
	}
	t.Run("OK", func(t *testing.T) {
		if !hsm.Built {
			return // said above
		}
		found, err := clusters{good}.config()
		if err != nil || found["cluster-abcdefg2345"].Token.Token != "keys" {
			t.Errorf("config = %v, %v", found, err)
		}
	})
}
