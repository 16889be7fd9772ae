package main

import (
	"io"
	"net/http"
	"time"

	"github.com/holdfast-cloud/holdfast/clock"
)

// patience is how long the server waits for the body of a request, so that nobody holds buffers and connections by sending a byte a minute: some time at first, and then
// longer with each byte that has come. A limit for the whole request, as http.Server has it, would cut off what takes long to answer.
type patience struct {
	http.Handler
	first time.Duration
	pace  int64      // bytes per second
	clock clock.Real // a deadline of a connection is in the machine's time
}

const (
	firstPatience = 30 * time.Second
	slowestBody   = 16 << 10 // bytes per second
)

func (p *patience) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 {
		b := &slowBody{ReadCloser: r.Body, patience: p, conn: http.NewResponseController(w)}
		b.until = p.clock.Now().Add(p.first)
		b.wait(b.until)
		// In a copy: by the type of the body in its own request, the server knows what to do with what was not read.
		r = new(*r)
		r.Body = b
	}
	p.Handler.ServeHTTP(w, r)
}

type slowBody struct {
	io.ReadCloser
	patience *patience
	conn     *http.ResponseController
	until    time.Time
	read     int64
}

func (b *slowBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.read += int64(n)
	if err != nil {
		b.wait(time.Time{}) // from here on the connection is only watched for its end
	} else if b.read >= b.patience.pace {
		b.until = b.until.Add(time.Duration(b.read) * time.Second / time.Duration(b.patience.pace))
		b.read = 0
		b.wait(b.until)
	}
	return n, err
}

// wait sets until when reads may take. A connection that knows no deadlines has none.
func (b *slowBody) wait(until time.Time) { _ = b.conn.SetReadDeadline(until) }
