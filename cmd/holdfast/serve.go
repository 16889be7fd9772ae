package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/durable"
	"github.com/holdfast-cloud/holdfast/seal/providers"
)

// settings are the flags of serve.
type settings struct {
	listen, data, account, region string
	dev, fips                     bool
	seal                          string
	cert, key                     string
	logFormat, logLevel           string
	auditSync, auditRetention     time.Duration
	auditFailure                  string
	endpoints                     vpcEndpoints
	publicURL                     string
	idpNetworks                   networks
	clusters                      clusters
	keyStores                     keyStores
	webhooks                      webhooks
	functions                     functions
	databases                     databases
	smtp                          smtp
	snsURL                        string
	peers                         peers
}

// networks are those named by a flag that may be given several times, each time with several of them and commas between.
type networks []netip.Prefix

func (n *networks) add(text string) error {
	for one := range strings.SplitSeq(text, ",") {
		p, err := netip.ParsePrefix(strings.TrimSpace(one))
		if err != nil {
			return fmt.Errorf("%q is no network such as 10.0.0.0/8", one)
		}
		*n = append(*n, p.Masked())
	}
	return nil
}

func (s *settings) register(f *flags) {
	f.StringVar(&s.listen, "listen", "127.0.0.1:4566", "`address` to listen on; off loopback, TLS is required")
	f.StringVar(&s.data, "data", defaultData(f.env), "`directory` that holds everything")
	f.BoolVar(&s.dev, "dev", false, "let unknown access keys in, and allow reset and clock; never for production")
	f.BoolVar(&s.fips, "fips", false, "do not start unless a frozen version of Go's FIPS 140-3 module does the cryptography: see docs/fips.md")
	f.StringVar(&s.account, "account", "000000000000", "default account, twelve `digits`")
	f.StringVar(&s.region, "region", "us-east-1", "default `region`; its partition is the cloud's")
	f.StringVar(&s.seal, "seal", "", "`where` the root key is: "+providers.Names+" (default the file root.key in the data directory)")
	f.StringVar(&s.cert, "tls-cert", "", "PEM `file` with the server's certificate chain")
	f.StringVar(&s.key, "tls-key", "", "PEM `file` with the certificate's private key")
	f.StringVar(&s.logFormat, "log-format", "text", "`form` of log lines: text or json")
	f.StringVar(&s.logLevel, "log-level", "info", "least `level` that is logged: debug, info, warn or error")
	f.DurationVar(&s.auditSync, "audit-sync", 100*time.Millisecond, "`time` that audit records of reads may wait for their fsync; 0 makes each call wait")
	f.StringVar(&s.auditFailure, "audit-failure", "refuse", "`what` to do when a call cannot be recorded: refuse or continue")
	f.Func("vpc-endpoint", "one more address to listen on, as a VPC endpoint that policies can tell: `ID=ADDRESS[,vpc=ID][,policy=FILE]`; may be given several times", s.endpoints.add)
	f.StringVar(&s.publicURL, "public-url", "", "`URL` at which others reach the cloud; it begins the issuer of web identity tokens (default the address listened on)")
	f.Func("idp-network", "`network`, such as 10.0.0.0/8, that OpenID Connect providers may be in beside the public internet; may be given several times, or with commas; one with loopback addresses in it allows plain http there", s.idpNetworks.add)
	s.keyStores.register(f)
	s.webhooks.register(f)
	s.functions.register(f)
	s.databases.register(f)
	s.smtp.register(f)
	f.StringVar(&s.snsURL, "sns-url", "", "`URL` at which others reach SNS, with {region} in place of a region's name, such as https://sns.{region}.example.com; links in its messages begin with it (default that of --public-url)")
	s.peers.register(f)
	f.Func("cloudhsm", "token that stands for a CloudHSM cluster, in a build with -tags pkcs11: `ID=URI[,ca=FILE]`, with an RFC 7512 URI that has module-path, and the certificate that key stores must name; may be given several times, or with blanks", s.clusters.add)
	f.DurationVar(&s.auditRetention, "audit-retention", 90*24*time.Hour, "`time` that audit records are kept")
}

// gcPercent lets the heap grow to four times what is live before it is collected. What is live is a few megabytes, so at Go's own 100 a loaded
// server collects dozens of times a second, which takes a tenth of its processor time; GOGC in the environment wins.
const gcPercent = 300

