package apigen_test

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/api/sts"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/apigen/golden/almanac"
	"github.com/holdfast-cloud/holdfast/internal/apigen/golden/beacon"
	"github.com/holdfast-cloud/holdfast/internal/apigen/golden/catalog"
	"github.com/holdfast-cloud/holdfast/internal/apigen/golden/depot"
	"github.com/holdfast-cloud/holdfast/internal/apigen/golden/ferry"
	"github.com/holdfast-cloud/holdfast/internal/apigen/golden/orchard"
	"github.com/holdfast-cloud/holdfast/internal/apigen/golden/quarry"
	"github.com/holdfast-cloud/holdfast/wire"
)

// TestShapes fills the inputs, outputs and errors of generated packages, writes them onto a tape, and reads
// them back from it.
func TestShapes(t *testing.T) {
	for _, operations := range [][]*wire.Operation{
		almanac.Operations(), beacon.Operations(), depot.Operations(), ferry.Operations(), orchard.Operations(),
		quarry.Operations(), kms.Operations(), sts.Operations(),
	} {
		for _, op := range operations {
			t.Run(op.Service.Package+"/"+op.Name, func(t *testing.T) {
				testShape(t, op.NewInput)
				testShape(t, op.NewOutput)
				for _, e := range op.Errors {
					testShape(t, e.Error.New)
					if got := e.Error.New().Schema(); got != e {
						t.Errorf("New of the error %s makes a %s", e.Name, got.Name)
					}
					if _, ok := e.Error.New().(wire.ModeledError); !ok {
						t.Errorf("%s is no wire.ModeledError", e.Name)
					}
				}
			})
		}
	}
}

func testShape(t *testing.T, make func() wire.Shape) {
	t.Helper()
	want := make()
	n := 0
	fill(reflect.ValueOf(want).Elem(), 4, &n)
	checkSchema(t, want.Schema(), map[*wire.Schema]bool{})
	tape := &tape{t: t}
	want.WriteMembers(tape)
	got := make()
	got.ReadMembers(player{tape})
	if len(tape.events) > 0 {
		t.Errorf("%s left %d events unread", want.Schema().Name, len(tape.events))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-written +read):\n%s", want.Schema().Name, diff)
	}
}

// checkSchema makes sure that everything has its place and a target.
func checkSchema(t *testing.T, s *wire.Schema, seen map[*wire.Schema]bool) {
	t.Helper()
	if s == nil {
		t.Fatal("a member without a target")
	}
	if seen[s] {
		return
	}
	seen[s] = true
	for i := range s.Members {
		if s.Members[i].Index != i {
			t.Errorf("%s.%s has the index %d, want %d", s.Name, s.Members[i].Name, s.Members[i].Index, i)
		}
		checkSchema(t, s.Members[i].Target, seen)
	}
	if s.Kind == wire.List || s.Kind == wire.Map {
		checkSchema(t, s.Elem.Target, seen)
	}
	if s.Kind == wire.Map {
		checkSchema(t, s.Key.Target, seen)
	}
	if s.Payload != nil && &s.Members[s.Payload.Index] != s.Payload {
		t.Errorf("the payload of %s is none of its members", s.Name)
	}
}

