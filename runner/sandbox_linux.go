//go:build amd64 || arm64

package runner

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// host is the machine: what all sandboxes have in common.
type host struct {
	dir     string
	hide    []string
	users   int // the first of the users that instances are outside, or 0: that of this process
	groups  *cgroups
	threads chan func() // done by one thread, which lives as long as the runner: the kernel ends a function when the thread does that has started it

	spare     chan *sandbox // one at most
	preparing sync.WaitGroup
	closed    atomic.Bool

	mu    sync.Mutex // guards taken
	taken map[int]bool
}

// maxSlots is how many users are taken of the host's, one for each instance.
const maxSlots = 4096

func newHost(dir string, hide []string, log *slog.Logger) (*host, error) {
	if !initCalled.Load() {
		return nil, errors.New("this program does not call runner.Init first in main, or in TestMain")
	}
	h := &host{dir: dir, threads: make(chan func()), spare: make(chan *sandbox, 1), taken: map[int]bool{}}
	for _, p := range append(hide, dir) {
		real, err := filepath.EvalSymlinks(p)
		if err != nil {
			if errors.Is(err, os.ErrNotExist) {
				continue
			}
			return nil, fmt.Errorf("looking for what functions must not see: %w", err)
		}
		if real, err = filepath.Abs(real); err != nil {
			return nil, fmt.Errorf("looking for what functions must not see: %w", err)
		}
		if shown(real) {
			h.hide = append(h.hide, real)
		}
	}
	if os.Geteuid() == 0 {
		var err error
		if h.users, err = freeUsers(); err != nil {
			return nil, err
		}
	}
	if h.groups = newCgroups(); h.groups == nil {
		log.Info("the memory of functions is watched, not limited by the kernel: no cgroup can be made")
	}
	go func() {
		runtime.LockOSThread()
		for f := range h.threads {
			f()
		}
		runtime.UnlockOSThread()
	}()
	return h, nil
}

// freeUsers finds user and group IDs for functions that root starts, which nobody else has: random ones far above those that are given out, or in a container with few of its own,
// near the end of them.
func freeUsers() (int, error) {
	for _, first := range []int{0x70000000 | int(binary.NativeEndian.Uint16(random()))<<12, 61000} {
		ok := true
		for _, m := range []string{"/proc/self/uid_map", "/proc/self/gid_map"} {
			b, err := os.ReadFile(m)
			if err != nil {
				return 0, fmt.Errorf("looking for user IDs: %w", err)
			}
			found := false
			for line := range strings.Lines(string(b)) {
				if f := strings.Fields(line); len(f) == 3 {
					from, _ := strconv.Atoi(f[0])
					count, _ := strconv.Atoi(f[2])
					found = found || first >= from && first+maxSlots <= from+count
				}
			}
			ok = ok && found
		}
		if ok {
			return first, nil
		}
	}
	return 0, errors.New("this container's root has no user IDs to run functions as")
}

func (h *host) close() {
	h.closed.Store(true)
	h.preparing.Wait()
	select {
	case b := <-h.spare:
		b.discard()
	default:
	}
	close(h.threads)
	if h.groups != nil {
		h.groups.close()
	}
}

func (h *host) slot() (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range maxSlots {
		if !h.taken[i] {
			h.taken[i] = true
			return i, nil
		}
	}
	return 0, ErrThrottled
}

func (h *host) free(slot int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.taken, slot)
}

// sandbox is one instance as the host sees it.
type sandbox struct {
	pid       int
	log       *os.File // what it writes
	listeners []net.Listener
	dns       net.PacketConn
	exited    chan struct{}    // closed when all its processes are gone
	state     *os.ProcessState // set when exited is, as is oom: that the kernel has ended one of them for want of memory
	oom       bool
	group     atomic.Pointer[cgroup] // nil: none
	control   *net.UnixConn          // until it has become something
	slot      int

	process *os.Process
	space   string // its PID namespace
}

// rights are those that a process has in its new namespaces while it builds the sandbox.
var rights = []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN, unix.CAP_NET_BIND_SERVICE, unix.CAP_SETUID, unix.CAP_SETGID, unix.CAP_SETPCAP}

