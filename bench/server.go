package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// server is a process that is measured.
type server struct {
	cmd         *exec.Cmd
	url         string
	key, secret string
	dir         string
	ready       time.Duration // from its start to its first answer
}

// startFloor starts this program again as a floor.
func startFloor(ctx context.Context, kind string) (*server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "floor", kind)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("floor %s did not start: %w", kind, err)
	}
	return &server{cmd: cmd, url: strings.TrimSpace(line), key: floorKey, secret: floorSecret}, nil
}

// startHoldfast starts the server over dir, which is made if it is "". Credentials are found only at the first start; keep them for the next.
func startHoldfast(ctx context.Context, binary, dir string, extra ...string) (*server, error) {
	var err error
	if dir == "" {
		if dir, err = os.MkdirTemp("", "holdfast-bench-"); err != nil {
			return nil, err
		}
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	args := append([]string{"serve", "--listen", address, "--data", dir, "--log-level", "error"}, extra...)
	cmd := exec.CommandContext(ctx, binary, args...)
	banner := make(chan string, 1)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = os.Stderr
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s (make build makes it): %w", binary, err)
	}
	go func() { banner <- readBanner(out) }()
	s := &server{cmd: cmd, url: "http://" + address, dir: dir}
	for {
		resp, err := http.Get(s.url + "/_holdfast/health")
		if err == nil {
			resp.Body.Close()
			s.ready = time.Since(begin)
			break
		}
		if time.Since(begin) > 30*time.Second {
			s.kill()
			return nil, fmt.Errorf("the server did not become ready: %w", err)
		}
		time.Sleep(2 * time.Millisecond)
	}
	told := <-banner
	for name, p := range map[string]*string{"AWS_ACCESS_KEY_ID": &s.key, "AWS_SECRET_ACCESS_KEY": &s.secret} {
		if m := regexp.MustCompile(name + `=(\S+)`).FindStringSubmatch(told); m != nil {
			*p = m[1]
		}
	}
	return s, nil
}

// readBanner reads what the server tells at its start, to the command that it ends with.
func readBanner(r io.Reader) string {
	var b strings.Builder
	for lines := bufio.NewScanner(r); lines.Scan(); {
		b.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), "get-caller-identity") {
			break
		}
	}
	return b.String()
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// kill ends the server as a crash would.
func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// end ends the server and forgets its data.
func (s *server) end() {
	s.kill()
	if s.dir != "" {
		_ = os.RemoveAll(s.dir)
	}
}

// cpu is the processor time that the server has used, from /proc: it counts in hundredths of a second.
func (s *server) cpu() (time.Duration, error) {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(s.cmd.Process.Pid), "stat"))
	if err != nil {
		return 0, fmt.Errorf("processor time is read from /proc, which only Linux has: %w", err)
	}
	// Fields are counted behind the name, which may hold spaces: utime and stime are the 14th and 15th of all.
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(fields) < 13 {
		return 0, io.ErrUnexpectedEOF
	}
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

// resident is the memory of the server in bytes.
func (s *server) resident() (int64, error) {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(s.cmd.Process.Pid), "statm"))
	if err != nil {
		return 0, err
	}
	pages, err := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}
