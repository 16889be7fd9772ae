package shamir

import (
	"math/rand/v2"
	"testing"
)

// tables are logarithms to the base 3, which generates the field: another way to multiply than mul's.
func tables() (log, exp [256]int) {
	value := 1
	for i := range 255 {
		exp[i], log[value] = value, i
		doubled := value << 1
		if doubled > 255 {
			doubled ^= 0x11b
		}
		value ^= doubled
	}
	return log, exp
}

func TestField(t *testing.T) {
	// FIPS 197, section 4.2.
	for _, v := range [][3]byte{{0x57, 0x83, 0xc1}, {0x57, 0x13, 0xfe}, {0x57, 0x02, 0xae}, {0x57, 0x10, 0x07}} {
		if got := mul(v[0], v[1]); got != v[2] {
			t.Errorf("mul(%x, %x) = %x, want %x", v[0], v[1], got, v[2])
		}
	}
	log, exp := tables()
	for a := range 256 {
		for b := range 256 {
			want := 0
			if a != 0 && b != 0 {
				want = exp[(log[a]+log[b])%255]
			}
			if got := mul(byte(a), byte(b)); int(got) != want {
				t.Fatalf("mul(%x, %x) = %x, want %x", a, b, got, want)
			}
		}
		if a != 0 && mul(byte(a), invert(byte(a))) != 1 {
			t.Errorf("invert(%x) = %x", a, invert(byte(a)))
		}
	}
	if invert(0) != 0 {
		t.Errorf("invert(0) = %x", invert(0))
	}
}

// TestPolynomial is a vector worked out by hand: the polynomial 2a + 57 x + 83 x^2 at 1 is 2a ^ 57 ^ 83; at 2, it is 2a ^ ae ^ (83 * 4 = 83 * 2 * 2 = 1d * 2 = 3a).
func TestPolynomial(t *testing.T) {
	p := []byte{0x2a, 0x57, 0x83}
	for x, want := range map[byte]byte{0: 0x2a, 1: 0x2a ^ 0x57 ^ 0x83, 2: 0x2a ^ 0xae ^ 0x3a} {
		if got := evaluate(p, x); got != want {
			t.Errorf("at %d: %x, want %x", x, got, want)
		}
	}
}

// TestSubsets shares random secrets, and combines random subsets.
func TestSubsets(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, c := range [][2]int{{2, 2}, {2, 3}, {3, 5}, {5, 9}, {2, Most}, {40, 60}, {Most, Most}} {
		var secret [secretSize]byte
		for i := range secret {
			secret[i] = byte(random.Uint32())
		}
		shares := deal(&secret, c[0], c[1])
		for range 10 {
			random.Shuffle(len(shares), func(i, j int) { shares[i], shares[j] = shares[j], shares[i] })
			if *combine(shares[:c[0]]) != secret || *combine(shares) != secret {
				t.Fatalf("%d of %d: the shares make another secret", c[0], c[1])
			}
			if c[0] > 2 && *combine(shares[:c[0]-1]) == secret {
				t.Errorf("%d of %d: fewer shares make the secret", c[0], c[1])
			}
		}
	}
}

// TestFewerTellNothing shows for one byte and a threshold of 3 that whatever two shares are, each secret is made by exactly one polynomial through them.
func TestFewerTellNothing(t *testing.T) {
	seen := make(map[[3]byte]int) // the secret, and the shares 1 and 2
	for secret := range 4 {
		for a := range 256 {
			for b := range 256 {
				p := []byte{byte(secret), byte(a), byte(b)}
				seen[[3]byte{byte(secret), evaluate(p, 1), evaluate(p, 2)}]++
			}
		}
	}
	if len(seen) != 4<<16 {
		t.Errorf("%d pairs of shares for 4 secrets, want all %d", len(seen), 4<<16)
	}
}
