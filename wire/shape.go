package wire

import (
	"io"
	"time"
)

// Shape is a generated structure or union.
//
// In Go a shape's optional scalars are pointers, nil when absent; enums are strings, "" when absent; blobs
// are byte slices, and lists and maps are slices and maps, nil when absent; structures are pointers as
// members, and values as elements of lists and maps.
type Shape interface {
	Schema() *Schema

	// WriteMembers calls w for each member that is present, in the order of the model, and for maps in the
	// order of their keys. It does not begin or end the structure itself.
	WriteMembers(w Writer)

	// ReadMembers sets members from r until r.NextMember returns nil. Errors stay in r.
	ReadMembers(r Reader)
}

// Streamer is a shape with a streaming payload, which WriteMembers and ReadMembers leave out.
type Streamer interface {
	Shape
	Stream() io.ReadCloser // nil when absent
	SetStream(io.ReadCloser)
}

// Writer takes the members of a shape one after the other. The Member given says which member, element
// or map value is written; its Target says what it is. Elements of a list and values of a map are written
// with the Elem member of their schema.
type Writer interface {
	// BeginStruct begins a nested structure or union; the top-level structure is begun and ended by
	// whoever drives the Writer.
	BeginStruct(m *Member)
	EndStruct()

	BeginList(m *Member, n int)
	EndList()

	// Between BeginMap and EndMap comes MapKey before each value.
	BeginMap(m *Member, n int)
	MapKey(k string)
	EndMap()

	String(m *Member, v string) // String and Enum
	Blob(m *Member, v []byte)
	Bool(m *Member, v bool)
	Int(m *Member, v int64)     // Integer and Long
	Float(m *Member, v float64) // Float and Double
	Time(m *Member, v time.Time)
	Document(m *Member, v any) // as encoding/json decodes into any, numbers as json.Number or float64
	Null(m *Member)            // in sparse lists and maps
}

// Reader gives the members of a shape one after the other. Its errors are sticky: after the first, every
// method returns zero values and the loops end; the caller asks Err once. A null member counts as absent
// and an unknown member is passed over. A Reader refuses nesting deeper than its limit, so recursion in
// generated code is bounded.
type Reader interface {
	// BeginStruct enters a nested structure or union; the top-level structure is entered by whoever drives
	// the Reader. NextMember returns the next member that is present; nil leaves the structure.
	BeginStruct(m *Member)
	NextMember() *Member

	// BeginList enters a list, NextItem reports whether another element follows, and leaves at the end.
	BeginList(m *Member)
	NextItem() bool

	// BeginMap enters a map, NextKey gives the next key, and leaves at the end with ok false.
	BeginMap(m *Member)
	NextKey() (k string, ok bool)

	// Null reports whether the element or map value at hand is null, and passes over it if so.
	Null() bool

	String(m *Member) string
	Blob(m *Member) []byte // never nil without an error; the caller owns it
	Bool(m *Member) bool
	Int(m *Member) int64 // within 32 bits for Integer
	Float(m *Member) float64
	Time(m *Member) time.Time
	Document(m *Member) any

	Err() error
}
