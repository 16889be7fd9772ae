package runner_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-cloud/holdfast/runner"
)

// TestMain is also what becomes a function, and then, as /var/task/bootstrap, the function of these tests.
func TestMain(m *testing.M) {
	runner.Init()
	if os.Args[0] == "/var/task/bootstrap" {
		bootstrap()
		return
	}
	if token := os.Getenv("HOLDFAST_TEST_SERVER"); token != "" {
		serverToKill(token)
		return
	}
	os.Exit(m.Run())
}

// newRunner is a runner that is closed when the test ends. Where the host cannot isolate, the test is skipped.
func newRunner(t testing.TB, change ...func(*runner.Config)) *runner.Runner {
	t.Helper()
	cfg := runner.Config{Dir: t.TempDir()}
	for _, c := range change {
		c(&cfg)
	}
	r, err := runner.New(cfg)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	if err := r.Available(); err != nil {
		t.Skipf("functions cannot be run here: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := r.Close(ctx); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return r
}

// file is an entry of a zip file.
type file struct {
	name, text string
	mode       os.FileMode
}

func archive(t testing.TB, files ...file) runner.Archive {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, f := range files {
		h := &zip.FileHeader{Name: f.name, Method: zip.Store}
		h.SetMode(f.mode)
		w, err := z.CreateHeader(h)
		if err == nil {
			_, err = io.WriteString(w, f.text)
		}
		if err != nil {
			t.Fatalf("making a zip file: %v", err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatalf("making a zip file: %v", err)
	}
	return runner.Archive{
		Digest: fmt.Sprintf("%x", sha256.Sum256(b.Bytes())),
		Open:   func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil },
	}
}

// self is the zip file of this test's own binary.
var self = sync.OnceValue(func() []byte {
	binary, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		panic(err)
	}
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	h := &zip.FileHeader{Name: "bootstrap", Method: zip.Store}
	h.SetMode(0o755)
	w, err := z.CreateHeader(h)
	if err == nil {
		_, err = w.Write(binary)
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		panic(err)
	}
	return b.Bytes()
})

// function is one whose handler is a case of this package's bootstrap. Its log is kept.
func function(handler string, change ...func(*runner.Function)) (*runner.Function, *log) {
	l := new(log)
	f := &runner.Function{
		ID: handler, ARN: "arn:aws:lambda:us-east-1:111122223333:function:" + handler, Name: handler, Version: "$LATEST", Account: "111122223333", Region: "us-east-1",
		Runtime: "provided.al2023", Handler: handler, Memory: 512, Timeout: 10 * time.Second, Log: l.add,
		Code: runner.Archive{Digest: "self", Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(self())), nil }},
	}
	for _, c := range change {
		c(f)
	}
	return f, l
}

// log is what a function wrote.
type log struct {
	mu    sync.Mutex
	lines []runner.LogLine
}

func (l *log) add(lines []runner.LogLine) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, lines...)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b strings.Builder
	for _, line := range l.lines {
		fmt.Fprintf(&b, "%s|%s\n", line.RequestID, line.Text)
	}
	return b.String()
}

// wait waits until the log has a text.
func (l *log) wait(t testing.TB, text string) {
	for range 6000 {
		if strings.Contains(l.String(), text) {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Errorf("the log has no %q:\n%s", text, l)
}

// invoke invokes a function, which must be run to an end.
func invoke(t testing.TB, r *runner.Runner, f *runner.Function, event string) *runner.Result {
	t.Helper()
	result, err := r.Invoke(t.Context(), f, &runner.Invocation{RequestID: "request-1", ARN: f.ARN, Payload: []byte(event)})
	if err != nil {
		t.Fatalf("Invoke of %s: %v", f.Name, err)
	}
	return result
}

func reading(s string) func(context.Context) (io.ReadCloser, error) {
	return func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(s)), nil }
}

type http404 struct{}

func (http404) ServeHTTP(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }
