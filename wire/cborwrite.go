package wire

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/wire/internal/cbor"
)

// cborWriter appends shapes to CBOR.
type cborWriter struct {
	b       []byte
	unnamed []bool // of the containers around: what is in them has no name
}

func (w *cborWriter) begin(m *Member) {
	if n := len(w.unnamed); n == 0 || !w.unnamed[n-1] {
		w.b = cbor.AppendText(w.b, m.WireName())
	}
}

func (w *cborWriter) pop() { w.unnamed = w.unnamed[:len(w.unnamed)-1] }

func (w *cborWriter) BeginStruct(m *Member) {
	w.begin(m)
	w.b = cbor.AppendIndefinite(w.b, cbor.Map)
	w.unnamed = append(w.unnamed, false)
}

func (w *cborWriter) EndStruct() {
	w.b = cbor.AppendBreak(w.b)
	w.pop()
}

func (w *cborWriter) BeginList(m *Member, n int) {
	w.begin(m)
	w.b = cbor.AppendHead(w.b, cbor.Array, uint64(n))
	w.unnamed = append(w.unnamed, true)
}

func (w *cborWriter) EndList() { w.pop() }

func (w *cborWriter) BeginMap(m *Member, n int) {
	w.begin(m)
	w.b = cbor.AppendHead(w.b, cbor.Map, uint64(n))
	w.unnamed = append(w.unnamed, true)
}

func (w *cborWriter) MapKey(k string) { w.text(k) }
func (w *cborWriter) EndMap()         { w.pop() }

func (w *cborWriter) text(s string) {
	w.b = cbor.AppendText(w.b, strings.ToValidUTF8(s, "\uFFFD"))
}

func (w *cborWriter) String(m *Member, v string) {
	w.begin(m)
	w.text(v)
}

func (w *cborWriter) Blob(m *Member, v []byte) {
	w.begin(m)
	w.b = cbor.AppendBytes(w.b, v)
}

func (w *cborWriter) Bool(m *Member, v bool) {
	w.begin(m)
	w.b = cbor.AppendBool(w.b, v)
}

func (w *cborWriter) Int(m *Member, v int64) {
	w.begin(m)
	w.b = cbor.AppendInt(w.b, v)
}

func (w *cborWriter) Float(m *Member, v float64) {
	w.begin(m)
	w.b = cbor.AppendFloat(w.b, v)
}

func (w *cborWriter) Time(m *Member, v time.Time) {
	w.begin(m)
	w.b = cbor.AppendHead(w.b, cbor.Tag, 1)
	if ms := v.UnixMilli(); ms%1000 != 0 {
		w.b = cbor.AppendFloat(w.b, float64(ms)/1000)
	} else {
		w.b = cbor.AppendInt(w.b, ms/1000)
	}
}

func (w *cborWriter) Document(m *Member, v any) {
	w.begin(m)
	w.any(v)
}

func (w *cborWriter) any(v any) {
	switch v := v.(type) {
	case bool:
		w.b = cbor.AppendBool(w.b, v)
	case string:
		w.text(v)
	case json.Number:
		f, _ := v.Float64()
		w.b = cbor.AppendFloat(w.b, f)
	case float64:
		w.b = cbor.AppendFloat(w.b, v)
	case []any:
		w.b = cbor.AppendHead(w.b, cbor.Array, uint64(len(v)))
		for _, e := range v {
			w.any(e)
		}
	case map[string]any:
		w.b = cbor.AppendHead(w.b, cbor.Map, uint64(len(v)))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			w.text(k)
			w.any(v[k])
		}
	default:
		w.b = cbor.AppendNull(w.b)
	}
}

func (w *cborWriter) Null(m *Member) {
	w.begin(m)
	w.b = cbor.AppendNull(w.b)
}
