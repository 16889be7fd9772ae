package secretsmanager

import (
	"crypto/rand"
	"strings"
	"testing"

	"github.com/holdfast-cloud/holdfast/api/secretsmanager"
)

func TestPassword(t *testing.T) {
	type request = secretsmanager.GetRandomPasswordRequest
	has := func(text, chars string) bool { return strings.ContainsAny(text, chars) }
	for _, x := range []struct {
		name string
		in   request
		ok   func(string) bool
		err  string
	}{
		{"OK", request{}, func(s string) bool {
			return len(s) == 32 && has(s, lowercase) && has(s, uppercase) && has(s, digits) && has(s, punctuation) && !has(s, " ")
		}, ""},
		{"Shortest", request{PasswordLength: new(int64(4))}, func(s string) bool {
			return len(s) == 4 && has(s, lowercase) && has(s, uppercase) && has(s, digits) && has(s, punctuation)
		}, ""},
		{"TooShort", request{PasswordLength: new(int64(3))}, nil, "Password length 3 is too short based on the required types."},
		{"AnyType", request{PasswordLength: new(int64(3)), RequireEachIncludedType: new(false)}, func(s string) bool { return len(s) == 3 }, ""},
		{"Space", request{IncludeSpace: new(true)}, func(s string) bool { return has(s, " ") }, ""},
		{"LettersAlone", request{ExcludeNumbers: new(true), ExcludePunctuation: new(true), PasswordLength: new(int64(500))}, func(s string) bool {
			return strings.Trim(s, lowercase+uppercase) == ""
		}, ""},
		{"NoLetters", request{ExcludeLowercase: new(true), ExcludeUppercase: new(true), PasswordLength: new(int64(500))}, func(s string) bool {
			return strings.Trim(s, digits+punctuation) == ""
		}, ""},
		{"Excluded", request{ExcludeCharacters: new("\"@/\\ 0aZ"), PasswordLength: new(int64(4096))}, func(s string) bool {
			return len(s) == 4096 && !has(s, "\"@/\\ 0aZ") && has(s, "1bY")
		}, ""},
		{"TypeExcludedByItsCharacters", request{ExcludeCharacters: new(digits), PasswordLength: new(int64(3))}, func(s string) bool { return !has(s, digits) }, ""},
		{"Nothing", request{ExcludeCharacters: new(lowercase + uppercase + digits + punctuation)}, nil, "At least one character type"},
	} {
		t.Run(x.name, func(t *testing.T) {
			for range 50 {
				s, err := password(rand.Reader, &x.in)
				if x.err != "" {
					if err == nil || !strings.Contains(err.Error(), x.err) {
						t.Fatalf("got %v, want %q", err, x.err)
					}
					continue
				}
				if err != nil || !x.ok(s) {
					t.Fatalf("got a password of %d characters that breaks the rules, or %v", len(s), err)
				}
			}
		})
	}
}

// Numbers are as likely as one another, whatever n divides.
func TestBelow(t *testing.T) {
	const n, draws = 94, 94 * 2000
	var seen [n]int
	for range draws {
		v, err := below(rand.Reader, n)
		if err != nil {
			t.Fatal(err)
		}
		seen[v]++
	}
	for v, times := range seen {
		if times < 1700 || times > 2300 { // six standard deviations
			t.Errorf("%d was drawn %d times of %d", v, times, draws)
		}
	}
}
