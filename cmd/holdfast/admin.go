package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/durable"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/seal/providers"
)

// A running server holds its data directory alone, so the commands around it ask it for what they need. Who may read the data directory may do so: the server leaves
// there, readable by its owner only, where it listens and a token that is new at each start.
const (
	adminFile    = "admin.json"
	adminPrefix  = "/_holdfast/admin/"
	adminHeader  = "Holdfast-Admin" // in the answers to who has the token: the server's proof
	errorTrailer = "Holdfast-Error"
)

// contact is the content of adminFile.
type contact struct {
	Endpoint    string `json:"endpoint"`
	Token       string `json:"token"`
	Proof       string `json:"proof"`                 // what the server answers with, and nobody else: what commands print is evaluated by shells
	Certificate string `json:"certificate,omitempty"` // SHA-256 of the server's certificate, which need not name the address
}

// admin serves the commands, and everything else to the cloud.
type admin struct {
	cloud   atomic.Pointer[cloud.Cloud] // nil while it is sealed
	sealed  func() error                // what to say then
	log     *slog.Logger
	contact contact
	token   [sha256.Size]byte // its hash: comparing hashes takes the same time wherever they differ
	path    string
	over    context.Context // ends when the server does, and what would not end by itself
	end     context.CancelFunc
}

func newAdmin(dir, endpoint string, t *tls.Config, log *slog.Logger) *admin {
	k := contact{Endpoint: endpoint, Token: rand.Text(), Proof: rand.Text()}
	if t != nil {
		sum := sha256.Sum256(t.Certificates[0].Certificate[0])
		k.Certificate = hex.EncodeToString(sum[:])
	}
	a := &admin{log: log, contact: k, token: sha256.Sum256([]byte(k.Token)), path: filepath.Join(dir, adminFile)}
	a.over, a.end = context.WithCancel(context.Background())
	return a
}

// leave leaves the way to the server. No other one may have the directory.
func (a *admin) leave() error {
	b, err := json.Marshal(a.contact)
	if err != nil {
		return err
	}
	if err := durable.WriteFile(a.path, b); err != nil {
		return fmt.Errorf("leaving the way to the server: %w", err)
	}
	return nil
}

func (a *admin) close() { _ = os.Remove(a.path) }

// authorized reports whether a request comes from who can read the data directory.
func (a *admin) authorized(r *http.Request) bool {
	given, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	sum := sha256.Sum256([]byte(given))
	return subtle.ConstantTimeCompare(sum[:], a.token[:]) == 1
}

func (a *admin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, ok := strings.CutPrefix(r.URL.Path, adminPrefix)
	c := a.cloud.Load()
	if !ok {
		c.ServeHTTP(w, r)
		return
	}
	if !a.authorized(r) {
		http.Error(w, "not authorized", http.StatusForbidden)
		return
	}
	w.Header().Set(adminHeader, a.contact.Proof)
	task := tasks[name]
	if task == nil || r.Method != http.MethodPost {
		http.NotFound(w, r)
		return
	}
	if c == nil {
		http.Error(w, a.sealed().Error(), http.StatusServiceUnavailable)
		return
	}
	// What went wrong comes after what was found until then.
	w.Header().Set("Trailer", errorTrailer)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	if name == tailTask {
		defer context.AfterFunc(a.over, cancel)()
	}
	err := task(ctx, c, r.Body, w)
	// The audit trail tells of calls; this is what tells of who came by the data directory.
	a.log.Info("command", "name", name, "done", err == nil)
	if err != nil {
		w.Header().Set(errorTrailer, strings.ReplaceAll(err.Error(), "\n", "; "))
	}
}

// task does something with a cloud: in the server that has it, or in the command itself when no server runs. What comes in is its parameters, as JSON, or a file.
type task func(ctx context.Context, c *cloud.Cloud, in io.Reader, out io.Writer) error