// fill sets every field to a value that is not zero, streams excepted, down to a depth.
func fill(v reflect.Value, depth int, n *int) {
	*n++
	switch v.Kind() {
	case reflect.Pointer:
		if depth > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(v.Elem(), depth, n)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Unix(int64(*n), 0).UTC()))
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i), depth-1, n)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), max(0, min(depth, 2)), 2))
		for i := range v.Len() {
			fill(v.Index(i), depth, n)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range max(0, min(depth, 2)) {
			key, elem := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			fill(key, depth, n)
			fill(elem, depth-1, n)
			v.SetMapIndex(key, elem)
		}
	case reflect.String:
		v.SetString(fmt.Sprint("s", *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Uint8:
		v.SetUint(uint64(*n % 256))
	case reflect.Float64:
		v.SetFloat(float64(*n) / 2)
	case reflect.Interface:
		if v.Type() != reflect.TypeFor[io.ReadCloser]() {
			v.Set(reflect.ValueOf(fmt.Sprint("document ", *n)))
		}
	default:
		panic("generated code has a " + v.Kind().String())
	}
}

// event is one call of a wire.Writer.
type event struct {
	what   string
	member *wire.Member
	value  any
}

// tape is a wire.Writer that keeps what is written to it.
type tape struct {
	t      *testing.T
	events []event
}

func (w *tape) put(what string, m *wire.Member, value any, kinds ...wire.Kind) {
	if m != nil && !slices.Contains(kinds, m.Target.Kind) {
		w.t.Errorf("%s of %s is written as %s", m.Name, m.Target.Name, what)
	}
	w.events = append(w.events, event{what, m, value})
}

func (w *tape) BeginStruct(m *wire.Member)       { w.put("struct", m, nil, wire.Struct, wire.Union) }
func (w *tape) EndStruct()                       { w.put("end of struct", nil, nil) }
func (w *tape) BeginList(m *wire.Member, n int)  { w.put("list", m, n, wire.List) }
func (w *tape) EndList()                         { w.put("end of list", nil, nil) }
func (w *tape) BeginMap(m *wire.Member, n int)   { w.put("map", m, n, wire.Map) }
func (w *tape) MapKey(k string)                  { w.put("key", nil, k) }
func (w *tape) EndMap()                          { w.put("end of map", nil, nil) }
func (w *tape) String(m *wire.Member, v string)  { w.put("string", m, v, wire.String, wire.Enum) }
func (w *tape) Blob(m *wire.Member, v []byte)    { w.put("blob", m, v, wire.Blob) }
func (w *tape) Bool(m *wire.Member, v bool)      { w.put("bool", m, v, wire.Boolean) }
func (w *tape) Int(m *wire.Member, v int64)      { w.put("int", m, v, wire.Integer, wire.Long) }
func (w *tape) Float(m *wire.Member, v float64)  { w.put("float", m, v, wire.Float, wire.Double) }
func (w *tape) Time(m *wire.Member, v time.Time) { w.put("time", m, v, wire.Timestamp) }
func (w *tape) Document(m *wire.Member, v any)   { w.put("document", m, v, wire.Document) }
func (w *tape) Null(*wire.Member)                { w.t.Error("a null is written") }

// player is a wire.Reader of what is on a tape.
type player struct{ *tape }

func play[T any](r player, what string, m *wire.Member) T {
	if len(r.events) == 0 || r.events[0].what != what || r.events[0].member != m {
		r.t.Fatalf("%s of %v is read, but the tape goes on with %v", what, m, r.events[:min(1, len(r.events))])
	}
	v, _ := r.events[0].value.(T)
	r.events = r.events[1:]
	return v
}

// ends passes over the event if it is the next one, and reports that or the end of the tape.
func (r player) ends(what string) bool {
	if len(r.events) > 0 && r.events[0].what == what {
		r.events = r.events[1:]
		return true
	}
	return len(r.events) == 0
}

func (r player) NextMember() *wire.Member {
	if r.ends("end of struct") {
		return nil
	}
	return r.events[0].member
}

func (r player) NextKey() (string, bool) {
	if r.ends("end of map") {
		return "", false
	}
	return play[string](r, "key", nil), true
}

func (r player) BeginStruct(m *wire.Member)    { play[any](r, "struct", m) }
func (r player) BeginList(m *wire.Member)      { play[int](r, "list", m) }
func (r player) NextItem() bool                { return !r.ends("end of list") }
func (r player) BeginMap(m *wire.Member)       { play[int](r, "map", m) }
func (r player) Null() bool                    { return false }
func (r player) String(m *wire.Member) string  { return play[string](r, "string", m) }
func (r player) Blob(m *wire.Member) []byte    { return play[[]byte](r, "blob", m) }
func (r player) Bool(m *wire.Member) bool      { return play[bool](r, "bool", m) }
func (r player) Int(m *wire.Member) int64      { return play[int64](r, "int", m) }
func (r player) Float(m *wire.Member) float64  { return play[float64](r, "float", m) }
func (r player) Time(m *wire.Member) time.Time { return play[time.Time](r, "time", m) }
func (r player) Document(m *wire.Member) any   { return play[any](r, "document", m) }
func (r player) Err() error                    { return nil }

// door is a call.Transport to the endpoints of a service in the same process.
type door []call.Endpoint

func (d door) Invoke(c *call.Call, op *wire.Operation, in wire.Shape) (wire.Shape, error) {
	for _, e := range d {
		if e.Op == op {
			return e.Handle(c, in)
		}
	}
	return nil, fmt.Errorf("no endpoint for %s", op.Name)
}

type planter struct{ orchard.Unimplemented }

func (planter) PlantTree(_ *call.Call, in *orchard.PlantTreeRequest) (*orchard.PlantTreeResponse, error) {
	if in.Fruit == orchard.FruitPear {
		return nil, &orchard.TreeNotFoundException{Message: "no pears"}
	}
	return &orchard.PlantTreeResponse{TreeId: new("tree of " + string(in.Fruit))}, nil
}

func TestClient(t *testing.T) {
	client := orchard.Client{Transport: door(orchard.Endpoints(planter{}))}
	t.Run("OK", func(t *testing.T) {
		out, err := client.PlantTree(&call.Call{}, &orchard.PlantTreeRequest{Fruit: orchard.FruitApple})
		if err != nil || out.TreeId == nil || *out.TreeId != "tree of APPLE" {
			t.Errorf("PlantTree: %v, %v", out, err)
		}
	})
	t.Run("TreeNotFoundException", func(t *testing.T) {
		out, err := client.PlantTree(&call.Call{}, &orchard.PlantTreeRequest{Fruit: orchard.FruitPear})
		var notFound *orchard.TreeNotFoundException
		if out != nil || !errors.As(err, &notFound) || err.Error() != "TreeNotFoundException: no pears" {
			t.Errorf("PlantTree: %v, %v", out, err)
		}
	})
	t.Run("NotImplemented", func(t *testing.T) {
		_, err := client.Ping(&call.Call{}, &orchard.PingRequest{})
		var e *wire.Error
		if !errors.As(err, &e) || e.Code != "NotImplemented" || !strings.Contains(e.Message, "orchard:Ping") {
			t.Errorf("Ping: %v", err)
		}
	})
	t.Run("NoEndpoint", func(t *testing.T) {
		if _, err := (orchard.Client{Transport: door(nil)}).Ping(&call.Call{}, &orchard.PingRequest{}); err == nil {
			t.Error("Ping without an endpoint succeeds")
		}
	})
}

func TestStream(t *testing.T) {
	var in wire.Shape = &ferry.PutManifestRequest{}
	s, ok := in.(wire.Streamer)
	if !ok {
		t.Fatalf("%T is no wire.Streamer", in)
	}
	if s.Stream() != nil {
		t.Error("Stream of an empty request is not nil")
	}
	s.SetStream(io.NopCloser(strings.NewReader("crates")))
	if b, err := io.ReadAll(s.Stream()); err != nil || string(b) != "crates" {
		t.Errorf("Stream gives %q, %v", b, err)
	}
}

func TestUnbuilt(t *testing.T) {
	want := []wire.Unbuilt{{Name: "FellTree", Method: "POST", URI: "/"}}
	if diff := cmp.Diff(want, orchard.Service.Unbuilt); diff != "" {
		t.Errorf("orchard.Service.Unbuilt:\n%s", diff)
	}
	for _, s := range catalog.Services() {
		if s.Package != "ferry" {
			continue
		}
		want := []wire.Unbuilt{
			{Name: "BookPassage", Method: "PUT", URI: "/2021-03-04/lines/{Line}/berths/{Berth+}?book"},
			{Name: "Follow", Method: "GET", URI: "/2021-03-04/follow"},
			{Name: "GetManifest", Method: "GET", URI: "/2021-03-04/manifest"},
			{Name: "PutManifest", Method: "PUT", URI: "/2021-03-04/manifest"},
			{Name: "PutNote", Method: "POST", URI: "/2021-03-04/note"},
		}
		if diff := cmp.Diff(want, s.Unbuilt); diff != "" {
			t.Errorf("ferry in the catalog:\n%s", diff)
		}
		return
	}
	t.Error("ferry is not in the catalog")
}
