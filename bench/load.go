package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-cloud/holdfast/sigv4"
)

// message is a signed request as bytes. It is signed once and sent many times, so that the generator leaves the processor to the server.
type message []byte

// api is how the requests of a service look.
type api struct{ service, target, content string }

var (
	kmsAPI    = api{"kms", "TrentService", "application/x-amz-json-1.1"}
	sqsAPI    = api{"sqs", "AmazonSQS", "application/x-amz-json-1.0"}
	eventsAPI = api{"events", "AWSEvents", "application/x-amz-json-1.1"}
)

// sign makes the request of an operation of KMS.
func (s *server) sign(operation string, body []byte) (message, error) {
	return s.signFor(kmsAPI, operation, body)
}

// signFor makes the request of an operation, the way an SDK sends it.
func (s *server) signFor(a api, operation string, body []byte) (message, error) {
	return s.signIn("us-east-1", a, operation, body)
}

// signIn makes the request of an operation in a region.
func (s *server) signIn(region string, a api, operation string, body []byte) (message, error) {
	r, err := http.NewRequest(http.MethodPost, s.url+"/", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", a.content)
	r.Header.Set("X-Amz-Target", a.target+"."+operation)
	r.Header.Set("Amz-Sdk-Invocation-Id", "5a5d3f1e-93c4-4a55-9fb5-3f0f6a0ad1f4")
	r.Header.Set("Amz-Sdk-Request", "attempt=1; max=3")
	r.Header.Set("User-Agent", "aws-sdk-go-v2/1.48.0 ua/2.1 os/linux lang/go#1.26.8 md/GOOS#linux md/GOARCH#amd64 api/kms#1.62.6")
	sigv4.Sign(r, sigv4.Credentials{AccessKeyID: s.key, Secret: s.secret}, region, a.service, time.Now(), sigv4.PayloadHash(body))
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// call sends one request to KMS and decodes its answer.
func (s *server) call(operation string, in, out any) error {
	return s.callFor(kmsAPI, operation, in, out)
}

// callFor sends one request on a connection of its own and decodes its answer.
func (s *server) callFor(a api, operation string, in, out any) error {
	c, err := s.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	return s.callOn(c, a, operation, in, out)
}

// callOn sends one request on a connection and decodes its answer.
func (s *server) callOn(c *conn, a api, operation string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	m, err := s.signFor(a, operation, body)
	if err != nil {
		return err
	}
	answer, err := c.roundTrip(m)
	if err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer, out)
}

// conn is a connection that sends one request after the other.
type conn struct {
	net.Conn
	r    *bufio.Reader
	body []byte
}

func (s *server) dial() (*conn, error) {
	u, err := url.Parse(s.url)
	if err != nil {
		return nil, err
	}
	c, err := net.Dial("tcp", u.Host)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, r: bufio.NewReaderSize(c, 16<<10)}, nil
}

// roundTrip sends a request and reads its answer, which is valid until the next one.
func (c *conn) roundTrip(m message) ([]byte, error) {
	if _, err := c.Write(m); err != nil {
		return nil, err
	}
	status, err := c.r.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	ok := bytes.HasPrefix(status, []byte("HTTP/1.1 200"))
	first := string(bytes.TrimSpace(status[:min(len(status), 40)]))
	length, chunked := -1, false
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return nil, err
		}
		if line = bytes.TrimRight(line, "\r\n"); len(line) == 0 {
			break
		}
		switch name, value, _ := strings.Cut(string(line), ":"); {
		case strings.EqualFold(name, "Content-Length"):
			if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
				return nil, err
			}
		case strings.EqualFold(name, "Transfer-Encoding"):
			chunked = true
		}
	}
	switch {
	case chunked:
		err = c.readChunks()
	case length < 0:
		err = fmt.Errorf("answer without a length: %s", first)
	default:
		c.body = slices.Grow(c.body[:0], length)[:length]
		_, err = io.ReadFull(c.r, c.body)
	}
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("%s: %s", first, c.body)
	}
	return c.body, nil
}

