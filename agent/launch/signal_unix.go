//go:build unix

package launch

import (
	"os"
	"syscall"
)

// signals are those that are passed on to the program.
var signals = map[string]os.Signal{
	"HUP": syscall.SIGHUP, "INT": syscall.SIGINT, "QUIT": syscall.SIGQUIT, "USR1": syscall.SIGUSR1, "USR2": syscall.SIGUSR2, "TERM": syscall.SIGTERM,
	"CONT": syscall.SIGCONT, "WINCH": syscall.SIGWINCH,
}

const terminate = syscall.SIGTERM

// ended is the exit status of a program, as a shell tells it.
func ended(s *os.ProcessState) int {
	if w, ok := s.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return 128 + int(w.Signal())
	}
	return s.ExitCode()
}

func number(s os.Signal) int {
	n, _ := s.(syscall.Signal)
	return int(n)
}
