package agent

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// Server is what serves the agent on a listener. It counts connections: requests on those that are too many are refused, but for those that ask how the agent does.
func (a *Agent) Server() *http.Server {
	var open atomic.Int64
	return &http.Server{
		Handler:           a,
		ReadTimeout:       patience,
		ReadHeaderTimeout: 10 * time.Second,
		WriteTimeout:      patience + time.Second,
		IdleTimeout:       patience,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(a.cfg.Log.Handler(), slog.LevelWarn),
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context {
			return context.WithValue(ctx, connections{}, open.Add(1))
		},
		ConnState: func(_ net.Conn, s http.ConnState) {
			if s == http.StateClosed {
				open.Add(-1)
			}
		},
	}
}

// connections is the key of how many connections there were when one came, itself included.
type connections struct{}

// checks are how many connections more there may be, only to ask how the agent does.
const checks = 2

func tooMany(r *http.Request, limit int) error {
	if r.URL.Path == pingPath {
		limit += checks
	}
	if n, ok := r.Context().Value(connections{}).(int64); ok && n > int64(limit) {
		return &refusal{http.StatusTooManyRequests, "Connection limit exceeded"}
	}
	return nil
}
