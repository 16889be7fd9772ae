//go:build amd64 || arm64

package runner

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

const cgroupRoot = "/sys/fs/cgroup"

// cgroups makes a cgroup for each instance, where this process may: by it the kernel bounds the memory and the number of processes of all that the instance starts.
//
// Version 2 has one tree: a directory beside this process's own, because one with processes in it cannot hand out controllers, or below it, or at the top. Version 1 has a tree for each
// controller: a directory below this process's own.
type cgroups struct {
	parents []string // of version 2 one, of version 1 that of memory and that of pids
	v2      bool
}

// newCgroups returns nil if this process may make none.
func newCgroups() *cgroups {
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil
	}
	paths := map[string]string{} // by controller, "" is version 2
	for line := range strings.Lines(string(own)) {
		if parts := strings.SplitN(strings.TrimSpace(line), ":", 3); len(parts) == 3 {
			for c := range strings.SplitSeq(parts[1], ",") {
				paths[c] = filepath.Clean("/" + parts[2])
			}
		}
	}
	name := fmt.Sprintf("holdfast-%d-%x", os.Getpid(), random()[:4])
	if controllers, err := os.ReadFile(cgroupRoot + "/cgroup.controllers"); err == nil {
		if has := strings.Fields(string(controllers)); !contains(has, "memory") || !contains(has, "pids") {
			return nil
		}
		for _, at := range []string{filepath.Dir(paths[""]), paths[""], "/"} {
			c := &cgroups{[]string{filepath.Join(cgroupRoot, at, name)}, true}
			if c.try() {
				return c
			}
		}
		return nil
	}
	c := &cgroups{v2: false}
	for _, controller := range []string{"memory", "pids"} {
		at, ok := paths[controller]
		if !ok {
			return nil
		}
		c.parents = append(c.parents, filepath.Join(cgroupRoot, controller, at, name))
	}
	if c.try() {
		return c
	}
	return nil
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

// try makes the parents, and a child to see that it can be limited.
func (c *cgroups) try() bool {
	for _, p := range c.parents {
		c.sweep(filepath.Dir(p))
		if err := os.Mkdir(p, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			c.close()
			return false
		}
		if c.v2 {
			// The one above may have handed them down already, and may not be ours.
			_ = os.WriteFile(filepath.Join(filepath.Dir(p), "cgroup.subtree_control"), []byte("+memory +pids"), 0)
			if os.WriteFile(filepath.Join(p, "cgroup.subtree_control"), []byte("+memory +pids"), 0) != nil {
				c.close()
				return false
			}
		}
	}
	g, err := c.make("probe", 64<<20)
	if err != nil {
		c.close()
		return false
	}
	g.remove()
	return true
}

// sweep removes what servers have left that are no more. It fails where there still is a process in it, and that is right.
func (c *cgroups) sweep(dir string) {
	old, _ := filepath.Glob(filepath.Join(dir, "holdfast-*"))
	for _, o := range old {
		number, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(o), "holdfast-"), "-")
		pid, err := strconv.Atoi(number)
		if err != nil || pid == os.Getpid() || syscall.Kill(pid, 0) != syscall.ESRCH {
			continue
		}
		children, _ := filepath.Glob(filepath.Join(o, "*"))
		for _, child := range children {
			_ = syscall.Rmdir(child)
		}
		_ = syscall.Rmdir(o)
	}
}

func (c *cgroups) close() {
	for _, p := range c.parents {
		_ = syscall.Rmdir(p)
	}
}

// cgroup is that of one instance.
type cgroup struct {
	dirs []string
	v2   bool
}

// make makes the cgroup of an instance with limits in bytes and on processes.
func (c *cgroups) make(name string, memory int64) (*cgroup, error) {
	g := &cgroup{v2: c.v2}
	for _, p := range c.parents {
		dir := filepath.Join(p, name)
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			g.remove()
			return nil, fmt.Errorf("making a cgroup: %w", err)
		}
		g.dirs = append(g.dirs, dir)
	}
	bytes, processes := strconv.FormatInt(memory, 10), strconv.Itoa(maxProcesses)
	var err error
	if g.v2 {
		err = errors.Join(g.set(0, "memory.max", bytes), g.set(0, "pids.max", processes))
		_ = g.set(0, "memory.swap.max", "0") // without swap there is no such file
		_ = g.set(0, "memory.oom.group", "1")
	} else {
		err = errors.Join(g.set(0, "memory.limit_in_bytes", bytes), g.set(1, "pids.max", processes))
		_ = g.set(0, "memory.memsw.limit_in_bytes", bytes) // nor here
	}
	if err != nil {
		g.remove()
		return nil, fmt.Errorf("limiting a cgroup: %w", err)
	}
	return g, nil
}

func (g *cgroup) set(dir int, file, value string) error {
	return os.WriteFile(filepath.Join(g.dirs[dir], file), []byte(value), 0)
}

// attach moves a process, which has no children yet, into the cgroup.
func (g *cgroup) attach(pid int) error {
	for i := range g.dirs {
		if err := g.set(i, "cgroup.procs", strconv.Itoa(pid)); err != nil {
			return fmt.Errorf("moving a process into its cgroup: %w", err)
		}
	}
	return nil
}

// processes are the IDs, here, of all processes in it.
func (g *cgroup) processes() []int {
	b, _ := os.ReadFile(filepath.Join(g.dirs[0], "cgroup.procs"))
	return numbers(b)
}

func numbers(b []byte) []int {
	var all []int
	for f := range bytes.FieldsSeq(b) {
		if n, err := strconv.Atoi(string(f)); err == nil && n > 0 {
			all = append(all, n)
		}
	}
	return all
}

// memory is what its processes hold of their own, without files and /tmp, in bytes.
func (g *cgroup) memory() int64 {
	if g.v2 {
		return g.figure("memory.stat", "anon ")
	}
	return g.figure("memory.stat", "total_rss ")
}

// killed says whether the kernel has ended a process of it for want of memory.
func (g *cgroup) killed() bool {
	if g.v2 {
		return g.figure("memory.events", "oom_kill ") > 0
	}
	return g.figure("memory.oom_control", "oom_kill ") > 0
}

func (g *cgroup) figure(file, name string) int64 {
	b, _ := os.ReadFile(filepath.Join(g.dirs[0], file))
	for line := range strings.Lines(string(b)) {
		if after, ok := strings.CutPrefix(line, name); ok {
			n, _ := strconv.ParseInt(strings.TrimSpace(after), 10, 64)
			return n
		}
	}
	return 0
}

// remove removes it. Its processes have ended. A nil one is none.
func (g *cgroup) remove() {
	if g == nil {
		return
	}
	for _, d := range g.dirs {
		_ = syscall.Rmdir(d)
	}
}