// readChunks reads a body that comes in chunks, as long ones do.
func (c *conn) readChunks() error {
	c.body = c.body[:0]
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return err
		}
		n, err := strconv.ParseUint(string(bytes.TrimSpace(line)), 16, 31)
		if err != nil {
			return err
		}
		from := len(c.body)
		c.body = slices.Grow(c.body, int(n)+2)[:from+int(n)+2]
		if _, err := io.ReadFull(c.r, c.body[from:]); err != nil {
			return err
		}
		if c.body = c.body[:from+int(n)]; n == 0 {
			return nil
		}
	}
}

// result is what a measurement came to.
type result struct {
	requests  int
	elapsed   time.Duration
	cpu       time.Duration // of the server
	latencies []time.Duration
}

func (r *result) perSecond() float64 { return float64(r.requests) / r.elapsed.Seconds() }
func (r *result) cpuMicros() float64 {
	return float64(r.cpu.Microseconds()) / float64(max(r.requests, 1))
}

// quantile of the latencies, which it sorts.
func (r *result) quantile(q float64) time.Duration {
	if len(r.latencies) == 0 {
		return 0
	}
	slices.Sort(r.latencies)
	return r.latencies[min(len(r.latencies)-1, int(q*float64(len(r.latencies))))]
}

// add adds a later turn.
func (r *result) add(o *result) {
	r.requests += o.requests
	r.elapsed += o.elapsed
	r.cpu += o.cpu
	r.latencies = append(r.latencies, o.latencies...)
}

// burst measures conns connections that each send the next request when the last is answered.
func (s *server) burst(ctx context.Context, m message, conns int, d time.Duration) (*result, error) {
	before, err := s.cpu()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var mu sync.Mutex
	var failed error
	total := &result{}
	var wg sync.WaitGroup
	begin := time.Now()
	for range conns {
		wg.Go(func() {
			lat, err := s.sendUntil(ctx, m)
			mu.Lock()
			defer mu.Unlock()
			total.latencies = append(total.latencies, lat...)
			if err != nil && failed == nil {
				failed = err
			}
		})
	}
	wg.Wait()
	total.elapsed = time.Since(begin)
	total.requests = len(total.latencies)
	after, err := s.cpu()
	if err != nil {
		return nil, err
	}
	total.cpu = after - before
	return total, failed
}

func (s *server) sendUntil(ctx context.Context, m message) ([]time.Duration, error) {
	c, err := s.dial()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	var lat []time.Duration
	for ctx.Err() == nil {
		begin := time.Now()
		if _, err := c.roundTrip(m); err != nil {
			return lat, err
		}
		lat = append(lat, time.Since(begin))
	}
	return lat, nil
}

// paced measures a fixed rate of requests a second: latency counts from when a request was due, also while all connections wait, so a server that
// stalls cannot hide it.
func (s *server) paced(ctx context.Context, m message, rate, conns int, d time.Duration) (*result, error) {
	before, err := s.cpu()
	if err != nil {
		return nil, err
	}
	due := make(chan time.Time, rate)
	go func() {
		defer close(due)
		begin := time.Now()
		for i := 0; ; i++ {
			at := begin.Add(time.Duration(i) * time.Second / time.Duration(rate))
			if at.Sub(begin) > d || ctx.Err() != nil {
				return
			}
			// The generator's own oversleeping is not the server's: a request is due when it can be sent.
			time.Sleep(time.Until(at))
			due <- time.Now()
		}
	}()
	var mu sync.Mutex
	var failed error
	total := &result{}
	var wg sync.WaitGroup
	begin := time.Now()
	for range conns {
		wg.Go(func() {
			c, err := s.dial()
			for at := range due {
				if err == nil {
					_, err = c.roundTrip(m)
				}
				mu.Lock()
				total.latencies = append(total.latencies, time.Since(at))
				if err != nil && failed == nil {
					failed = err
				}
				mu.Unlock()
			}
			if c != nil {
				c.Close()
			}
		})
	}
	wg.Wait()
	total.elapsed, total.requests = time.Since(begin), len(total.latencies)
	after, err := s.cpu()
	if err != nil {
		return nil, err
	}
	total.cpu = after - before
	return total, failed
}
