package cloud

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// pagePrefix is where everything lives that is not AWS's: no service has such a path.
const pagePrefix = "/_holdfast/"

// page answers requests that are not calls. It reports false for those that are.
func (c *Cloud) page(w http.ResponseWriter, r *http.Request) bool {
	switch {
	case r.URL.Path == "/metrics" && r.Method == http.MethodGet && r.Header.Get("Authorization") == "":
		c.lockedFor(func() {
			promhttp.HandlerFor(c.core.registry, promhttp.HandlerOpts{}).ServeHTTP(w, r)
		})
		return true
	case !strings.HasPrefix(r.URL.Path, pagePrefix):
		return false
	}
	switch path := r.URL.Path[len(pagePrefix):]; {
	case path == "health" && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		c.lockedFor(func() { c.health(w) })
	case path == "reset" && r.Method == http.MethodPost:
		if err := c.Reset(r.Context()); err != nil {
			fail(w, err)
			return true
		}
		w.WriteHeader(http.StatusNoContent)
	case path == "clock" && r.Method == http.MethodGet:
		c.lockedFor(func() { reply(w, http.StatusOK, map[string]time.Time{"now": c.Now()}) })
	case path == "clock" && r.Method == http.MethodPost:
		c.lockedFor(func() { c.postClock(w, r) })
	default:
		reply(w, http.StatusNotFound, problem{"there is no such page"})
	}
	return true
}

// lockedFor runs fn while no reset happens.
func (c *Cloud) lockedFor(fn func()) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	fn()
}

type problem struct {
	Error string `json:"error"`
}

// fail answers with an error of a page.
func fail(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	switch {
	case errors.Is(err, ErrNotDev):
		status = http.StatusForbidden
	}
	reply(w, status, problem{err.Error()})
}

func reply(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n'))
}

// health is what GET /_holdfast/health tells.
type health struct {
	Status   string   `json:"status"` // ok, or failing with the reason
	Reason   string   `json:"reason,omitempty"`
	Version  string   `json:"version"`
	Mode     string   `json:"mode"` // strict or dev
	Services []string `json:"services"`
}

func (c *Cloud) health(w http.ResponseWriter) {
	h := health{Status: "ok", Version: Version, Mode: "strict", Services: c.core.services}
	if c.cfg.Dev {
		h.Mode = "dev"
	}
	status := http.StatusOK
	if err := c.core.trail.Failure(); err != nil && !c.cfg.AuditKeepOn {
		// What is wrong with which file is for the log; calls are refused meanwhile.
		h.Status, h.Reason, status = "failing", "audit records cannot be written", http.StatusServiceUnavailable
	}
	reply(w, status, h)
}

// clockMove is the body of POST /_holdfast/clock: one of both.
type clockMove struct {
	Advance string    `json:"advance"` // a duration, e.g. 2160h
	Set     time.Time `json:"set"`
}

func (c *Cloud) postClock(w http.ResponseWriter, r *http.Request) {
	if !c.cfg.Dev {
		fail(w, ErrNotDev)
		return
	}
	var m clockMove
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4096))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&m); err != nil || (m.Advance == "") == m.Set.IsZero() {
		reply(w, http.StatusBadRequest, problem{`want {"advance":"2160h"} or {"set":"2027-01-01T00:00:00Z"}`})
		return
	}
	to := m.Set
	if m.Advance != "" {
		d, err := time.ParseDuration(m.Advance)
		if err != nil || d < 0 {
			reply(w, http.StatusBadRequest, problem{"advance wants a duration that is not negative, e.g. 2160h"})
			return
		}
		to = c.Now().Add(d)
	}
	if to.Before(c.Now()) {
		reply(w, http.StatusBadRequest, problem{"the clock cannot be moved back"})
		return
	}
	if err := c.MoveClock(r.Context(), to); err != nil {
		fail(w, err)
		return
	}
	reply(w, http.StatusOK, map[string]time.Time{"now": c.Now()})
}
