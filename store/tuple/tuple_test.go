package tuple

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestOrder(t *testing.T) {
	day := time.Date(2027, 1, 1, 0, 0, 0, 0, time.FixedZone("", 3600))
	type name string
	ascending := map[string][]Key{
		"Strings": {{""}, {"", ""}, {"", "a"}, {"\x00"}, {"\x00", "a"}, {"\x00\x00"}, {"\x00a"}, {"\x01"}, {"\x01\x00"}, {"\x02"},
			{"a"}, {"a", "\xff"}, {"a\x00"}, {"a\x00b"}, {"a\x01"}, {"a!"}, {"a/b"}, {name("aa")}, {"ab", ""}, {"\xff"}, {"\xff\xff"}},
		"Integers": {{0}, {uint8(1)}, {2, "x"}, {10}, {uint64(99)}, {int64(100)}, {uint64(1<<64 - 1)}},
		"Times": {{time.Time{}.AddDate(-5000, 0, 0)}, {time.Time{}}, {time.Unix(-1, 0)}, {time.Unix(0, 0)}, {day},
			{day.Add(1)}, {day.UTC().Add(time.Second)}, {day.AddDate(1, 0, 0)}, {day.AddDate(20000, 0, 0)}},
		"Bytes": {{[]byte{}}, {[]byte{0}}, {[]byte{0, 0}}, {[]byte{1}}, {[]byte{0x10}}, {[]byte{0xff}}},
	}
	for name, keys := range ascending {
		t.Run(name, func(t *testing.T) {
			for i := 1; i < len(keys); i++ {
				if a, b := Encode(keys[i-1]...), Encode(keys[i]...); bytes.Compare(a, b) >= 0 {
					t.Errorf("%q is not before %q", a, b)
				}
			}
		})
	}
}

func TestEncodeReadable(t *testing.T) {
	key := Encode("kms", "000000000000", "eu-west-1", "key", Begin("ab"))
	if got, want := string(key), "kms\x00000000000000\x00eu-west-1\x00key\x00ab"; got != want {
		t.Errorf("Encode() = %q, want %q", got, want)
	}
	key = Encode("kms", "", "a/b", "ä", 7, time.Unix(0, 5), []byte{0xab})
	if got, want := Format(key), `kms/""/"a/b"/ä/00000000000000000007/1970-01-01T00:00:00.000000005Z/ab`; got != want {
		t.Errorf("Format() = %s, want %s", got, want)
	}
	if got, want := Format([]byte("abc")), `"abc"`; got != want {
		t.Errorf("Format() = %s, want %s", got, want)
	}
}

// TestTimes holds what times are written as against the layout.
func TestTimes(t *testing.T) {
	for _, at := range []time.Time{
		{}, time.Unix(0, 0), time.Unix(0, 123456789), time.Unix(1_800_000_000, 999_999_999), time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC), time.Date(2028, 2, 29, 7, 8, 9, 10, time.FixedZone("", -3600)),
	} {
		if got, want := string(Encode(at)), at.UTC().Format(timeFormat)+"\x00"; got != want {
			t.Errorf("Encode(%v) = %q, want %q", at, got, want)
		}
	}
}

// TestAllocations has a key made in one piece of memory: keys are what services make most of.
func TestAllocations(t *testing.T) {
	at, table, seq := time.Unix(1_800_000_000, 7), strings.Repeat("t", 7), uint64(12345)
	if n := testing.AllocsPerRun(100, func() { Encode("sqs", table, at, seq, 7) }); n > 1 {
		t.Errorf("Encode allocates %v times", n)
	}
}

func BenchmarkEncode(b *testing.B) {
	at, table, seq := time.Unix(1_800_000_000, 7), strings.Repeat("t", 7), uint64(12345)
	b.ReportAllocs()
	for b.Loop() {
		Encode("sqs", "000000000000", "us-east-1", table, at, seq)
	}
}

func TestEncodePanics(t *testing.T) {
	for _, key := range []Key{{1.5}, {-1}, {nil}, {Begin("a"), "b"}, {[]string{"a"}}} {
		t.Run(fmt.Sprint(key...), func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Errorf("Encode(%v) did not panic", key)
				}
			}()
			Encode(key...)
		})
	}
}

func FuzzStrings(f *testing.F) {
	f.Add("a", "b", "a", "\x00")
	f.Add("\x01", "\x00\x01\x02", "", "\xff")
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		x, y := Encode(a, b), Encode(c, d)
		parts, err := Split(x)
		if err != nil || !slices.Equal(parts, []string{a, b}) {
			t.Fatalf("Split(Encode(%q, %q)) = %q, %v", a, b, parts, err)
		}
		if got, want := bytes.Compare(x, y), slices.Compare([]string{a, b}, []string{c, d}); got != want {
			t.Fatalf("(%q, %q) compares to (%q, %q) as %d, want %d", a, b, c, d, got, want)
		}
		if got, want := bytes.HasPrefix(x, Encode(Begin(c))), strings.HasPrefix(a, c); got != want && !(got && strings.HasPrefix(a+"\x00"+b, c)) {
			t.Fatalf("(%q, %q) begins with %q: %t, want %t", a, b, c, got, want)
		}
	})
}

func FuzzSplit(f *testing.F) {
	f.Add([]byte("a\x00b\x00"))
	f.Add([]byte("\x01\x03\x00"))
	f.Add([]byte("\x01\x00"))
	f.Add([]byte("\x01"))
	f.Fuzz(func(t *testing.T, key []byte) {
		parts, err := Split(key)
		Format(key)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("Split(%q) = %v", key, err)
			}
			return
		}
		var again []byte
		for _, p := range parts {
			again = Append(again, p)
		}
		if !bytes.Equal(again, key) {
			t.Fatalf("Split(%q) = %q, which encodes as %q", key, parts, again)
		}
	})
}
