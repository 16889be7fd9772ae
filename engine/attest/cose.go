package attest

import (
	"crypto/x509"
	"fmt"
	"time"
)

// sign1 is a COSE_Sign1 (RFC 9052, section 4.2) with ES384 and nothing else in its headers.
type sign1 struct {
	protected, payload, signature []byte
}

// The Sig_structure of RFC 9052, section 4.4, with no external data.
func (s *sign1) signedBytes() []byte {
	out := appendHead(nil, majorArray, 4)
	out = appendText(out, "Signature1")
	out = appendBytes(out, s.protected)
	out = appendBytes(out, nil)
	return appendBytes(out, s.payload)
}

const (
	tagSign1     = 18
	headerAlg    = 1
	algES384Plus = 34 // -35 as CBOR writes it: -1-34
)

func parseSign1(document []byte) (*sign1, error) {
	r := reader{data: document}
	if r.peek() == majorTag {
		if r.head(majorTag) != tagSign1 {
			r.fail("tag is not COSE_Sign1's")
		}
	}
	if r.head(majorArray) != 4 {
		r.fail("COSE_Sign1 has not four parts")
	}
	s := &sign1{protected: r.bytes(1, 64)}
	if r.head(majorMap) != 0 {
		r.fail("unprotected header")
	}
	s.payload = r.bytes(1, 1<<18)
	s.signature = r.bytes(96, 96)
	r.end()
	if r.err != nil {
		return nil, r.err
	}

	// The algorithm is fixed: a document does not choose how it is checked.
	h := reader{data: s.protected}
	if h.head(majorMap) != 1 || h.head(majorUint) != headerAlg || h.head(majorNegative) != algES384Plus {
		h.fail("algorithm is not ES384")
	}
	h.end()
	return s, h.err
}

// parsePayload reads the map in the payload, with the bounds of its published grammar.
func parsePayload(payload []byte) (*Document, []*x509.Certificate, error) {
	r := reader{data: payload}
	d := new(Document)
	var bundle []*x509.Certificate
	seen := make(map[string]bool)
	for range r.items(majorMap, 16) {
		name := r.text(64)
		if r.err != nil {
			break
		}
		if seen[name] {
			r.fail("repeated field")
			break
		}
		seen[name] = true
		switch name {
		case "module_id":
			if d.ModuleID = r.text(256); d.ModuleID == "" {
				r.fail("empty module_id")
			}
		case "digest":
			if r.text(16) != "SHA384" {
				r.fail("digest is not SHA384")
			}
		case "timestamp":
			ms := r.head(majorUint)
			if ms == 0 || ms > 1<<48 {
				r.fail("timestamp out of range")
			}
			d.Timestamp = time.UnixMilli(int64(ms)).UTC()
		case "pcrs":
			d.PCRs = r.registers()
		case "nitrotpm_pcrs":
			d.TPMPCRs = r.registers()
		case "certificate":
			d.Certificate = r.certificate()
		case "cabundle":
			for range r.items(majorArray, 16) {
				if c := r.certificate(); c != nil {
					bundle = append(bundle, c)
				}
			}
		case "public_key":
			d.PublicKey = r.optionalBytes(1024)
		case "user_data":
			d.UserData = r.optionalBytes(1024)
		case "nonce":
			d.Nonce = r.optionalBytes(1024)
		default:
			// A newer hypervisor may say more; what it says is signed and not asked for.
			r.skip(4)
		}
		if r.err != nil {
			break
		}
	}
	r.end()
	if r.err == nil {
		for _, name := range []string{"module_id", "digest", "timestamp", "certificate", "cabundle"} {
			if !seen[name] {
				r.fail("no " + name)
			}
		}
		if seen["pcrs"] == seen["nitrotpm_pcrs"] {
			r.fail("neither or both kinds of registers")
		}
		if len(bundle) == 0 {
			r.fail("empty cabundle")
		}
	}
	if r.err != nil {
		return nil, nil, r.err
	}
	return d, bundle, nil
}

// registers reads a map of up to 32 registers, each as long as a SHA-2 digest.
func (r *reader) registers() map[int][]byte {
	out := make(map[int][]byte)
	for range r.items(majorMap, 32) {
		i := r.head(majorUint)
		value := r.bytes(20, 64)
		if i > 31 || out[int(i)] != nil {
			r.fail("register out of range or repeated")
		}
		if r.err != nil {
			return nil
		}
		if l := len(value); l != 20 && l != 32 && l != 48 && l != 64 {
			r.fail("register is no digest")
		}
		out[int(i)] = value
	}
	if len(out) == 0 {
		r.fail("no registers")
	}
	return out
}

func (r *reader) certificate() *x509.Certificate {
	der := r.bytes(1, 1024)
	if r.err != nil {
		return nil
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		r.err = fmt.Errorf("%w: certificate: %w", ErrMalformed, err)
		return nil
	}
	return c
}
