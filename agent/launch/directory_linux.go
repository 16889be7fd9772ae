package launch

import (
	"path/filepath"
	"syscall"
)

// OnDisk tells whether what is written reaches a disk, as far as the file system tells.
func (d *Directory) OnDisk() bool {
	const tmpfs, ramfs = 0x01021994, 0x858458f6
	var s syscall.Statfs_t
	if err := syscall.Statfs(filepath.Dir(d.path), &s); err != nil {
		return true
	}
	return uint32(s.Type) != tmpfs && uint32(s.Type) != ramfs
}
