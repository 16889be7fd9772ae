package runner_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// systemCalls tries what a function has no business with.
func systemCalls() map[string]string {
	said := map[string]string{}
	try := func(name string, err error) { said[name] = errText(err) }
	raw := func(name string, nr uintptr, args ...uintptr) {
		var a [6]uintptr
		copy(a[:], args)
		_, _, e := syscall.Syscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
		if e == 0 {
			said[name] = "done"
		} else {
			said[name] = e.Error()
		}
	}
	try("mount", unix.Mount("x", "/tmp", "tmpfs", 0, ""))
	try("umount", unix.Unmount("/tmp", unix.MNT_DETACH))
	try("remount", unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_BIND, ""))
	try("chroot", unix.Chroot("/tmp"))
	try("unshare", unix.Unshare(unix.CLONE_FS|unix.CLONE_NEWNS))
	try("ptrace", unix.PtraceAttach(1))
	try("sethostname", unix.Sethostname([]byte("x")))
	try("setuid", unix.Setresuid(0, 0, 0))
	try("setgroups", unix.Setgroups([]int{0}))
	try("mknod", unix.Mknod("/tmp/disk", unix.S_IFBLK|0o666, int(unix.Mkdev(8, 0))))
	try("deathsig", unix.Prctl(unix.PR_SET_PDEATHSIG, 0, 0, 0, 0))
	_, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_USER_KEYRING, true)
	try("keyctl", err)
	raw("bpf", unix.SYS_BPF, 0, 0, 0)
	raw("io_uring", unix.SYS_IO_URING_SETUP, 1, 0)
	raw("kexec", unix.SYS_KEXEC_LOAD, 0, 0, 0, 0)
	raw("perf", unix.SYS_PERF_EVENT_OPEN, 0, 0, 0, 0, 0)
	raw("clone3", unix.SYS_CLONE3, 0, 0)
	raw("open_tree", unix.SYS_OPEN_TREE, 0, 0, 0)
	for name, family := range map[string]int{"vsock": unix.AF_VSOCK, "packet": unix.AF_PACKET, "alg": unix.AF_ALG} {
		_, err := unix.Socket(family, unix.SOCK_STREAM, 0)
		try(name, err)
	}
	_, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER)
	try("netfilter", err)
	_, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE)
	try("netlink route", err)
	c := exec.Command("/bin/true")
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER}
	try("clone", c.Run())
	// A program that is root's for whoever runs it, on the host.
	out, err := exec.Command("/bin/su", "-c", "id").CombinedOutput()
	if err == nil {
		err = fmt.Errorf("su ran: %s", out)
	} else if !errors.Is(err, os.ErrNotExist) {
		err = errors.New("failed")
	}
	try("su", err)
	return said
}

// shared makes memory that no process has mapped any more.
func shared(size int) error {
	fd, err := unix.MemfdCreate("x", 0)
	if err != nil {
		return err
	}
	m, err := unix.Mmap(fd, 0, 0, unix.PROT_READ, unix.MAP_SHARED)
	_ = m
	if err != nil && !errors.Is(err, unix.EINVAL) {
		return err
	}
	b := make([]byte, 1<<20)
	for n := 0; n < size; n += len(b) {
		if _, err := unix.Write(fd, b); err != nil {
			return err
		}
	}
	return nil
}
