package xds_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kumactl/kumactl/internal/admission"
	"github.com/kumactl/kumactl/internal/catalog"
	"github.com/kumactl/kumactl/internal/envoy"
	"github.com/kumactl/kumactl/internal/kumapb"
	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/resource/dataplane"
	"github.com/kumactl/kumactl/internal/resource/insight"
	"github.com/kumactl/kumactl/internal/resource/mesh"
	"github.com/kumactl/kumactl/internal/server/xds"
	"github.com/kumactl/kumactl/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// deadline bounds every wait of the tests.
const deadline = 20 * time.Second

// plane is a control plane as far as proxies see it, in this process.
type plane struct {
	t         testing.TB
	store     *store.Store
	admission *admission.Admission
	server    *xds.Server
	addr      string
	change    func(*xds.Options)
	halt      func()
}

// certificate is made once; it is for 127.0.0.1 and signs itself.
var certificate = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"}, BasicConstraintsValid: true, IsCA: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
})

// start runs a control plane on an empty store with a mesh default, until the test ends.
func start(t testing.TB, change func(*xds.Options)) *plane {
	t.Helper()
	p := &plane{t: t, change: change, store: store.OpenMemory(store.Options{Kinds: catalog.Kinds()})}
	p.admission = admission.New(admission.Options{Store: p.store, Kinds: catalog.Kinds(), Zone: "default"})
	p.put(mesh.Kind.New("", "default"))
	p.serve()
	t.Cleanup(func() {
		p.halt()
		if err := p.store.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// serve starts a server on the store.
func (p *plane) serve() {
	p.t.Helper()
	o := xds.Options{
		Store: p.store, Admission: p.admission, Compiler: envoy.NewCompiler(catalog.Policies()), Kinds: catalog.Kinds(), Instance: "cp-1",
		Bootstrap: xds.BootstrapOptions{AdminPort: 9901, Certificate: certificate().Leaf, HealthDiscovery: true},
	}
	if p.change != nil {
		p.change(&o)
	}
	p.server = xds.New(o)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		p.t.Fatal(err)
	}
	p.addr = ln.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := p.server.Run(ctx); err != nil {
			p.t.Errorf("run: %v", err)
		}
	})
	wg.Go(func() {
		if err := p.server.Serve(ctx, ln, &tls.Config{Certificates: []tls.Certificate{certificate()}}); err != nil {
			p.t.Errorf("serve: %v", err)
		}
	})
	p.halt = func() {
		begin := time.Now()
		cancel()
		wg.Wait()
		if d := time.Since(begin); d > 2*time.Second {
			p.t.Errorf("it took %s to stop", d)
		}
	}
}

// restart replaces the server, as a new process would; the store stays.
func (p *plane) restart() {
	p.halt()
	p.serve()
}

func (p *plane) put(resources ...*resource.Resource) {
	p.t.Helper()
	var set []admission.Request
	for _, r := range resources {
		set = append(set, admission.Request{Resource: r})
	}
	if _, err := p.admission.Put(p.t.Context(), store.Writer{Who: "test", Source: "api"}, set); err != nil {
		p.t.Fatal(err)
	}
}

func (p *plane) delete(keys ...resource.Key) {
	p.t.Helper()
	if err := p.admission.Delete(p.t.Context(), store.Writer{Who: "test", Source: "api"}, keys...); err != nil {
		p.t.Fatal(err)
	}
}

// until waits for a state of the store.
func (p *plane) until(what string, f func(resource.Reader) bool) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), deadline)
	defer cancel()
	for {
		volatile := p.store.WatchVolatile()
		snapshot := p.store.Snapshot()
		if f(snapshot) {
			return
		}
		watch, changed := p.store.Watch(snapshot.Revision()), make(chan struct{})
		waiting, done := context.WithCancel(ctx)
		go func() {
			defer close(changed)
			_, _ = watch.Next(waiting)
		}()
		select {
		case <-volatile:
		case <-changed:
		}
		done()
		<-changed
		if ctx.Err() != nil {
			p.t.Fatalf("waited in vain: %s", what)
		}
	}
}

func (p *plane) insight(name string) *kumapb.DataplaneInsight {
	r, ok := p.store.Snapshot().Get(resource.Key{Kind: insight.DataplaneInsight.Name, Mesh: "default", Name: name})
	if !ok {
		return nil
	}
	return r.Spec.(*kumapb.DataplaneInsight)
}

func key(name string) resource.Key {
	return resource.Key{Kind: dataplane.Kind.Name, Mesh: "default", Name: name}
}

// web is a Dataplane as people write it: one HTTP service, and what it consumes.
func web(name, address, service string, consumes ...string) map[string]any {
	inbound := map[string]any{"port": 8080, "servicePort": 80, "tags": map[string]string{"kuma.io/service": service, "kuma.io/protocol": "http"}}
	net := map[string]any{"address": address, "inbound": []any{inbound}}
	var out []any
	for i, to := range consumes {
		out = append(out, map[string]any{"port": 20001 + i, "tags": map[string]string{"kuma.io/service": to}})
	}
	if out != nil {
		net["outbound"] = out
	}
	return map[string]any{"type": "Dataplane", "mesh": "default", "name": name, "networking": net}
}

func text(t testing.TB, doc map[string]any) string {
	t.Helper()
	raw, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func decode(t testing.TB, kind *resource.Kind, doc map[string]any) *resource.Resource {
	t.Helper()
	d, err := kind.Decode([]byte(text(t, doc)))
	if err != nil {
		t.Fatal(err)
	}
	return d.Resource
}
