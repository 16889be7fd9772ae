package lakesql

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
)

var mathFunctions = map[string]function{
	"power": {"dd", typDouble, double2(math.Pow), false}, "pow": {"dd", typDouble, double2(math.Pow), false},
	"sqrt": {"d", typDouble, double1(math.Sqrt), false}, "cbrt": {"d", typDouble, double1(math.Cbrt), false},
	"exp": {"d", typDouble, double1(math.Exp), false}, "ln": {"d", typDouble, double1(math.Log), false},
	"log2": {"d", typDouble, double1(math.Log2), false}, "log10": {"d", typDouble, double1(math.Log10), false},
	"truncate": {"d", typDouble, double1(math.Trunc), false},
	"pi":       {"", typDouble, func(*execution, []any) (any, error) { return math.Pi, nil }, false},
	"infinity": {"", typDouble, func(*execution, []any) (any, error) { return math.Inf(1), nil }, false},
	"is_finite": {"d", typBoolean, func(_ *execution, a []any) (any, error) {
		return boolean(!math.IsInf(number(a[0]), 0)), nil
	}, false},
}

// arithmetic are the operators' functions: the engine's own operators make floats of integers that overflow, and NULL of a division by zero.
var arithmetic = map[string]function{
	"iadd": {"ii", typBigint, integers(func(a, b int64) (int64, bool) { return a + b, (a+b > a) == (b > 0) }), false},
	"isub": {"ii", typBigint, integers(func(a, b int64) (int64, bool) { return a - b, (a-b < a) == (b > 0) }), false},
	"imul": {"ii", typBigint, integers(multiply), false},
	"idiv": {"ii", typBigint, divisions(func(a, b int64) (int64, bool) { return a / b, a != math.MinInt64 || b != -1 }), false},
	"imod": {"ii", typBigint, divisions(func(a, b int64) (int64, bool) { return a % b, true }), false},
	"fadd": {"dd", typDouble, double2(func(a, b float64) float64 { return a + b }), false},
	"fsub": {"dd", typDouble, double2(func(a, b float64) float64 { return a - b }), false},
	"fmul": {"dd", typDouble, double2(func(a, b float64) float64 { return a * b }), false},
	"fdiv": {"dd", typDouble, double2(func(a, b float64) float64 { return a / b }), false},
	"fmod": {"dd", typDouble, double2(math.Mod), false},

	"iabs": {"i", typBigint, func(_ *execution, a []any) (any, error) {
		if n := a[0].(int64); n != math.MinInt64 {
			return max(n, -n), nil
		}
		return nil, errors.New("Value -9223372036854775808 is out of range for abs(bigint)")
	}, false},
	"fabs":   {"d", typDouble, double1(math.Abs), false},
	"iceil":  {"i", typBigint, same, false},
	"ifloor": {"i", typBigint, same, false},
	"fceil":  {"d", typDouble, double1(math.Ceil), false},
	"ffloor": {"d", typDouble, double1(math.Floor), false},
	"iround": {"i?i", typBigint, same, false},
	"fround": {"d?i", typDouble, round, false},
	"isign": {"i", typBigint, func(_ *execution, a []any) (any, error) {
		n := a[0].(int64)
		return int64(b2i(n > 0) - b2i(n < 0)), nil
	}, false},
	"fsign": {"d", typDouble, double1(func(f float64) float64 { return float64(b2i(f > 0) - b2i(f < 0)) }), false},
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func same(_ *execution, a []any) (any, error) { return a[0], nil }

func number(v any) float64 {
	if n, ok := v.(int64); ok {
		return float64(n)
	}
	f, _ := v.(float64)
	return f
}

func double1(f func(float64) float64) scalar {
	return func(_ *execution, a []any) (any, error) { return f(number(a[0])), nil }
}

func double2(f func(a, b float64) float64) scalar {
	return func(_ *execution, a []any) (any, error) { return f(number(a[0]), number(a[1])), nil }
}

func integers(f func(a, b int64) (int64, bool)) scalar {
	return func(_ *execution, args []any) (any, error) {
		a, okA := args[0].(int64)
		b, okB := args[1].(int64)
		if !okA || !okB {
			return nil, errors.New("bigint out of range")
		}
		n, ok := f(a, b)
		if !ok {
			return nil, fmt.Errorf("bigint overflow: %d, %d", a, b)
		}
		return n, nil
	}
}

func divisions(f func(a, b int64) (int64, bool)) scalar {
	divide := integers(f)
	return func(x *execution, args []any) (any, error) {
		if args[1] == int64(0) {
			return nil, errors.New("Division by zero")
		}
		return divide(x, args)
	}
}

func multiply(a, b int64) (int64, bool) {
	high, low := bits.Mul64(magnitude(a), magnitude(b))
	negative := (a < 0) != (b < 0)
	return a * b, high == 0 && (low <= math.MaxInt64 || negative && low == 1<<63)
}

func magnitude(n int64) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}

func round(_ *execution, a []any) (any, error) {
	f := number(a[0])
	if len(a) == 1 {
		return math.Round(f), nil
	}
	scale := math.Pow(10, float64(a[1].(int64)))
	if rounded := math.Round(f*scale) / scale; !math.IsNaN(rounded) && !math.IsInf(rounded, 0) {
		return rounded, nil
	}
	return f, nil
}

// formatDouble writes a double as Trino does: 1.0, 1.0E10.
func formatDouble(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	if magnitude := math.Abs(f); f == 0 || magnitude >= 1e-3 && magnitude < 1e7 {
		text := strconv.FormatFloat(f, 'f', -1, 64)
		if !strings.Contains(text, ".") {
			text += ".0"
		}
		return text
	}
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'E', -1, 64), "E")
	if !strings.Contains(mantissa, ".") {
		mantissa += ".0"
	}
	n, _ := strconv.Atoi(exponent) // as just written
	return mantissa + "E" + strconv.Itoa(n)
}
