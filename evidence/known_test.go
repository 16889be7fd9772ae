package evidence

import (
	"fmt"
	"strings"
	"testing"

	"github.com/holdfast-cloud/holdfast/engine/policy"
)

// Whoever may write policies may write large ones, and a new one for each call.
func TestKnownIsBounded(t *testing.T) {
	r := New(Config{})
	r.limit = 5 << 20
	size := func() (n int) {
		r.known.Range(func(any, any) bool { n++; return true })
		return n
	}
	add := func(i, length int) *entry {
		doc := fmt.Sprintf(`{"Statement":{"Effect":"Allow","Action":"a:%d","Resource":"*"}%s}`, i, strings.Repeat(" ", length))
		p, err := policy.Parse([]byte(doc), policy.Identity)
		if err != nil {
			t.Fatal(err)
		}
		return r.find(&binding{identity: []*policy.Policy{p}})
	}
	for i := range 100 {
		add(i, 0)
	}
	if n := size(); n != 100 {
		t.Errorf("of 100 small sets %d are known", n)
	}
	const large = 10 << 10
	for i := range 40 {
		add(i, large)
		if n := size(); n > 100+r.limit/(20*large) {
			t.Fatalf("%d sets are known after %d large ones", n, i)
		}
		if r.weight > r.limit || len(r.pinned) > size() {
			t.Fatalf("%d bytes of %d documents", r.weight, len(r.pinned))
		}
	}
	// The same text compiled again takes the place of the first.
	before, n := r.weight, size()
	if add(39, large); size() != n || r.weight != before {
		t.Errorf("%d sets of %d bytes, and %d of %d with one compiled again", n, before, size(), r.weight)
	}
}
