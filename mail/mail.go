// Package mail sends e-mail through a server that speaks SMTP.
package mail

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/netip"
	"net/smtp"
	"net/textproto"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/clock"
)

// Config says where e-mail goes, and how.
type Config struct {
	// Server is the host and the port, e.g. smtp.example.com:587. At port 465 TLS is spoken from the beginning. At others it has to be asked for with STARTTLS, unless the server is
	// on this machine and does not know it.
	Server string
	// From is the address that e-mail comes from.
	From string
	// User and Password are who sends; both empty for a server that does not ask.
	User, Password string
	// Roots replaces the system's trusted roots.
	Roots *x509.CertPool
	// Timeout is for a whole e-mail; zero is 20 seconds.
	Timeout time.Duration
	// Clock dates what is sent; nil is the machine's. It must be the world's time, not a moved one.
	Clock clock.Clock
}

const (
	defaultTimeout = 20 * time.Second
	implicitTLS    = "465"
)

// Server sends e-mail. It may be used concurrently: each e-mail has a connection of its own.
type Server struct {
	cfg  Config
	host string
	from string
}

// Message is an e-mail of text.
type Message struct {
	To      string // an address
	From    string // a name to show beside the address that it comes from; empty for none
	Subject string
	Text    string
}

// ErrRefused is the error of an e-mail that the server, or its form, does not let through, now or later.
var ErrRefused = errors.New("the e-mail is refused")

// New returns a server for sending. It does not connect yet.
func New(cfg Config) (*Server, error) {
	host, port, err := net.SplitHostPort(cfg.Server)
	if err != nil || host == "" || port == "" {
		return nil, fmt.Errorf("mail: %q is no server such as smtp.example.com:587", cfg.Server)
	}
	from, err := mail.ParseAddress(cfg.From)
	if err != nil || !plain(from.Address) {
		return nil, fmt.Errorf("mail: %q is no address", cfg.From)
	}
	if (cfg.User == "") != (cfg.Password == "") {
		return nil, errors.New("mail: a user and a password belong together")
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.Clock == nil {
		cfg.Clock = new(clock.Real)
	}
	return &Server{cfg, host, from.Address}, nil
}

// plain reports whether an address can stand in a command and a header as it is: it has nothing in it that could end either.
func plain(address string) bool {
	return address != "" && len(address) <= 320 && !strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' || r > '~' || r == '<' || r == '>' })
}

// Send sends an e-mail. It returns when the server has taken it.
func (s *Server) Send(ctx context.Context, m *Message) error {
	to, err := mail.ParseAddress(m.To)
	if err != nil || !plain(to.Address) {
		return fmt.Errorf("%w: its address is none", ErrRefused)
	}
	text, err := s.form(m, to.Address)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	conn, err := s.dial(ctx)
	if err != nil {
		return fmt.Errorf("connecting to the server for e-mail: %w", err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() }) // whatever it is doing
	defer stop()
	if err := s.speak(conn, to.Address, text); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		if reply, ok := errors.AsType[*textproto.Error](err); ok && reply.Code >= 500 {
			return fmt.Errorf("%w: %w", ErrRefused, err)
		}
		return fmt.Errorf("speaking to the server for e-mail: %w", err)
	}
	return nil
}

func (s *Server) tls() *tls.Config {
	return &tls.Config{ServerName: s.host, RootCAs: s.cfg.Roots, MinVersion: tls.VersionTLS12}
}

func (s *Server) dial(ctx context.Context) (net.Conn, error) {
	if _, port, _ := net.SplitHostPort(s.cfg.Server); port == implicitTLS {
		return (&tls.Dialer{Config: s.tls()}).DialContext(ctx, "tcp", s.cfg.Server)
	}
	return new(net.Dialer).DialContext(ctx, "tcp", s.cfg.Server)
}

// speak carries on the conversation that hands over one e-mail.
func (s *Server) speak(conn net.Conn, to string, text []byte) error {
	c, err := smtp.NewClient(conn, s.host)
	if err != nil {
		return err
	}
	_, secure := conn.(*tls.Conn)
	if offered, _ := c.Extension("STARTTLS"); !secure && offered {
		if err := c.StartTLS(s.tls()); err != nil {
			return err
		}
		secure = true
	}
	// Who takes STARTTLS out of the server's answer must not get to read what is sent.
	if !secure && !local(conn.RemoteAddr()) {
		return errors.New("the server does not offer STARTTLS")
	}
	if s.cfg.User != "" {
		if err := c.Auth(smtp.PlainAuth("", s.cfg.User, s.cfg.Password, s.host)); err != nil {
			return fmt.Errorf("as user %s: %w", s.cfg.User, err)
		}
	}
	if err := c.Mail(s.from); err != nil {
		return err
	}
	if err := c.Rcpt(to); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(text); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	_ = c.Quit() // it has been taken
	return nil
}

// local reports whether a connection leads to this machine.
func local(a net.Addr) bool {
	ap, err := netip.ParseAddrPort(a.String())
	return err == nil && ap.Addr().Unmap().IsLoopback()
}

// form is the e-mail as it is sent (RFC 5322). Each header that holds what somebody chose is encoded, and refused before that if it could end its line.
func (s *Server) form(m *Message, to string) ([]byte, error) {
	for _, text := range []string{m.From, m.Subject} {
		if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return nil, fmt.Errorf("%w: a header has control characters in it", ErrRefused)
		}
	}
	var id [16]byte
	rand.Read(id[:])
	_, domain, _ := strings.Cut(s.from, "@")
	from := mail.Address{Name: m.From, Address: s.from}
	var b bytes.Buffer
	for _, h := range [][2]string{
		{"From", from.String()}, {"To", (&mail.Address{Address: to}).String()}, {"Subject", mime.QEncoding.Encode("utf-8", m.Subject)},
		{"Date", s.cfg.Clock.Now().UTC().Format("Mon, 02 Jan 2006 15:04:05 -0700")}, {"Message-ID", "<" + hex.EncodeToString(id[:]) + "@" + domain + ">"},
		{"MIME-Version", "1.0"}, {"Content-Type", "text/plain; charset=utf-8"}, {"Content-Transfer-Encoding", "quoted-printable"}, {"Auto-Submitted", "auto-generated"},
	} {
		b.WriteString(h[0] + ": " + h[1] + "\r\n")
	}
	b.WriteString("\r\n")
	w := quotedprintable.NewWriter(&b)
	_, _ = w.Write([]byte(m.Text)) // into memory
	_ = w.Close()
	return b.Bytes(), nil
}
