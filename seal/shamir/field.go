package shamir

// The field GF(2^8) with the polynomial x^8 + x^4 + x^3 + x + 1, as AES has it (FIPS 197, section 4). No step branches on, or looks up by, what may be secret.

// mul multiplies: the shift-and-add method, with masks in place of branches.
func mul(a, b byte) byte {
	var product byte
	for range 8 {
		product ^= -(b & 1) & a
		a = a<<1 ^ -(a>>7)&0x1b
		b >>= 1
	}
	return product
}

// invert returns a^254, which is 1/a by Fermat's theorem, and 0 for 0.
func invert(a byte) byte {
	power := a // a^(2^k - 1), from k = 1 on
	for range 6 {
		power = mul(mul(power, power), a)
	}
	return mul(power, power) // a^(2*127)
}

// evaluate returns the value at x of the polynomial whose coefficients are given, the constant one first.
func evaluate(coefficients []byte, x byte) byte {
	var y byte
	for i := len(coefficients) - 1; i >= 0; i-- {
		y = mul(y, x) ^ coefficients[i]
	}
	return y
}

// weights are Lagrange's: the value at 0 of the polynomial through points at xs is the sum of each value times its weight. All xs differ, and none is 0.
func weights(xs []byte) []byte {
	out := make([]byte, len(xs))
	for i, x := range xs {
		w := byte(1)
		for j, other := range xs {
			if j != i {
				w = mul(w, mul(other, invert(other^x)))
			}
		}
		out[i] = w
	}
	return out
}
