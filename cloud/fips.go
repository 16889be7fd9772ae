package cloud

import "crypto/fips140"

// FIPS tells who does the cryptography of this process: "off", or in FIPS mode the version of Go's FIPS 140-3 module, such as "v1.0.0". That is "latest" for
// the module as it is in this version of Go, which nobody has validated.
func FIPS() string {
	if !fips140.Enabled() {
		return "off"
	}
	return fips140.Version()
}
