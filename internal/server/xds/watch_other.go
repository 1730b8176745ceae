//go:build !linux

package xds

import "net"

// watch makes the kernel end idle connections whose other side does not answer for twice keepaliveTime.
func watch(conn *net.TCPConn) {
	// Where the system does not take it, pings are left.
	_ = conn.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: keepaliveTime, Interval: keepaliveTime / 3, Count: 3})
}
