package s3

import (
	"fmt"
	"strconv"
	"strings"
)

// span is a part of an object, from its first byte to its last.
type span struct{ first, last int64 }

func (p span) length() int64 { return p.last - p.first + 1 }

// contentRange is the span as the header of an answer has it.
func (p span) contentRange(size int64) string {
	return fmt.Sprintf("bytes %d-%d/%d", p.first, p.last, size)
}

// parseRange reads a Range header for an object of a size. It reports false for one that is to be ignored: RFC 9110, section 14.2, has that for what is malformed, and S3 gives
// the whole object to who asks for several parts.
func parseRange(header string, size int64) (p span, ok bool, err error) {
	spec, ok := strings.CutPrefix(header, "bytes=")
	first, last, dash := strings.Cut(spec, "-")
	if !ok || !dash || strings.Contains(spec, ",") {
		return span{}, false, nil
	}
	unsatisfiable := fault("InvalidRange", 416, "The requested range is not satisfiable", detail("RangeRequested", header), detail("ActualObjectSize", strconv.FormatInt(size, 10)))
	from, fromOK := number(first)
	to, toOK := number(last)
	switch {
	case first == "" && toOK:
		if to == 0 || size == 0 {
			return span{}, false, unsatisfiable
		}
		return span{max(0, size-to), size - 1}, true, nil
	case !fromOK || last != "" && !toOK || last != "" && to < from:
		return span{}, false, nil
	case from >= size:
		return span{}, false, unsatisfiable
	case last == "":
		to = size - 1
	}
	return span{from, min(to, size-1)}, true, nil
}

// number reads decimal digits. More than fit are as many as fit.
func number(s string) (int64, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		n = 1<<63 - 1
	}
	return n, true
}
