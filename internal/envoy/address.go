package envoy

import (
	"net"
	"net/netip"
	"strconv"
	"sync"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func port(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

func hostPort(host string, n uint32) string { return net.JoinHostPort(host, port(n)) }

func isIP(address string) bool {
	_, err := netip.ParseAddr(address)
	return err == nil
}

func socket(address string, n uint32) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: address, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: n},
	}}}
}

func pipe(path string) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: path}}}
}

// privateAddresses are those that count as inside, as the peers have them; loopbackAddresses those of this machine. Both are
// shared by many chains.
var (
	privateAddresses = sync.OnceValue(func() *hcmv3.HttpConnectionManager_InternalAddressConfig {
		return internalAddresses("10.0.0.0/8", "192.168.0.0/16", "172.16.0.0/12", "fc00::/7", "fd00::/8", "127.0.0.1/32", "::1/128")
	})
	loopbackAddresses = sync.OnceValue(func() *hcmv3.HttpConnectionManager_InternalAddressConfig {
		return internalAddresses("127.0.0.1/32", "::1/128")
	})
)

func internalAddresses(ranges ...string) *hcmv3.HttpConnectionManager_InternalAddressConfig {
	config := &hcmv3.HttpConnectionManager_InternalAddressConfig{}
	for _, r := range ranges {
		p := netip.MustParsePrefix(r)
		config.CidrRanges = append(config.CidrRanges, &corev3.CidrRange{
			AddressPrefix: p.Addr().String(), PrefixLen: wrapperspb.UInt32(uint32(p.Bits())),
		})
	}
	return config
}

// fromControlPlane says that something comes over the stream that the rest comes over.
var fromControlPlane = sync.OnceValue(func() *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}}, ResourceApiVersion: corev3.ApiVersion_V3,
	}
})
