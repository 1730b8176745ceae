package envoy

import (
	"net"
	"net/netip"
	"strconv"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func port(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

func hostPort(host string, n uint32) string { return net.JoinHostPort(host, port(n)) }

func socket(address string, n uint32) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: address, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: n},
	}}}
}

func pipe(path string) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: path}}}
}

// privateRanges are the addresses that count as inside, as the peers have them.
func privateRanges() []string {
	return []string{"10.0.0.0/8", "192.168.0.0/16", "172.16.0.0/12", "fc00::/7", "fd00::/8", "127.0.0.1/32", "::1/128"}
}

func loopbackRanges() []string { return []string{"127.0.0.1/32", "::1/128"} }

func internalAddresses(ranges []string) *hcmv3.HttpConnectionManager_InternalAddressConfig {
	config := &hcmv3.HttpConnectionManager_InternalAddressConfig{}
	for _, r := range ranges {
		p := netip.MustParsePrefix(r)
		config.CidrRanges = append(config.CidrRanges, &corev3.CidrRange{
			AddressPrefix: p.Addr().String(), PrefixLen: wrapperspb.UInt32(uint32(p.Bits())),
		})
	}
	return config
}
