package outbound_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-cloud/holdfast/outbound"
)

var loopback = outbound.Guard{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}}

func get(t *testing.T, cfg outbound.ClientConfig, url string) (*outbound.Response, error) {
	t.Helper()
	c := outbound.NewClient(cfg)
	t.Cleanup(c.Close)
	return c.Do(t.Context(), &outbound.Request{Method: "GET", URL: url})
}

func TestClientSends(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		user, password, _ := r.BasicAuth()
		w.Header().Set("X-Saw", r.Method+" "+r.URL.String()+" "+r.Header.Get("X-Mine")+" "+user+":"+password)
		w.WriteHeader(418)
		w.Write(body)
	}))
	defer server.Close()
	c := outbound.NewClient(outbound.ClientConfig{Guard: loopback})
	defer c.Close()
	got, err := c.Do(t.Context(), &outbound.Request{
		Method: "POST", URL: strings.Replace(server.URL, "http://", "http://ann:pa%20ss@", 1) + "/a?b=c", Header: map[string]string{"x-mine": "v"}, Body: []byte("text"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if saw := got.Header.Get("X-Saw"); got.Status != 418 || string(got.Body) != "text" || got.Truncated || saw != "POST /a?b=c v ann:pa ss" {
		t.Errorf("answer %d %q truncated %t, server saw %q", got.Status, got.Body, got.Truncated, saw)
	}
}

// No address that leads inside is connected to, however it is written.
func TestClientGuards(t *testing.T) {
	for _, host := range []string{
		"127.0.0.1", "localhost", "127.1.2.3", "169.254.169.254", "10.0.0.1", "172.16.9.9", "192.168.1.1", "0.0.0.0", "100.64.0.1", "224.0.0.1", "255.255.255.255",
		"[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:a9fe:a9fe]", "[fe80::1]", "[fd00:ec2::254]", "[64:ff9b::7f00:1]", "[2002:7f00:1::1]", "[ff02::1]",
	} {
		for _, scheme := range []string{"http", "https"} {
			url := scheme + "://" + host + ":9/secret"
			_, err := get(t, outbound.ClientConfig{Timeout: time.Minute}, url)
			if !errors.Is(err, outbound.ErrAddress) {
				t.Errorf("%s: %v, want ErrAddress", url, err)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("%s: the error tells the path: %v", url, err)
			}
		}
	}
}

func TestClientRefusesURLs(t *testing.T) {
	for _, url := range []string{
		"", "example.com", "/path", "file:///etc/passwd", "ftp://example.com/", "gopher://example.com", "http:example.com", "http://", "https://:443/", "http://exa mple.com/",
		"http://[::1", "unix:///run/x.sock", "http://example.com:port/", "javascript:alert(1)", "http://a\r\nb/",
	} {
		if _, err := get(t, outbound.ClientConfig{}, url); !errors.Is(err, outbound.ErrURL) {
			t.Errorf("%q: %v, want ErrURL", url, err)
		}
		if err := outbound.CheckURL(url); !errors.Is(err, outbound.ErrURL) {
			t.Errorf("CheckURL(%q): %v, want ErrURL", url, err)
		}
	}
}

func TestClientRefusesHeaders(t *testing.T) {
	c := outbound.NewClient(outbound.ClientConfig{Guard: loopback})
	for name, value := range map[string]string{"X-A": "a\r\nX-B: b", "X\r\nY": "v", "": "v"} {
		if _, err := c.Do(t.Context(), &outbound.Request{Method: "GET", URL: "http://127.0.0.1:9/", Header: map[string]string{name: value}}); err == nil {
			t.Errorf("header %q: %q was sent", name, value)
		}
	}
	if _, err := c.Do(t.Context(), &outbound.Request{Method: "GET / HTTP/1.1\r\n", URL: "http://127.0.0.1:9/"}); err == nil {
		t.Error("a method with line breaks was sent")
	}
}

// A server cannot send the client on, neither inside nor anywhere.
func TestClientFollowsNoRedirects(t *testing.T) {
	var reached atomic.Bool
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Store(true) }))
	defer inside.Close()
	for _, status := range []int{300, 301, 302, 303, 304, 307, 308} {
		outside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", inside.URL)
			w.WriteHeader(status)
		}))
		_, err := get(t, outbound.ClientConfig{Guard: loopback}, outside.URL)
		if !errors.Is(err, outbound.ErrRedirect) || reached.Load() {
			t.Errorf("status %d: %v, want ErrRedirect; reached %t", status, err, reached.Load())
		}
		outside.Close()
	}
}

// A name that resolves to a public address first and to loopback when it is dialed is found out at the dial.
func TestClientRebinding(t *testing.T) {
	var reached atomic.Bool
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Store(true) }))
	defer inside.Close()
	_, port, _ := net.SplitHostPort(inside.Listener.Addr().String())
	resolver := (&nameServer{answers: [][4]byte{{8, 8, 8, 8}, {127, 0, 0, 1}}}).resolver(t)
	if first, err := resolver.LookupHost(t.Context(), "rebind.test."); err != nil || len(first) != 1 || (outbound.Guard{}).Check(first[0]+":80") != nil {
		t.Fatalf("the name resolves first to %v, %v, want a public address", first, err)
	}
	_, err := get(t, outbound.ClientConfig{Resolver: resolver}, "http://rebind.test.:"+port+"/")
	if !errors.Is(err, outbound.ErrAddress) || reached.Load() {
		t.Errorf("%v, want ErrAddress; reached %t", err, reached.Load())
	}
}

