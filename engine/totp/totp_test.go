package totp_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"image/png"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/engine/totp"
)

// The seed and, cut to six digits, the codes of RFC 6238, appendix B.
var rfcSeed = totp.Seed("12345678901234567890")

func TestCode(t *testing.T) {
	for unix, want := range map[int64]string{
		59:          "287082",
		1111111109:  "081804",
		1111111111:  "050471",
		1234567890:  "005924",
		2000000000:  "279037",
		20000000000: "353130",
	} {
		if got := rfcSeed.Code(time.Unix(unix, 0)); got != want {
			t.Errorf("Code(%d) = %s, want %s", unix, got, want)
		}
	}
}

var now = time.Date(2026, 3, 1, 12, 0, 10, 0, time.UTC)

func at(steps int) time.Time { return now.Add(time.Duration(steps) * totp.Period) }

func TestVerify(t *testing.T) {
	here := totp.Step(now)
	fresh := totp.State{}
	for _, test := range []struct {
		name  string
		state totp.State
		code  string
		want  totp.State // equal to state: refused
	}{
		{"OK", fresh, rfcSeed.Code(now), totp.State{Last: here}},
		{"OneEarly", fresh, rfcSeed.Code(at(1)), totp.State{Last: here + 1, Drift: 1}},
		{"OneLate", fresh, rfcSeed.Code(at(-1)), totp.State{Last: here - 1, Drift: -1}},
		{"TwoEarly", fresh, rfcSeed.Code(at(2)), fresh},
		{"TwoLate", fresh, rfcSeed.Code(at(-2)), fresh},
		{"Replay", totp.State{Last: here}, rfcSeed.Code(now), totp.State{Last: here}},
		{"OlderThanLast", totp.State{Last: here}, rfcSeed.Code(at(-1)), totp.State{Last: here}},
		{"AfterLast", totp.State{Last: here}, rfcSeed.Code(at(1)), totp.State{Last: here + 1, Drift: 1}},
		{"Drifted", totp.State{Drift: 20}, rfcSeed.Code(at(21)), totp.State{Last: here + 21, Drift: 21}},
		{"DriftedAndRight", totp.State{Drift: 20}, rfcSeed.Code(now), totp.State{Drift: 20}},
		{"DriftIsBounded", totp.State{Drift: totp.SyncWindow}, rfcSeed.Code(at(totp.SyncWindow + 1)),
			totp.State{Last: here + totp.SyncWindow + 1, Drift: totp.SyncWindow}},
		{"Wrong", fresh, "000000", fresh},
		{"Short", fresh, "12345", fresh},
		{"Long", fresh, rfcSeed.Code(now) + "0", fresh},
		{"Sign", fresh, "+" + rfcSeed.Code(now)[1:], fresh},
		{"NotASCII", fresh, "１２", fresh},
		{"Empty", fresh, "", fresh},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, ok := rfcSeed.Verify(test.state, test.code, now)
			if ok != (test.want != test.state) || got != test.want {
				t.Errorf("Verify(%+v, %q) = %+v, %v, want %+v", test.state, test.code, got, ok, test.want)
			}
		})
	}
	t.Run("NoSeed", func(t *testing.T) {
		none := totp.Seed(nil)
		if _, ok := none.Verify(fresh, none.Code(now), now); ok {
			t.Error("Verify of no seed accepted the code of an empty key")
		}
	})
}

func TestSync(t *testing.T) {
	here := totp.Step(now)
	for _, test := range []struct {
		name          string
		state         totp.State
		first, second string
		want          totp.State
	}{
		{"OK", totp.State{}, rfcSeed.Code(at(-1)), rfcSeed.Code(now), totp.State{Last: here}},
		{"HourBehind", totp.State{}, rfcSeed.Code(at(-121)), rfcSeed.Code(at(-120)), totp.State{Last: here - 120, Drift: -120}},
		{"HourAhead", totp.State{}, rfcSeed.Code(at(119)), rfcSeed.Code(at(120)), totp.State{Last: here + 120, Drift: 120}},
		{"TooFar", totp.State{}, rfcSeed.Code(at(121)), rfcSeed.Code(at(122)), totp.State{}},
		{"Swapped", totp.State{}, rfcSeed.Code(now), rfcSeed.Code(at(-1)), totp.State{}},
		{"SameTwice", totp.State{}, rfcSeed.Code(now), rfcSeed.Code(now), totp.State{}},
		{"NotConsecutive", totp.State{}, rfcSeed.Code(at(-2)), rfcSeed.Code(now), totp.State{}},
		{"FirstUsed", totp.State{Last: here - 1}, rfcSeed.Code(at(-1)), rfcSeed.Code(now), totp.State{Last: here - 1}},
		{"OneMissing", totp.State{}, rfcSeed.Code(at(-1)), "", totp.State{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, ok := rfcSeed.Sync(test.state, test.first, test.second, now)
			if ok != (test.want != test.state) || got != test.want {
				t.Errorf("Sync(%+v) = %+v, %v, want %+v", test.state, got, ok, test.want)
			}
			if _, again := rfcSeed.Verify(got, test.second, now); ok && again {
				t.Error("the second code of Sync was accepted again")
			}
		})
	}
}

