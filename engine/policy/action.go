package policy

import (
	"cmp"
	"slices"
	"strings"
)

// vendor is a number for the name of a service before the colon of an action. It only sorts out: two services may have one
// number, so whatever passes is matched by its text.
type vendor uint64

const anyVendor vendor = 0

// vendorOf is FNV-1a of what stands before the first colon, in lower case.
func vendorOf(action string) vendor {
	h := uint64(14695981039346656037)
	for i := range len(action) {
		c := action[i]
		if c == ':' {
			break
		}
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		h = (h ^ uint64(c)) * 1099511628211
	}
	return max(vendor(h), anyVendor+1)
}

// actions is a compiled Action or NotAction element. Those of any vendor come first, the others in order of their vendors, so that of a
// long list only a few are looked at.
type actions struct {
	vendors  []vendor // of the patterns at the same places
	patterns []pattern
}

func compileActions(texts []string) (a actions) {
	type action struct {
		vendor  vendor
		pattern pattern
	}
	var list []action
	for _, text := range texts {
		p, _, _ := compilePattern(text, dialect{wildcards: true, fold: true})
		v := anyVendor
		if !strings.HasPrefix(text, "*") { // a vendor is whole or a star
			v = vendorOf(text)
		}
		list = append(list, action{v, p})
	}
	slices.SortStableFunc(list, func(a, b action) int { return cmp.Compare(a.vendor, b.vendor) })
	for _, x := range list {
		a.vendors, a.patterns = append(a.vendors, x.vendor), append(a.patterns, x.pattern)
	}
	return a
}

// vendorSet has a bit for each vendor, which several may share: a quick no.
type vendorSet uint64

const everyVendor = ^vendorSet(0)

func (v vendor) set() vendorSet {
	if v == anyVendor {
		return everyVendor
	}
	return 1 << (v >> 58)
}

// set is the vendors of all actions.
func (a *actions) set() (s vendorSet) {
	for _, v := range a.vendors {
		s |= v.set()
	}
	return s
}

// match reports whether one of the actions is the given one, whose vendor is v.
func (a *actions) match(text string, v vendor) bool {
	i := 0
	for ; i < len(a.vendors) && a.vendors[i] == anyVendor; i++ {
		if a.patterns[i].matchFold(text) {
			return true
		}
	}
	for end := len(a.vendors); i < end; { // the first of v
		if mid := int(uint(i+end) / 2); a.vendors[mid] < v {
			i = mid + 1
		} else {
			end = mid
		}
	}
	for ; i < len(a.vendors) && a.vendors[i] == v; i++ {
		if a.patterns[i].matchFold(text) {
			return true
		}
	}
	return false
}
