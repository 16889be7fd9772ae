package cloud

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/service/sns"
	"github.com/holdfast-cloud/holdfast/service/sts"
)

// pagePrefix is where everything lives that is not AWS's: no service has such a path.
const pagePrefix = "/_holdfast/"

// page answers requests that are not calls. It reports false for those that are.
func (c *Cloud) page(w http.ResponseWriter, r *http.Request) bool {
	switch {
	case r.URL.Path == "/metrics" && r.Method == http.MethodGet && r.Header.Get("Authorization") == "":
		core, release := c.hold()
		defer release()
		promhttp.HandlerFor(core.registry, promhttp.HandlerOpts{}).ServeHTTP(w, r)
		return true
	case strings.HasPrefix(r.URL.Path, "/"+sns.CertificatePrefix) && (r.Method == http.MethodGet || r.Method == http.MethodHead) && r.Header.Get("Authorization") == "":
		c.signingCertificate(w, r)
		return true
	case !strings.HasPrefix(r.URL.Path, pagePrefix), c.site(r):
		return false
	}
	// A web page that a developer looks at must not reset their cloud.
	if r.Method != http.MethodGet && r.Method != http.MethodHead && door.FromWebPage(r) {
		reply(w, http.StatusForbidden, problem{"a web page of another origin, or of a public name, cannot do this"})
		return true
	}
	switch path := r.URL.Path[len(pagePrefix):]; {
	case strings.HasPrefix(r.URL.Path, identity.IssuerPath) && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		c.issuerDocument(w, r)
	case strings.HasPrefix(r.URL.Path, codePath) && r.Method == http.MethodGet:
		c.functionCode(w, r)
	case path == "health" && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		c.health(w, r)
	case path == "reset" && r.Method == http.MethodPost:
		if err := c.Reset(r.Context()); err != nil {
			fail(w, err)
			return true
		}
		w.WriteHeader(http.StatusNoContent)
	case path == "clock" && r.Method == http.MethodGet:
		reply(w, http.StatusOK, map[string]time.Time{"now": c.Now()})
	case path == "clock" && r.Method == http.MethodPost:
		c.postClock(w, r)
	default:
		reply(w, http.StatusNotFound, problem{"there is no such page"})
	}
	return true
}

// site reports whether a request goes to what a customer has at a URL, such as a function.
func (c *Cloud) site(r *http.Request) bool {
	core, release := c.hold()
	defer release()
	return core.door.IsSite(r)
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
	case errors.Is(err, ErrClock):
		status = http.StatusBadRequest
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
	Warning  string   `json:"warning,omitempty"` // calls go on, and somebody should look
	Version  string   `json:"version"`
	Mode     string   `json:"mode"` // strict or dev
	FIPS     string   `json:"fips"` // see FIPS
	Services []string `json:"services"`
}

func (c *Cloud) health(w http.ResponseWriter, r *http.Request) {
	core, release := c.hold()
	defer release()
	h := health{Status: "ok", Version: Version, Mode: "strict", FIPS: FIPS(), Services: core.services}
	if c.cfg.Dev {
		h.Mode = "dev"
	}
	status := http.StatusOK
	if h.Reason = core.failure(r.Context(), c.cfg.AuditKeepOn); h.Reason != "" {
		h.Status, status = "failing", http.StatusServiceUnavailable
	} else if c.cfg.AuditKeepOn && core.trail.Failure() != nil {
		h.Warning = "audit records cannot be written: calls go on without them"
	}
	reply(w, status, h)
}

// issuerDocument is what those fetch who check web identity tokens, wherever they are.
func (c *Cloud) issuerDocument(w http.ResponseWriter, r *http.Request) {
	core, release := c.hold()
	defer release()
	doc, err := core.sts.Document(r.Context(), r.URL.Path[len(identity.IssuerPath):])
	if errors.Is(err, sts.ErrNoDocument) {
		reply(w, http.StatusNotFound, problem{"there is no such issuer, or no such document of it"})
		return
	}
	if err != nil {
		c.cfg.Log.Error("publishing an issuer's document", "cause", err.Error())
		reply(w, http.StatusInternalServerError, problem{"the document could not be made"})
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "public, max-age=300")
	_, _ = w.Write(doc)
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
	move := func() error { return c.MoveClock(r.Context(), m.Set) }
	if m.Advance != "" {
		d, err := time.ParseDuration(m.Advance)
		if err != nil || d < 0 {
			reply(w, http.StatusBadRequest, problem{"advance wants a duration that is not negative, e.g. 2160h"})
			return
		}
		move = func() error { return c.AdvanceClock(r.Context(), d) }
	}
	if err := move(); err != nil {
		fail(w, err)
		return
	}
	reply(w, http.StatusOK, map[string]time.Time{"now": c.Now()})
}
