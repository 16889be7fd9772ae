package iam_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestInline(t *testing.T) {
	t.Parallel()
	w := start(t)
	for _, h := range w.holders(t, w.Client, "ann", true) {
		t.Run(h.kind, func(t *testing.T) {
			odd := "\n" + anyone + " \t"
			ok(t)(h.put("one", odd))
			got, err := h.get("one")
			ok(t)(nil, err)
			if doc := decoded(t, got); doc != odd {
				t.Errorf("got %q, want %q", doc, odd)
			}
			ok(t)(h.put("one", anyone))
			if got, _ := h.get("one"); decoded(t, got) != anyone {
				t.Errorf("the policy was not replaced: %s", *got)
			}
			refused(t, "MalformedPolicyDocument", "Syntax errors in policy.")(h.put("bad", "{}"))
			refused(t, "MalformedPolicyDocument", "Policy document should not specify a principal.")(h.put("bad", document(`"Principal":"*","Action":"*","Resource":"*"`)))
			refused(t, "ValidationError", "-")(h.put("a b", anyone))
			none := "The " + h.kind + " policy with name none cannot be found."
			_, err = h.get("none")
			refused(t, "NoSuchEntity", none)(nil, err)
			refused(t, "NoSuchEntity", none)(h.remove("none"))

			for i := range 3 {
				ok(t)(h.put(fmt.Sprintf("more%d", i), anyone))
			}
			first, truncated, marker, err := h.names(nil, 3)
			ok(t)(nil, err)
			rest, more, _, err := h.names(marker, 3)
			ok(t)(nil, err)
			if !truncated || more || !cmp.Equal(append(first, rest...), []string{"more0", "more1", "more2", "one"}) {
				t.Errorf("listed %v and %v", first, rest)
			}
			_, _, _, err = h.names(new("x"), 3)
			refused(t, "ValidationError", "Invalid Marker.")(nil, err)
			for i := range 3 {
				ok(t)(h.remove(fmt.Sprintf("more%d", i)))
			}

			// What counts is the sum of all, without white space.
			size := func(n int) string {
				return document(`"Action":"s3:` + strings.Repeat("x", n-len(document(`"Action":"s3:","Resource":"*"`))) + `","Resource":"*"`)
			}
			left := h.size - len(anyone)
			ok(t)(h.put("big", size(left)+strings.Repeat(" ", 5000)))
			refused(t, "LimitExceeded", fmt.Sprintf("Maximum policy size of %d bytes exceeded for %s ann", h.size, h.kind))(h.put("big", size(left+1)))
			refused(t, "LimitExceeded", "-")(h.put("two", anyone))
			ok(t)(h.remove("one"))
			ok(t)(h.put("two", anyone))
		})
	}
}
