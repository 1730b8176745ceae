//go:build unix && !linux

package launcher

import "syscall"

// processAttributes: a process group of its own.
func processAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// guard watches for our own end, because the kernel does not.
func guard(pid int) (func(), error) { return watchParent(pid) }
