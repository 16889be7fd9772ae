package kmsplugin

import "google.golang.org/protobuf/encoding/protowire"

// The messages of k8s.io/kms/apis/v2, whose package would bring the whole of gRPC along: ten megabytes in the binary, for three calls on a socket. What is not named
// here has no field that the plugin reads or writes. The tests speak to the official client.
type (
	statusResponse struct {
		version, healthz, keyID string // 1, 2, 3
	}
	encryptRequest struct {
		plaintext []byte // 1
	}
	encryptResponse struct {
		ciphertext  []byte            // 1
		keyID       string            // 2
		annotations map[string][]byte // 3
	}
	decryptRequest struct {
		ciphertext  []byte            // 1
		keyID       string            // 3
		annotations map[string][]byte // 4
	}
	decryptResponse struct {
		plaintext []byte // 1
	}
)

var errMessage = problem(invalidArgument, "malformed message")

// field appends a field of bytes, unless it is empty.
func field[T string | []byte](b []byte, number protowire.Number, value T) []byte {
	if len(value) == 0 {
		return b
	}
	return protowire.AppendBytes(protowire.AppendTag(b, number, protowire.BytesType), []byte(value))
}

func (m *statusResponse) marshal() []byte {
	return field(field(field(nil, 1, m.version), 2, m.healthz), 3, m.keyID)
}

func (m *encryptResponse) marshal() []byte {
	b := field(field(nil, 1, m.ciphertext), 2, m.keyID)
	for name, value := range m.annotations {
		b = field(b, 3, field(field(nil, 1, name), 2, value))
	}
	return b
}

func (m *decryptResponse) marshal() []byte { return field(nil, 1, m.plaintext) }

// fields calls set with each field of bytes in a message, and passes over all others.
func fields(b []byte, set func(number protowire.Number, value []byte) error) error {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return errMessage
		}
		b = b[n:]
		if kind != protowire.BytesType {
			if n = protowire.ConsumeFieldValue(number, kind, b); n < 0 {
				return errMessage
			}
			b = b[n:]
			continue
		}
		value, n := protowire.ConsumeBytes(b)
		if n < 0 {
			return errMessage
		}
		b = b[n:]
		if err := set(number, value); err != nil {
			return err
		}
	}
	return nil
}

func (m *encryptRequest) unmarshal(b []byte) error {
	return fields(b, func(number protowire.Number, value []byte) error {
		if number == 1 {
			m.plaintext = value
		}
		return nil
	})
}

func (m *decryptRequest) unmarshal(b []byte) error {
	m.annotations = make(map[string][]byte)
	return fields(b, func(number protowire.Number, value []byte) error {
		switch number {
		case 1:
			m.ciphertext = value
		case 3:
			m.keyID = string(value)
		case 4:
			var name string
			var content []byte
			err := fields(value, func(number protowire.Number, value []byte) error {
				switch number {
				case 1:
					name = string(value)
				case 2:
					content = value
				}
				return nil
			})
			m.annotations[name] = content
			return err
		}
		return nil
	})
}