var tasks = map[string]task{
	"events":      listEvents,
	"credentials": makeCredentials,
	"seal":        sealStatus,
	"rewrap":      rewrap,
	"rotate":      rotate,

	"backup":       writeBackup,
	"backup-check": checkBackup,

	"why":             explainCalls,
	"policy-generate": generatePolicy,

	tailTask: tailEvents,
}

// errNoServer says that no server answers for the data directory.
var errNoServer = errors.New("no server runs")

// readParams reads a task's parameters.
func readParams(in io.Reader, p any) error {
	if err := json.NewDecoder(io.LimitReader(in, 1<<20)).Decode(p); err != nil {
		return fmt.Errorf("reading what to do: %w", err)
	}
	return nil
}

// perform does a task in the server that runs over dir, or here if none does.
func perform(ctx context.Context, dir, sealSpec, name string, params any, out io.Writer) error {
	body, err := json.Marshal(params)
	if err != nil {
		return err
	}
	return performOn(ctx, dir, sealSpec, name, bytes.NewReader(body), out)
}

// performOn is perform for a task that reads in.
func performOn(ctx context.Context, dir, sealSpec, name string, in io.ReadSeeker, out io.Writer) error {
	err := ask(ctx, dir, name, in, out)
	if !errors.Is(err, errNoServer) {
		return err
	}
	if _, err := in.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, "store")); err != nil {
		return fmt.Errorf("%s holds no cloud; start one with holdfast serve --data %s", dir, quoted(dir))
	}
	cfg := cloud.Config{Dir: dir, Idle: true}
	if sealSpec != "" {
		if cfg.Seal, err = providers.Parse(sealSpec); err != nil {
			return err
		}
	}
	c, err := cloud.Open(ctx, cfg)
	if errors.Is(err, seal.ErrUnavailable) {
		return fmt.Errorf("%w; start the server, and try again when it is unsealed", err)
	}
	if err != nil {
		return err
	}
	defer c.Close()
	return tasks[name](ctx, c, in, out)
}

// readContact reads how to reach the server that runs over a data directory.
func readContact(dir string) (k contact, err error) {
	b, err := os.ReadFile(filepath.Join(dir, adminFile))
	if errors.Is(err, fs.ErrNotExist) {
		return k, errNoServer
	}
	if err != nil {
		return k, err
	}
	if err := json.Unmarshal(b, &k); err != nil {
		return k, fmt.Errorf("reading %s: %w", adminFile, err)
	}
	return k, nil
}

func ask(ctx context.Context, dir, name string, in io.Reader, out io.Writer) error {
	k, err := readContact(dir)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, k.Endpoint+adminPrefix+name, io.NopCloser(in)) // whoever opened it closes it
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+k.Token)
	client := &http.Client{
		Transport:     &http.Transport{TLSClientConfig: pinned(k.Certificate)},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the server sends nobody elsewhere
	}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return errNoServer // it was killed, and left the file behind
	}
	defer resp.Body.Close()
	if k.Proof == "" || resp.Header.Get(adminHeader) != k.Proof {
		return errNoServer // so it was, and somebody else listens there now
	}
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
		return errors.New(strings.TrimSpace(string(text)))
	}
	if _, err := io.Copy(out, resp.Body); errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the server ended before it had answered")
	} else if err != nil {
		return err
	}
	if text := resp.Trailer.Get(errorTrailer); text != "" {
		return errors.New(text)
	}
	return nil
}

// pinned trusts exactly the certificate that the server said is its own: it is issued for callers' names, not for the address that it listens on.
func pinned(certificate string) *tls.Config {
	if certificate == "" {
		return nil
	}
	return &tls.Config{
		InsecureSkipVerify: true, // in favour of the line below, which lets only one certificate through
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
			if len(raw) > 0 {
				if sum := sha256.Sum256(raw[0]); hex.EncodeToString(sum[:]) == certificate {
					return nil
				}
			}
			return errors.New("the server has another certificate than the one it started with")
		},
	}
}

// commandFlags are those that every command around the server has.
func commandFlags(e *env, name, arguments string) (f *flags, data, sealSpec *string) {
	f = newFlags(e, name, arguments)
	data = f.dataFlag()
	sealSpec = f.String("seal", "", "`where` the root key is, if no server runs; as for serve")
	return f, data, sealSpec
}

