//go:build unix

// Package tour runs the tours of the README and of docs/ as they stand there, with the AWS CLI, so that they cannot go stale.
//
// Fenced blocks of a document that say "tour" after their language are its steps:
//
//	sh tour server    run in one terminal, until the cloud is ready, or answers that it is sealed
//	sh tour           run in another terminal; all of them share one shell
//	text tour         what the step above prints, standard error included; … stands for anything within a line
//
// A step without a text prints nothing.
package tour

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const root = "../.."

// address is where the README's cloud listens. The test uses a free port in its place: somebody may have a cloud running.
const address = "127.0.0.1:4566"

type step struct {
	line   int
	server bool
	script string
	want   string
}

// documents that have a tour, unless HOLDFAST_TOUR names others: docs/client-side-encryption.md takes large tools, which only the check interop builds.
var documents = []string{"README.md", "docs/identity.md", "docs/external-keys.md", "docs/sealing.md", "docs/multi-region.md", "docs/trail-validation.md", "docs/lake.md", "docs/parameter-store.md", "docs/secrets.md"}

func TestTour(t *testing.T) {
	client := awsCLI(t)
	names := documents
	if others := os.Getenv("HOLDFAST_TOUR"); others != "" {
		names = strings.Fields(others)
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) { walk(t, client, name) })
	}
}

// walk takes the tour of a document in a checkout of its own.
func walk(t *testing.T, client, name string) {
	dir := checkout(t)
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	steps, err := parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	if len(steps) < 5 {
		t.Fatalf("%s has %d steps of a tour, and had more when this was written", name, len(steps))
	}
	listen := freeAddress(t)
	env := environment(client, listen)
	var running *server
	sh := startShell(t, dir, env)
	for _, s := range steps {
		s.script = strings.ReplaceAll(s.script, address, listen)
		t.Logf("%s:%d\n%s", name, s.line, s.script)
		if s.server {
			if running != nil {
				running.wait() // the tour killed it
			}
			running = startServer(t, dir, env, s.script)
			continue
		}
		got := sh.run(t, s)
		if !matches(s.want, got) {
			t.Fatalf("%s:%d prints something else (-document +now):\n%s", name, s.line, cmp.Diff(lines(s.want), lines(got)))
		}
	}
}

func TestParse(t *testing.T) {
	const text = "# T\n```sh tour server\nmake run\n```\n```sh\nnot this\n```\n```sh tour\na\nb\n```\nprints\n```text tour\n1\n```\n```sh tour\nc\n```\n"
	got, err := parse(text)
	if err != nil {
		t.Fatal(err)
	}
	want := []step{{2, true, "make run\n", ""}, {8, false, "a\nb\n", "1\n"}, {16, false, "c\n", ""}}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(step{})); d != "" {
		t.Errorf("parse (-want +got):\n%s", d)
	}
	for _, bad := range []string{"```sh tour\nopen", "```text tour\nof nothing\n```\n", "```sh tour sever\n```\n"} {
		if _, err := parse(bad); err == nil {
			t.Errorf("parse(%q): no error", bad)
		}
	}
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		want, got string
		ok        bool
	}{
		{"a\n", "\na\n", true},
		{"key/… is\n", "key/12-34 is\n", true},
		{"key/… is\n", "key/12\n34 is\n", false},
		{"a.c", "abc", false},
		{"", "anything", false},
		{"", "\n", true},
	} {
		if got := matches(c.want, c.got); got != c.ok {
			t.Errorf("matches(%q, %q) = %v", c.want, c.got, got)
		}
	}
}

// parse finds the steps.
func parse(text string) ([]step, error) {
	var steps []step
	var block strings.Builder
	head, begin := "", 0
	for i, line := range strings.SplitAfter(text, "\n") {
		info, fence := strings.CutPrefix(strings.TrimRight(line, "\n"), "```")
		switch {
		case !fence && head != "":
			block.WriteString(line)
		case !fence:
		case head == "":
			head, begin = info, i+1
			if head == "" {
				head = "plain"
			}
			block.Reset()
		default:
			switch words := strings.Fields(head); {
			case len(words) < 2 || words[1] != "tour":
			case head == "sh tour", head == "sh tour server":
				steps = append(steps, step{line: begin, server: head != "sh tour", script: block.String()})
			case head == "text tour" && len(steps) > 0 && !steps[len(steps)-1].server && steps[len(steps)-1].want == "":
				steps[len(steps)-1].want = block.String()
			default:
				return nil, fmt.Errorf("README.md:%d: a block %q makes no sense here", begin, head)
			}
			head = ""
		}
	}
	if head != "" {
		return nil, fmt.Errorf("README.md:%d: the block does not end", begin)
	}
	return steps, nil
}

