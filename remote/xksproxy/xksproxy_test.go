package xksproxy_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-cloud/holdfast/api/xks"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/remote/xksproxy"
	"github.com/holdfast-cloud/holdfast/sigv4"
)

const (
	service = "com.amazonaws.vpce.us-east-1.vpce-svc-0123456789"
	health  = `{"xksProxyFleetSize":1,"xksProxyVendor":"v","xksProxyModel":"m","ekmVendor":"e","ekmFleetDetails":[{"id":"1","model":"m","healthStatus":"ACTIVE"}]}`
)

// patience is far more than a proxy gets of KMS, for machines that are busy.
const patience = time.Minute

// proxy is a TLS server that answers as answer does, and the configuration that reaches it as example.com.
func proxy(t *testing.T, answer http.HandlerFunc) (*httptest.Server, xksproxy.Config) {
	t.Helper()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // only then does the server notice that a caller goes away
		r.Body = io.NopCloser(bytes.NewReader(body))
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate()) // of example.com
	at := s.Listener.Addr().String()
	return s, xksproxy.Config{Roots: roots, Limit: patience, Connect: map[string]string{"example.com": at, service: at}}
}

var target = xksproxy.Target{Endpoint: "https://example.com", Prefix: "/some/prefix", Credentials: sigv4.Credentials{AccessKeyID: "ABCDEFGHIJKLMNOPQRST", Secret: "secret"}}

func ask(t *testing.T, cfg xksproxy.Config, to xksproxy.Target) error {
	t.Helper()
	return askIn(t.Context(), t, cfg, to)
}

func askIn(ctx context.Context, t *testing.T, cfg xksproxy.Config, to xksproxy.Target) error {
	t.Helper()
	tr, err := cfg.New(to)
	if err != nil {
		t.Fatal(err)
	}
	_, err = xks.Client{Transport: tr}.GetHealthStatus(&call.Call{Context: ctx, Scope: call.Scope{Region: "us-east-1"}},
		&xks.GetHealthStatusRequest{RequestMetadata: &xks.HealthRequestMetadata{KmsOperation: new("Test"), KmsRequestId: new("id")}})
	return err
}

func TestOK(t *testing.T) {
	var path, body, auth string
	_, cfg := proxy(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		path, body, auth = r.URL.Path, string(b), r.Header.Get("Authorization")
		if r.Header.Get("X-Idempotency-Key") != "" {
			t.Error("the mark for net/http was sent")
		}
		io.WriteString(w, health)
	})
	if err := ask(t, cfg, target); err != nil {
		t.Fatal(err)
	}
	if path != "/some/prefix/kms/xks/v1/health" || !strings.Contains(body, `"kmsOperation":"Test"`) || !strings.Contains(auth, "/us-east-1/kms-xks-proxy/aws4_request") {
		t.Errorf("the proxy got %s, %s, %s", path, body, auth)
	}
	t.Run("ThroughVPCEndpointService", func(t *testing.T) {
		there := cfg
		there.Connect = map[string]string{service: cfg.Connect[service]}
		to := target
		to.VPCService = service
		if err := ask(t, there, to); err != nil {
			t.Error(err)
		}
		to.VPCService = service + "0"
		kindOf(t, ask(t, cfg, to), xksproxy.Unreachable) // and not what the name of the endpoint leads to
		if !there.HasService(service) || there.HasService(service+"0") {
			t.Error("HasService does not tell which there are")
		}
	})
	t.Run("NameInCapitals", func(t *testing.T) {
		to := target
		to.Endpoint = "https://EXAMPLE.com"
		if err := ask(t, cfg, to); err != nil {
			t.Error(err)
		}
	})
	t.Run("AllowedNetwork", func(t *testing.T) {
		// localhost is not a name of the certificate, and a port of its own nobody can name: what is seen is that TLS begins, or is not even tried.
		l, err := net.Listen("tcp", "127.0.0.1:443")
		if err != nil {
			t.Skip("this user cannot listen on port 443")
		}
		defer l.Close()
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				c.Close()
			}
		}()
		to := xksproxy.Target{Endpoint: "https://localhost"}
		kindOf(t, ask(t, xksproxy.Config{Limit: patience}, to), xksproxy.Unreachable)
		kindOf(t, ask(t, xksproxy.Config{Limit: patience, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}}, to), xksproxy.Untrusted)
	})
}

