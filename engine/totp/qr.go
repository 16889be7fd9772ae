package totp

import (
	"fmt"

	"rsc.io/qr"
)

// PNG draws text, such as a URI of [Seed.URI], as a QR code. The picture holds what the text holds: it is as secret as the seed.
func PNG(text string) ([]byte, error) {
	// M survives a reflection on a screen; the next level would make the code denser for cameras.
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return nil, fmt.Errorf("drawing a QR code: %w", err) // the text is too long; the error does not quote it
	}
	return code.PNG(), nil
}
