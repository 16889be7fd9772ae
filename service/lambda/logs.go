package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	lambdaapi "github.com/holdfast-cloud/holdfast/api/lambda"
	"github.com/holdfast-cloud/holdfast/api/logs"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/runner"
)

// What CloudWatch Logs takes at once, with room to spare: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html
const (
	maxLogBatch  = 1 << 19 // bytes
	maxLogEvents = 5000
	maxLogSpan   = 20 * time.Hour
	logOverhead  = 26

	maxLogHeld = 16 << 20 // bytes that wait to be written; then functions wait that write more
)

// logbook brings what functions write to CloudWatch Logs, with the rights of their roles. What a crash finds in it is lost: logs tell of what was done, they are not its outcome.
type logbook struct {
	s *Service

	mu      sync.Mutex // guards what follows; nothing is written under it
	changed *sync.Cond
	held    map[logStream]*heldLog
	order   []logStream // whose turn it is, first come first served
	size    int         // bytes held
	over    bool
}

// logStream is where lines go.
type logStream struct{ account, region, function, role, group, stream string }

type heldLog struct {
	lines   []runner.LogLine
	writing bool
}

func newLogbook(s *Service) *logbook {
	b := &logbook{s: s, held: make(map[logStream]*heldLog)}
	b.changed = sync.NewCond(&b.mu)
	return b
}

// taker takes the lines of a function.
func (b *logbook) taker(o *order) func([]runner.LogLine) {
	to := logStream{account: o.account, region: o.region, function: o.function.Name, role: o.version.Role, group: o.logGroup()}
	format := o.version.Logging
	return func(lines []runner.LogLine) {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, l := range lines {
			to.stream = l.Stream
			if l.Text = format.line(l); l.Text != "" {
				b.add(to, l)
			}
		}
	}
}

// logGroup is where the function logs.
func (o *order) logGroup() string {
	if o.version.Logging.Group != "" {
		return o.version.Logging.Group
	}
	return "/aws/lambda/" + o.function.Name
}

// add is called with mu held, which it gives away while it waits for room.
func (b *logbook) add(to logStream, l runner.LogLine) {
	for b.size > maxLogHeld && !b.over {
		b.changed.Wait()
	}
	if b.over {
		return
	}
	h := b.held[to]
	if h == nil {
		h = new(heldLog)
		b.held[to] = h
		b.order = append(b.order, to)
		b.changed.Broadcast()
	}
	h.lines = append(h.lines, l)
	b.size += len(l.Text) + logOverhead
}

// logWriters is how many streams are written to at once.
const logWriters = 4

// run writes what functions log, until ctx ends, and then what is left.
func (b *logbook) run(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.over = true
		b.changed.Broadcast()
	})
	defer stop()
	var work sync.WaitGroup
	for range logWriters {
		work.Go(func() {
			for b.writeNext(context.WithoutCancel(ctx)) {
			}
		})
	}
	work.Wait()
}

// writeNext waits for lines and writes those of a stream. It reports false when all is over.
func (b *logbook) writeNext(ctx context.Context) bool {
	b.mu.Lock()
	for len(b.order) == 0 && !b.over {
		b.changed.Wait()
	}
	if len(b.order) == 0 {
		b.mu.Unlock()
		return false
	}
	to := b.order[0]
	b.order = b.order[1:]
	h := b.held[to]
	batch, size := h.batch()
	h.writing = true
	b.mu.Unlock()
	if err := b.s.writeLog(ctx, to, batch); err != nil {
		b.s.cfg.Report(fmt.Errorf("writing to log group %s: %w", to.group, err))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	h.lines, h.writing = h.lines[len(batch):], false
	b.size -= size
	if len(h.lines) == 0 {
		delete(b.held, to)
	} else {
		b.order = append(b.order, to)
	}
	b.changed.Broadcast()
	return true
}

// batch is how many of the lines may be written at once, and their size.
func (h *heldLog) batch() (lines []runner.LogLine, size int) {
	for i, l := range h.lines {
		n := len(l.Text) + logOverhead
		if i > 0 && (i == maxLogEvents || size+n > maxLogBatch || l.Time.Sub(h.lines[0].Time) > maxLogSpan || l.Time.Before(h.lines[i-1].Time)) {
			return h.lines[:i:i], size
		}
		size += n
	}
	return h.lines[:len(h.lines):len(h.lines)], size
}

// Settle waits until what functions have logged is written, and reports whether it had to.
func (b *logbook) settle(ctx context.Context) (waited bool, err error) {
	stop := context.AfterFunc(ctx, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.changed.Broadcast()
	})
	defer stop()
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.held) > 0 && !b.over && ctx.Err() == nil {
		waited = true
		b.changed.Wait()
	}
	return waited, ctx.Err()
}

