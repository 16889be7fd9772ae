package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"

	"golang.org/x/term"
)

// unsealer speaks to the unseal page of a server.
type unsealer struct {
	endpoint, token string
	proof           string // what the server of the data directory answers with, and nobody else; empty with --endpoint
	http            *http.Client
}

// unsealCommand gives shares to a sealed server: those on standard input, one a line, or one that it asks for.
func unsealCommand(ctx context.Context, e *env, args []string) error {
	f := newFlags(e, "unseal", "[flags]")
	data := f.dataFlag()
	endpoint := f.String("endpoint", "", "`URL` of the server, from another machine; without it, the server that runs over the data directory")
	ca := f.String("ca", "", "PEM `file` with the authorities that vouch for the server's certificate (default the system's)")
	reset := f.Bool("reset", false, "have the server forget the shares given; only with the data directory")
	if err := f.parse(args); err != nil {
		return err
	}
	u, err := newUnsealer(*data, *endpoint, *ca)
	if err != nil {
		return err
	}
	defer u.http.CloseIdleConnections()
	if *reset {
		if _, err := u.post(ctx, unsealRequest{Reset: true}); err != nil {
			return err
		}
		_, err := fmt.Fprintln(e.out, "The shares given are forgotten.")
		return err
	}
	st, err := u.status(ctx)
	if err != nil {
		return err
	}
	if st.Sealed && st.Needed == 0 {
		return fmt.Errorf("the server is sealed by %s, which takes no shares: it opens by itself when its root key is at hand", st.Seal)
	}
	return u.ceremony(ctx, e, st)
}

// ceremony takes shares until the server is open, or there are no more.
func (u *unsealer) ceremony(ctx context.Context, e *env, st unsealStatus) error {
	next := shareReader(ctx, e)
	for st.Sealed {
		fmt.Fprintf(e.out, "The server is sealed: %d of the %d shares needed are given (set %s).\n", st.Given, st.Needed, st.Set)
		share, err := next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if st, err = u.post(ctx, unsealRequest{Share: share, Attempt: st.Attempt}); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(e.out, "The server is unsealed.")
	return err
}

// shareReader returns what reads the next share. A person is asked for one, which is not shown. Shares are no arguments: others see those.
func shareReader(ctx context.Context, e *env) func() (string, error) {
	if file, ok := e.in.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		asked := false
		return func() (string, error) {
			if asked {
				return "", io.EOF
			}
			asked = true
			fmt.Fprint(e.err, "Your share: ")
			share, err := readHidden(ctx, int(file.Fd()))
			fmt.Fprintln(e.err)
			return share, err
		}
	}
	lines := bufio.NewScanner(e.in)
	return func() (string, error) {
		for lines.Scan() {
			if share := strings.TrimSpace(lines.Text()); share != "" {
				return share, nil
			}
		}
		if err := lines.Err(); err != nil {
			return "", fmt.Errorf("reading a share: %w", err)
		}
		return "", io.EOF
	}
}

// readHidden reads a line that is not shown. Whoever gives up sees again what they type.
func readHidden(ctx context.Context, terminal int) (string, error) {
	before, err := term.GetState(terminal)
	if err != nil {
		return "", err
	}
	read := make(chan struct{})
	var line []byte
	go func() {
		defer close(read)
		line, err = term.ReadPassword(terminal)
	}()
	select {
	case <-read:
		return string(line), err
	case <-ctx.Done():
		return "", errors.Join(ctx.Err(), term.Restore(terminal, before))
	}
}

func newUnsealer(data, endpoint, ca string) (*unsealer, error) {
	if endpoint == "" {
		k, err := readContact(data)
		if err != nil {
			return nil, fmt.Errorf("finding the server that runs over %s: %w", data, err)
		}
		return &unsealer{k.Endpoint, k.Token, k.Proof, &http.Client{Transport: &http.Transport{TLSClientConfig: pinned(k.Certificate)}}}, nil
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("%w: --endpoint is no URL such as https://cloud.example.com:4566", errUsage)
	}
	if u.Scheme == "http" && !loopback(net.JoinHostPort(u.Hostname(), "0")) {
		return nil, fmt.Errorf("%w: --endpoint %s is neither https nor on this machine, so a share could be overheard", errUsage, endpoint)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate", ca)
		}
	}
	return &unsealer{endpoint: strings.TrimSuffix(endpoint, "/"), http: &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: config}}}, nil
}

func (u *unsealer) status(ctx context.Context) (unsealStatus, error) {
	return u.ask(ctx, http.MethodGet, nil)
}

func (u *unsealer) post(ctx context.Context, in unsealRequest) (unsealStatus, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return unsealStatus{}, err
	}
	return u.ask(ctx, http.MethodPost, body)
}

func (u *unsealer) ask(ctx context.Context, method string, body []byte) (st unsealStatus, err error) {
	req, err := http.NewRequestWithContext(ctx, method, u.endpoint+unsealPath, bytes.NewReader(body))
	if err != nil {
		return st, err
	}
	if u.token != "" {
		req.Header.Set("Authorization", "Bearer "+u.token)
	}
	client := *u.http
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // a share goes nowhere else
	resp, err := client.Do(req)
	if err != nil {
		return st, err
	}
	defer resp.Body.Close()
	if u.proof != "" && resp.Header.Get(adminHeader) != u.proof {
		return st, fmt.Errorf("what answers at %s is not the server that left the way to it in the data directory: start that one again", u.endpoint)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<16)).Decode(&st); err != nil {
		return st, fmt.Errorf("%s answers %s, and not as a Holdfast does", u.endpoint, resp.Status)
	}
	if st.Error != "" {
		return st, errors.New(st.Error)
	}
	return st, nil
}
