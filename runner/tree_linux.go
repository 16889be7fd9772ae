//go:build amd64 || arm64

package runner

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// processes are the IDs, on the host, of a sandbox's processes. Without a cgroup they are found as children of children of the first one, which also inherits those whose parents have ended.
func (b *sandbox) processes() []int {
	if g := b.group.Load(); g != nil {
		return g.processes()
	}
	all := []int{b.pid}
	for i := 0; i < len(all) && i <= maxProcesses; i++ {
		lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", all[i]))
		for _, l := range lists {
			text, _ := os.ReadFile(l)
			all = append(all, numbers(text)...)
		}
	}
	return all
}

// memory is what the processes hold of their own, in bytes.
func (b *sandbox) memory() int64 {
	if g := b.group.Load(); g != nil {
		return g.memory()
	}
	var sum int64
	for _, pid := range b.processes() {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		for line := range strings.Lines(string(text)) {
			// What several share is counted for each: memory that is shared and that no process would be charged for would be a way around the limit.
			if f := strings.Fields(line); len(f) == 3 && (f[0] == "RssAnon:" || f[0] == "RssShmem:") {
				kib, _ := strconv.ParseInt(f[1], 10, 64)
				sum += kib << 10
			}
		}
	}
	return sum
}

// freeze stops all processes of a sandbox until thaw. It uses signals, not the freezer of cgroups: that of version 1 keeps processes alive that were killed.
func (b *sandbox) freeze() {
	stopped := map[int]bool{}
	for range 4 { // a process may have forked before it was stopped
		before := len(stopped)
		for _, pid := range b.processes() {
			if !stopped[pid] {
				b.signal(pid, unix.SIGSTOP)
				stopped[pid] = true
			}
		}
		if len(stopped) == before {
			break
		}
	}
}

func (b *sandbox) thaw() {
	for _, pid := range b.processes() {
		b.signal(pid, unix.SIGCONT)
	}
}

// signal sends a signal to a process if it is one of the sandbox: its ID may have passed to another one since it was read, and cannot any more once it is held.
func (b *sandbox) signal(pid int, s unix.Signal) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	if space, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", pid)); err != nil || space != b.space {
		return
	}
	_ = unix.PidfdSendSignal(fd, s, nil, 0)
}