func kindOf(t *testing.T, err error, want xksproxy.Kind) {
	t.Helper()
	e, ok := errors.AsType[*xksproxy.Error](err)
	if !ok || e.Kind != want {
		t.Errorf("the error is %v, want kind %d", err, want)
	}
}

func TestErrors(t *testing.T) {
	answering := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status); io.WriteString(w, body) }
	}
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		want   xksproxy.Kind
	}{
		"NoJSON":   {answering(200, "<html>"), xksproxy.Malformed},
		"Status":   {answering(502, "<html>bad gateway</html>"), xksproxy.Malformed},
		"OwnError": {answering(400, `{"errorName":"SomethingElse"}`), xksproxy.Malformed},
		"Redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://example.org/", http.StatusTemporaryRedirect)
		}, xksproxy.Malformed},
		"TooLong":    {answering(200, `{"xksProxyVendor":"`+strings.Repeat("v", 70<<10)), xksproxy.Malformed},
		"WrongTypes": {answering(200, `{"xksProxyFleetSize":"many"}`), xksproxy.Malformed},
		"Cut":        {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, xksproxy.Unreachable},
		"Slow":       {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, xksproxy.TimedOut},
		"SlowBody": {func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "{")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, xksproxy.TimedOut},
	} {
		t.Run(name, func(t *testing.T) {
			_, cfg := proxy(t, tt.answer)
			if tt.want == xksproxy.TimedOut {
				cfg.Limit = 0
			}
			kindOf(t, ask(t, cfg, target), tt.want)
		})
	}
	t.Run("Modelled", func(t *testing.T) {
		_, cfg := proxy(t, answering(401, `{"errorName":"AuthenticationFailedException","errorMessage":"no"}`))
		if _, ok := errors.AsType[*xks.AuthenticationFailedException](ask(t, cfg, target)); !ok {
			t.Error("a modelled error does not come through")
		}
	})
	t.Run("Untrusted", func(t *testing.T) {
		_, cfg := proxy(t, answering(200, health))
		cfg.Roots = x509.NewCertPool()
		kindOf(t, ask(t, cfg, target), xksproxy.Untrusted)
	})
	t.Run("OtherName", func(t *testing.T) {
		_, cfg := proxy(t, answering(200, health))
		cfg.Connect["example.net"] = cfg.Connect["example.com"]
		to := target
		to.Endpoint = "https://example.net"
		kindOf(t, ask(t, cfg, to), xksproxy.Untrusted)
	})
	t.Run("Refused", func(t *testing.T) {
		s, cfg := proxy(t, answering(200, health))
		s.Close()
		kindOf(t, ask(t, cfg, target), xksproxy.Unreachable)
	})
	t.Run("NotAllowed", func(t *testing.T) {
		kindOf(t, ask(t, xksproxy.Config{Limit: patience}, xksproxy.Target{Endpoint: "https://localhost"}), xksproxy.Unreachable)
	})
	t.Run("HandshakeHangs", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		cfg := xksproxy.Config{Connect: map[string]string{"example.com": l.Addr().String()}}
		kindOf(t, ask(t, cfg, target), xksproxy.TimedOut)
	})
	t.Run("CallerGone", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		_, cfg := proxy(t, func(_ http.ResponseWriter, r *http.Request) { cancel(); <-r.Context().Done() })
		if err := askIn(ctx, t, cfg, target); !errors.Is(err, context.Canceled) {
			t.Errorf("the error is %v, want Canceled", err)
		}
	})
	t.Run("NoURL", func(t *testing.T) {
		for _, endpoint := range []string{"", "http://example.com", "https://"} {
			if _, err := new(xksproxy.Config).New(xksproxy.Target{Endpoint: endpoint}); err == nil {
				t.Errorf("New with endpoint %q succeeds", endpoint)
			}
		}
	})
}

// A connection that was kept and has been closed by the proxy meanwhile costs no error.
func TestClosedConnection(t *testing.T) {
	s, cfg := proxy(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, health) })
	tr, err := cfg.New(target)
	if err != nil {
		t.Fatal(err)
	}
	client := xks.Client{Transport: tr}
	for range 20 {
		if _, err := client.GetHealthStatus(&call.Call{Context: t.Context()}, &xks.GetHealthStatusRequest{}); err != nil {
			t.Fatalf("after the connections were closed: %v", err)
		}
		s.CloseClientConnections()
	}
}
