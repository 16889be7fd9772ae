package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/seal/shamir"
)

const (
	healthPath = "/_holdfast/health"
	unsealPath = "/_holdfast/unseal"
)

// gate stands before a cloud that may still be sealed: its root key is with people who give their shares one by one, or with a KMS that does not answer. Until it is
// known whether that is so, requests wait. Then health and unsealing are answered, and everything else is told to come again, until the cloud is open.
type gate struct {
	*admin
	kind   string
	shares *shamir.Seal // nil if the cloud opens without shares
	out    io.Writer    // where the operator looks

	decided  chan struct{} // closed when it is known whether the cloud is sealed or open
	opened   chan struct{} // closed when it is open
	again    chan struct{} // says that another try is worth it
	tries    int           // of opening, in vain
	cause    atomic.Value  // a string: why the cloud is sealed
	nonsense limiter
}

func newGate(e *env, cfg *cloud.Config, endpoint string, t *tls.Config) *gate {
	g := &gate{
		admin: newAdmin(cfg.Dir, endpoint, t, cfg.Log), out: e.out,
		decided: make(chan struct{}), opened: make(chan struct{}), again: make(chan struct{}, 1),
	}
	g.admin.sealed = g.sealedError
	if cfg.Seal != nil {
		g.kind = cfg.Seal.Kind()
	}
	if g.shares, _ = cfg.Seal.(*shamir.Seal); g.shares != nil {
		g.shares.HandOut(g.handOut)
	}
	cfg.SealWait = g.wait
	return g
}

// wait is the cloud's SealWait. The cloud has the data directory for itself by then.
func (g *gate) wait(ctx context.Context, cause error) error {
	g.cause.Store(cause.Error())
	g.log.Warn("sealed", "seal", g.kind, "cause", cause.Error())
	if g.tries++; g.tries == 1 {
		if err := g.leave(); err != nil {
			return err
		}
		fmt.Fprintf(g.out, "\nHoldfast %s listens on %s, and is sealed\n", cloud.Version, g.contact.Endpoint)
		if g.shares != nil {
			st := g.shares.Status()
			fmt.Fprintf(g.out, "%d of %d shares open it. Whoever has one gives it with:\n\n  holdfast unseal --endpoint %s\n\n", st.Needed, st.Shares, g.contact.Endpoint)
		}
		close(g.decided)
	}
	var err error
	if g.shares == nil {
		err = clock.Pause(ctx, backOff(g.tries))
	} else {
		select {
		case <-g.again:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if err != nil {
		g.close() // the directory is another's soon
	}
	return err
}

// unlessOver is err, unless it only says that the server was told to end while it waited.
func unlessOver(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

// backOff is how long to wait after so many tries: from half a second to half a minute, and not in step with others.
func backOff(tries int) time.Duration {
	d := min(time.Second<<min(tries-1, 10), time.Minute)
	return d/2 + rand.N(d/2)/2
}

// open lets calls through to the cloud.
func (g *gate) open(c *cloud.Cloud) error {
	g.cloud.Store(c)
	if g.tries == 0 {
		if err := g.leave(); err != nil {
			return err
		}
		close(g.decided)
	} else {
		g.log.Info("unsealed", "seal", g.kind)
	}
	close(g.opened)
	return nil
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case <-g.decided:
	case <-r.Context().Done():
		return
	}
	switch {
	case r.URL.Path == unsealPath:
		g.unseal(w, r)
	case g.cloud.Load() != nil || strings.HasPrefix(r.URL.Path, adminPrefix):
		g.admin.ServeHTTP(w, r)
	case r.URL.Path == healthPath && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		replyJSON(w, http.StatusServiceUnavailable, map[string]any{"status": "sealed", "sealed": true, "version": cloud.Version})
	default:
		refuseSealed(w, r)
	}
}

// refuseSealed answers a call of which nothing is known but that it cannot be answered now, in a form that the clients of each protocol read and try again after.
func refuseSealed(w http.ResponseWriter, r *http.Request) {
	const code, message = "ServiceUnavailable", "This cloud is sealed: its root key is not at hand yet. Try again when it is unsealed."
	h := w.Header()
	h.Set("Retry-After", "5")
	h.Set("X-Amzn-ErrorType", code)
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind == "application/x-www-form-urlencoded" || strings.HasSuffix(kind, "xml") {
		h.Set("Content-Type", "text/xml")
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintf(w, "<ErrorResponse><Error><Type>Receiver</Type><Code>%s</Code><Message>%s</Message></Error></ErrorResponse>\n", code, message)
		return
	}
	h.Set("Content-Type", "application/x-amz-json-1.1")
	w.WriteHeader(http.StatusServiceUnavailable)
	_ = json.NewEncoder(w).Encode(map[string]string{"__type": code, "message": message})
}

// unsealStatus is what GET /_holdfast/unseal answers, and POST as well.
type unsealStatus struct {
	Sealed  bool   `json:"sealed"`
	Seal    string `json:"seal,omitempty"`    // the kind
	Needed  int    `json:"needed,omitempty"`  // shares; the rest is about them as well
	Given   int    `json:"given"`             // in this attempt
	Shares  int    `json:"shares,omitempty"`  // that there are
	Set     string `json:"set,omitempty"`     // the ID of the set
	Attempt string `json:"attempt,omitempty"` // made up anew whenever the shares given are forgotten
	Error   string `json:"error,omitempty"`
}

// unsealRequest is the body of POST /_holdfast/unseal: a share, or reset.
type unsealRequest struct {
	Share   string `json:"share"`
	Attempt string `json:"attempt"` // that the share is for; empty for whichever there is
	Reset   bool   `json:"reset"`   // forget the shares given; only with the token of the data directory
}

func (g *gate) status() unsealStatus {
	if g.cloud.Load() != nil {
		return unsealStatus{}
	}
	s := unsealStatus{Sealed: true, Seal: g.kind}
	if g.shares != nil {
		st := g.shares.Status()
		s.Needed, s.Given, s.Shares, s.Set, s.Attempt = st.Needed, st.Given, st.Shares, st.Set, st.Attempt
	}
	return s
}

// unseal answers anybody: who has a share needs no account, and what is told is no secret.
func (g *gate) unseal(w http.ResponseWriter, r *http.Request) {
	if g.authorized(r) {
		w.Header().Set(adminHeader, g.contact.Proof)
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		replyJSON(w, http.StatusOK, g.status())
		return
	case http.MethodPost:
	default:
		http.Error(w, "GET tells the status, POST gives a share", http.StatusMethodNotAllowed)
		return
	}
	refuse := func(status int, err error) {
		s := g.status()
		s.Error = err.Error()
		replyJSON(w, status, s)
	}
	if door.FromWebPage(r) {
		refuse(http.StatusForbidden, errors.New("a web page of another origin, or of a public name, cannot do this"))
		return
	}
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	if !g.nonsense.admit(host) {
		w.Header().Set("Retry-After", "60")
		refuse(http.StatusTooManyRequests, errors.New("too much came from this address that is no share of this cloud; try again in a minute"))
		return
	}
	var in unsealRequest
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4096))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil || in.Reset == (in.Share != "") {
		g.nonsense.count(host)
		refuse(http.StatusBadRequest, errors.New(`want {"share":"hfs1-..."}`)) // the decoder's error may quote a share
		return
	}
	if in.Reset && !g.authorized(r) {
		g.nonsense.count(host)
		refuse(http.StatusForbidden, errors.New("only who can read the data directory makes a sealed cloud forget shares"))
		return
	}
	if g.shares == nil || g.cloud.Load() != nil {
		refuse(http.StatusConflict, shamir.ErrNotAwaited)
		return
	}
	if in.Reset {
		g.shares.Reset()
		g.log.Warn("the shares given were forgotten", "from", host)
		replyJSON(w, http.StatusOK, g.status())
		return
	}
	g.give(w, r, in, host, refuse)
}

