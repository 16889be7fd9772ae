package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

func TestPatience(t *testing.T) {
	serve := func(t *testing.T, h2 bool, first time.Duration) *httptest.Server {
		handle := func(w http.ResponseWriter, r *http.Request) {
			_, err := io.Copy(io.Discard, r.Body)
			switch {
			case errors.Is(err, os.ErrDeadlineExceeded):
				w.WriteHeader(http.StatusRequestTimeout)
			case err != nil:
				w.WriteHeader(http.StatusBadRequest)
			case r.URL.Path == "/long":
				select {
				case <-r.Context().Done():
					w.WriteHeader(http.StatusGone)
				case <-time.After(4 * first):
				}
			}
		}
		s := httptest.NewUnstartedServer(&patience{Handler: http.HandlerFunc(handle), first: first, pace: 1000})
		s.EnableHTTP2 = h2
		s.StartTLS()
		t.Cleanup(s.Close)
		return s
	}
	const short = 50 * time.Millisecond
	for name, h2 := range map[string]bool{"HTTP1": false, "HTTP2": true} {
		post := func(t *testing.T, path string, first time.Duration, body io.Reader) int {
			s := serve(t, h2, first)
			resp, err := s.Client().Post(s.URL+path, "text/plain", body)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			return resp.StatusCode
		}
		t.Run(name+"/OK", func(t *testing.T) {
			if got := post(t, "/", time.Hour, strings.NewReader("a body")); got != 200 {
				t.Errorf("answered %d", got)
			}
		})
		t.Run(name+"/LongAnswer", func(t *testing.T) {
			first := short
			got := post(t, "/long", first, strings.NewReader("a body"))
			for got == http.StatusRequestTimeout && first < 10*time.Second { // a busy machine is not that fast
				first *= 2
				got = post(t, "/long", first, strings.NewReader("a body"))
			}
			if got != 200 {
				t.Errorf("answered %d", got)
			}
		})
		t.Run(name+"/NothingMoreComes", func(t *testing.T) {
			body, write := io.Pipe()
			defer write.Close()
			go io.WriteString(write, "a")
			if got := post(t, "/", short, body); got != 408 {
				t.Errorf("answered %d", got)
			}
		})
	}
	// A client that waits to be told to go on is told the answer instead, at once.
	t.Run("BodyIsNotAskedFor", func(t *testing.T) {
		s := httptest.NewServer(&patience{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(413) }), first: time.Hour, pace: 1000})
		defer s.Close()
		conn, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\nExpect: 100-continue\r\n\r\n")
		if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, "413") {
			t.Errorf("answered %s, %v", line, err)
		}
	})
	// A client that announces a body, and never sends it, is not waited for after the answer either.
	t.Run("BodyIsNotRead", func(t *testing.T) {
		s := httptest.NewServer(&patience{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {}), first: short, pace: 1000})
		defer s.Close()
		conn, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
		if _, err := io.Copy(io.Discard, bufio.NewReader(conn)); err != nil {
			t.Error(err)
		}
	})
}