// start starts a program in a sandbox. Memory is MiB, and is held to that and the size of /tmp together. When ctx ends before the program runs, it is given up.
func (h *host) start(ctx context.Context, s *spec, memory int) (_ *sandbox, err error) {
	b, err := h.blank()
	if err != nil {
		return nil, err
	}
	var group *cgroup
	defer func() {
		if err != nil {
			b.discard()
			group.remove() // it may have ended before it had one
		}
	}()
	defer b.control.Close()
	stop := context.AfterFunc(ctx, b.kill)
	defer stop()
	if h.groups != nil {
		if group, err = h.groups.make(strconv.Itoa(b.slot), int64(memory+s.Tmp+16)<<20); err != nil {
			return nil, err
		}
	}
	b.group.Store(group)
	s.Hide, s.Mapped, s.Shared = h.hide, h.users > 0, h.groups != nil
	if err := b.handshake(s); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, err
	}
	return b, nil
}

// blank returns a process that waits in its new namespaces to be told what to become. One is kept ready, because starting this program takes longer than all that is left to do then.
func (h *host) blank() (*sandbox, error) {
	defer h.prepare()
	select {
	case b := <-h.spare:
		select {
		case <-b.exited:
			b.control.Close()
			b.close()
		default:
			return b, nil
		}
	default:
	}
	return h.spawn()
}

// prepare makes the next one.
func (h *host) prepare() {
	h.preparing.Go(func() {
		if h.closed.Load() {
			return
		}
		b, err := h.spawn()
		if err != nil {
			return // as whoever needs one will see
		}
		select {
		case h.spare <- b:
		default:
			b.discard()
		}
	})
}

// discard ends one that has become nothing.
func (b *sandbox) discard() {
	b.kill()
	b.control.Close()
	b.close()
	<-b.exited
}

// spawn starts this program again in new namespaces.
func (h *host) spawn() (_ *sandbox, err error) {
	slot, err := h.slot()
	if err != nil {
		return nil, err
	}
	b := &sandbox{slot: slot, exited: make(chan struct{})}
	defer func() {
		if err != nil {
			b.close()
			h.free(slot)
		}
	}()
	control, child, err := controlPair()
	if err != nil {
		return nil, err
	}
	defer child.Close()
	b.control = control
	var out *os.File
	if b.log, out, err = os.Pipe(); err != nil {
		control.Close()
		return nil, fmt.Errorf("making a pipe for the log: %w", err)
	}
	defer out.Close()
	user, group := os.Geteuid(), os.Getegid()
	if h.users > 0 {
		user, group = h.users+slot, h.users+slot
		if err := out.Chown(user, group); err != nil { // so that /dev/stderr can be opened
			control.Close()
			return nil, fmt.Errorf("giving the pipe of the log away: %w", err)
		}
	}
	cmd := &exec.Cmd{
		Path: "/proc/self/exe", Args: initArgs, Env: []string{"GOGC=off"}, Dir: h.dir, Stdout: out, Stderr: out, ExtraFiles: []*os.File{child},
		SysProcAttr: &syscall.SysProcAttr{
			Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP,
			Setsid:     true, Pdeathsig: syscall.SIGKILL, AmbientCaps: rights,
			UidMappings:                []syscall.SysProcIDMap{{ContainerID: insideUID, HostID: user, Size: 1}},
			GidMappings:                []syscall.SysProcIDMap{{ContainerID: insideUID, HostID: group, Size: 1}},
			GidMappingsEnableSetgroups: h.users > 0,
		},
	}
	done := make(chan error)
	h.threads <- func() { done <- cmd.Start() }
	if err := <-done; err != nil {
		control.Close()
		return nil, fmt.Errorf("making namespaces: %w", err)
	}
	b.pid, b.process = cmd.Process.Pid, cmd.Process
	go func() {
		_ = cmd.Wait()
		b.state = cmd.ProcessState
		if g := b.group.Load(); g != nil {
			b.oom = g.killed()
			g.remove()
		}
		h.free(slot)
		close(b.exited)
	}()
	return b, nil
}

