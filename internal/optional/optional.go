// Package optional is for the members of requests and answers that may be left out, which are pointers.
package optional

// Value is what p points to, or the zero value if that is nothing.
func Value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// NonZero is a pointer to v, or nil if v is the zero value.
func NonZero[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}
