package seal

import (
	"encoding/binary"
	"strings"
)

// A Place says where something wrapped belongs: which record, which field. It is authenticated with every wrapped value,
// so a value opens only where it was meant to be. Make it with [At]; the zero Place is refused.
type Place struct{ encoded string }

// At returns the place named by purpose and the parts that identify the record, for example
// At("kms/material", account, region, keyID). Purposes must be unique across Holdfast: begin with the package's name.
func At(purpose string, parts ...string) Place {
	// Each part is preceded by its length: ("ab", "c") and ("a", "bc") are different places.
	var b strings.Builder
	var n [4]byte
	for i := -1; i < len(parts); i++ {
		part := purpose
		if i >= 0 {
			part = parts[i]
		}
		binary.BigEndian.PutUint32(n[:], uint32(len(part)))
		b.Write(n[:])
		b.WriteString(part)
	}
	return Place{b.String()}
}
