package wire

import (
	"encoding/json"
	"maps"
	"slices"
	"time"
)

// dyn is a shape without generated code: it walks its schema. Values are string, []byte, bool, int64,
// float64, time.Time, document, *dyn, []any and map[string]any; nil is a null.
type dyn struct {
	s *Schema
	v map[string]any
}

type document struct{ v any }

func (d *dyn) Schema() *Schema { return d.s }

func (d *dyn) WriteMembers(w Writer) {
	for i := range d.s.Members {
		m := &d.s.Members[i]
		if v, ok := d.v[m.Name]; ok && !m.Target.Streaming {
			writeDyn(w, m, v)
		}
	}
}

func writeDyn(w Writer, m *Member, v any) {
	switch v := v.(type) {
	case nil:
		w.Null(m)
	case string:
		w.String(m, v)
	case []byte:
		w.Blob(m, v)
	case bool:
		w.Bool(m, v)
	case int64:
		w.Int(m, v)
	case float64:
		w.Float(m, v)
	case time.Time:
		w.Time(m, v)
	case document:
		w.Document(m, v.v)
	case *dyn:
		w.BeginStruct(m)
		v.WriteMembers(w)
		w.EndStruct()
	case []any:
		w.BeginList(m, len(v))
		for _, e := range v {
			writeDyn(w, m.Target.Elem, e)
		}
		w.EndList()
	case map[string]any:
		w.BeginMap(m, len(v))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			w.MapKey(k)
			writeDyn(w, m.Target.Elem, v[k])
		}
		w.EndMap()
	}
}

func (d *dyn) ReadMembers(r Reader) {
	for m := r.NextMember(); m != nil; m = r.NextMember() {
		d.v[d.s.Members[m.Index].Name] = readDyn(r, m)
	}
}

func readDyn(r Reader, m *Member) any {
	switch m.Target.Kind {
	case String, Enum:
		return r.String(m)
	case Blob:
		return r.Blob(m)
	case Boolean:
		return r.Bool(m)
	case Integer, Long:
		return r.Int(m)
	case Float, Double:
		return r.Float(m)
	case Timestamp:
		return r.Time(m)
	case Document:
		return document{plain(r.Document(m))}
	case Struct, Union:
		d := &dyn{s: m.Target, v: map[string]any{}}
		r.BeginStruct(m)
		d.ReadMembers(r)
		return d
	case List:
		list := []any{}
		for r.BeginList(m); r.NextItem(); {
			if r.Null() {
				if m.Target.Sparse {
					list = append(list, nil)
				}
				continue
			}
			list = append(list, readDyn(r, m.Target.Elem))
		}
		return list
	case Map:
		all := map[string]any{}
		r.BeginMap(m)
		for k, ok := r.NextKey(); ok; k, ok = r.NextKey() {
			if r.Null() {
				all[k] = nil
				continue
			}
			all[k] = readDyn(r, m.Target.Elem)
		}
		return all
	}
	panic("no such kind")
}

// plain is a document with floats for numbers.
func plain(v any) any {
	switch v := v.(type) {
	case json.Number:
		f, _ := v.Float64()
		return f
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = plain(v[k])
		}
	}
	return v
}

// failed is a dyn that is an error.
type failed struct{ dyn }

func (f *failed) Error() string { return f.s.Name }

// structure gives a schema with the members numbered.
func structure(name string, members ...Member) *Schema {
	for i := range members {
		members[i].Index = i
	}
	return &Schema{Name: name, Kind: Struct, Members: members}
}

func scalar(k Kind) *Schema { return &Schema{Name: "Scalar", Kind: k} }

func listOf(e *Schema) *Schema {
	return &Schema{Name: "ListOf" + e.Name, Kind: List, Elem: &Member{Name: "member", Target: e}}
}

func mapOf(e *Schema) *Schema {
	return &Schema{Name: "MapOf" + e.Name, Kind: Map, Key: &Member{Name: "key", Target: scalar(String)}, Elem: &Member{Name: "value", Target: e}}
}

