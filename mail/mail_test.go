package mail_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-cloud/holdfast/mail"
)

// server is an SMTP server as small as it can be.
type server struct {
	net.Listener
	t     *testing.T
	tls   *tls.Config // nil does not offer STARTTLS
	roots *x509.CertPool
	got   chan received

	mu     sync.Mutex        // guards refuse
	refuse map[string]string // what it answers to commands that begin so
}

type received struct {
	commands []string
	data     string
	secure   bool
}

func serve(t *testing.T, secure bool) *server {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{Listener: l, t: t, refuse: map[string]string{}, got: make(chan received, 10)}
	if secure {
		s.tls, s.roots = certificate(t)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go s.talk(conn)
		}
	}()
	return s
}

// refuses has commands that begin so answered with something else from now on.
func (s *server) refuses(prefix, answer string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse[prefix] = answer
}

func certificate(t *testing.T) (*tls.Config, *x509.CertPool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{{127, 0, 0, 1}}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, _ := x509.ParseCertificate(der)
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, pool
}

func (s *server) talk(conn net.Conn) {
	defer conn.Close()
	var r received
	in := bufio.NewReader(conn)
	say := func(text string) { io.WriteString(conn, text+"\r\n") }
	say("220 hello")
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		r.commands = append(r.commands, line)
		answered := false
		s.mu.Lock()
		for prefix, answer := range s.refuse {
			if strings.HasPrefix(line, prefix) {
				say(answer)
				answered = true
			}
		}
		s.mu.Unlock()
		switch {
		case answered:
		case strings.HasPrefix(line, "EHLO") && s.tls != nil && !r.secure:
			say("250-hello\r\n250 STARTTLS")
		case strings.HasPrefix(line, "EHLO"):
			say("250-hello\r\n250 AUTH PLAIN")
		case line == "STARTTLS":
			say("220 go on")
			secure := tls.Server(conn, s.tls)
			if secure.Handshake() != nil {
				return
			}
			conn, r.secure = secure, true
			in = bufio.NewReader(conn)
		case strings.HasPrefix(line, "AUTH"):
			say("235 welcome")
		case line == "DATA":
			say("354 go on")
			data, _ := textproto.NewReader(in).ReadDotBytes()
			r.data = string(data)
			say("250 taken")
			s.got <- r
		case line == "QUIT":
			say("221 bye")
			return
		default:
			say("250 fine")
		}
	}
}

func (s *server) client(t *testing.T, change func(*mail.Config)) *mail.Server {
	t.Helper()
	cfg := mail.Config{Server: s.Addr().String(), From: "cloud@example.com", Roots: s.roots, Timeout: time.Minute}
	if change != nil {
		change(&cfg)
	}
	c, err := mail.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSend(t *testing.T) {
	for name, secure := range map[string]bool{"Plain": false, "STARTTLS": true} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, secure)
			c := s.client(t, func(cfg *mail.Config) { cfg.User, cfg.Password = "ann", "secret" })
			text := "Grüße,\n.\nfrom a long line: " + strings.Repeat("x", 2000) + "\n"
			if err := c.Send(t.Context(), &mail.Message{To: "bob@example.org", From: "Ünser Name", Subject: "Grüße", Text: text}); err != nil {
				t.Fatal(err)
			}
			got := <-s.got
			if got.secure != secure {
				t.Errorf("TLS was spoken: %t", got.secure)
			}
			m, err := netmail.ReadMessage(strings.NewReader(got.data))
			if err != nil {
				t.Fatal(err)
			}
			from, err := m.Header.AddressList("From")
			if err != nil || from[0].Name != "Ünser Name" || from[0].Address != "cloud@example.com" {
				t.Errorf("From is %v, %v", from, err)
			}
			body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
			if err != nil || strings.ReplaceAll(string(body), "\r\n", "\n") != text {
				t.Errorf("the text is %q, %v", body, err)
			}
			if m.Header.Get("To") != "<bob@example.org>" || m.Header.Get("Subject") != "=?utf-8?q?Gr=C3=BC=C3=9Fe?=" || m.Header.Get("Message-Id") == "" || m.Header.Get("Date") == "" {
				t.Errorf("the headers are %v", m.Header)
			}
			for _, line := range strings.Split(got.data, "\n") {
				if len(line) > 998 {
					t.Errorf("a line has %d bytes", len(line))
				}
			}
		})
	}
}

// Nothing that somebody chooses becomes a header or a command of its own.
func TestInjection(t *testing.T) {
	s := serve(t, false)
	c := s.client(t, nil)
	for _, m := range []mail.Message{
		{To: "bob@example.org\r\nRCPT TO:<eve@example.org>"}, {To: "bob@example.org>\r\nDATA"}, {To: "bob@example.org, eve@example.org"}, {To: ""}, {To: "bob"}, {To: "\"a b\"@example.org"},
		{To: "bob@example.org", Subject: "a\r\nBcc: eve@example.org"}, {To: "bob@example.org", Subject: "a\nb"}, {To: "bob@example.org", From: "x\r\nBcc: eve@example.org"},
		{To: "bob@example.org", Subject: "a\x00b"},
	} {
		if err := c.Send(t.Context(), &m); !errors.Is(err, mail.ErrRefused) {
			t.Errorf("%q: %v, want ErrRefused", m, err)
		}
	}
	if err := c.Send(t.Context(), &mail.Message{To: "bob@example.org", From: "a\" <eve@example.org>, \"b", Subject: "s", Text: "\r\n.\r\nMAIL FROM:<eve@example.org>\r\n"}); err != nil {
		t.Fatal(err)
	}
	got := <-s.got
	m, err := netmail.ReadMessage(strings.NewReader(got.data))
	if err != nil {
		t.Fatal(err)
	}
	if from, err := m.Header.AddressList("From"); err != nil || len(from) != 1 || from[0].Address != "cloud@example.com" {
		t.Errorf("From is %v, %v", from, err)
	}
	for _, command := range got.commands {
		if strings.Contains(command, "eve") {
			t.Errorf("the server was told %q", command)
		}
	}
}

func TestFailures(t *testing.T) {
	message := &mail.Message{To: "bob@example.org", Subject: "s", Text: "t"}
	for prefix, refused := range map[string]bool{"MAIL": true, "RCPT": true, "DATA": true} {
		s := serve(t, false)
		s.refuses(prefix, "550 no")
		if err := s.client(t, nil).Send(t.Context(), message); errors.Is(err, mail.ErrRefused) != refused || err == nil {
			t.Errorf("550 to %s: %v", prefix, err)
		}
		s.refuses(prefix, "451 later")
		if err := s.client(t, nil).Send(t.Context(), message); err == nil || errors.Is(err, mail.ErrRefused) {
			t.Errorf("451 to %s: %v", prefix, err)
		}
	}
	t.Run("UnknownCertificate", func(t *testing.T) {
		s := serve(t, true)
		if err := s.client(t, func(c *mail.Config) { c.Roots = x509.NewCertPool() }).Send(t.Context(), message); err == nil {
			t.Error("a server was trusted that nobody vouches for")
		}
	})
	t.Run("Silence", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		s := &server{Listener: l}
		if err := s.client(t, func(c *mail.Config) { c.Timeout = 50 * time.Millisecond }).Send(t.Context(), message); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want a deadline", err)
		}
	})
	t.Run("PasswordStaysSecret", func(t *testing.T) {
		s := serve(t, false)
		s.refuses("AUTH", "535 no")
		err := s.client(t, func(c *mail.Config) { c.User, c.Password = "ann", "hunter2" }).Send(t.Context(), message)
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error is %v", err)
		}
	})
	for _, cfg := range []mail.Config{
		{Server: "x", From: "a@b.c"}, {Server: ":25", From: "a@b.c"}, {Server: "x:25", From: "nobody"}, {Server: "x:25"}, {Server: "x:25", From: "a@b.c", User: "u"},
	} {
		if _, err := mail.New(cfg); err == nil {
			t.Errorf("%+v is taken", cfg)
		}
	}
}
