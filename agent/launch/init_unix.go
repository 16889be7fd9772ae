//go:build unix

package launch

import (
	"errors"
	"os"
	"os/signal"
	"syscall"
)

// Init is the work of the first process of a container: it runs this program a second time, passes signals on to that one, and reaps whatever processes are left to it,
// which nobody else would. It returns the exit status. It is a process of its own since reaping all children would take from the other its own.
func Init(terminal bool) (int, error) {
	incoming := make(chan os.Signal, 64)
	for _, s := range signals {
		signal.Notify(incoming, s)
	}
	signal.Notify(incoming, syscall.SIGCHLD)
	defer signal.Stop(incoming)
	self, err := os.Executable()
	if err != nil {
		return 1, err
	}
	p, err := os.StartProcess(self, os.Args, &os.ProcAttr{Env: os.Environ(), Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}})
	if err != nil {
		return 1, err
	}
	for sig := range incoming {
		switch {
		case sig == syscall.SIGCHLD:
			if status, over := reap(p.Pid); over {
				return status, nil
			}
		case terminal && (sig == syscall.SIGINT || sig == syscall.SIGQUIT || sig == syscall.SIGWINCH || sig == syscall.SIGCONT):
		default:
			_ = p.Signal(sig)
		}
	}
	return 1, errors.New("the signals ended")
}

// reap takes all children that have ended, and tells how the one did, if it was among them.
func reap(one int) (status int, over bool) {
	for {
		var w syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &w, syscall.WNOHANG, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case pid <= 0 || err != nil:
			return status, over
		case pid == one && w.Signaled():
			status, over = 128+int(w.Signal()), true
		case pid == one:
			status, over = w.ExitStatus(), true
		}
	}
}