func (g *gate) give(w http.ResponseWriter, r *http.Request, in unsealRequest, host string, refuse func(int, error)) {
	st, err := g.shares.Give(in.Share, in.Attempt)
	switch {
	case errors.Is(err, shamir.ErrGiven), errors.Is(err, shamir.ErrAttempt), errors.Is(err, shamir.ErrNotAwaited):
		refuse(http.StatusConflict, err)
		return
	case err != nil:
		g.nonsense.count(host)
		g.log.Warn("what was given is no share of this cloud", "from", host, "cause", err.Error())
		refuse(http.StatusBadRequest, err)
		return
	}
	g.log.Info("a share was given", "from", host, "given", st.Given, "needed", st.Needed, "enough", st.Done)
	if st.Done {
		g.again <- struct{}{}
		select {
		case <-g.opened:
		case <-r.Context().Done():
		}
	}
	replyJSON(w, http.StatusOK, g.status())
}

// sealedError is that of what cannot be done yet.
func (g *gate) sealedError() error {
	cause, _ := g.cause.Load().(string)
	if g.shares != nil {
		st := g.shares.Status()
		return fmt.Errorf("the cloud is sealed: %d of the %d shares needed are given; holdfast unseal gives one", st.Given, st.Needed)
	}
	return fmt.Errorf("the cloud is sealed, and opens by itself when its root key is at hand: %s", strings.TrimPrefix(cause, seal.ErrUnavailable.Error()+": "))
}

// handOut shows the shares of a new cloud.
func (g *gate) handOut(threshold int, shares []string) error {
	return printShares(g.out, threshold, shares)
}

func printShares(w io.Writer, threshold int, shares []string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\nThese are the %d shares of the root key. They are shown this once. Any %d of them open the cloud, so give each to another person:\n\n", len(shares), threshold)
	for _, share := range shares {
		b.WriteString("  " + share + "\n")
	}
	b.WriteString("\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func replyJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

// limiter turns addresses away for a while from which too much nonsense came. A share cannot be guessed; this is for the log and the processor.
type limiter struct {
	mu sync.Mutex // guards by
	by map[string]*tally
}

type tally struct {
	bad   int
	since clock.Stopwatch
}

const (
	mostNonsense   = 10 // per address and nonsensePeriod
	nonsensePeriod = time.Minute
	mostAddresses  = 1000
)

func (l *limiter) admit(host string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.by[host]
	return t == nil || t.bad < mostNonsense || t.since.Elapsed() > nonsensePeriod
}

func (l *limiter) count(host string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.by[host]
	if t == nil || t.since.Elapsed() > nonsensePeriod {
		if l.by == nil || len(l.by) >= mostAddresses {
			l.by = make(map[string]*tally) // so many are no people: begin anew
		}
		t = &tally{since: clock.Start()}
		l.by[host] = t
	}
	t.bad++
}
