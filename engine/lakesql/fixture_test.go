package lakesql_test

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the results in testdata")

// The stores of the fixture.
const (
	events  = "11111111-2222-3333-4444-555555555555"
	channel = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
	empty   = "00000000-0000-0000-0000-000000000000"
)

// fixture is the records of testdata/*.jsonl.
func fixture(t testing.TB) stores {
	t.Helper()
	s := stores{empty: nil}
	for store, file := range map[string]string{events: "testdata/events.jsonl", channel: "testdata/channel.jsonl"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		s[store] = strings.Split(strings.TrimSpace(string(text)), "\n")
	}
	return s
}
