package runner_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/runner"
)

// alive are the host's processes that have a token among their arguments.
func alive(token string) []string {
	var found []string
	all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, p := range all {
		b, _ := os.ReadFile(p)
		for _, arg := range bytes.Split(b, []byte{0}) {
			if string(arg) == token {
				found = append(found, p+" "+strings.ReplaceAll(string(b), "\x00", " "))
			}
		}
	}
	return found
}

// gone fails the test if processes with a token outlive a moment.
func gone(t *testing.T, token string) {
	t.Helper()
	var left []string
	for range 3000 {
		if left = alive(token); len(left) == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("still alive: %q", left)
}

var tokens atomic.Int64 // made so far

// newToken is the number of seconds that processes of a test sleep, by which they are known.
func newToken() string {
	return fmt.Sprint(1_000_000_000 + int64(os.Getpid())*1000 + tokens.Add(1))
}

func withToken(token string, timeout time.Duration) func(*runner.Function) {
	return func(f *runner.Function) {
		f.ID, f.Environment, f.Timeout = f.Handler+token, map[string]string{"TOKEN": token}, timeout
	}
}

func TestHostile(t *testing.T) {
	t.Parallel()
	r := newRunner(t)
	t.Run("Hangs", func(t *testing.T) {
		token := newToken()
		f, l := function("hang", withToken(token, 3*time.Second)) // in which a busy machine, too, has it say that it hangs
		got := invoke(t, r, f, "{}")
		if string(got.Payload) != `{"errorMessage":"RequestId: request-1 Error: Task timed out after 3.00 seconds","errorType":"Sandbox.Timedout"}` || got.Failure != "Unhandled" || got.Duration < f.Timeout {
			t.Errorf("got %s, %v", got.Payload, got.Duration)
		}
		if tail := string(got.Tail); !strings.Contains(tail, "hanging\n") || !strings.Contains(tail, "Z request-1 Task timed out after 3.00 seconds\n") || !strings.Contains(tail, "Status: timeout\n") {
			t.Errorf("the log is %s%s", tail, l)
		}
		gone(t, token)
	})
	t.Run("Forks", func(t *testing.T) {
		token := newToken()
		f, _ := function("forks", withToken(token, time.Minute))
		got := answer[struct {
			Children int
			Error    string
		}](t, r, f, nil)
		if !strings.Contains(got.Error, "resource temporarily unavailable") || got.Children > 1024 {
			t.Errorf("got %+v", got)
		}
		r.Forget(f.ID)
		gone(t, token)
	})
	t.Run("ForkBomb", func(t *testing.T) {
		token := newToken()
		f, _ := function("bomb", withToken(token, time.Second))
		if got := invoke(t, r, f, "{}"); got.ErrorType != "Sandbox.Timedout" {
			t.Errorf("got %s after %v", got.Payload, got.Duration)
		}
		gone(t, token)
	})
	for _, handler := range []string{"eats", "eatschild"} {
		t.Run(handler, func(t *testing.T) {
			f, l := function(handler, func(f *runner.Function) { f.Memory, f.Ephemeral = 256, 64 })
			got := invoke(t, r, f, "{}")
			// Whether the kernel ends its child or we end all of it.
			if got.ErrorType != "Runtime.OutOfMemory" && (handler == "eats" || !strings.Contains(l.String(), "signal: killed")) {
				t.Errorf("got %s\n%s", got.Payload, l)
			}
			if got.Memory > f.Memory || got.Memory < f.Memory/4 {
				t.Errorf("it is said to have used %d MiB", got.Memory)
			}
		})
	}
	t.Run("EatsShared", func(t *testing.T) {
		f, l := function("eatsshared", func(f *runner.Function) { f.Memory, f.Ephemeral, f.Timeout = 256, 64, 30*time.Second })
		got := invoke(t, r, f, "{}")
		if got.ErrorType != "Runtime.OutOfMemory" && !strings.Contains(l.String(), "shared memory: function not implemented") {
			t.Errorf("got %s\n%s", got.Payload, l)
		}
	})
	t.Run("Floods", func(t *testing.T) {
		f, l := function("floods", func(f *runner.Function) { f.Timeout = time.Second })
		got := invoke(t, r, f, "{}")
		if n := len(l.String()); got.ErrorType != "Sandbox.Timedout" || len(got.Tail) > 4096 || n > 5<<20 || n > 4<<20 && !strings.Contains(string(got.Tail), "bytes of log were dropped") {
			t.Errorf("got %s, a log of %d bytes, tail %q", got.Payload, n, got.Tail)
		}
	})
	t.Run("InitHangs", func(t *testing.T) {
		t.Parallel() // ten seconds
		f, l := function("inithang")
		got := invoke(t, r, f, "{}")
		if string(got.Payload) != `{"errorMessage":"RequestId: request-1 Error: Task timed out after 10.00 seconds","errorType":"Sandbox.Timedout"}` {
			t.Errorf("got %s", got.Payload)
		}
		if !strings.Contains(l.String(), "INIT_REPORT Init Duration: 10000.00 ms\tPhase: init\tStatus: timeout") {
			t.Errorf("the log is %s", l)
		}
	})
	t.Run("AnswersTwice", func(t *testing.T) {
		f, _ := function("twice")
		if got := invoke(t, r, f, "{}"); string(got.Payload) != `"first"` {
			t.Errorf("got %s", got.Payload)
		}
		if got := invoke(t, r, f, "{}"); !strings.Contains(string(got.Payload), `400{\"errorMessage\":\"Invalid request ID\",\"errorType\":\"InvalidRequestID\"}`) {
			t.Errorf("the second answer: %s", got.Payload)
		}
	})
	t.Run("AnswersAnother", func(t *testing.T) {
		f, _ := function("other")
		if got := invoke(t, r, f, "{}"); !strings.HasPrefix(string(got.Payload), `"400 400 403{`) {
			t.Errorf("got %s", got.Payload)
		}
	})
	t.Run("AnswersTooMuch", func(t *testing.T) {
		f, _ := function("huge")
		got := invoke(t, r, f, "{}")
		if string(got.Payload) != `{"errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes).","errorType":"Function.ResponseSizeTooLarge"}` {
			t.Errorf("got %.200s", got.Payload)
		}
	})
	t.Run("Garbage", func(t *testing.T) {
		f, _ := function("garbage")
		if got := invoke(t, r, f, "{}"); string(got.Payload) != `"still here"` {
			t.Errorf("got %s", got.Payload)
		}
	})
	t.Run("Truncates", func(t *testing.T) {
		f, _ := function("truncates")
		if got := invoke(t, r, f, "{}"); got.ErrorType != "Runtime.TruncatedResponse" {
			t.Errorf("got %s", got.Payload)
		}
	})
	t.Run("OtherAPIs", func(t *testing.T) {
		f, _ := function("apis")
		want := map[string]string{
			"/2020-01-01/extension/register": `403 {"errorMessage":"extensions are not run","errorType":"Extension.NotSupported"}` + "\n",
			"/2022-07-01/telemetry":          `403 {"errorMessage":"telemetry is not given to extensions","errorType":"Telemetry.NotSupported"}` + "\n",
			"/2018-06-01/nothing":            "404 404 page not found\n",
		}
		if d := cmp.Diff(want, answer[map[string]string](t, r, f, []string{"/2020-01-01/extension/register", "/2022-07-01/telemetry", "/2018-06-01/nothing"})); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	})
}

// TestSees is what a function sees of the host: nothing that is the host's own.
func TestSees(t *testing.T) {
	t.Parallel()
	secret := t.TempDir() // the data directory, and the runner's in it
	if err := errors.Join(os.Chmod(secret, 0o700), os.WriteFile(secret+"/root.key", []byte("secret"), 0o644)); err != nil {
		t.Fatal(err)
	}
	hidden := ""
	if os.Geteuid() == 0 {
		var err error
		if hidden, err = os.MkdirTemp("/usr/local", "holdfast-test-"); err == nil {
			t.Cleanup(func() { os.RemoveAll(hidden) })
			err = os.Chmod(hidden, 0o755)
		}
		if err == nil {
			err = os.WriteFile(hidden+"/secret", []byte("x"), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	r := newRunner(t, func(c *runner.Config) {
		c.Dir = secret + "/functions"
		if hidden != "" {
			c.Hide = []string{hidden}
		}
	})
	f, _ := function("read")
	none, pid := "no such file or directory", os.Getpid()
	want := map[string]string{
		secret: none, secret + "/root.key": none, "/root": none, "/home": none, "/work": none, "/etc/shadow": none, "/etc/ssl/private": none, "/var/lib": none, "/var/log": none, "/run": none, "/sys": none,
		"/boot": none, "/mnt": none, "/srv": none, "/dev/mem": none, "/dev/kmsg": none, "/dev/sda": none, "/dev/vda": none, "/dev/shm": none, "/dev/pts": none, "/.dockerenv": none,
		fmt.Sprintf("/proc/%d/root/etc/shadow", pid): none, fmt.Sprintf("/proc/%d/environ", pid): none, "/proc/1/root/etc/shadow": none, "/proc/1/root/root": none, "/proc/self/cwd/../../root": none,
		"/etc/hostname": none, "/opt": "0 entries", "/tmp": "0 entries", "/var": "2 entries", "/var/runtime": "0 entries", "/etc/passwd": "done", "/proc/1/environ": "done",
	}
	if pid < 50 {
		t.Fatal("this process has the ID of one inside")
	}
	if hidden != "" {
		want[hidden] = "0 entries"
		want[hidden+"/secret"] = none
	}
	paths := func(m map[string]string) (list []string) {
		for p := range m {
			list = append(list, p)
		}
		return list
	}
	if d := cmp.Diff(want, answer[map[string]string](t, r, f, paths(want))); d != "" {
		t.Errorf("reading (-want +got):\n%s", d)
	}
	f, _ = function("list")
	if got := answer[map[string]string](t, r, f, []string{"/proc/[0-9]*", "/*", "/dev/*"}); got["/proc/[0-9]*"] != "[/proc/1] <nil>" || strings.Contains(got["/*"], "root") {
		t.Errorf("it sees %v", got)
	}
	f, _ = function("write")
	ro := "read-only file system"
	want = map[string]string{"/x": ro, "/usr/x": ro, "/usr/bin/x": ro, "/etc/x": ro, "/etc/passwd": "permission denied", "/var/task/x": ro, "/var/task/bootstrap": ro, "/opt/x": ro, "/var/runtime/x": ro, "/dev/x": ro, "/proc/sys/kernel/core_pattern": "?", "/proc/self/oom_score_adj": ro, "/dev/null": "done", "/tmp/x": "done"}
	got := answer[map[string]string](t, r, f, paths(want))
	if got["/proc/sys/kernel/core_pattern"] == "done" {
		t.Error("it may write /proc/sys/kernel/core_pattern")
	}
	if got["/etc/passwd"] == ro {
		got["/etc/passwd"] = want["/etc/passwd"]
	}
	want["/proc/sys/kernel/core_pattern"] = got["/proc/sys/kernel/core_pattern"]
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("writing (-want +got):\n%s", d)
	}
}

func TestEphemeral(t *testing.T) {
	t.Parallel()
	r := newRunner(t)
	f, _ := function("fill", func(f *runner.Function) { f.Ephemeral = 16 })
	got := answer[struct {
		MiB   int
		Error string
		Files int
	}](t, r, f, nil)
	if got.MiB < 15 || got.MiB > 16 || got.Error != "no space left on device" || got.Files > 10_000 {
		t.Errorf("got %+v", got)
	}
}

func TestSystemCalls(t *testing.T) {
	t.Parallel()
	r := newRunner(t)
	f, _ := function("calls")
	no, none, family, id := "operation not permitted", "function not implemented", "address family not supported by protocol", "invalid argument"
	want := map[string]string{
		"mount": no, "umount": no, "remount": no, "chroot": no, "unshare": no, "ptrace": no, "sethostname": no, "mknod": no, "deathsig": no, "keyctl": no, "bpf": no, "kexec": no, "perf": no, "open_tree": no,
		"setuid": id, "setgroups": no, "clone3": none, "io_uring": none, "vsock": family, "packet": family, "alg": family, "netfilter": family, "netlink route": "done",
		"clone": "fork/exec /bin/true: " + no, "su": "failed",
	}
	got := answer[map[string]string](t, r, f, nil)
	got["clone"] = strings.TrimPrefix(got["clone"], "fork/exec /bin/true: ")
	want["clone"] = no
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// server answers each line with its own name and the line.
func server(t *testing.T, name, address string) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Skipf("listening on %s: %v", address, err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				b := make([]byte, 100)
				n, _ := c.Read(b)
				fmt.Fprintf(c, "%s: %s", name, b[:n])
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

func TestNetwork(t *testing.T) {
	t.Parallel()
	open := server(t, "open", "127.0.0.1:0")
	closed := server(t, "closed", "127.0.0.1:0")
	other := server(t, "other", fmt.Sprintf("127.0.0.2:%d", open.Port()))
	six := server(t, "six", "[::1]:0")
	r := newRunner(t, func(c *runner.Config) {
		c.Endpoint = http404{}
		c.Reach = []runner.Reach{
			{Network: netip.MustParsePrefix("127.0.0.1/32"), Port: open.Port()}, {Network: netip.MustParsePrefix("::1/128"), Port: six.Port()}, {Name: "localhost.holdfast.test", Port: 1}, {Name: "localhost", Port: open.Port()},
			{Network: netip.MustParsePrefix("0.0.0.0/0"), Port: closed.Port()},
		}
	})
	f, _ := function("connect")
	want := map[string]string{
		open.String():   "open: hello\n",
		six.String():    "six: hello\n",
		closed.String(): "refused", // all of IPv4 may be reached at this port, but for this machine
		fmt.Sprintf("169.254.1.1:%d", closed.Port()): "refused",
		other.String(): "refused",
		fmt.Sprintf("198.18.0.1:%d", open.Port()): "refused", // the one that may be reached at port 1
		fmt.Sprintf("198.18.0.2:%d", open.Port()): "open: hello\n",
		fmt.Sprintf("198.18.0.3:%d", open.Port()): "refused",
		"127.0.0.1:22":      "refused",
		"10.1.2.3:80":       "refused",
		"192.0.2.1:443":     "refused",
		"[2001:db8::1]:443": "refused",
	}
	var addresses []string
	for a := range want {
		addresses = append(addresses, a)
	}
	if d := cmp.Diff(want, answer[map[string]string](t, r, f, addresses)); d != "" {
		t.Errorf("connecting (-want +got):\n%s", d)
	}
	f, _ = function("resolve")
	want = map[string]string{"localhost.holdfast.test": "198.18.0.1", "LocalHost.Holdfast.Test": "198.18.0.1", "localhost": "127.0.0.1,::1", "nothing.invalid": "no such host"}
	got := answer[map[string]string](t, r, f, []string{"localhost.holdfast.test", "LocalHost.Holdfast.Test", "localhost", "nothing.invalid"})
	if got["localhost"] == "::1,127.0.0.1" || got["localhost"] == "127.0.0.1" {
		got["localhost"] = want["localhost"]
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("resolving (-want +got):\n%s", d)
	}
	f, _ = function("get")
	if got := answer[map[string]string](t, r, f, []string{"http://127.0.0.1:4566/x"}); got["http://127.0.0.1:4566/x"] != "404 404 page not found\n" {
		t.Errorf("the cloud answered %v", got)
	}
}

func TestRefusedReach(t *testing.T) {
	for _, c := range []runner.Reach{{}, {Name: "x"}, {Port: 1}, {Name: "x", Port: 9001}, {Name: "x", Port: 4566}} {
		if _, err := runner.New(runner.Config{Dir: t.TempDir(), Reach: []runner.Reach{c}}); err == nil {
			t.Errorf("%+v may be reached", c)
		}
	}
}

// TestKilled kills a server, which has no chance to end its functions.
func TestKilled(t *testing.T) {
	t.Parallel()
	newRunner(t) // or skip
	for range 3 {
		token := newToken()
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), "HOLDFAST_TEST_SERVER="+token, "HOLDFAST_TEST_DIR="+t.TempDir())
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		line := make([]byte, 100)
		n, _ := out.Read(line)
		if string(line[:n]) != "running\n" {
			t.Errorf("the server said %q", line[:n])
		}
		if n := len(alive(token)); n != 2 {
			t.Errorf("%d processes of the function live", n)
		}
		children := descendants(cmd.Process.Pid)
		if len(children) < 2 { // the function and the one that is ready
			t.Errorf("the server has %d processes", len(children))
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		gone(t, token)
		for _, pid := range children {
			for i := 0; syscall.Kill(pid, 0) == nil; i++ {
				if i > 3000 {
					t.Errorf("process %d is left", pid)
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
		}
	}
}

func descendants(pid int) []int {
	var all []int
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, l := range lists {
		b, _ := os.ReadFile(l)
		for f := range strings.FieldsSeq(string(b)) {
			var n int
			fmt.Sscan(f, &n)
			all = append(append(all, n), descendants(n)...)
		}
	}
	return all
}

// serverToKill is the server of TestKilled: it says when its function runs.
func serverToKill(token string) {
	r, err := runner.New(runner.Config{Dir: os.Getenv("HOLDFAST_TEST_DIR")})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	f, _ := function("hang", withToken(token, time.Hour))
	f.Log = func(lines []runner.LogLine) {
		for _, l := range lines {
			for range 500 {
				if l.Text != "hanging" || len(alive(token)) == 2 {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
			if l.Text == "hanging" {
				fmt.Println("running")
			}
		}
	}
	_, err = r.Invoke(context.Background(), f, &runner.Invocation{RequestID: "x", Payload: []byte("{}")})
	fmt.Println("ended", err)
}

// TestUnprivileged runs the tests of isolation as nobody, if they run as root.
func TestUnprivileged(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("the tests are not run as root, so they are run as somebody else already")
	}
	newRunner(t)
	dir, err := os.MkdirTemp("", "holdfast-nobody-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	binary, err := os.ReadFile("/proc/self/exe")
	if err == nil {
		err = os.WriteFile(dir+"/tests", binary, 0o755)
	}
	if err == nil {
		err = os.Chown(dir, 65534, 65534)
	}
	if err != nil {
		t.Fatal(err)
	}
	var out []byte
	for err = error(syscall.ETXTBSY); errors.Is(err, syscall.ETXTBSY); { // while a process that another test starts still has the file open
		cmd := exec.Command(dir+"/tests", "-test.run=^(TestInvoke|TestSees|TestSystemCalls|TestNetwork|TestHostile|TestKilled|TestEphemeral)$", "-test.v", "-test.skip=InitHangs|Floods|Answers|Garbage|Truncates|OtherAPIs")
		cmd.Dir = dir
		cmd.Env = []string{"TMPDIR=" + dir, "PATH=" + os.Getenv("PATH")}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err = cmd.CombinedOutput()
	}
	if err != nil {
		t.Errorf("as nobody: %v\n%s", err, out)
	} else if bytes.Contains(out, []byte("--- SKIP")) {
		t.Skipf("nobody may not make user namespaces here:\n%s", out)
	}
}
