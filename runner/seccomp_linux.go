//go:build amd64 || arm64

package runner

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// forbidden are system calls that no function has a use for, and that the kernel would refuse for the most part already: each is a way into code of the kernel that has had holes. They answer EPERM.
var forbidden = append([]uint32{
	// mounts and roots
	unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT, unix.SYS_MOVE_MOUNT, unix.SYS_OPEN_TREE, unix.SYS_FSOPEN, unix.SYS_FSCONFIG, unix.SYS_FSMOUNT, unix.SYS_FSPICK,
	unix.SYS_MOUNT_SETATTR, unix.SYS_QUOTACTL, unix.SYS_QUOTACTL_FD, unix.SYS_SWAPON, unix.SYS_SWAPOFF, unix.SYS_NAME_TO_HANDLE_AT, unix.SYS_OPEN_BY_HANDLE_AT, unix.SYS_FANOTIFY_INIT,
	// namespaces, see also clone
	unix.SYS_UNSHARE, unix.SYS_SETNS,
	// other processes
	unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_PROCESS_MADVISE, unix.SYS_KCMP, unix.SYS_PIDFD_GETFD, unix.SYS_MOVE_PAGES, unix.SYS_MIGRATE_PAGES,
	// keys: the host's keyrings are those of the user, not of the namespace
	unix.SYS_KEYCTL, unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY,
	// programs in the kernel
	unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD, unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE, unix.SYS_KEXEC_LOAD, unix.SYS_KEXEC_FILE_LOAD,
	// the machine
	unix.SYS_REBOOT, unix.SYS_SETHOSTNAME, unix.SYS_SETDOMAINNAME, unix.SYS_SETTIMEOFDAY, unix.SYS_CLOCK_SETTIME, unix.SYS_CLOCK_ADJTIME, unix.SYS_ADJTIMEX, unix.SYS_SYSLOG, unix.SYS_ACCT,
	unix.SYS_VHANGUP, unix.SYS_LOOKUP_DCOOKIE, unix.SYS_NFSSERVCTL,
}, forbiddenHere...)

// absent are those that programs do without where a kernel has none. They answer ENOSYS. What clone3 is told lies in memory, where a filter cannot look; the C library falls back to clone.
var absent = []uint32{unix.SYS_CLONE3, unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER}

// unowned make memory that outlives its mapping, so that no process is seen to have it. Where a cgroup counts the memory of an instance they are harmless.
var unowned = []uint32{unix.SYS_MEMFD_CREATE, unix.SYS_MEMFD_SECRET, unix.SYS_SHMGET, unix.SYS_MQ_OPEN}

const newNamespace = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWTIME

// Where the kernel puts what a filter looks at: struct seccomp_data.
const (
	atNumber = 0
	atArch   = 4
	atArgs   = 16 // eight bytes each, the low four first on the machines that we know
)

// filter makes the kernel refuse system calls to this thread and to all that comes of it, for good.
func filter(shared bool) error {
	p := program(shared)
	prog := unix.SockFprog{Len: uint16(len(p)), Filter: &p[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&prog)))
	runtime.KeepAlive(p)
	if errno != 0 {
		return fmt.Errorf("filtering system calls: %w", errno)
	}
	return nil
}

func program(shared bool) []unix.SockFilter {
	eperm, enosys := errno(unix.EPERM), errno(unix.ENOSYS)
	p := []unix.SockFilter{load(atArch), equal(auditArch, 1, 0), enosys, load(atNumber)}
	if alienABI != 0 {
		p = append(p, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, K: alienABI, Jt: 0, Jf: 1}, enosys)
	}
	rule := func(nr uint32, body ...unix.SockFilter) { // body ends with an answer
		p = append(append(p, equal(nr, 0, uint8(len(body)))), body...)
	}
	for _, nr := range forbidden {
		rule(nr, eperm)
	}
	for _, nr := range absent {
		rule(nr, enosys)
	}
	if !shared {
		for _, nr := range unowned {
			rule(nr, enosys)
		}
	}
	rule(unix.SYS_CLONE, load(atArgs), unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: newNamespace, Jt: 0, Jf: 1}, eperm, allow)
	// The first process is to end with the server, and could wish otherwise.
	rule(unix.SYS_PRCTL, load(atArgs), equal(unix.PR_SET_PDEATHSIG, 0, 1), eperm, allow)
	// Families with a namespace around them: AF_VSOCK speaks to the hypervisor past it, and AF_ALG and the like are only ways into the kernel. Of netlink, what tells of devices and routes.
	rule(unix.SYS_SOCKET, load(atArgs), equal(unix.AF_UNIX, 5, 0), equal(unix.AF_INET, 4, 0), equal(unix.AF_INET6, 3, 0), equal(unix.AF_NETLINK, 0, 3), load(atArgs+16), equal(unix.NETLINK_ROUTE, 0, 1), allow,
		errno(unix.EAFNOSUPPORT))
	rule(unix.SYS_SOCKETPAIR, load(atArgs), equal(unix.AF_UNIX, 0, 1), allow, errno(unix.EAFNOSUPPORT))
	return append(p, allow)
}

var allow = unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW}

func errno(e unix.Errno) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(e)}
}

func load(at uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: at}
}

// equal skips yes instructions if what was loaded is k, else no.
func equal(k uint32, yes, no uint8) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: k, Jt: yes, Jf: no}
}