type eventsParams struct {
	From, To time.Time
	Account  string
	Limit    int
}

func events(ctx context.Context, e *env, args []string) error {
	if len(args) > 0 && args[0] == "tail" {
		return tail(ctx, e, args[1:])
	}
	f, data, sealSpec := commandFlags(e, "events", "[flags]")
	var p eventsParams
	f.Func("from", "only records from this `time` on, e.g. 2027-01-01T00:00:00Z", instant(&p.From))
	f.Func("to", "only records before this `time`", instant(&p.To))
	f.StringVar(&p.Account, "account", "", "only records of this `account`")
	f.IntVar(&p.Limit, "limit", 0, "only the newest `n` records; 0 prints all")
	if err := f.parse(args); err != nil {
		return err
	}
	return perform(ctx, *data, *sealSpec, "events", p, e.out)
}

func instant(t *time.Time) func(string) error {
	return func(s string) (err error) {
		*t, err = time.Parse(time.RFC3339, s)
		return err
	}
}

func listEvents(ctx context.Context, c *cloud.Cloud, in io.Reader, out io.Writer) error {
	var p eventsParams
	if err := readParams(in, &p); err != nil {
		return err
	}
	for record, err := range c.StreamEvents(ctx, audit.Filter{From: p.From, To: p.To, Account: p.Account, Limit: p.Limit}) {
		if err != nil {
			return err
		}
		if _, err := out.Write(append(record, '\n')); err != nil {
			return err
		}
	}
	return nil
}

type credentialsParams struct {
	Account, User, Policy string
	ProxyRegion           string // makes it a key for an external key store, see makeProxyKey
}

func credentials(ctx context.Context, e *env, args []string) error {
	f, data, sealSpec := commandFlags(e, "credentials", "[flags]")
	var p credentialsParams
	f.StringVar(&p.Account, "account", "000000000000", "twelve `digits`; an account is there as soon as it is spoken of")
	f.StringVar(&p.User, "user", "", "IAM user `name`, made if it is not there; empty for the root user")
	file := f.String("policy", "", "`file` with the user's identity policy; it replaces the one the user has")
	proxy := f.Bool("xks-proxy", false, "a key for the KMS of another cloud, which uses the keys of this one as an external key store; printed as it takes it")
	region := f.String("region", "us-east-1", "region `name` of the keys that --xks-proxy is for")
	if err := f.parse(args); err != nil {
		return err
	}
	if *file != "" {
		if p.User == "" {
			return fmt.Errorf("%w: --policy is for a --user: the root user has no policies", errUsage)
		}
		doc, err := os.ReadFile(*file)
		if err != nil {
			return err
		}
		p.Policy = string(doc)
	}
	if *proxy {
		if p.User == "" {
			return fmt.Errorf("%w: --xks-proxy is for a --user: the root user may do more than encrypt and decrypt", errUsage)
		}
		p.ProxyRegion = *region
	}
	return perform(ctx, *data, *sealSpec, "credentials", p, e.out)
}

func makeCredentials(ctx context.Context, c *cloud.Cloud, in io.Reader, out io.Writer) error {
	var p credentialsParams
	if err := readParams(in, &p); err != nil {
		return err
	}
	if !identity.IsAccount(p.Account) {
		return fmt.Errorf("account %q does not have twelve digits", p.Account)
	}
	if p.User != "" {
		if err := c.EnsureUser(ctx, p.Account, p.User, p.Policy); err != nil {
			return err
		}
	}
	if p.ProxyRegion != "" {
		return makeProxyKey(ctx, c, p.Account, p.User, p.ProxyRegion, out)
	}
	id, secret, err := c.CreateKey(ctx, p.Account, p.User)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "export AWS_ACCESS_KEY_ID=%s\nexport AWS_SECRET_ACCESS_KEY=%s\n", id, secret)
	return err
}
