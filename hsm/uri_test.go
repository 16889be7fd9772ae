package hsm

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	const module = "?module-path=/usr/lib/softhsm/libsofthsm2.so"
	for name, c := range map[string]struct {
		text, refusal string
		want          URI
	}{
		"Label":  {text: "pkcs11:token=holdfast" + module, want: URI{Token: "holdfast", ModulePath: "/usr/lib/softhsm/libsofthsm2.so"}},
		"Serial": {text: "pkcs11:serial=0123" + module, want: URI{Serial: "0123", ModulePath: "/usr/lib/softhsm/libsofthsm2.so"}},
		"Everything": {
			text: "pkcs11:token=my%20token;manufacturer=M;model=D;serial=1;object=root%3bkey;id=%00%ff;type=secret-key?module-path=/a%26b.so&pin-source=file:/etc/pin",
			want: URI{Token: "my token", Serial: "1", Manufacturer: "M", Model: "D", Key: Key{"root;key", "\x00\xff"}, ModulePath: "/a&b.so", PINSource: "file:/etc/pin"},
		},
		"PlusIsPlus":     {text: "pkcs11:token=a+b" + module, want: URI{Token: "a+b", ModulePath: "/usr/lib/softhsm/libsofthsm2.so"}},
		"OtherScheme":    {text: "file:/etc/pin", refusal: `begins with "pkcs11:"`},
		"NoToken":        {text: "pkcs11:object=root" + module, refusal: "token=LABEL or serial=NUMBER"},
		"NoModule":       {text: "pkcs11:token=a", refusal: "module-path="},
		"RelativeModule": {text: "pkcs11:token=a?module-path=softhsm.so", refusal: "absolute path"},
		"PIN":            {text: "pkcs11:token=a?module-path=/a.so&pin-value=1234", refusal: "pin-source=file:PATH"},
		"PINInPath":      {text: "pkcs11:token=a;pin-value=1234?module-path=/a.so", refusal: "pin-source=file:PATH"},
		"Unknown":        {text: "pkcs11:token=a;slot-id=3" + module, refusal: `no attribute "slot-id"`},
		"WrongPlace":     {text: "pkcs11:token=a;module-path=/a.so", refusal: `no attribute "module-path"`},
		"Twice":          {text: "pkcs11:token=a;token=b" + module, refusal: "token twice"},
		"EmptyValue":     {text: "pkcs11:token=" + module, refusal: "token has no value"},
		"BadEscape":      {text: "pkcs11:token=%zz" + module, refusal: "token has no value that can be read"},
		"PublicKey":      {text: "pkcs11:token=a;type=public" + module, refusal: "secret-key"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Parse(c.text)
			if c.refusal != "" {
				if err == nil || !strings.Contains(err.Error(), c.refusal) {
					t.Fatalf("Parse(%q) = %v, want an error with %q", c.text, err, c.refusal)
				}
				if strings.Contains(err.Error(), "1234") {
					t.Errorf("Parse(%q) = %v, which shows the PIN", c.text, err)
				}
				return
			}
			if err != nil {
				t.Fatalf("Parse(%q): %v", c.text, err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("Parse(%q) (-want +got):\n%s", c.text, diff)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add("pkcs11:token=a;id=%00?module-path=/a.so&pin-source=file:/p")
	f.Add("pkcs11:token=%?")
	f.Fuzz(func(t *testing.T, text string) {
		u, err := Parse(text)
		if err == nil && (u.Token == "" && u.Serial == "" || u.ModulePath == "") {
			t.Errorf("Parse(%q) = %+v, which names no token or no module", text, u)
		}
	})
}
