package database

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
)

// resp speaks Redis's protocol, RESP2: https://redis.io/docs/latest/develop/reference/protocol-spec/
// The few commands that are needed are no reason for a dependency, and clients that are written for servers one trusts make room for whatever length a server claims.
type resp struct {
	conn net.Conn
	in   *bufio.Reader
}

const (
	maxDepth = 4 // of arrays in arrays
	maxItems = 1 << 16
)

var errAnswer = errors.New("the answer makes no sense")

// refusal is an error that the server answers; its first word is the code.
type refusal string

func (r refusal) Error() string { return string(r) }

// do sends a command and reads its answer: a string, nil, or a []any of such. A number is its string. The connection is closed if the context ends meanwhile.
func (r *resp) do(ctx context.Context, words ...string) (any, error) {
	stop := context.AfterFunc(ctx, func() { _ = r.conn.Close() })
	defer stop()
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
	}
	if _, err := io.WriteString(r.conn, b.String()); err != nil {
		return nil, err
	}
	return r.read(0)
}

func (r *resp) read(depth int) (any, error) {
	kind, line, err := r.line()
	if err != nil {
		return nil, err
	}
	switch kind {
	case '+', ':':
		return line, nil
	case '-':
		return nil, refusal(line)
	}
	n, err := strconv.Atoi(line)
	switch {
	case err != nil || n < -1 || depth > maxDepth:
		return nil, errAnswer
	case n == -1:
		return nil, nil
	case kind == '$' && n <= maxRead:
		return r.bulk(n)
	case kind == '*' && n <= maxItems:
		all := make([]any, 0, min(n, 16)) // it grows with what comes, not with what is claimed
		for range n {
			one, err := r.read(depth + 1)
			if err != nil {
				return nil, err
			}
			all = append(all, one)
		}
		return all, nil
	}
	return nil, errAnswer
}

// line reads a line: its kind and the rest.
func (r *resp) line() (kind byte, rest string, err error) {
	line, err := r.in.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		err = errAnswer
	}
	if err != nil {
		return 0, "", err
	}
	text := string(line)
	if len(text) < 3 || !strings.HasSuffix(text, "\r\n") {
		return 0, "", errAnswer
	}
	return text[0], text[1 : len(text)-2], nil
}

func (r *resp) bulk(n int) (any, error) {
	text, err := io.ReadAll(io.LimitReader(r.in, int64(n)+2))
	if err != nil {
		return nil, err
	}
	if len(text) != n+2 || text[n] != '\r' || text[n+1] != '\n' {
		return nil, errAnswer
	}
	return string(text[:n]), nil
}
