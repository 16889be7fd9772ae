package cbor

import (
	"encoding/binary"
	"math"
)

// AppendHead appends the shortest head with that argument.
func AppendHead(b []byte, m Major, arg uint64) []byte {
	first := byte(m) << 5
	switch {
	case arg < 24:
		return append(b, first|byte(arg))
	case arg <= math.MaxUint8:
		return append(b, first|24, byte(arg))
	case arg <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, first|25), uint16(arg))
	case arg <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, first|26), uint32(arg))
	}
	return binary.BigEndian.AppendUint64(append(b, first|27), arg)
}

// AppendIndefinite begins an array, a map or a string whose end is marked by AppendBreak.
func AppendIndefinite(b []byte, m Major) []byte { return append(b, byte(m)<<5|31) }

// AppendBreak ends what AppendIndefinite began.
func AppendBreak(b []byte) []byte { return append(b, 0xff) }

// AppendInt appends an integer.
func AppendInt(b []byte, v int64) []byte {
	if v < 0 {
		return AppendHead(b, NegInt, uint64(-1-v))
	}
	return AppendHead(b, Uint, uint64(v))
}

// AppendText appends a text string.
func AppendText(b []byte, s string) []byte {
	return append(AppendHead(b, Text, uint64(len(s))), s...)
}

// AppendBytes appends a byte string.
func AppendBytes(b, s []byte) []byte {
	return append(AppendHead(b, Bytes, uint64(len(s))), s...)
}

// AppendFloat appends a float of 64 bits.
func AppendFloat(b []byte, v float64) []byte {
	return binary.BigEndian.AppendUint64(append(b, 0xfb), math.Float64bits(v))
}

// AppendBool appends true or false.
func AppendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 0xf5)
	}
	return append(b, 0xf4)
}

// AppendNull appends null.
func AppendNull(b []byte) []byte { return append(b, 0xf6) }
