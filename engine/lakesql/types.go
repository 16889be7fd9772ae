package lakesql

import "strings"

type kind int

const (
	kindUnknown kind = iota // of NULL
	kindBoolean
	kindBigint
	kindDouble
	kindVarchar
	kindTimestamp // milliseconds since 1970
	kindZoned     // the same; of functions whose result has a time zone, which is always UTC here
	kindDate      // the milliseconds of its midnight
	kindDays      // an interval, in milliseconds
	kindMonths    // an interval, in months
	kindJSON
	kindArray
	kindMap
	kindRow
)

// typ is a type of Trino's. The engine holds booleans, integers and times as integers, doubles as floats, and JSON, arrays, maps and rows as JSON text.
type typ struct {
	kind   kind
	elem   *typ // of arrays and maps
	key    *typ // of maps
	fields []field
}

type field struct {
	name string // as in JSON; SQL's names do not mind case
	typ  *typ
}

var (
	typUnknown   = &typ{kind: kindUnknown}
	typBoolean   = &typ{kind: kindBoolean}
	typBigint    = &typ{kind: kindBigint}
	typDouble    = &typ{kind: kindDouble}
	typVarchar   = &typ{kind: kindVarchar}
	typTimestamp = &typ{kind: kindTimestamp}
	typZoned     = &typ{kind: kindZoned}
	typDate      = &typ{kind: kindDate}
	typDays      = &typ{kind: kindDays}
	typMonths    = &typ{kind: kindMonths}
	typJSON      = &typ{kind: kindJSON}
)

func arrayOf(elem *typ) *typ     { return &typ{kind: kindArray, elem: elem} }
func mapOf(key, value *typ) *typ { return &typ{kind: kindMap, key: key, elem: value} }

func (t *typ) String() string {
	switch t.kind {
	case kindArray:
		return "array(" + t.elem.String() + ")"
	case kindMap:
		return "map(" + t.key.String() + ", " + t.elem.String() + ")"
	case kindRow:
		var fields []string
		for _, f := range t.fields {
			fields = append(fields, f.name+" "+f.typ.String())
		}
		return "row(" + strings.Join(fields, ", ") + ")"
	}
	return [...]string{"unknown", "boolean", "bigint", "double", "varchar", "timestamp(3)", "timestamp(3) with time zone", "date",
		"interval day to second", "interval year to month", "json"}[t.kind]
}

func (t *typ) field(name string) (field, bool) {
	for _, f := range t.fields {
		if strings.EqualFold(f.name, name) {
			return f, true
		}
	}
	return field{}, false
}

func (t *typ) isTime() bool {
	return t.kind == kindTimestamp || t.kind == kindZoned || t.kind == kindDate
}

func (t *typ) isNumber() bool { return t.kind == kindBigint || t.kind == kindDouble }

// isText says whether the engine holds the type's values as JSON text.
func (t *typ) isText() bool { return t.kind >= kindJSON }

func (t *typ) orderable() bool { return t.kind < kindJSON }

// common is the type that values of both types can have without loss, or nil.
func common(a, b *typ) *typ {
	switch {
	case a.kind == kindUnknown:
		return b
	case b.kind == kindUnknown:
		return a
	case a.isNumber() && b.isNumber():
		if a.kind == b.kind {
			return a
		}
		return typDouble
	case a.isTime() && b.isTime():
		switch {
		case a.kind == b.kind:
			return a
		case a.kind == kindZoned || b.kind == kindZoned:
			return typZoned
		}
		return typTimestamp
	case a.kind != b.kind:
		return nil
	}
	switch a.kind {
	case kindArray, kindMap:
		elem := common(a.elem, b.elem)
		if elem == nil {
			return nil
		}
		return &typ{kind: a.kind, key: a.key, elem: elem}
	case kindRow:
		if len(a.fields) != len(b.fields) {
			return nil
		}
	}
	return a
}
