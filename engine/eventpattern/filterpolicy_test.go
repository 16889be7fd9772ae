package eventpattern

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestFilterPolicies(t *testing.T) {
	for _, e := range examples(t, "policies.txt") {
		t.Run(e.name, func(t *testing.T) {
			scope := MessageAttributes
			if e.event == "" {
				scope = MessageBody
			}
			p, err := CompileFilterPolicy(e.pattern, scope)
			if strings.HasPrefix(e.want, "error ") {
				e.pattern = strings.NewReplacer(": ", ":", ", ", ",").Replace(e.pattern) // SNS names it without spaces
				want := "FilterPolicy: " + strings.TrimPrefix(e.message(), "Event pattern is not valid. Reason: ")
				if pe := (*FilterPolicyError)(nil); !errors.As(err, &pe) || err.Error() != want {
					t.Errorf("compiling %s:\ngot  %v\nwant %s", e.pattern, err, want)
				}
				return
			}
			var attributes []Attribute
			if err := errors.Join(err, json.Unmarshal([]byte(e.event), &attributes)); err != nil {
				t.Fatal(err)
			}
			if got := p.MatchAttributes(attributes); got != (e.want == "match") {
				t.Errorf("%s through %s is %v", e.event, e.pattern, got)
			}
		})
	}
}

func TestFilterPolicyScope(t *testing.T) {
	const nested = `{"object":{"key":[{"prefix":"auto-"}]}}`
	t.Run("NestedAttributes", func(t *testing.T) {
		want := "Filter policy scope MessageAttributes does not support nested filter policy"
		for _, policy := range []string{nested, `{"$or":[{"a":{"b":[1]}},{"c":[2]}]}`} {
			if _, err := CompileFilterPolicy(policy, MessageAttributes); err == nil || err.Error() != want {
				t.Errorf("compiling %s: %v, want %s", policy, err, want)
			}
		}
	})
	p, err := CompileFilterPolicy(nested, MessageBody)
	if err != nil {
		t.Fatal(err)
	}
	for body, want := range map[string]bool{
		`{"object":{"key":"auto-1"}}`:     true,
		`{"object":[[{"key":"auto-1"}]]}`: true,
		`{"object":{"key":"test-1"}}`:     false,
		`auto-1`:                          false,
		`"auto-1"`:                        false,
		``:                                false,
	} {
		if got := p.MatchBody([]byte(body)); got != want {
			t.Errorf("the body %s through %s is %v", body, nested, got)
		}
	}
	if p.Scope() != MessageBody {
		t.Errorf("the scope is %s", p.Scope())
	}
	if p, err := CompileFilterPolicy(" {} ", MessageBody); err != nil || !p.MatchBody([]byte("x")) {
		t.Errorf("a policy without keys lets nothing through: %v", err)
	}
}
