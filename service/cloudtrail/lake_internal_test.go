package cloudtrail

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestWithParameters(t *testing.T) {
	for _, tt := range []struct{ statement, values, want string }{
		{"a = ?", "x", "a = 'x'"},
		{"a = ? AND b = ?", "x y", "a = 'x' AND b = 'y'"},
		{"a = '?' AND b = ?", "x", "a = '?' AND b = 'x'"},
		{`"?" = ?`, "x", `"?" = 'x'`},
		{"a = ? -- ?\nAND b = ?", "x y", "a = 'x' -- ?\nAND b = 'y'"},
		{"a = /* ? */ ?", "x", "a = /* ? */ 'x'"},
		{"a = ?", "'OR'1'='1", "a = '''OR''1''=''1'"},
		{"a = ?", "x y", ""},
		{"a = '?", "x", ""},
	} {
		got, err := withParameters(tt.statement, strings.Fields(tt.values))
		if got != tt.want || (err != nil) != (tt.want == "") {
			t.Errorf("%s with %s: got %s, %v, want %s", tt.statement, tt.values, got, err, tt.want)
		}
	}
}

// What is taken from outside is JSON in one line with all that it needs.
func FuzzAuditEvent(f *testing.F) {
	now := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	f.Add([]byte(`{"version":"1","userIdentity":{"type":"t","principalId":"p"},"eventSource":"s","eventName":"n","eventTime":"2026-12-31T00:00:00Z","UID":"u","recipientAccountId":"111122223333"}`))
	f.Add([]byte(`{"userIdentity":null}`))
	f.Add([]byte(`[`))
	f.Fuzz(func(t *testing.T, event []byte) {
		at, content, err := checkAuditEvent(event, "111122223333", now)
		if err != nil {
			if _, ok := err.(*fault); !ok {
				t.Fatalf("%q: %v", event, err)
			}
			return
		}
		if !json.Valid(content) || strings.ContainsAny(string(content), "\n\r") || at.After(now.Add(day)) {
			t.Errorf("%q became %q, %s", event, content, at)
		}
	})
}
