package runner

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"time"
)

const (
	maxTail    = 4 << 10   // what Invoke can return of a log
	maxLine    = 256 << 10 // longer ones are cut into several
	maxLog     = 4 << 20   // of one invocation; the rest is counted only
	fullBatch  = 64 << 10
	drainAtEnd = 1 << 20 // of what was written before the response, read after it
)

// logs are the lines of one instance, attributed to the request that was under way when they were read. What a function writes before it answers is read before the answer is taken.
type logs struct {
	stream string
	now    func() time.Time // the cloud's
	sink   func([]LogLine)

	mu      sync.Mutex // guards the rest but delivering; sink is not called under it
	request string
	partial []byte // a line that has not ended
	lines   []LogLine
	size    int // of lines, in bytes
	left    int // that may still be written
	dropped int
	tail    []byte

	delivering sync.Mutex // keeps batches in order; it is taken before mu
}

func newLogs(stream string, now func() time.Time, sink func([]LogLine)) *logs {
	return &logs{stream: stream, now: now, sink: sink, left: maxLog}
}

// begin attributes what follows to a request.
func (l *logs) begin(request string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.endLine()
	l.request, l.left, l.dropped, l.tail = request, maxLog, 0, l.tail[:0]
}

// end ends that, and returns the end of the request's log.
func (l *logs) end() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.endLine()
	l.request, l.left, l.dropped = "", maxLog, 0
	tail := l.tail
	l.tail = nil
	return tail
}

// platform adds a line of ours.
func (l *logs) platform(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.endLine()
	if l.dropped > 0 {
		l.add(fmt.Sprintf("%d bytes of log were dropped: one invocation may write %d", l.dropped, maxLog))
		l.dropped = 0
	}
	l.add(fmt.Sprintf(format, args...))
}

// write takes what a function wrote. l.mu is held.
func (l *logs) writeLocked(b []byte) {
	if over := len(b) - l.left; over > 0 {
		l.dropped += over
		b = b[:l.left]
	}
	l.left -= len(b)
	for len(b) > 0 {
		line, rest, ended := bytes.Cut(b, []byte{'\n'})
		if room := maxLine - len(l.partial); len(line) > room {
			line, rest, ended = b[:room], b[room:], true
		}
		l.partial = append(l.partial, line...)
		if ended {
			l.add(string(l.partial))
			l.partial = l.partial[:0]
		}
		b = rest
	}
}

func (l *logs) endLine() {
	if len(l.partial) > 0 {
		l.add(string(l.partial))
		l.partial = l.partial[:0]
	}
}

func (l *logs) add(text string) {
	text = strings.ToValidUTF8(strings.TrimSuffix(text, "\r"), "\uFFFD")
	if l.sink != nil {
		l.lines = append(l.lines, LogLine{l.now(), l.stream, l.request, text})
		l.size += len(text)
	}
	if l.request != "" {
		l.tail = append(append(l.tail, text...), '\n')
		if over := len(l.tail) - maxTail; over > 0 {
			l.tail = append(l.tail[:0], l.tail[over:]...)
		}
	}
}

// full says whether there is a batch to deliver before the invocation ends.
func (l *logs) full() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.size >= fullBatch
}

// deliver gives to the function's owner what there is.
func (l *logs) deliver() {
	l.delivering.Lock()
	defer l.delivering.Unlock()
	l.mu.Lock()
	lines := l.lines
	l.lines, l.size = nil, 0
	l.mu.Unlock()
	if len(lines) > 0 {
		l.sink(lines)
	}
}
