// Package agent is a caching agent for programs on the same machine: it serves values of Secrets Manager and Parameter Store on loopback, over plain HTTP, as the AWS
// Secrets Manager Agent and the AWS Parameters and Secrets Lambda Extension do. Programs written for these need no change.
//
// Whoever can reach the agent's port and knows its token gets everything that the agent's credentials may read. The token keeps out requests that a program was tricked
// into making (it can seldom be made to set a header), not other programs of the same user.
package agent

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/api/secretsmanager"
	"github.com/holdfast-cloud/holdfast/api/ssm"
	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/remote"
)

// Config says what an agent serves. Secrets, Parameters, Clock, Log and Token are required.
type Config struct {
	Secrets    func(context.Context) (secretsmanager.Client, error) // called for each call, so that credentials can change
	Parameters func(context.Context) (ssm.Client, error)
	Clock      clock.Clock
	Log        *slog.Logger
	Token      string // that requests must carry
	Settings
}

// Agent answers requests. It is an http.Handler; [Agent.Server] is what serves it.
type Agent struct {
	cfg   Config
	token [sha256.Size]byte
	cache *cache
}

// New returns an agent that has fetched nothing yet.
func New(cfg Config) (*Agent, error) {
	if cfg.Token == "" {
		return nil, errors.New("an agent needs a token that its callers must know")
	}
	if err := cfg.check(); err != nil {
		return nil, err
	}
	a := &Agent{cfg: cfg, token: sha256.Sum256([]byte(cfg.Token))}
	a.cache = newCache(cfg.CacheSize, cfg.TTL, cfg.Clock)
	return a, nil
}

// ServeHTTP implements http.Handler. Paths are compared as they come: nothing is redirected to a tidier one.
func (a *Agent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	body, err := a.answer(r)
	if err != nil {
		var refused *refusal
		if !errors.As(err, &refused) {
			refused = a.failed(r.Context(), err)
		}
		w.Header().Set("Content-Type", refused.contentType())
		if refused.status == http.StatusTooManyRequests {
			w.Header().Set("Connection", "close")
		}
		w.WriteHeader(refused.status)
		_, _ = w.Write([]byte(refused.body))
		return
	}
	_, _ = w.Write(body)
}

// answer checks in the order of the AWS agent, so that the same request gets the same status.
func (a *Agent) answer(r *http.Request) ([]byte, error) {
	if err := tooMany(r, a.cfg.MaxConnections); err != nil {
		return nil, err
	}
	path := r.URL.Path
	if path != pingPath {
		if err := a.authenticate(r); err != nil {
			return nil, err
		}
	}
	if r.Method != http.MethodGet {
		return nil, &refusal{http.StatusMethodNotAllowed, "Not allowed"}
	}
	switch {
	case path == pingPath:
		return []byte("healthy"), nil
	case path == "/secretsmanager/get":
		q, err := secretQuery(r.URL.RawQuery, "")
		if err != nil {
			return nil, err
		}
		return a.fetch(r.Context(), q, a.secret)
	case path == "/systemsmanager/parameters/get" || path == "/systemsmanager/parameters/get/":
		q, err := parameterQuery(r.URL.RawQuery)
		if err != nil {
			return nil, err
		}
		return a.fetch(r.Context(), q, a.parameter)
	case strings.HasPrefix(path, a.cfg.PathPrefix):
		id := strings.TrimPrefix(path, a.cfg.PathPrefix)
		if id == "" {
			return nil, bad("missing secret ID")
		}
		q, err := secretQuery(r.URL.RawQuery, id)
		if err != nil {
			return nil, err
		}
		return a.fetch(r.Context(), q, a.secret)
	}
	return nil, &refusal{http.StatusNotFound, "Not found"}
}

const pingPath = "/ping"

// authenticate refuses what was forwarded, since a program in front of the agent hides who asks, and what does not know the token.
func (a *Agent) authenticate(r *http.Request) error {
	if _, ok := r.Header["X-Forwarded-For"]; ok {
		a.cfg.Log.Error("refused a request with X-Forwarded-For")
		return bad("Forwarded")
	}
	for _, name := range a.cfg.Headers {
		// Digests are compared, so that neither the token's text nor its length shows in how long it takes.
		given := sha256.Sum256([]byte(r.Header.Get(name)))
		if subtle.ConstantTimeCompare(given[:], a.token[:]) == 1 {
			return nil
		}
	}
	a.cfg.Log.Error("refused a request without the token")
	return &refusal{http.StatusForbidden, "Bad Token"}
}

// patience is how long a call may take in all, credentials included.
const patience = time.Minute

// fetch answers from the cache, or from what call gets.
func (a *Agent) fetch(ctx context.Context, q query, call func(context.Context, query) ([]byte, error)) ([]byte, error) {
	answer, stale, err := a.cache.get(ctx, q.key, q.refresh, func() ([]byte, error) {
		// Others may wait for the same answer, so it is not cut off when this caller hangs up.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		return call(ctx, q)
	}, a.passes)
	if stale != nil {
		a.cfg.Log.Warn("goes on with the last known value, since the cloud does not answer", "id", q.id, "cause", stale.Error())
	}
	return answer, err
}

// passes tells whether an error says nothing about the value.
func (a *Agent) passes(err error) bool { return a.cfg.IgnoreTransient && remote.Judge(err).Passing }
