package launcher

import "syscall"

// processAttributes: a process group of its own, and the kernel kills Envoy when the thread that started it is gone.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// guard has nothing to do: the parent-death signal is enough.
func guard(int) (func(), error) { return func() {}, nil }