// writeLog writes lines to a stream, which it makes if it is not there, and the group, as far as the role may. What it may not write nobody reads.
func (s *Service) writeLog(ctx context.Context, to logStream, lines []runner.LogLine) error {
	in := &logs.PutLogEventsRequest{LogGroupName: &to.group, LogStreamName: &to.stream}
	for _, l := range lines {
		in.LogEvents = append(in.LogEvents, logs.InputLogEvent{Timestamp: new(l.Time.UnixMilli()), Message: new(l.Text + "\n")})
	}
	err := s.cfg.Perform(ctx, lambdaapi.Service.Package, to.account, to.region, func(c *call.Call) error {
		as, err := c.AsRole(to.role, functionARN(c.Scope, to.function, ""))
		if err != nil {
			return err
		}
		_, err = s.cfg.Logs.PutLogEvents(as, in)
		if _, none := errors.AsType[*logs.ResourceNotFoundException](err); !none {
			return err
		}
		if err := s.makeStream(as, to); err != nil {
			return err
		}
		_, err = s.cfg.Logs.PutLogEvents(as, in)
		return err
	})
	if _, denied := errors.AsType[*call.Denied](err); denied || errors.Is(err, call.ErrRole) {
		return nil
	}
	return err
}

// makeStream makes a log stream, and its group where it is missing.
func (s *Service) makeStream(as *call.Call, to logStream) error {
	stream := &logs.CreateLogStreamRequest{LogGroupName: &to.group, LogStreamName: &to.stream}
	_, err := s.cfg.Logs.CreateLogStream(as, stream)
	if _, none := errors.AsType[*logs.ResourceNotFoundException](err); !none {
		return err
	}
	if _, err := s.cfg.Logs.CreateLogGroup(as, &logs.CreateLogGroupRequest{LogGroupName: &to.group}); err != nil {
		return err
	}
	_, err = s.cfg.Logs.CreateLogStream(as, stream)
	return err
}

// line is a line in the format of the function, or "" if it is not to be logged. With JSON, what the platform says of invocations is JSON, too, and what is less important than the
// levels that were set is left out; what a function writes in another form stays as it is.
// https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-advanced.html
func (f *loggingRecord) line(l runner.LogLine) string {
	if f.Format != "JSON" {
		return l.Text
	}
	word, rest, ok := strings.Cut(l.Text, " RequestId: ")
	if !ok || l.RequestID == "" || !strings.HasPrefix(rest, l.RequestID) {
		return f.filtered(l.Text)
	}
	rest = strings.TrimPrefix(rest, l.RequestID)
	if level(f.System) > level("INFO") {
		return ""
	}
	record := map[string]any{"requestId": l.RequestID}
	kind := ""
	switch word {
	case "START":
		kind, record["version"] = "platform.start", strings.TrimSpace(strings.TrimPrefix(rest, " Version:"))
	case "END":
		return "" // which the report says, too
	case "REPORT":
		kind, record["metrics"] = "platform.report", reportedMetrics(rest)
		record["status"] = "success"
		if strings.Contains(rest, "\tStatus: ") {
			record["status"] = "error"
		}
	default:
		return f.filtered(l.Text)
	}
	text, err := json.Marshal(map[string]any{"time": l.Time.UTC().Format("2006-01-02T15:04:05.000Z"), "type": kind, "record": record})
	if err != nil {
		return l.Text
	}
	return string(text)
}

// filtered is a line of the function's own, or "" for one that is below the level of the application's logs.
func (f *loggingRecord) filtered(text string) string {
	var said struct{ Level string }
	if f.Application == "" || !strings.HasPrefix(text, "{") || json.Unmarshal([]byte(text), &said) != nil || said.Level == "" {
		return text
	}
	if level(said.Level) < level(f.Application) {
		return ""
	}
	return text
}

// level orders the levels of logs; what is none is INFO.
func level(name string) int {
	switch strings.ToUpper(name) {
	case "TRACE":
		return 0
	case "DEBUG":
		return 1
	case "WARN", "WARNING":
		return 3
	case "ERROR":
		return 4
	case "FATAL", "CRITICAL":
		return 5
	}
	return 2
}

// reportedMetrics are the numbers of a report line, under the names that they have in JSON.
func reportedMetrics(text string) map[string]float64 {
	out := make(map[string]float64)
	for field := range strings.SplitSeq(text, "\t") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), ": ")
		number, _, _ := strings.Cut(value, " ")
		n, err := strconv.ParseFloat(number, 64)
		if err != nil {
			continue
		}
		switch name {
		case "Duration":
			out["durationMs"] = n
		case "Billed Duration":
			out["billedDurationMs"] = n
		case "Memory Size":
			out["memorySizeMB"] = n
		case "Max Memory Used":
			out["maxMemoryUsedMB"] = n
		case "Init Duration":
			out["initDurationMs"] = n
		}
	}
	return out
}

// Run writes what functions log to CloudWatch Logs, until ctx ends.
func (s *Service) Run(ctx context.Context) { s.logbook.run(ctx) }

// SettleLogs waits until what functions have logged so far is written, and reports whether it had to.
func (s *Service) SettleLogs(ctx context.Context) (waited bool, err error) {
	return s.logbook.settle(ctx)
}
