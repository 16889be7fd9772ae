//go:build amd64 || arm64

package runner

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// What a function sees of the host, read-only: programs and libraries, and what they need to find each other and to trust servers. Nothing with a secret in it belongs here:
// /etc/ssl/private is not among it.
var (
	hostRoots = []string{"usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32"}
	hostEtc   = []string{
		"alternatives", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "ssl/certs", "ssl/openssl.cnf", "ssl/cert.pem", "pki/tls/certs", "pki/tls/cert.pem", "pki/tls/openssl.cnf", "pki/ca-trust",
		"crypto-policies", "ca-certificates/extracted",
	}
	hostDevices = []string{"null", "zero", "full", "random", "urandom"}
)

// insideFiles are those that are made for it.
var insideFiles = map[string]string{
	"etc/passwd":        "sbx_user1051:x:1000:1000::/tmp:/bin/false\n",
	"etc/group":         "sbx_user1051:x:1000:\n",
	"etc/hosts":         "127.0.0.1 localhost\n::1 localhost\n",
	"etc/resolv.conf":   "nameserver 127.0.0.1\noptions timeout:2 attempts:2\n",
	"etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}

// enterRoot builds a file system beside the host's and moves there. The host's is then no part of the namespace any more.
//
// All names are relative to the working directory, the runner's: it may lie in one that this user cannot go through.
func enterRoot(s *spec) error {
	// Nothing that is mounted from here on shows on the host.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	if err := unix.Mount("holdfast", "root", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755,size=4m,nr_inodes=4096"); err != nil {
		return fmt.Errorf("mounting a root: %w", err)
	}
	if err := inRoot(s); err != nil {
		return err
	}
	if err := os.Chdir("root"); err != nil {
		return fmt.Errorf("going to the root: %w", err)
	}
	// Onto itself: the old root lies over the new one for a moment, and is let go.
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("changing the root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("letting go of the host: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return fmt.Errorf("going to the root: %w", err)
	}
	if err := unix.MountSetattr(unix.AT_FDCWD, "/", 0, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}); err != nil {
		return fmt.Errorf("making the root read-only: %w", err)
	}
	if err := os.Chdir(taskDir); err != nil {
		return fmt.Errorf("going to the code: %w", err)
	}
	return nil
}

func inRoot(s *spec) error {
	for _, n := range hostRoots {
		if target, err := os.Readlink("/" + n); err == nil {
			if err := os.Symlink(target, "root/"+n); err != nil {
				return fmt.Errorf("linking /%s: %w", n, err)
			}
		} else if err := bind("/"+n, "root/"+n, unix.MOUNT_ATTR_NODEV); err != nil {
			return err
		}
	}
	for _, n := range hostEtc {
		if err := bind("/etc/"+n, "root/etc/"+n, unix.MOUNT_ATTR_NODEV); err != nil {
			return err
		}
	}
	for _, n := range hostDevices {
		if err := bind("/dev/"+n, "root/dev/"+n, 0); err != nil {
			return err
		}
	}
	for _, n := range []struct{ name, tree string }{{"root/var/task", s.Task}, {"root/opt", s.Opt}} {
		if err := os.MkdirAll(n.name, 0o755); err != nil {
			return fmt.Errorf("making %s: %w", n.name, err)
		}
		if n.tree == "" {
			continue
		}
		if err := bind("trees/"+n.tree, n.name, unix.MOUNT_ATTR_NODEV); err != nil {
			return err
		}
	}
	if err := write(insideFiles, s.Runtime); err != nil {
		return err
	}
	for i, to := range []string{"/proc/self/fd", "/proc/self/fd/0", "/proc/self/fd/1", "/proc/self/fd/2"} {
		if err := os.Symlink(to, "root/dev/"+[]string{"fd", "stdin", "stdout", "stderr"}[i]); err != nil {
			return fmt.Errorf("linking devices: %w", err)
		}
	}
	if err := errors.Join(os.MkdirAll("root/proc", 0o755), os.MkdirAll("root/tmp", 0o755)); err != nil {
		return fmt.Errorf("making directories: %w", err)
	}
	if err := unix.Mount("proc", "root/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("mounting /proc (not allowed in a container that hides parts of its own): %w", err)
	}
	// An empty file takes a kilobyte of the kernel's memory, which no size limits.
	options := fmt.Sprintf("mode=1777,size=%dm,nr_inodes=%d", s.Tmp, 4096+s.Tmp*64)
	if err := unix.Mount("tmp", "root/tmp", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		return fmt.Errorf("mounting /tmp: %w", err)
	}
	for _, h := range s.Hide {
		if err := hide(h); err != nil {
			return err
		}
	}
	return nil
}

// bind shows a file or directory of the host, if it is there, with what is mounted below it.
func bind(from, to string, attributes uint64) error {
	info, err := os.Stat(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && info.IsDir() {
		err = os.MkdirAll(to, 0o755)
	} else if err == nil {
		if err = os.MkdirAll(filepath.Dir(to), 0o755); err == nil {
			var f *os.File
			if f, err = os.OpenFile(to, os.O_CREATE|os.O_EXCL, 0o644); err == nil {
				err = f.Close()
			}
		}
	}
	if err != nil {
		return fmt.Errorf("making a place for %s: %w", from, err)
	}
	if err := unix.Mount(from, to, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("showing %s: %w", from, err)
	}
	attr := unix.MountAttr{Attr_set: attributes | unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID, Propagation: unix.MS_PRIVATE}
	if err := unix.MountSetattr(unix.AT_FDCWD, to, unix.AT_RECURSIVE, &attr); err != nil {
		return fmt.Errorf("making %s read-only (needs Linux 5.12): %w", from, err)
	}
	return nil
}

// hide covers a directory of the host, where one shows, with an empty one.
func hide(name string) error {
	at := "root" + name
	if _, err := os.Stat(at); errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil // whom it is closed to here it is closed to later
	}
	if err := unix.Mount("hidden", at, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_RDONLY, "mode=0555,size=4k,nr_inodes=2"); err != nil {
		return fmt.Errorf("hiding %s: %w", name, err)
	}
	return nil
}

func write(etc, runtime map[string]string) error {
	for _, d := range []string{"root/etc", "root" + runtimeDir} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return fmt.Errorf("making directories: %w", err)
		}
	}
	for name, text := range etc {
		if err := os.WriteFile("root/"+name, []byte(text), 0o444); err != nil {
			return fmt.Errorf("writing /%s: %w", name, err)
		}
	}
	for name, text := range runtime {
		if err := os.WriteFile("root"+runtimeDir+"/"+name, []byte(text), 0o444); err != nil {
			return fmt.Errorf("writing the runtime: %w", err)
		}
	}
	return nil
}

// shown says whether functions see a path of the host, which has no links in it.
func shown(path string) bool {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	for _, r := range hostRoots {
		if first == r {
			return true
		}
	}
	return false
}
