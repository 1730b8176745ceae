package xds

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// unanswered bounds how long sent bytes may wait for their acknowledgement: keepalive probes rest while there are such.
func unanswered(conn *net.TCPConn, limit time.Duration) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(limit.Milliseconds()))
	})
}