// serve runs the cloud until ctx ends, and then lets the calls that are under way finish.
func serve(ctx context.Context, e *env, args []string) error {
	watch := clock.Start()
	if e.getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	var s settings
	f := newFlags(e, "serve", "[flags]")
	s.register(f)
	if err := f.parse(args); err != nil {
		return err
	}
	if err := s.checkFIPS(); err != nil {
		return err
	}
	log, err := s.logger(e)
	if err != nil {
		return err
	}
	tlsConfig, err := s.tls()
	if err != nil {
		return err
	}
	cfg, err := s.config(log)
	if err != nil {
		return err
	}
	if cfg.Peers, err = s.peers.config(e, s.region); err != nil {
		return err
	}
	if cfg.Mail, err = s.smtp.config(e); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", s.listen)
	if err != nil {
		return err
	}
	defer listener.Close()
	scheme := "http://"
	if tlsConfig != nil {
		scheme = "https://"
		listener = tls.NewListener(listener, tlsConfig)
	}
	endpoint := scheme + reachable(listener.Addr())
	if cfg.PublicURL == "" {
		cfg.PublicURL = endpoint
	}
	further, err := s.endpoints.listen(tlsConfig, s.dev)
	if err != nil {
		return err
	}
	defer further.close()
	gate := newGate(e, &cfg, endpoint, tlsConfig)
	site := s.start(append(further, listener), gate, log)
	defer site.close()
	site.http.RegisterOnShutdown(gate.end)
	c, err := cloud.Open(ctx, cfg)
	if err != nil {
		return unlessOver(ctx, err)
	}
	defer c.Close()
	defer gate.close()
	if err := gate.open(c); err != nil {
		return err
	}
	if err := s.greet(ctx, e, c, scheme, endpoint); err != nil {
		return err
	}
	log.Info("ready", "endpoint", endpoint, "data", s.data, "dev", s.dev, "fips", cloud.FIPS(), "version", cloud.Version, "started_in", watch.Elapsed().Round(time.Millisecond).String())
	return site.run(ctx, c.EndPolls)
}

// reachable is the address at which a caller on this machine finds a listener that may listen on all of them.
func reachable(a net.Addr) string {
	if t, ok := a.(*net.TCPAddr); ok && t.IP.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", strconv.Itoa(t.Port))
	}
	return a.String()
}

// drain is how long calls that are under way may take to finish.
const drain = 30 * time.Second

// site is a handler that is served on several listeners.
type site struct {
	http  *http.Server
	ended chan error
	log   *slog.Logger
}

func (s *settings) start(ways listeners, h http.Handler, log *slog.Logger) *site {
	v := &site{log: log, ended: make(chan error, len(ways)), http: &http.Server{
		Handler: &patience{Handler: h, first: firstPatience, pace: slowestBody}, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug), ConnContext: s.endpoints.through,
	}}
	for _, l := range ways {
		go func() { v.ended <- v.http.Serve(l) }()
	}
	return v
}

func (v *site) close() { _ = v.http.Close() }

// run returns when ctx has ended, and calls with it, of which hurry ends those that wait.
func (v *site) run(ctx context.Context, hurry func()) error {
	select {
	case err := <-v.ended:
		return err
	case <-ctx.Done():
	}
	v.log.Info("draining")
	hurry()
	finish, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	if err := v.http.Shutdown(finish); err != nil {
		v.log.Warn("calls were cut off", "cause", err.Error())
		v.close()
	}
	v.log.Info("stopped")
	return nil
}

func (s *settings) logger(e *env) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(s.logLevel)); err != nil {
		return nil, fmt.Errorf("%w: --log-level %q is none of debug, info, warn, error", errUsage, s.logLevel)
	}
	options := &slog.HandlerOptions{Level: level}
	switch s.logFormat {
	case "text":
		return slog.New(slog.NewTextHandler(e.err, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(e.err, options)), nil
	}
	return nil, fmt.Errorf("%w: --log-format %q is neither text nor json", errUsage, s.logFormat)
}

// tls reads the certificate, or returns nil where none is needed: on loopback, and in dev mode.
func (s *settings) tls() (*tls.Config, error) {
	if (s.cert == "") != (s.key == "") {
		return nil, fmt.Errorf("%w: --tls-cert and --tls-key belong together", errUsage)
	}
	if s.cert == "" {
		if !s.dev && !loopback(s.listen) {
			return nil, fmt.Errorf("%w: --listen %s is not a loopback address, so callers could be overheard: give --tls-cert and --tls-key", errUsage, s.listen)
		}
		return nil, nil
	}
	cert, err := tls.LoadX509KeyPair(s.cert, s.key)
	if err != nil {
		return nil, fmt.Errorf("reading the TLS certificate: %w", err)
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}, nil
}

