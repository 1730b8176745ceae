package xds

import (
	"net"

	"golang.org/x/sys/unix"
)

// watch makes the kernel end a connection whose other side has not answered for twice keepaliveTime, be it to sent bytes or to
// the probes that Go has turned on for idle connections.
func watch(conn *net.TCPConn) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(2*keepaliveTime.Milliseconds()))
	})
}