func TestSeed(t *testing.T) {
	seed, err := totp.NewSeed(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	text := seed.Base32()
	if len(text) != 64 {
		t.Errorf("Base32() has %d characters, want 64", len(text))
	}
	t.Run("RoundTrip", func(t *testing.T) {
		for _, form := range []string{text, strings.ToLower(text), text + "===="} {
			if got, err := totp.ParseSeed(form); err != nil || !bytes.Equal(got, seed) {
				t.Errorf("ParseSeed(Base32()) is another seed, error %v", err)
			}
		}
	})
	t.Run("Refused", func(t *testing.T) {
		for _, bad := range []string{"", "AAAA", text + "1", "!" + text} {
			if _, err := totp.ParseSeed(bad); err != totp.ErrSeed {
				t.Errorf("ParseSeed(%q): %v, want ErrSeed", bad, err)
			}
		}
	})
	t.Run("NoRandomness", func(t *testing.T) {
		if _, err := totp.NewSeed(iotest.ErrReader(fmt.Errorf("dry"))); err == nil {
			t.Error("NewSeed without randomness returned a seed")
		}
	})
	t.Run("DoesNotPrint", func(t *testing.T) {
		for _, verb := range []string{"%v", "%s", "%x", "%d", "%#v", "%q"} {
			if got := fmt.Sprintf(verb, seed); got != "totp.Seed" {
				t.Errorf("Sprintf(%s) prints the seed", verb)
			}
		}
	})
}

func TestURI(t *testing.T) {
	got, err := url.Parse(rfcSeed.URI("Holdfast Cloud", "ann:phone@000000000000"))
	if err != nil {
		t.Fatal(err)
	}
	want := url.Values{"secret": {rfcSeed.Base32()}, "issuer": {"Holdfast Cloud"}}
	if diff := cmp.Diff(want, got.Query()); diff != "" {
		t.Errorf("query (-want +got):\n%s", diff)
	}
	if got.Scheme != "otpauth" || got.Host != "totp" || got.Path != "/Holdfast Cloud:ann phone@000000000000" {
		t.Errorf("URI() is %v", got)
	}
}

func TestPNG(t *testing.T) {
	data, err := totp.PNG(rfcSeed.URI("Holdfast", "ann"))
	if err != nil {
		t.Fatal(err)
	}
	picture, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if b := picture.Bounds(); b.Dx() != b.Dy() || b.Dx() < 100 {
		t.Errorf("the picture is %v", b)
	}
	t.Run("TooLong", func(t *testing.T) {
		if _, err := totp.PNG(strings.Repeat("a", 5000)); err == nil {
			t.Error("PNG of 5000 characters did not fail")
		}
	})
}

func FuzzParseSeed(f *testing.F) {
	f.Add("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")
	f.Add("")
	f.Add("====")
	f.Fuzz(func(t *testing.T, text string) {
		seed, err := totp.ParseSeed(text)
		if err != nil {
			return
		}
		again, err := totp.ParseSeed(seed.Base32())
		if err != nil || !bytes.Equal(again, seed) {
			t.Errorf("ParseSeed(Base32()) of %d bytes: %v", len(seed), err)
		}
	})
}

func FuzzVerify(f *testing.F) {
	f.Add("287082", int64(0), int64(0), int64(59))
	f.Add("-12345", int64(1<<62), int64(-5), int64(-1))
	f.Fuzz(func(t *testing.T, code string, last, drift, unix int64) {
		st := totp.State{Last: last, Drift: drift % totp.SyncWindow}
		got, ok := rfcSeed.Verify(st, code, time.Unix(unix%(1<<40), 0))
		if ok && got.Last <= last || !ok && got != st {
			t.Errorf("Verify(%+v, %q) = %+v, %v", st, code, got, ok)
		}
	})
}