func flattened(s *Schema) *Schema {
	c := *s
	c.Flattened = true
	return &c
}

func sparse(s *Schema) *Schema {
	c := *s
	c.Sparse = true
	return &c
}

func named(s *Schema, item string) *Schema {
	c := *s
	e := *s.Elem
	e.LocationName = item
	c.Elem = &e
	return &c
}

// everything has a member of each kind and form that all protocols have.
func everything() *Schema {
	inner := structure("Inner",
		Member{Name: "Key", Target: scalar(String)},
		Member{Name: "Value", Target: scalar(Integer), LocationName: "value"},
	)
	union := structure("Either",
		Member{Name: "Text", Target: scalar(String)},
		Member{Name: "Inner", Target: inner},
		Member{Name: "Many", Target: listOf(inner)},
	)
	union.Kind = Union
	self := structure("Everything",
		Member{Name: "String", Target: scalar(String)},
		Member{Name: "Renamed", Target: scalar(String), LocationName: "other"},
		Member{Name: "Enum", Target: &Schema{Name: "E", Kind: Enum, Constraint: &Constraint{Enum: []string{"A", "B"}}}},
		Member{Name: "Blob", Target: scalar(Blob)},
		Member{Name: "Bool", Target: scalar(Boolean)},
		Member{Name: "Int", Target: scalar(Integer)},
		Member{Name: "Long", Target: scalar(Long)},
		Member{Name: "Float", Target: scalar(Float)},
		Member{Name: "Double", Target: scalar(Double)},
		Member{Name: "Time", Target: scalar(Timestamp)},
		Member{Name: "TimeEpoch", Target: scalar(Timestamp), TimestampFormat: EpochSeconds},
		Member{Name: "TimeDate", Target: &Schema{Name: "T", Kind: Timestamp, TimestampFormat: DateTime}},
		Member{Name: "TimeHTTP", Target: scalar(Timestamp), TimestampFormat: HTTPDate},
		Member{Name: "Inner", Target: inner},
		Member{Name: "Either", Target: union},
		Member{Name: "Strings", Target: listOf(scalar(String))},
		Member{Name: "Items", Target: named(listOf(scalar(Integer)), "item")},
		Member{Name: "Inners", Target: listOf(inner)},
		Member{Name: "Flat", Target: flattened(listOf(scalar(String)))},
		Member{Name: "FlatNamed", Target: flattened(named(listOf(inner), "FlatOne"))},
		Member{Name: "Nested", Target: listOf(listOf(scalar(String)))},
		Member{Name: "Times", Target: listOf(scalar(Timestamp))},
		Member{Name: "Blobs", Target: listOf(scalar(Blob))},
	)
	self.Members = append(self.Members, Member{Name: "Self", Index: len(self.Members), Target: self})
	// A copy, so that what is added to it is not in the inner ones.
	return &Schema{Name: self.Name, Kind: Struct, Members: slices.Clone(self.Members)}
}

// withMaps adds what EC2 Query has not.
func withMaps(s *Schema) *Schema {
	inner := s.Member("Inner").Target
	for _, m := range []Member{
		{Name: "Map", Target: mapOf(scalar(String))},
		{Name: "Structs", Target: mapOf(inner)},
		{Name: "Lists", Target: mapOf(listOf(scalar(String)))},
		{Name: "FlatMap", Target: flattened(mapOf(scalar(Integer)))},
	} {
		m.Index = len(s.Members)
		s.Members = append(s.Members, m)
	}
	return s
}

// withNulls adds what only JSON and CBOR have.
func withNulls(s *Schema) *Schema {
	for _, m := range []Member{
		{Name: "SparseList", Target: sparse(listOf(scalar(String)))},
		{Name: "SparseMap", Target: sparse(mapOf(scalar(Integer)))},
		{Name: "Document", Target: scalar(Document)},
	} {
		m.Index = len(s.Members)
		s.Members = append(s.Members, m)
	}
	return s
}

