package xds_test

import (
	"fmt"
	"sync"
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"

	"github.com/kumactl/kumactl/internal/resource/dataplane"
)

// BenchmarkConnect is one proxy from TLS handshake to full configuration: what a fleet costs that comes back at once. Its own side
// is in the figure.
func BenchmarkConnect(b *testing.B) {
	p := start(b, nil)
	p.put(decode(b, dataplane.Kind, web("b-1", "10.0.0.2", "back")))
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		i++
		name := fmt.Sprintf("web-%d", i)
		c := connect(b, p, name, web(name, "10.0.0.1", "web", "back"))
		c.full()
		c.close()
	}
}

// BenchmarkPush is one more endpoint of a service that 100 connected proxies consume, until the last has accepted it. They share
// connections, so that it is the server that is measured.
func BenchmarkPush(b *testing.B) {
	p := start(b, nil)
	p.put(decode(b, dataplane.Kind, web("b-1", "10.0.0.2", "back")))
	var all []*proxy
	var conn *grpc.ClientConn
	for i := range 100 {
		if i%50 == 0 {
			conn = dial(b, p.addr)
		}
		name := fmt.Sprintf("web-%d", i)
		c := connectOn(b, conn, nodeOf(b, name, text(b, web(name, "10.0.0.1", "web", "back"))))
		c.full()
		all = append(all, c)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i++
		p.put(decode(b, dataplane.Kind, web("b-2", fmt.Sprintf("10.1.%d.%d", i/250, i%250), "back")))
		var wg sync.WaitGroup
		for _, c := range all {
			wg.Go(func() {
				r, err := c.stream.Recv()
				if err == nil {
					err = c.stream.Send(&discoveryv3.DiscoveryRequest{
						TypeUrl: eds, VersionInfo: r.VersionInfo, ResponseNonce: r.Nonce, ResourceNames: []string{"back"},
					})
				}
				if err != nil {
					b.Error(err)
				}
			})
		}
		wg.Wait()
	}
}
