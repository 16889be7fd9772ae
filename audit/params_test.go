package audit_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/internal/apigen/golden/orchard"
	"github.com/holdfast-cloud/holdfast/wire"
)

func TestAppendShape(t *testing.T) {
	moment := time.Date(2026, 11, 26, 13, 38, 4, 0, time.FixedZone("", 3600))
	for _, tt := range []struct {
		name string
		in   wire.Shape
		want string
	}{
		{"Empty", &orchard.PingRequest{}, `{}`},
		{"Scalars", &orchard.PlantTreeRequest{Fruit: "APPLE", Age: new(int32(-3)), Planted: &moment, Spread: new(1.5)},
			`{"fruit":"APPLE","age":-3,"planted":"Nov 26, 2026, 12:38:04 PM","spread":1.5}`},
		{"Numbers", &orchard.Grove{Heights: []float64{0, math.NaN(), math.Inf(-1), 1e300}, Ages: []int32{1, -1}, Flags: map[string]bool{"b": true}},
			`{"flags":{"b":true},"heights":[0,null,null,1e+300],"ages":[1,-1]}`},
		{"Casing", &orchard.Tree{TreeId: new("oak")}, `{"treeId":"oak"}`},
		{"SensitiveBlobIsLeftOut", &orchard.PlantTreeRequest{Bark: []byte("secret"), Token: new("t")}, `{"token":"t"}`},
		{"SensitiveStructure", &orchard.DescribeTreeRequest{TreeId: new("oak"), Secret: &orchard.Secret{Words: []string{"secret"}}},
			`{"treeId":"oak","secret":"HIDDEN_DUE_TO_SECURITY_REASONS"}`},
		{"SensitiveMapAndList", &orchard.Grove{Secrets: map[string]string{"secret": "secret"}, Barks: [][]byte{[]byte("secret")}, Ages: []int32{1}},
			`{"secrets":"HIDDEN_DUE_TO_SECURITY_REASONS","ages":[1],"barks":"HIDDEN_DUE_TO_SECURITY_REASONS"}`},
		{"Nested", &orchard.PlantTreeRequest{Crown: &orchard.Branch{Length: new(1.0), Branches: []orchard.Branch{{}, {Fork: &orchard.Branch{}}}, Named: map[string]orchard.Branch{"Low": {Length: new(2.0)}}}},
			`{"crown":{"length":1,"branches":[{},{"fork":{}}],"named":{"Low":{"length":2}}}}`},
		{"ListsInMap", &orchard.Grove{Table: map[string][][]string{"T": {{"a", "b"}, {}, {"c"}}}, Ages: []int32{}}, `{"table":{"T":[["a","b"],[],["c"]]},"ages":[]}`},
		{"Documents", &orchard.Grove{Notes: []any{map[string]any{"K": []any{1.0, nil}}, "s"}}, `{"notes":[{"K":[1,null]},"s"]}`},
		{"HostileText", &orchard.Tree{TreeId: new("\"\\\x00\xff\u2028")}, `{"treeId":"\"\\\u0000` + "\ufffd\u2028" + `"}`},
		{"HostileKey", &orchard.Grove{Flags: map[string]bool{"\"}\n": false}}, `{"flags":{"\"}\n":false}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := string(audit.AppendShape([]byte("x"), tt.in))
			if got != "x"+tt.want || !json.Valid([]byte(got[1:])) {
				t.Errorf("AppendShape() = %s, want x%s", got, tt.want)
			}
			if strings.Contains(got, `"secret"]`) || strings.Contains(got, "c2VjcmV0") {
				t.Errorf("AppendShape() = %s tells a secret", got)
			}
		})
	}
}

func FuzzAppendShape(f *testing.F) {
	f.Add("key", "value")
	f.Add("\xff\"", "\x00\n")
	f.Fuzz(func(t *testing.T, k, v string) {
		in := &orchard.Grove{Table: map[string][][]string{k: {{v}}}}
		var got struct{ Table map[string][][]string }
		if err := json.Unmarshal(audit.AppendShape(nil, in), &got); err != nil {
			t.Fatalf("AppendShape(%q: %q) is not JSON: %v", k, v, err)
		}
		for _, rows := range got.Table {
			if want := valid(v); rows[0][0] != want {
				t.Errorf("%q came back as %q, want %q", v, rows[0][0], want)
			}
		}
	})
}

// valid is s with each byte that is no UTF-8 replaced, as package json does it.
func valid(s string) string {
	var b strings.Builder
	for _, r := range s {
		b.WriteRune(r)
	}
	return b.String()
}
