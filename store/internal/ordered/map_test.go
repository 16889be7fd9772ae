package ordered

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestAgainstModel compares random changes, lookups and walks with a plain Go map, and
// checks that an old version of the map stays as it was.
func TestAgainstModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	var m, old Map[int]
	model, oldModel := map[string]int{}, map[string]int{}
	key := func() []byte { return fmt.Appendf(nil, "%03d", rng.IntN(300)) }
	walk := func(m Map[int], from, to []byte, reverse bool) (out []string) {
		for c := m.Cursor(from, to, reverse); c.Next(); {
			out = append(out, fmt.Sprint(string(c.Key()), "=", c.Value()))
		}
		return out
	}
	want := func(model map[string]int, from, to []byte, reverse bool) (out []string) {
		for k, v := range model {
			if k >= string(from) && (to == nil || k < string(to)) {
				out = append(out, fmt.Sprint(k, "=", v))
			}
		}
		slices.Sort(out)
		if reverse {
			slices.Reverse(out)
		}
		return out
	}
	for i := range 5000 {
		k := key()
		if rng.IntN(3) == 0 {
			m = m.Delete(k)
			delete(model, string(k))
		} else {
			m = m.Set(k, i)
			model[string(k)] = i
		}
		k = key()
		v, ok := m.Get(k)
		if wv, wok := model[string(k)]; v != wv || ok != wok {
			t.Fatalf("Get(%s) = %d, %t, want %d, %t", k, v, ok, wv, wok)
		}
		if m.Empty() != (len(model) == 0) {
			t.Fatalf("Empty() = %t with %d entries", m.Empty(), len(model))
		}
		if i%100 == 0 {
			from, to, reverse := key(), key(), rng.IntN(2) == 0
			if rng.IntN(3) == 0 {
				to = nil
			}
			if got, want := walk(m, from, to, reverse), want(model, from, to, reverse); !slices.Equal(got, want) {
				t.Fatalf("walk(%s, %s, %t) = %v, want %v", from, to, reverse, got, want)
			}
			if got, want := walk(old, nil, nil, reverse), want(oldModel, nil, nil, reverse); !slices.Equal(got, want) {
				t.Fatalf("the old version changed: %v, want %v", got, want)
			}
		}
		if i%1000 == 0 {
			old, oldModel = m, map[string]int{}
			for k, v := range model {
				oldModel[k] = v
			}
		}
	}
}

// TestBuilder has what a builder gave away stay as it was, also when the builder goes back to it and on from there.
func TestBuilder(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	type version struct {
		m    Map[int]
		want map[string]int
	}
	var b Builder[int]
	model := map[string]int{}
	var given []version
	check := func(m Map[int], want map[string]int) {
		t.Helper()
		got := map[string]int{}
		last := ""
		for c := m.Cursor(nil, nil, false); c.Next(); {
			if k := string(c.Key()); k <= last {
				t.Fatalf("%s comes after %s", k, last)
			} else {
				got[k], last = c.Value(), k
			}
		}
		if !maps.Equal(got, want) {
			t.Fatalf("the map has %v, want %v", got, want)
		}
	}
	for i := range 3000 {
		switch rng.IntN(20) {
		case 0:
			given = append(given, version{b.Map(), maps.Clone(model)})
		case 1:
			if len(given) > 0 {
				v := given[rng.IntN(len(given))]
				b.Reset(v.m)
				model = maps.Clone(v.want)
			}
		default:
			k := fmt.Sprintf("%03d", rng.IntN(200))
			b.Set([]byte(k), i)
			model[k] = i
			if got, ok := b.Get([]byte(k)); got != i || !ok {
				t.Fatalf("Get(%s) = %d, %t, want %d", k, got, ok, i)
			}
		}
	}
	check(b.Map(), model)
	for _, v := range given {
		check(v.m, v.want)
	}
}
