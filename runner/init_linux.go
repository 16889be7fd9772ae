//go:build amd64 || arm64

package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast-cloud/holdfast/clock"
)

// initArgs are the arguments of a process that is to become a function. Nobody types them. The second is one that a program which has forgotten to call Init refuses, test binaries above all,
// instead of doing what it does without arguments.
var initArgs = []string{"holdfast-function", "-this-program-does-not-call-runner.Init"}

// What is inside of the sandbox. There is one user, who owns nothing of the host.
const (
	insideUID = 1000

	// https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html: 1,024 file descriptors, 1,024 processes and threads.
	maxFiles     = 1024
	maxProcesses = 1024
)

// initCalled is whether this process has called Init. It is a fact of the process and is never taken back: a program that forgot would start itself again in place of a function, and that one again.
var initCalled atomic.Bool

// Init makes this process a function, and does not return, if a runner has started it to be one. Otherwise it returns at once. It must be the first thing that main, or TestMain, does.
func Init() {
	if !slices.Equal(os.Args, initArgs) {
		initCalled.Store(true)
		return
	}
	runtime.LockOSThread() // capabilities and the filter are the thread's, and exec keeps those of the thread that calls it
	control := os.NewFile(3, "control")
	unix.CloseOnExec(3)
	_ = json.NewEncoder(control).Encode(started{Error: become(control).Error()})
	os.Exit(1)
}

// spec is what the server tells the process that is to become a function, as JSON.
type spec struct {
	// Programs are tried in turn until one is there.
	Programs  []string
	Args, Env []string // Args without the program's own name
	// Task and Opt are directories in trees, which may be empty; the working directory is the runner's.
	Task, Opt string
	Hide      []string // real paths on the host
	Runtime   map[string]string
	Tmp       int // MiB
	// Mapped is whether the host's user of this process is another one than the one outside.
	Mapped bool
	// Loopback and Ports are listened on, on loopback only and at every address. Local are the networks whose addresses are here.
	Loopback, Ports []uint16
	Local           []netip.Prefix
	// Shared allows memory that belongs to no process: only where a cgroup counts it.
	Shared bool
	Probe  bool // only try
}

// started is what comes back: with the sockets, then, if the program could not be started, with an error.
type started struct {
	Error   string
	Missing bool // there is none of Programs
}

// become builds the sandbox around this process, which the server has cloned into new namespaces, gives up everything that it may do, and turns into the program. It returns only with an error.
func become(control *os.File) error {
	in := json.NewDecoder(control)
	var s spec
	if err := in.Decode(&s); err != nil {
		return fmt.Errorf("reading what to start: %w", err)
	}
	// What fails here is no reason to fail: it makes the host's killer of processes choose this one first.
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0)
	if s.Mapped {
		// Until here we were the host's root in name, able to come this far through directories that are closed to others, with no rights in any namespace but our own.
		if err := errors.Join(syscall.Setgroups(nil), syscall.Setresgid(insideUID, insideUID, insideUID), syscall.Setresuid(insideUID, insideUID, insideUID)); err != nil {
			return fmt.Errorf("becoming the function's user: %w", err)
		}
	}
	if err := network(&s); err != nil {
		return err
	}
	sockets, err := listen(&s)
	if err != nil {
		return err
	}
	if err := enterRoot(&s); err != nil {
		return err
	}
	if err := handOver(control, sockets); err != nil {
		return err
	}
	// The server counts us among those whose memory is limited, then says go. If it is gone, so are we: the signal at its death comes only if it dies from now on.
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("asking to end with the server: %w", err)
	}
	var goAhead bool
	if err := in.Decode(&goAhead); err != nil {
		return fmt.Errorf("waiting for the server: %w", err)
	}
	if err := giveUp(s.Shared); err != nil {
		return err
	}
	if s.Probe {
		os.Exit(0)
	}
	return execute(control, &s)
}

