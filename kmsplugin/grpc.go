package kmsplugin

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// NewServer returns the server of a plugin, for a listener of [Listen]. It speaks gRPC, which is HTTP/2 with length-prefixed messages and the outcome in the trailer:
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md. Shutdown lets the calls that are under way finish.
func NewServer(p *Plugin, log *slog.Logger) *http.Server {
	s := &http.Server{
		Handler: &endpoint{p, log}, Protocols: new(http.Protocols), ReadHeaderTimeout: 10 * time.Second,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	s.Protocols.SetUnencryptedHTTP2(true)
	return s
}

type endpoint struct {
	plugin *Plugin
	log    *slog.Logger
}

// maxMessage is far more than a request has: its ciphertext is at most 1 KB, and so is its key ID.
const maxMessage = 64 << 10

// ServeHTTP answers one call.
func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if r.Method != http.MethodPost || kind != "application/grpc" && kind != "application/grpc+proto" {
		w.WriteHeader(http.StatusUnsupportedMediaType)
		return
	}
	out, err := e.call(w, r)
	if err != nil {
		e.log.Warn("a call failed", "method", r.URL.Path, "cause", err.Error())
	}
	w.Header().Set("Content-Type", "application/grpc")
	w.WriteHeader(http.StatusOK)
	if err == nil {
		frame := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(out))) // 0: not compressed
		_, _ = w.Write(append(frame, out...))
	}
	w.Header().Set(http.TrailerPrefix+"Grpc-Status", strconv.Itoa(int(codeOf(err))))
	if err != nil {
		w.Header().Set(http.TrailerPrefix+"Grpc-Message", escape(err.Error()))
	}
}

func (e *endpoint) call(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	method := e.method(r.URL.Path)
	if method == nil {
		return nil, problem(unimplemented, "there is no method %s", r.URL.Path)
	}
	ctx, cancel, err := deadline(r)
	if err != nil {
		return nil, err
	}
	defer cancel()
	end, _ := ctx.Deadline()
	_ = http.NewResponseController(w).SetReadDeadline(end) // tests without a connection have none
	in, err := message(r.Body)
	if err != nil {
		return nil, err
	}
	return method(ctx, in)
}

// method is what is called by a path; nil is nothing.
func (e *endpoint) method(path string) func(context.Context, []byte) ([]byte, error) {
	switch path {
	case "/v2.KeyManagementService/Status":
		return func(ctx context.Context, _ []byte) ([]byte, error) { return answer(e.plugin.status(ctx)) }
	case "/v2.KeyManagementService/Encrypt":
		return func(ctx context.Context, in []byte) ([]byte, error) {
			var m encryptRequest
			if err := m.unmarshal(in); err != nil {
				return nil, err
			}
			return answer(e.plugin.encrypt(ctx, &m))
		}
	case "/v2.KeyManagementService/Decrypt":
		return func(ctx context.Context, in []byte) ([]byte, error) {
			var m decryptRequest
			if err := m.unmarshal(in); err != nil {
				return nil, err
			}
			return answer(e.plugin.decrypt(ctx, &m))
		}
	}
	return nil
}

func answer(out interface{ marshal() []byte }, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	return out.marshal(), nil
}

// message reads the one message of a request.
func message(body io.Reader) ([]byte, error) {
	var prefix [5]byte
	if _, err := io.ReadFull(body, prefix[:]); err != nil {
		return nil, unread(err)
	}
	size := binary.BigEndian.Uint32(prefix[1:])
	switch {
	case prefix[0] != 0:
		return nil, problem(unimplemented, "the message is compressed")
	case size > maxMessage:
		return nil, problem(resourceExhausted, "the message has more than %d bytes", maxMessage)
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(body, b); err != nil {
		return nil, unread(err)
	}
	switch _, err := io.ReadFull(body, prefix[:1]); {
	case err == nil:
		return nil, problem(invalidArgument, "there is more than one message")
	case !errors.Is(err, io.EOF):
		return nil, unread(err)
	}
	return b, nil
}

// unread is why a message could not be read.
func unread(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return problem(deadlineExceeded, "the message did not come in time")
	}
	return problem(invalidArgument, "the message is cut")
}

// units are those of Grpc-Timeout.
var units = map[byte]time.Duration{'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond}

// patience is that of a caller who tells none.
const patience = time.Minute

// deadline is the request's context, which ends when its caller loses patience.
func deadline(r *http.Request) (context.Context, context.CancelFunc, error) {
	text := r.Header.Get("Grpc-Timeout")
	if text == "" {
		ctx, cancel := context.WithTimeout(r.Context(), patience)
		return ctx, cancel, nil
	}
	n, err := strconv.ParseUint(text[:len(text)-1], 10, 32)
	unit := units[text[len(text)-1]]
	if err != nil || len(text) > 9 || unit == 0 {
		return nil, nil, problem(invalidArgument, "malformed Grpc-Timeout")
	}
	// 99999999 hours do not fit.
	ctx, cancel := context.WithTimeout(r.Context(), min(time.Duration(n), 24*time.Hour/unit+1)*unit)
	return ctx, cancel, nil
}

// escape writes a message as a trailer holds it: printable ASCII without "%", and all other bytes in hexadecimal.
func escape(text string) string {
	var b strings.Builder
	for i := range len(text) {
		if c := text[i]; c >= ' ' && c <= '~' && c != '%' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// code is a status code of gRPC: https://github.com/grpc/grpc/blob/master/doc/statuscodes.md
type code int

const (
	ok                 code = 0
	cancelled          code = 1
	invalidArgument    code = 3
	deadlineExceeded   code = 4
	notFound           code = 5
	permissionDenied   code = 7
	resourceExhausted  code = 8
	failedPrecondition code = 9
	outOfRange         code = 11
	unimplemented      code = 12
	internal           code = 13
	unavailable        code = 14
	unauthenticated    code = 16
)

// failure is an error with its code.
type failure struct {
	code code
	text string
}

func (f *failure) Error() string { return f.text }

func problem(c code, format string, args ...any) error {
	return &failure{c, fmt.Sprintf(format, args...)}
}

func codeOf(err error) code {
	if err == nil {
		return ok
	}
	if f, is := errors.AsType[*failure](err); is {
		return f.code
	}
	return internal
}
