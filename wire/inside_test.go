package wire

import "testing"

// What services hand each other may be longer where the schema says so, and only there.
func TestValidateInside(t *testing.T) {
	blob := &Schema{Name: "Blob", Kind: Blob, Constraint: &Constraint{Min: 1, Max: 4, HasMin: true, HasMax: true, Inside: 6}}
	schema := &Schema{Name: "In", Kind: Struct, Members: []Member{{Name: "Data", Target: blob}}}
	for length, want := range map[int][2]bool{0: {false, false}, 1: {true, true}, 4: {true, true}, 5: {false, true}, 6: {false, true}, 7: {false, false}} {
		in := &dyn{schema, map[string]any{"Data": make([]byte, length)}}
		if got := [2]bool{Validate(in) == nil, ValidateInside(in) == nil}; got != want {
			t.Errorf("%d bytes: Validate and ValidateInside let through %v, want %v", length, got, want)
		}
	}
}