// matches compares what was printed with what the README says. The CLI puts an empty line before its errors; empty lines do not count.
func matches(want, got string) bool {
	pattern := strings.ReplaceAll(regexp.QuoteMeta(strings.Join(lines(want), "\n")), "…", "[^\n]*")
	return regexp.MustCompile(`\A` + pattern + `\z`).MatchString(strings.Join(lines(got), "\n"))
}

func lines(s string) []string {
	var out []string
	for l := range strings.Lines(s) {
		if l = strings.TrimSpace(l); l != "" {
			out = append(out, l)
		}
	}
	return out
}

// awsCLI returns a directory to put in front of PATH, with the AWS CLI in it: the distribution's if there is one.
func awsCLI(t *testing.T) string {
	t.Helper()
	path := "/usr/bin/aws"
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("the distribution's AWS CLI is missing: make deps installs it")
		}
		if path, err = exec.LookPath("aws"); err != nil {
			t.Skip("the AWS CLI is missing: make deps installs it, or tells how")
		}
	}
	out, err := exec.Command(path, "--version").CombinedOutput()
	if err != nil {
		t.Fatalf("%s --version: %v\n%s", path, err, out)
	}
	t.Logf("%s: %s", path, bytes.TrimSpace(out))
	dir := t.TempDir()
	if err := os.Symlink(path, filepath.Join(dir, "aws")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// checkout copies what a clone would have, changes that are not committed included.
func checkout(t *testing.T) string {
	t.Helper()
	list := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		t.Fatalf("listing the repository's files: %v", err)
	}
	dir := t.TempDir()
	for name := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		if err := copyFile(filepath.Join(root, name), filepath.Join(dir, name)); err != nil && !os.IsNotExist(err) {
			t.Fatal(err) // one that is gone was removed and not committed
		}
	}
	return dir
}

func copyFile(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, b, info.Mode().Perm())
}

// freeAddress is one of loopback that is free, and stays so until the server is built: systems give no port like its to who asks for any, as other tests do.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20_000+rand.IntN(10_000))); err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no port is free")
	return ""
}

// environment is that of a user who has configured neither AWS nor Holdfast.
func environment(client, listen string) []string {
	env := []string{"AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null", "AWS_EC2_METADATA_DISABLED=true",
		"HOLDFAST_LISTEN=" + listen, "NO_PROXY=127.0.0.1", "PATH=" + client + ":" + os.Getenv("PATH")}
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(name, "AWS_") || strings.HasPrefix(name, "HOLDFAST_") || strings.HasPrefix(name, "MAKE") || name == "MFLAGS" ||
			strings.EqualFold(name, "NO_PROXY") || name == "PATH" {
			continue
		}
		env = append(env, kv)
	}
	return env
}

// shell is the other terminal.
type shell struct {
	dir string
	in  io.Writer
	out *bufio.Reader
	n   int
}

func startShell(t *testing.T, dir string, env []string) *shell {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("bash", "--noprofile", "--norc")
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, env, w, w
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
		r.Close()
	})
	return &shell{dir: dir, in: in, out: bufio.NewReader(r)}
}

// run has the shell read a step from a file, and returns what it printed.
func (s *shell) run(t *testing.T, st step) string {
	t.Helper()
	s.n++
	file := filepath.Join(t.TempDir(), "step"+strconv.Itoa(s.n))
	if err := os.WriteFile(file, []byte(st.script), 0o600); err != nil {
		t.Fatal(err)
	}
	const end = "-- end of step --"
	if _, err := fmt.Fprintf(s.in, ". %s </dev/null; echo; echo '%s'\n", file, end); err != nil {
		t.Fatalf("README.md:%d: the shell is gone: %v", st.line, err)
	}
	var got strings.Builder
	for {
		line, err := s.out.ReadString('\n')
		if err != nil {
			t.Fatalf("README.md:%d ended the shell after\n%s", st.line, got.String())
		}
		if strings.TrimSpace(line) == end {
			return got.String()
		}
		got.WriteString(line)
	}
}

// server is the first terminal.
type server struct {
	cmd  *exec.Cmd
	done chan struct{}
}

func startServer(t *testing.T, dir string, env []string, script string) *server {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("bash", "-c", script)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, env, w, w
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	s := &server{cmd, make(chan struct{})}
	ready := make(chan bool, 1)
	go func() {
		defer close(s.done)
		for lines := bufio.NewScanner(r); lines.Scan(); {
			t.Logf("server: %s", lines.Text())
			if strings.Contains(lines.Text(), "msg=ready") || strings.Contains(lines.Text(), "and is sealed") {
				select {
				case ready <- true:
				default: // it was sealed, and is open now
				}
			}
		}
		r.Close()
		close(ready)
		_ = cmd.Wait() // the tour kills it, or the cleanup
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		s.wait()
	})
	if !<-ready {
		t.Fatal("the cloud ended before it was ready")
	}
	return s
}

func (s *server) wait() { <-s.done }
