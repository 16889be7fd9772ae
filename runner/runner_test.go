package runner_test

import (
	"testing"
)

func TestEcho(t *testing.T) {
	r := newRunner(t)
	f, l := function("echo")
	for range 3 {
		got := invoke(t, r, f, `{"a":1}`)
		if string(got.Payload) != `{"a":1}` || got.Failure != "" {
			t.Errorf("echo answered %s, failure %q", got.Payload, got.Failure)
		}
		t.Logf("%+v\n%s", got, got.Tail)
	}
	t.Log(l)
}
