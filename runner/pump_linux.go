//go:build amd64 || arm64

package runner

import (
	"os"

	"golang.org/x/sys/unix"
)

// pump reads the pipe of an instance until it ends. The pipe waits while a batch is delivered, and the function with it.
func (l *logs) pump(pipe *os.File) {
	c, err := pipe.SyscallConn()
	if err != nil {
		return
	}
	_ = c.Read(func(fd uintptr) bool {
		for {
			n, err := l.read(int(fd))
			if l.full() {
				l.deliver()
			}
			if err == unix.EAGAIN {
				return false // and come again when there is something
			} else if err != nil || n == 0 {
				return true
			}
		}
	})
}

// drain reads what is in the pipe now.
func (l *logs) drain(pipe *os.File) {
	c, err := pipe.SyscallConn()
	if err != nil {
		return
	}
	_ = c.Control(func(fd uintptr) {
		for sum := 0; sum < drainAtEnd; {
			n, err := l.read(int(fd))
			if err != nil || n == 0 {
				return
			}
			sum += n
		}
	})
}

// read reads once, and keeps the order of what several readers read.
func (l *logs) read(fd int) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b [16 << 10]byte
	n, err := unix.Read(fd, b[:])
	for err == unix.EINTR {
		n, err = unix.Read(fd, b[:])
	}
	if n > 0 {
		l.writeLocked(b[:n])
	}
	return n, err
}