// listen makes the sockets on which the server answers inside.
func listen(s *spec) ([]*os.File, error) {
	var files []*os.File
	var addresses []string
	for _, port := range s.Loopback {
		addresses = append(addresses, fmt.Sprintf("127.0.0.1:%d", port))
	}
	for _, port := range s.Ports {
		addresses = append(addresses, fmt.Sprintf(":%d", port))
	}
	for _, address := range addresses {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return nil, fmt.Errorf("listening inside: %w", err)
		}
		f, err := l.(*net.TCPListener).File()
		if err != nil {
			return nil, fmt.Errorf("taking a listening socket: %w", err)
		}
		files = append(files, f)
	}
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: dnsPort})
	if err != nil {
		return nil, fmt.Errorf("listening for DNS inside: %w", err)
	}
	f, err := c.File()
	if err != nil {
		return nil, fmt.Errorf("taking the DNS socket: %w", err)
	}
	return append(files, f), nil
}

// handOver sends the sockets to the server, with an empty answer.
func handOver(control *os.File, sockets []*os.File) error {
	fds := make([]int, len(sockets))
	for i, f := range sockets {
		fds[i] = int(f.Fd())
	}
	if err := unix.Sendmsg(int(control.Fd()), []byte("{}\n"), unix.UnixRights(fds...), nil, 0); err != nil {
		return fmt.Errorf("giving the sockets to the server: %w", err)
	}
	for _, f := range sockets {
		f.Close()
	}
	return nil
}

// giveUp drops what this process may do. The order matters: each step needs rights that a later one takes.
func giveUp(shared bool) error {
	unix.Umask(0o022)
	for what, max := range map[int]uint64{unix.RLIMIT_NOFILE: maxFiles, unix.RLIMIT_NPROC: maxProcesses, unix.RLIMIT_CORE: 0, unix.RLIMIT_MEMLOCK: 64 << 10, unix.RLIMIT_RTPRIO: 0, unix.RLIMIT_MSGQUEUE: 64 << 10} {
		// Through package syscall, which otherwise would put back the number of files that it found, at exec.
		var now syscall.Rlimit
		if err := syscall.Getrlimit(what, &now); err != nil {
			return fmt.Errorf("reading limit %d: %w", what, err)
		}
		max = min(max, now.Max)
		if err := syscall.Setrlimit(what, &syscall.Rlimit{Cur: max, Max: max}); err != nil {
			return fmt.Errorf("setting limit %d: %w", what, err)
		}
	}
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, 5) // the server comes first; a nicer one stays as it is
	// NOROOT, NO_SETUID_FIXUP, NO_CAP_AMBIENT_RAISE, and the locks of these and of KEEP_CAPS: no user is special, not even root.
	if err := unix.Prctl(unix.PR_SET_SECUREBITS, 0xef, 0, 0, 0); err != nil {
		return fmt.Errorf("setting secure bits: %w", err)
	}
	for c := uintptr(0); ; c++ {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err == unix.EINVAL && c > 0 {
			break
		} else if err != nil {
			return fmt.Errorf("dropping capability %d: %w", c, err)
		}
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("dropping ambient capabilities: %w", err)
	}
	var none [2]unix.CapUserData
	if err := unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &none[0]); err != nil {
		return fmt.Errorf("dropping capabilities: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("giving up new privileges: %w", err)
	}
	// Whatever a library of the server left open for its children stays out of the function.
	if err := unix.CloseRange(3, 1<<31-1, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return fmt.Errorf("closing files: %w", err)
	}
	return filter(shared)
}

// execute replaces this process by the program.
func execute(control io.Writer, s *spec) error {
	for _, p := range s.Programs {
		err := syscall.Exec(p, append([]string{p}, s.Args...), s.Env)
		for range 100 {
			// The server may have started a process while it unpacked this program, and that one has the file open for writing until it starts its own.
			if !errors.Is(err, unix.ETXTBSY) || clock.Pause(context.Background(), 5*time.Millisecond) != nil {
				break
			}
			err = syscall.Exec(p, append([]string{p}, s.Args...), s.Env)
		}
		if errors.Is(err, unix.ENOENT) {
			// Also of a script whose interpreter is not there.
			if _, e := os.Lstat(p); e != nil {
				continue
			}
		}
		return fmt.Errorf("fork/exec %s: %w", p, err)
	}
	_ = json.NewEncoder(control).Encode(started{Missing: true, Error: fmt.Sprintf("Couldn't find valid bootstrap(s): %v", s.Programs)})
	os.Exit(1)
	return nil
}