func controlPair() (*net.UnixConn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("making a pair of sockets: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "control"), os.NewFile(uintptr(fds[1]), "control")
	defer ours.Close()
	c, err := net.FileConn(ours)
	if err != nil {
		theirs.Close()
		return nil, nil, fmt.Errorf("using a pair of sockets: %w", err)
	}
	return c.(*net.UnixConn), theirs, nil
}

// handshake tells the new process what to be, takes its sockets, limits it, and lets it become the program.
func (b *sandbox) handshake(s *spec) error {
	control := b.control
	if err := json.NewEncoder(control).Encode(s); err != nil {
		return b.why(fmt.Errorf("telling a sandbox what to start: %w", err))
	}
	answer, oob := make([]byte, 64<<10), make([]byte, 4<<10)
	n, oobn, _, _, err := control.ReadMsgUnix(answer, oob)
	if err != nil {
		return b.why(fmt.Errorf("waiting for a sandbox: %w", err))
	}
	if err := failed(answer[:n]); err != nil {
		return b.why(err)
	}
	if err := b.take(oob[:oobn], s); err != nil {
		return b.why(err)
	}
	if g := b.group.Load(); g != nil {
		if err := g.attach(b.pid); err != nil {
			return err
		}
	}
	b.space, _ = os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", b.pid))
	if _, err := io.WriteString(control, "true\n"); err != nil {
		return b.why(fmt.Errorf("starting a program: %w", err))
	}
	// Closed by exec. What comes before tells why it failed.
	rest, err := io.ReadAll(io.LimitReader(control, 64<<10))
	if err != nil {
		return b.why(fmt.Errorf("starting a program: %w", err))
	}
	return failed(rest)
}

func failed(answer []byte) error {
	if len(answer) == 0 {
		return nil
	}
	var s started
	if err := json.Unmarshal(answer, &s); err != nil {
		return fmt.Errorf("a sandbox answered in no way that is known: %w", err)
	}
	if s.Error == "" {
		return nil
	}
	if s.Missing || strings.HasPrefix(s.Error, "fork/exec ") {
		return &entryPointError{s.Error}
	}
	return errors.New(s.Error)
}

// why adds what a process wrote that ended where it should not have. It has run none of the function's code.
func (b *sandbox) why(err error) error {
	b.kill()
	<-b.exited
	text, _ := io.ReadAll(io.LimitReader(b.log, 1<<10))
	if len(text) == 0 {
		return err
	}
	return fmt.Errorf("%w (%s)", err, strings.ToValidUTF8(string(text), "?"))
}

// take makes sockets of what came with a message.
func (b *sandbox) take(oob []byte, s *spec) error {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(messages) != 1 {
		return errors.New("a sandbox gave no sockets")
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return fmt.Errorf("taking the sockets of a sandbox: %w", err)
	}
	var files []*os.File
	for _, fd := range fds {
		unix.CloseOnExec(fd)
		f := os.NewFile(uintptr(fd), "sandbox")
		defer f.Close()
		files = append(files, f)
	}
	if len(files) != len(s.Loopback)+len(s.Ports)+1 {
		return fmt.Errorf("a sandbox gave %d sockets", len(files))
	}
	last := len(files) - 1
	for _, f := range files[:last] {
		l, err := net.FileListener(f)
		if err != nil {
			return fmt.Errorf("using a socket of a sandbox: %w", err)
		}
		b.listeners = append(b.listeners, l)
	}
	if b.dns, err = net.FilePacketConn(files[last]); err != nil {
		return fmt.Errorf("using a socket of a sandbox: %w", err)
	}
	return nil
}

// close closes what the server has of a sandbox.
func (b *sandbox) close() {
	for _, l := range b.listeners {
		l.Close()
	}
	if b.dns != nil {
		b.dns.Close()
	}
	if b.log != nil {
		b.log.Close()
	}
}

// kill ends all processes of a sandbox: the first one's namespace ends with it.
func (b *sandbox) kill() { _ = b.process.Kill() }

// status says how it ended, as AWS does. It may be asked when exited is closed.
func (b *sandbox) status() string {
	if b.state == nil {
		return "exit status unknown"
	}
	return b.state.String()
}