func TestClientBoundsAnswers(t *testing.T) {
	slowly := func(w http.ResponseWriter, r *http.Request, text string) {
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, text); err != nil {
				return
			}
			w.(http.Flusher).Flush()
		}
	}
	t.Run("EndlessBody", func(t *testing.T) {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { slowly(w, r, strings.Repeat("x", 4096)) }))
		defer server.Close()
		got, err := get(t, outbound.ClientConfig{Guard: loopback, MaxBody: 10_000}, server.URL)
		if err != nil || len(got.Body) != 10_000 || !got.Truncated {
			t.Errorf("%v %v, want 10000 bytes, truncated", got, err)
		}
	})
	t.Run("CompressedBody", func(t *testing.T) {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Accept-Encoding") != "" {
				t.Errorf("the client asks for %s", r.Header.Get("Accept-Encoding"))
			}
		}))
		defer server.Close()
		if _, err := get(t, outbound.ClientConfig{Guard: loopback}, server.URL); err != nil {
			t.Error(err)
		}
	})
	short := outbound.ClientConfig{Guard: loopback, Timeout: 100 * time.Millisecond}
	for name, serve := range map[string]func(net.Conn){
		"Silence":      func(net.Conn) {},
		"SlowHeaders":  func(c net.Conn) { io.WriteString(c, "HTTP/1.1 200 OK\r\nX-A: ") },
		"SlowBody":     func(c net.Conn) { io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc") },
		"Garbage":      func(c net.Conn) { io.WriteString(c, "\x00\xff\x16\x03 what is this\r\n\r\n"); c.Close() },
		"HangsUp":      func(c net.Conn) { c.Close() },
		"EndlessInfos": func(c net.Conn) { drip(c, "HTTP/1.1 103 Early Hints\r\n\r\n") },
		"EndlessHeads": func(c net.Conn) { io.WriteString(c, "HTTP/1.1 200 OK\r\n"); drip(c, "X-A: b\r\n") },
		"BadChunks":    func(c net.Conn) { io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n") },
		"BadLength":    func(c net.Conn) { io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n") },
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					defer conn.Close()
					go func() { io.Copy(io.Discard, conn) }()
					serve(conn)
				}
			}()
			if got, err := get(t, short, "http://"+l.Addr().String()); err == nil {
				t.Errorf("no error, but %d %q", got.Status, got.Body)
			}
		})
	}
}

func drip(c net.Conn, text string) {
	for range 1 << 20 {
		if _, err := io.WriteString(c, text); err != nil {
			return
		}
	}
}

func TestClientTLS(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	own := x509.NewCertPool()
	own.AddCert(server.Certificate())
	if _, err := get(t, outbound.ClientConfig{Guard: loopback, Roots: own}, server.URL); err != nil {
		t.Errorf("with the server's own root: %v", err)
	}
	if _, err := get(t, outbound.ClientConfig{Guard: loopback}, server.URL); err == nil {
		t.Error("a server was trusted that nobody vouches for")
	}
	old := httptest.NewUnstartedServer(nil)
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	old.StartTLS()
	defer old.Close()
	own.AddCert(old.Certificate())
	if _, err := get(t, outbound.ClientConfig{Guard: loopback, Roots: own}, old.URL); err == nil {
		t.Error("TLS 1.1 was spoken")
	}
}

// The environment cannot put anybody between.
func TestClientUsesNoProxy(t *testing.T) {
	var reached atomic.Bool
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Store(true) }))
	defer proxy.Close()
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("http_proxy", proxy.URL)
	names := &nameServer{answers: [][4]byte{{127, 0, 0, 1}}}
	if _, err := get(t, outbound.ClientConfig{Guard: loopback, Resolver: names.resolver(t), Timeout: 2 * time.Second}, "http://proxied.test.:9/"); err == nil || reached.Load() {
		t.Errorf("%v; the proxy was reached: %t", err, reached.Load())
	}
}

// nameServer answers each question for an address with the next of its answers, the last one again and again.
type nameServer struct {
	answers [][4]byte
	asked   atomic.Int32
}

func (n *nameServer) resolver(t *testing.T) *net.Resolver {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		buf := make([]byte, 512)
		for {
			size, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			conn.WriteTo(n.answer(bytes.Clone(buf[:size])), from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

// answer makes the answer of a question (RFC 1035 section 4.1): of one for IPv6 addresses, an empty one.
func (n *nameServer) answer(q []byte) []byte {
	end := 12 + bytes.IndexByte(q[12:], 0) + 5
	kind := binary.BigEndian.Uint16(q[end-4:])
	out := append([]byte{q[0], q[1], 0x84, 0, 0, 1, 0, 0, 0, 0, 0, 0}, q[12:end]...)
	if kind != 1 {
		return out
	}
	out[7] = 1
	at := min(int(n.asked.Add(1))-1, len(n.answers)-1)
	out = append(out, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
	return append(out, n.answers[at][:]...)
}

// A server that switches to a protocol of its own, and says nothing more, holds nobody up.
func TestClientSwitchesNoProtocol(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	held := make(chan net.Conn, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		// An answer that comes before its request is another mistake, which net/http tells on its own.
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
			t.Errorf("the request: %v", err)
		}
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
		held <- conn
	}()
	answered := make(chan error, 1)
	go func() {
		_, err := get(t, outbound.ClientConfig{Guard: loopback, Timeout: time.Hour}, "http://"+l.Addr().String())
		answered <- err
	}()
	select {
	case err := <-answered:
		if !errors.Is(err, outbound.ErrAnswer) {
			t.Errorf("%v, want ErrAnswer", err)
		}
	case <-time.After(time.Minute):
		t.Error("the client waits for the end of a conversation")
	}
	(<-held).Close()
}
