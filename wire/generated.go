package wire

import "slices"

// GeneratedForV1 ties generated packages to this runtime: each names it in a constant, so that code made
// for another contract does not compile. A change of the contract renames it.
const GeneratedForV1 = true

// SortedKeys appends the keys of m to dst and sorts them. Generated code calls it with room for a few, so that writing a small
// map allocates nothing.
func SortedKeys[K ~string, V any](dst []K, m map[K]V) []K {
	for k := range m {
		dst = append(dst, k)
	}
	if len(dst) > 1 {
		slices.Sort(dst)
	}
	return dst
}
