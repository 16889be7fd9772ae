package pagetoken

import (
	"bytes"
	"errors"
	"testing"
)

func TestDecode(t *testing.T) {
	token := Encode("ListKeys", []byte("b"))
	got, err := Decode("ListKeys", token)
	if err != nil || string(got) != "b" {
		t.Fatalf("Decode(%q) = %q, %v", token, got, err)
	}
	for name, c := range map[string][2]string{
		"Empty":        {"ListKeys", ""},
		"NoToken":      {"ListKeys", "hello"},
		"OtherListing": {"ListAliases", token},
		"MovedBorder":  {"ListKeysb", Encode("ListKeys", []byte("bx"))},
		"CutOff":       {"ListKeys", token[:len(token)-2]},
		"Longer":       {"ListKeys", token + "AA"},
		"Newline":      {"ListKeys", token + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := Decode(c[0], c[1]); !errors.Is(err, ErrInvalid) {
				t.Errorf("Decode(%q, %q) = %q, %v, want %v", c[0], c[1], got, err, ErrInvalid)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("ListKeys", Encode("ListKeys", []byte("b")))
	f.Add("", "AQ")
	f.Fuzz(func(t *testing.T, listing, token string) {
		position, err := Decode(listing, token)
		if err != nil {
			return
		}
		again, err := Decode(listing, Encode(listing, position))
		if err != nil || !bytes.Equal(again, position) {
			t.Fatalf("Decode(Encode(%q)) = %q, %v", position, again, err)
		}
	})
}