// bound adds members outside of the body.
func bound(s *Schema) *Schema {
	for _, m := range []Member{
		{Name: "Label", Target: scalar(String), Location: InURI, Required: true},
		{Name: "Greedy", Target: scalar(String), Location: InURI, LocationName: "greedy", Required: true},
		{Name: "QString", Target: scalar(String), Location: InQuery, LocationName: "q"},
		{Name: "QInt", Target: scalar(Integer), Location: InQuery, LocationName: "i"},
		{Name: "QBool", Target: scalar(Boolean), Location: InQuery, LocationName: "b"},
		{Name: "QTime", Target: scalar(Timestamp), Location: InQuery, LocationName: "t"},
		{Name: "QList", Target: listOf(scalar(String)), Location: InQuery, LocationName: "l"},
		{Name: "QDoubles", Target: listOf(scalar(Double)), Location: InQuery, LocationName: "d"},
		{Name: "QRest", Target: mapOf(listOf(scalar(String))), Location: InQueryMap},
	} {
		m.Index = len(s.Members)
		s.Members = append(s.Members, m)
	}
	return headers(s)
}

// headers adds the members that responses can bind as well.
func headers(s *Schema) *Schema {
	for _, m := range []Member{
		{Name: "HString", Target: scalar(String), Location: InHeader, LocationName: "X-String"},
		{Name: "HLong", Target: scalar(Long), Location: InHeader, LocationName: "X-Long"},
		{Name: "HFloat", Target: scalar(Float), Location: InHeader, LocationName: "X-Float"},
		{Name: "HTime", Target: scalar(Timestamp), Location: InHeader, LocationName: "X-Time"},
		{Name: "HEpoch", Target: scalar(Timestamp), Location: InHeader, LocationName: "X-Epoch", TimestampFormat: EpochSeconds},
		{Name: "HList", Target: listOf(scalar(String)), Location: InHeader, LocationName: "X-List"},
		{Name: "HTimes", Target: listOf(scalar(Timestamp)), Location: InHeader, LocationName: "X-Times"},
		{Name: "HBlob", Target: scalar(Blob), Location: InHeader, LocationName: "X-Blob"},
		{Name: "HPrefix", Target: mapOf(scalar(String)), Location: InHeaders, LocationName: "X-Meta-"},
	} {
		m.Index = len(s.Members)
		s.Members = append(s.Members, m)
	}
	return s
}

func withStatus(s *Schema) *Schema {
	s.Members = append(s.Members, Member{Name: "Status", Index: len(s.Members), Target: scalar(Integer), Location: InStatus})
	return s
}

// testOperation is an operation with dyn shapes of these schemas.
func testOperation(in, out *Schema) *Operation {
	fault := structure("TestException",
		Member{Name: "message", Target: scalar(String)},
		Member{Name: "Extra", Target: listOf(scalar(String))},
		Member{Name: "Retry", Target: scalar(Integer), Location: InBody},
	)
	fault.Error = &ErrorTrait{Code: "TestCode", Status: 409, QueryCode: "Test.Code", QueryStatus: 410,
		New: func() Shape { return &failed{dyn{fault, map[string]any{}}} }}
	return &Operation{
		Service: &Service{Package: "test", ID: "Test", APIVersion: "2026-01-01", TargetPrefix: "Test", JSONVersion: "1.0",
			XMLNamespace: "https://test.invalid/doc/2026-01-01/", QueryCompatible: true},
		Name: "DoTest", Method: "PUT", URI: "/fixed/{Label}/x/{greedy+}?lit&mode=2", ResultWrapper: "DoTestResult",
		NewInput:  func() Shape { return &dyn{in, map[string]any{}} },
		NewOutput: func() Shape { return &dyn{out, map[string]any{}} },
		Errors:    []*Schema{fault},
	}
}
