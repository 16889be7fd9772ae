package runner

import "golang.org/x/sys/unix"

const (
	auditArch = unix.AUDIT_ARCH_AARCH64
	alienABI  = 0
)

var forbiddenHere []uint32
