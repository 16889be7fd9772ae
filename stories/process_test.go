package stories_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/holdfast-cloud/holdfast/internal/sdkclient"
	"github.com/holdfast-cloud/holdfast/runner"
)

// binary builds the command as make build does, once for all stories that start processes.
var binary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(binaryDir, "holdfast")
	build := exec.Command("go", "build", "-trimpath", "-o", path, "../cmd/holdfast")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the command: %w\n%s", err, out)
	}
	return path, nil
})

var binaryDir string // set by TestMain

func TestMain(m *testing.M) {
	runner.Init()
	var err error
	if binaryDir, err = os.MkdirTemp("", "holdfast-stories-"); err != nil {
		panic(err)
	}
	status := m.Run()
	_ = os.RemoveAll(binaryDir)
	os.Exit(status)
}

// process is a command holdfast that runs beside the test. It can be killed, and started again.
type process struct {
	t          *testing.T
	args       []string
	address    string // of a server
	said       output // in all its lives
	cmd        *exec.Cmd
	ended      chan struct{} // closed when cmd has
	id, secret string        // of the root user of a server
}

// newServer is a server with a data directory of its own, which is not started yet.
func newServer(t *testing.T, args ...string) *process {
	p := &process{t: t, address: freeAddress(t)}
	p.args = append([]string{"serve", "--listen", p.address, "--data", t.TempDir()}, args...)
	return p
}

// freeAddress is one of loopback where nobody else listens, not even while the server that it is for is down: others take ports of 127.0.0.1.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", fmt.Sprintf("127.%d.%d.%d:0", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254)))
	if err != nil {
		l, err = net.Listen("tcp", "127.0.0.1:0") // the only one that some systems have
	}
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// start starts the process, with further arguments, and waits until it is ready.
func (p *process) start(args ...string) *process {
	p.t.Helper()
	return p.startUntil("msg=ready", args...)
}

// startUntil starts the process, with further arguments, and waits until it says something.
func (p *process) startUntil(words string, args ...string) *process {
	p.t.Helper()
	path, err := binary()
	if err != nil {
		p.t.Fatal(err)
	}
	p.said.begin()
	cmd, ended := exec.Command(path, append(p.args[:len(p.args):len(p.args)], args...)...), make(chan struct{})
	cmd.Stdout, cmd.Stderr = &p.said, &p.said
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.cmd, p.ended = cmd, ended
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	p.t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
	p.wait(words)
	if shown := shownKey.FindStringSubmatch(p.said.lately()); shown != nil {
		p.id, p.secret = shown[1], shown[2]
	}
	return p
}

var shownKey = regexp.MustCompile(`AWS_ACCESS_KEY_ID=(\S+)\s+export AWS_SECRET_ACCESS_KEY=(\S+)`)

// wait waits until the process has said something since it was started.
func (p *process) wait(words string) {
	p.t.Helper()
	for over := false; !strings.Contains(p.said.lately(), words); {
		if over {
			p.t.Fatalf("holdfast %s ended before it said %q:\n%s", p.args[0], words, &p.said)
		}
		select {
		case <-p.said.more:
		case <-p.ended:
			over = true
		case <-time.After(time.Minute):
			p.t.Fatalf("holdfast %s does not say %q:\n%s", p.args[0], words, &p.said)
		}
	}
}

// kill is kill -9.
func (p *process) kill() {
	p.t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		p.t.Fatal(err)
	}
	<-p.ended
}

// end ends the process in good order.
func (p *process) end() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	<-p.ended
	if !p.cmd.ProcessState.Success() {
		p.t.Errorf("holdfast %s ended with %s:\n%s", p.args[0], p.cmd.ProcessState, &p.said)
	}
}

func (p *process) url() string { return "http://" + p.address }

// data is the data directory of a server.
func (p *process) data() string { return p.args[4] }

// config is that of an SDK client as the server's root user, which does not try again.
func (p *process) config(region string) aws.Config {
	cfg := sdkclient.Config(p.url(), region, credentials.NewStaticCredentialsProvider(p.id, p.secret, ""))
	cfg.Retryer = func() aws.Retryer { return onceAnswered }
	return cfg
}

// onceAnswered tries a request again only where the client itself has closed its connection, to a server that was killed, under a request to the next one.
var onceAnswered = retry.NewStandard(func(o *retry.StandardOptions) {
	o.Retryables = []retry.IsErrorRetryable{retry.IsErrorRetryableFunc(func(err error) aws.Ternary { return aws.BoolTernary(errors.Is(err, net.ErrClosed)) })}
})

func (p *process) kms(region string) *kms.Client { return kms.NewFromConfig(p.config(region)) }

// holdfast runs a command to its end, with something on its standard input, and returns what it says.
func holdfast(t *testing.T, in string, args ...string) string {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Stdin = strings.NewReader(in)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("holdfast %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// output is what a process says.
type output struct {
	mu    sync.Mutex // guards what follows
	b     strings.Builder
	start int
	more  chan struct{} // has something in it after a Write
}

// begin begins a new life.
func (o *output) begin() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.start = o.b.Len()
	if o.more == nil {
		o.more = make(chan struct{}, 1)
	}
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case o.more <- struct{}{}:
	default:
	}
	return o.b.Write(b)
}

// lately is what was said in this life.
func (o *output) lately() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()[o.start:]
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}
