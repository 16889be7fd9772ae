// Package mldsamu verifies ML-DSA signatures of an external message representative μ (FIPS 204, section 6.2 and algorithm 8).
//
// The library that signs can sign a μ but exports no verification of one. Verifying handles public values
// only, so nothing here needs to be constant time, and the arithmetic is written for reading.
package mldsamu

import (
	"bytes"
	"crypto/sha3"
	"errors"
)

// Size is the length of μ.
const Size = 64

// The ring is Z_q[X]/(X^256+1).
const (
	q = 8380417 // 2^23 - 2^13 + 1
	n = 256
	d = 13 // dropped bits of t
)

// parameters are those of FIPS 204, table 1, that verifying needs.
type parameters struct {
	k, l      int // rows and columns of A
	tau       int // non-zero coefficients of the challenge
	gamma1Log int // γ1 = 2^gamma1Log
	gamma2    int32
	beta      int32 // τ·η
	omega     int   // most ones in a hint
	challenge int   // bytes of c~
}

var (
	mldsa44 = parameters{k: 4, l: 4, tau: 39, gamma1Log: 17, gamma2: (q - 1) / 88, beta: 39 * 2, omega: 80, challenge: 32}
	mldsa65 = parameters{k: 6, l: 5, tau: 49, gamma1Log: 19, gamma2: (q - 1) / 32, beta: 49 * 4, omega: 55, challenge: 48}
	mldsa87 = parameters{k: 8, l: 7, tau: 60, gamma1Log: 19, gamma2: (q - 1) / 32, beta: 60 * 2, omega: 75, challenge: 64}
)

func (p *parameters) publicKeySize() int { return 32 + p.k*n*10/8 }
func (p *parameters) signatureSize() int {
	return p.challenge + p.l*n*(p.gamma1Log+1)/8 + p.omega + p.k
}

// w1Bits is how many bits encode a coefficient of w1, which is below (q-1)/(2·γ2).
func (p *parameters) w1Bits() int {
	if p.gamma2 == (q-1)/88 {
		return 6
	}
	return 4
}

type poly [n]int32 // coefficients in [0, q)

// PublicKey is an ML-DSA public key, expanded. It is immutable and safe for concurrent use.
type PublicKey struct {
	p     *parameters
	zetas *[n]int32
	a     []poly // k·l, row by row, transformed
	t1    []poly // t1·2^d, transformed
}

// NewPublicKey reads an encoded public key; its length tells the parameter set.
func NewPublicKey(encoding []byte) (*PublicKey, error) {
	var p *parameters
	for _, candidate := range []*parameters{&mldsa44, &mldsa65, &mldsa87} {
		if len(encoding) == candidate.publicKeySize() {
			p = candidate
		}
	}
	if p == nil {
		return nil, errors.New("ML-DSA public key of unknown length")
	}
	pk := &PublicKey{p: p, zetas: computeZetas(), a: make([]poly, p.k*p.l), t1: make([]poly, p.k)}
	rho := encoding[:32]
	for r := range p.k {
		for s := range p.l {
			pk.a[r*p.l+s] = rejNTTPoly(rho, byte(s), byte(r))
		}
	}
	bits := bitReader{data: encoding[32:]}
	for i := range pk.t1 {
		for j := range n {
			pk.t1[i][j] = int32(bits.next(10)) << d
		}
		pk.ntt(&pk.t1[i])
	}
	return pk, nil
}

// Verify reports whether signature is one of the message that mu represents. It is FIPS 204, algorithm 8 from step 8 on.
func (pk *PublicKey) Verify(mu *[Size]byte, signature []byte) bool {
	p := pk.p
	if len(signature) != p.signatureSize() {
		return false
	}
	challenge := signature[:p.challenge]
	z, ok := pk.decodeZ(signature[p.challenge : len(signature)-p.omega-p.k])
	if !ok {
		return false
	}
	hint, ok := p.decodeHint(signature[len(signature)-p.omega-p.k:])
	if !ok {
		return false
	}
	c := p.sampleInBall(challenge)
	pk.ntt(&c)
	for i := range z {
		pk.ntt(&z[i])
	}

	h := sha3.NewSHAKE256()
	h.Write(mu[:])
	var packed []byte
	for r := range p.k {
		// w' = A·z - c·t1·2^d
		var w poly
		for s := range p.l {
			a := &pk.a[r*p.l+s]
			for j := range w {
				w[j] = add(w[j], mul(a[j], z[s][j]))
			}
		}
		for j := range w {
			w[j] = sub(w[j], mul(c[j], pk.t1[r][j]))
		}
		pk.inverseNTT(&w)
		for j := range w {
			w[j] = p.useHint(hint[r][j], w[j])
		}
		packed = packBits(packed[:0], &w, p.w1Bits())
		h.Write(packed)
	}
	got := make([]byte, p.challenge)
	h.Read(got)
	return bytes.Equal(got, challenge)
}

// decodeZ reads the response and checks its norm (algorithm 8, step 13, first half).
func (pk *PublicKey) decodeZ(data []byte) ([]poly, bool) {
	p := pk.p
	gamma1 := int32(1) << p.gamma1Log
	bits := bitReader{data: data}
	z := make([]poly, p.l)
	for i := range z {
		for j := range z[i] {
			v := gamma1 - int32(bits.next(p.gamma1Log+1))
			if v >= gamma1-p.beta || v <= -(gamma1-p.beta) {
				return nil, false
			}
			z[i][j] = (v + q) % q
		}
	}
	return z, true
}

// decodeHint is algorithm 21. It admits one encoding of a hint only, without which signatures could be altered and stay valid.
func (p *parameters) decodeHint(data []byte) ([][n]bool, bool) {
	hint := make([][n]bool, p.k)
	index := 0
	for i := range hint {
		end := int(data[p.omega+i])
		if end < index || end > p.omega {
			return nil, false
		}
		for first := index; index < end; index++ {
			if index > first && data[index-1] >= data[index] {
				return nil, false
			}
			hint[i][data[index]] = true
		}
	}
	for ; index < p.omega; index++ {
		if data[index] != 0 {
			return nil, false
		}
	}
	return hint, true
}

// useHint is algorithm 40, with decompose (algorithm 36) in it.
func (p *parameters) useHint(hint bool, r int32) int32 {
	m := (q - 1) / (2 * p.gamma2)
	r0 := r % (2 * p.gamma2)
	if r0 > p.gamma2 {
		r0 -= 2 * p.gamma2
	}
	var r1 int32
	if r-r0 == q-1 {
		r1, r0 = 0, r0-1
	} else {
		r1 = (r - r0) / (2 * p.gamma2)
	}
	switch {
	case !hint:
		return r1
	case r0 > 0:
		return (r1 + 1) % m
	default:
		return (r1 - 1 + m) % m
	}
}

// sampleInBall is algorithm 29.
func (p *parameters) sampleInBall(seed []byte) poly {
	h := sha3.NewSHAKE256()
	h.Write(seed)
	var signs [8]byte
	h.Read(signs[:])
	var c poly
	var b [1]byte
	for i := n - p.tau; i < n; i++ {
		for {
			h.Read(b[:])
			if int(b[0]) <= i {
				break
			}
		}
		j := int(b[0])
		c[i] = c[j]
		bit := i + p.tau - n
		if signs[bit/8]>>(bit%8)&1 == 1 {
			c[j] = q - 1
		} else {
			c[j] = 1
		}
	}
	return c
}

// rejNTTPoly is algorithm 30 for the seed ρ‖s‖r.
func rejNTTPoly(rho []byte, s, r byte) poly {
	h := sha3.NewSHAKE128()
	h.Write(rho)
	h.Write([]byte{s, r})
	var a poly
	var b [168]byte // a SHAKE128 block, a multiple of three
	for j := 0; j < n; {
		h.Read(b[:])
		for o := 0; o < len(b) && j < n; o += 3 {
			if v := int32(b[o]) | int32(b[o+1])<<8 | int32(b[o+2]&0x7f)<<16; v < q {
				a[j] = v
				j++
			}
		}
	}
	return a
}

func add(a, b int32) int32 {
	if a += b; a >= q {
		a -= q
	}
	return a
}

func sub(a, b int32) int32 {
	if a -= b; a < 0 {
		a += q
	}
	return a
}

func mul(a, b int32) int32 { return int32(int64(a) * int64(b) % q) }

// computeZetas returns 1753^BitRev8(i) mod q (FIPS 204, appendix B).
func computeZetas() *[n]int32 {
	var z [n]int32
	power := int32(1)
	for i := range n {
		rev := 0
		for b := range 8 {
			rev |= i >> b & 1 << (7 - b)
		}
		z[rev] = power
		power = mul(power, 1753)
	}
	return &z
}

// ntt is algorithm 41.
func (pk *PublicKey) ntt(w *poly) {
	m := 0
	for length := n / 2; length >= 1; length /= 2 {
		for start := 0; start < n; start += 2 * length {
			m++
			zeta := pk.zetas[m]
			for j := start; j < start+length; j++ {
				t := mul(zeta, w[j+length])
				w[j+length] = sub(w[j], t)
				w[j] = add(w[j], t)
			}
		}
	}
}

// inverseNTT is algorithm 42.
func (pk *PublicKey) inverseNTT(w *poly) {
	m := n
	for length := 1; length < n; length *= 2 {
		for start := 0; start < n; start += 2 * length {
			m--
			zeta := q - pk.zetas[m]
			for j := start; j < start+length; j++ {
				t := w[j]
				w[j] = add(t, w[j+length])
				w[j+length] = mul(zeta, sub(t, w[j+length]))
			}
		}
	}
	const inverse256 = 8347681
	for j := range w {
		w[j] = mul(w[j], inverse256)
	}
}

// bitReader reads little-endian bit strings (algorithms 18 and 19). Its callers have checked the length.
type bitReader struct {
	data []byte
	pos  int // in bits
}

func (r *bitReader) next(width int) uint32 {
	var v uint32
	for i := range width {
		v |= uint32(r.data[r.pos/8]>>(r.pos%8)&1) << i
		r.pos++
	}
	return v
}

// packBits is algorithm 16.
func packBits(dst []byte, w *poly, width int) []byte {
	var acc uint32
	bits := 0
	for _, v := range w {
		acc |= uint32(v) << bits
		for bits += width; bits >= 8; bits -= 8 {
			dst = append(dst, byte(acc))
			acc >>= 8
		}
	}
	return dst
}
