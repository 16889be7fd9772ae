package hsm

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
)

// URI names a token, and perhaps a key in it, as RFC 7512 has it. An empty part matches everything.
type URI struct {
	Token, Serial, Manufacturer, Model string

	Key        Key    // object and id
	ModulePath string // the library of the token's maker
	PINSource  string // where the PIN is, such as file:/etc/holdfast/pin; what can be named here is up to who reads it
}

// Parse reads a URI such as
//
//	pkcs11:token=holdfast;object=root?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/etc/holdfast/pin
//
// It must name the token, by label or by serial number, and the module. A PIN in it is refused: it would be in the list of processes.
func Parse(text string) (URI, error) {
	var u URI
	rest, ok := strings.CutPrefix(text, "pkcs11:")
	if !ok {
		return u, errors.New(`hsm: the URI of a token begins with "pkcs11:"`)
	}
	path, query, _ := strings.Cut(rest, "?")
	kind := ""
	err := attributes(path, ";", map[string]*string{
		"token": &u.Token, "serial": &u.Serial, "manufacturer": &u.Manufacturer, "model": &u.Model,
		"object": &u.Key.Label, "id": &u.Key.ID, "type": &kind,
	})
	if err == nil {
		err = attributes(query, "&", map[string]*string{"module-path": &u.ModulePath, "pin-source": &u.PINSource})
	}
	switch {
	case err != nil:
	case kind != "" && kind != "secret-key":
		err = fmt.Errorf("hsm: keys in tokens are of type secret-key, not %q", kind)
	case u.Token == "" && u.Serial == "":
		err = errors.New("hsm: a token is named by token=LABEL or serial=NUMBER")
	case !filepath.IsAbs(u.ModulePath) || strings.ContainsRune(u.ModulePath, 0):
		err = errors.New("hsm: the library of the token is named by ?module-path= and an absolute path")
	}
	if err != nil {
		return URI{}, err
	}
	return u, nil
}

// attributes reads name=value pairs into known, each once.
func attributes(text, separator string, known map[string]*string) error {
	if text == "" {
		return nil
	}
	for pair := range strings.SplitSeq(text, separator) {
		name, value, _ := strings.Cut(pair, "=")
		to := known[name]
		switch {
		case name == "pin-value":
			return errors.New("hsm: a PIN does not belong into a URI, where others see it; name a file by pin-source=file:PATH")
		case to == nil:
			return fmt.Errorf("hsm: the URI of a token has no attribute %.40q here", name)
		case *to != "":
			return fmt.Errorf("hsm: the URI of the token says %s twice", name)
		}
		plain, err := url.PathUnescape(value)
		if err != nil || plain == "" {
			return fmt.Errorf("hsm: %s has no value that can be read", name)
		}
		*to = plain
	}
	return nil
}

// Name is how a message calls the token: by its label, or by its serial number.
func (u URI) Name() string {
	if u.Token != "" {
		return fmt.Sprintf("%q", u.Token)
	}
	return "of serial number " + u.Serial
}