func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

func (s *settings) config(log *slog.Logger) (cloud.Config, error) {
	cfg := cloud.Config{
		Dir: s.data, Account: s.account, Region: s.region, Dev: s.dev, Log: log,
		AuditSync: s.auditSync, AuditRetention: s.auditRetention,
	}
	switch s.auditFailure {
	case "refuse":
	case "continue":
		cfg.AuditKeepOn = true
	default:
		return cfg, fmt.Errorf("%w: --audit-failure %q is neither refuse nor continue", errUsage, s.auditFailure)
	}
	if u, err := url.Parse(s.publicURL); s.publicURL != "" && (err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" || u.RawQuery != "" || u.Fragment != "") {
		return cfg, fmt.Errorf("%w: --public-url %q is no URL such as https://cloud.example.com", errUsage, s.publicURL)
	}
	cfg.PublicURL = s.publicURL
	if u, err := url.Parse(strings.ReplaceAll(s.snsURL, "{region}", "region")); s.snsURL != "" && (err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" || u.RawQuery != "" || u.Fragment != "") {
		return cfg, fmt.Errorf("%w: --sns-url %q is no URL such as https://sns.{region}.example.com", errUsage, s.snsURL)
	}
	cfg.SNSURL = s.snsURL
	var err error
	if cfg.CloudHSM, err = s.clusters.config(); err != nil {
		return cfg, err
	}
	if cfg.Functions, err = s.functions.config(); err != nil {
		return cfg, err
	}
	if cfg.Databases, err = s.databases.config(); err != nil {
		return cfg, err
	}
	cfg.RotationGrace = s.databases.grace
	if cfg.Webhooks, err = s.webhooks.config(); err != nil {
		return cfg, err
	}
	if cfg.ExternalKeyStores, err = s.keyStores.config(); err != nil {
		return cfg, err
	}
	cfg.IdentityProviders.Allow = s.idpNetworks
	for _, n := range s.idpNetworks {
		if n.Contains(netip.IPv6Loopback()) || n.Contains(netip.AddrFrom4([4]byte{127, 0, 0, 1})) {
			cfg.IdentityProviders.PlainLoopback = true
		}
	}
	if s.data == "" {
		return cfg, fmt.Errorf("%w: --data must not be empty", errUsage)
	}
	if err := durable.MkdirAll(s.data); err != nil {
		return cfg, err
	}
	if s.seal != "" {
		p, err := providers.Parse(s.seal)
		if err != nil {
			return cfg, err
		}
		cfg.Seal = p
	}
	return cfg, nil
}

// greet tells a new user what they need next: the endpoint, credentials, a command to try.
func (s *settings) greet(ctx context.Context, e *env, c *cloud.Cloud, scheme, endpoint string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\nHoldfast %s listens on %s\n", cloud.Version, endpoint)
	for _, v := range s.endpoints {
		fmt.Fprintf(&b, "VPC endpoint %s listens on %s\n", v.ID, scheme+v.address)
	}
	if mode := cloud.FIPS(); mode != "off" {
		fmt.Fprintf(&b, "FIPS mode: Go Cryptographic Module %s\n", mode)
	}
	id, secret := "test", "test"
	if s.dev {
		b.WriteString("\n  *** DEV MODE: unknown access keys are let in without a signature check. Not for production. ***\n")
	} else {
		var made bool
		var err error
		if id, secret, made, err = c.RootKey(ctx); err != nil {
			return err
		}
		if !made {
			id = ""
		} else {
			fmt.Fprintf(&b, "\nThis is the first start. The access key of the root user of account %s is shown this once:\n", s.account)
		}
	}
	fmt.Fprintf(&b, "\n  export AWS_ENDPOINT_URL=%s\n  export AWS_DEFAULT_REGION=%s\n", endpoint, s.region)
	if id != "" {
		fmt.Fprintf(&b, "  export AWS_ACCESS_KEY_ID=%s\n  export AWS_SECRET_ACCESS_KEY=%s\n", id, secret)
	}
	fmt.Fprintf(&b, "  aws --endpoint-url %s sts get-caller-identity\n\n", endpoint)
	_, err := fmt.Fprint(e.out, b.String())
	return err
}
