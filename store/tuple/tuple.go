// Package tuple encodes keys of several parts so that their bytes order as the parts do and a person can read them.
//
// Each part is text, ended by a zero byte:
//
//	string      its bytes, with 0x00 written as 0x01 0x01 and 0x01 as 0x01 0x02
//	integer     twenty decimal digits; not negative
//	time.Time   2027-01-01T00:00:00.000000000Z; years 0000 to 9999
//	[]byte      hexadecimal digits
//
// The end of a part sorts before anything that a part can hold, so ("a", "z") is before ("ab", "c"), and all
// keys that begin with some parts are the keys that begin with those parts' bytes.
//
// The kinds are not told apart in the encoding: use the same kinds in the same places.
package tuple

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Key is the parts of a key: strings, non-negative integers, times and byte slices, or types whose kind is one of these.
// Only the last may be a Begin.
type Key []any

// Begin is the last part of a key that stands for all strings that begin with it.
type Begin string

// timeFormat is what appendTime writes.
const timeFormat = "2006-01-02T15:04:05.000000000Z"

// Encode returns the encoding of a key. It panics if a part is of another kind: keys are made by the program.
func Encode(parts ...any) []byte { return Append(make([]byte, 0, size(parts)), parts...) }

// size is about how long the encoding of parts is: exact, but for what is escaped and for types of one's own.
func size(parts []any) int {
	n := len(parts)
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			n += len(p)
		case Begin:
			n += len(p)
		case []byte:
			n += hex.EncodedLen(len(p))
		default:
			n += len(timeFormat) // no integer is longer
		}
	}
	return n
}

// Append appends the encoding of a key to dst.
func Append(dst []byte, parts ...any) []byte {
	dst = slices.Grow(dst, size(parts))
	for i, p := range parts {
		switch p := p.(type) {
		case string:
			dst = appendString(dst, p)
		case []byte:
			dst = hex.AppendEncode(dst, p)
		case time.Time:
			dst = appendTime(dst, p)
		case uint64:
			dst = appendNumber(dst, p)
		case Begin:
			if i != len(parts)-1 {
				panic("tuple: Begin is not the last part")
			}
			return appendString(dst, string(p))
		default:
			dst = appendKind(dst, p)
		}
		dst = append(dst, 0)
	}
	return dst
}

func appendString(dst []byte, s string) []byte {
	plain := 0 // where what is copied as it is begins
	for i := range len(s) {
		if c := s[i]; c <= 1 {
			dst = append(append(dst, s[plain:i]...), 1, c+1)
			plain = i + 1
		}
	}
	return append(dst, s[plain:]...)
}

// maxDigits is how many an integer has: 2^64 has as many.
const maxDigits = 20

func appendNumber(dst []byte, n uint64) []byte { return appendDigits(dst, n, maxDigits) }

// appendDigits appends the last digits of a number.
func appendDigits(dst []byte, n uint64, digits int) []byte {
	dst = append(dst, "00000000000000000000"[:digits]...)
	for i := len(dst) - 1; n > 0 && digits > 0; i, digits = i-1, digits-1 {
		dst[i] = '0' + byte(n%10)
		n /= 10
	}
	return dst
}

func appendTime(dst []byte, t time.Time) []byte {
	t = t.UTC()
	switch {
	case t.Year() < 0:
		t = time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)
	case t.Year() > 9999:
		t = time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC)
	}
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	for _, part := range [...]struct {
		n, digits int
		end       byte
	}{{year, 4, '-'}, {int(month), 2, '-'}, {day, 2, 'T'}, {hour, 2, ':'}, {minute, 2, ':'}, {second, 2, '.'}, {t.Nanosecond(), 9, 'Z'}} {
		dst = append(appendDigits(dst, uint64(part.n), part.digits), part.end)
	}
	return dst
}

func appendKind(dst []byte, p any) []byte {
	v := reflect.ValueOf(p)
	switch v.Kind() {
	case reflect.String:
		return appendString(dst, v.String())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return appendNumber(dst, v.Uint())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if v.Int() >= 0 {
			return appendNumber(dst, uint64(v.Int()))
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return hex.AppendEncode(dst, v.Bytes())
		}
	}
	panic("tuple: a " + v.Kind().String() + " cannot be a part of a key") // without p, which would have the parts of all keys escape to the heap
}

// ErrMalformed: the bytes are not the encoding of a key.
var ErrMalformed = errors.New("malformed key")

// Split returns the parts of an encoded key as text: strings as they were, the others as they are written.
func Split(key []byte) ([]string, error) {
	parts := make([]string, 0, bytes.Count(key, []byte{0}))
	for len(key) > 0 {
		end := bytes.IndexByte(key, 0)
		if end < 0 {
			return nil, ErrMalformed
		}
		if bytes.IndexByte(key[:end], 1) < 0 {
			parts = append(parts, string(key[:end]))
			key = key[end+1:]
			continue
		}
		part := make([]byte, 0, end)
		for i := 0; i < end; i++ {
			c := key[i]
			if c == 1 {
				i++
				if key[i] != 1 && key[i] != 2 { // key[end] is 0, so i is in bounds
					return nil, ErrMalformed
				}
				c = key[i] - 1
			}
			part = append(part, c)
		}
		parts = append(parts, string(part))
		key = key[end+1:]
	}
	return parts, nil
}

// Format writes a key for people: its parts with slashes between, quoted where they would mislead.
func Format(key []byte) string {
	parts, err := Split(key)
	if err != nil {
		return fmt.Sprintf("%q", key)
	}
	for i, p := range parts {
		if q := fmt.Sprintf("%q", p); p == "" && i > 0 || strings.Contains(p, "/") || len(q) != len(p)+2 {
			parts[i] = q
		}
	}
	return strings.Join(parts, "/")
}
