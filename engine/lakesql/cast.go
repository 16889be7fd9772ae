package lakesql

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

func reversed(text string) string {
	runes := []rune(text)
	slices.Reverse(runes)
	return string(runes)
}

// castValue converts a value of one kind to another.
func castValue(_ *execution, a []any) (any, error) {
	from, to := &typ{kind: kind(a[1].(int64))}, &typ{kind: kind(a[2].(int64))}
	fail := fmt.Errorf("Cannot cast '%s' to %s", shortened(render(a[0], &typ{kind: kindVarchar})), typeName(to.kind))
	switch {
	case to.kind == kindJSON:
		if from.isText() {
			return a[0], nil
		}
		return string(encoded(nil, a[0], from.kind)), nil
	case from.kind == kindJSON:
		text, _ := a[0].(string)
		if !json.Valid([]byte(text)) {
			return nil, fail
		}
		raw := []byte(strings.TrimSpace(text))
		v := decoded(raw, to.kind)
		if v == nil && !isNull(raw) || to.kind == kindVarchar && (raw[0] == '{' || raw[0] == '[') {
			return nil, fail
		}
		return v, nil
	case to.kind == kindVarchar:
		return render(a[0], from), nil
	}
	if text, ok := a[0].(string); ok {
		if v := parseValue(strings.TrimSpace(text), to.kind); v != nil {
			return v, nil
		}
		return nil, fail
	}
	f := number(a[0])
	switch to.kind {
	case kindBoolean:
		return boolean(f != 0), nil
	case kindBigint:
		if f = math.Round(f); math.IsNaN(f) || f < -(1<<63) || f >= 1<<63 {
			return nil, fail
		}
		if n, ok := a[0].(int64); ok {
			return n, nil
		}
		return int64(f), nil
	case kindDouble:
		return f, nil
	}
	return nil, fail
}

func typeName(k kind) string {
	if k >= kindArray {
		return [...]string{"array", "map", "row"}[k-kindArray]
	}
	return (&typ{kind: k}).String()
}

// parseValue is a text as a value of a kind, or nil.
func parseValue(text string, k kind) any {
	switch k {
	case kindBoolean:
		switch strings.ToLower(text) {
		case "true", "t", "1":
			return int64(1)
		case "false", "f", "0":
			return int64(0)
		}
	case kindBigint:
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n
		}
	case kindDouble:
		if strings.ContainsAny(text, "xX_pP") {
			return nil
		}
		if f, err := strconv.ParseFloat(text, 64); err == nil {
			return f
		}
	case kindTimestamp, kindZoned, kindDate:
		if ms, ok := parseTime(text); ok {
			if k == kindDate {
				return floorDay(ms)
			}
			return ms
		}
	}
	return nil
}
