package xds

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/kumactl/kumactl/internal/envoy"
)

// world makes configurations: versions by name for each type.
type world struct {
	clusters, endpoints, listeners map[string]int
	// last is the newest version of what was removed, so that none comes twice.
	last map[string]int
	made map[string]*envoy.Sealed
}

func newWorld() *world {
	return &world{map[string]int{}, map[string]int{}, map[string]int{}, map[string]int{}, map[string]*envoy.Sealed{}}
}

func (w *world) list(t resourceType, of map[string]int) []*envoy.Sealed {
	var list []*envoy.Sealed
	for _, name := range slices.Sorted(maps.Keys(of)) {
		key := fmt.Sprint(t, name, of[name])
		if w.made[key] == nil {
			w.made[key] = &envoy.Sealed{Name: name, TypeURL: t.url(), Version: fmt.Sprint(of[name]), Body: fmt.Appendf(nil, "%s@%d", name, of[name])}
		}
		list = append(list, w.made[key])
	}
	return list
}

func (w *world) config() *envoy.Config {
	return &envoy.Config{
		Clusters: w.list(clusters, w.clusters), Listeners: w.list(listeners, w.listeners), Endpoints: w.list(endpoints, w.endpoints),
	}
}

// change moves the world on at random.
func (w *world) change(r *rand.Rand) {
	for range 1 + r.IntN(3) {
		name := fmt.Sprint("s", r.IntN(6))
		_, there := w.clusters[name]
		switch r.IntN(6) {
		case 0:
			if there {
				w.last[name] = max(w.last[name], w.clusters[name], w.endpoints[name], w.listeners[name])
				delete(w.clusters, name)
				delete(w.endpoints, name)
				delete(w.listeners, name)
			}
		case 1, 2:
			if !there {
				w.clusters[name], w.listeners[name], w.endpoints[name] = w.last[name], w.last[name], w.last[name]+1
			}
			w.clusters[name]++
			w.listeners[name]++
		case 3:
			if there {
				w.listeners[name]++
			}
		default:
			if there {
				w.endpoints[name]++
			}
		}
	}
}

// follower is a proxy as far as the protocol goes: it asks for what it is told of, and takes what it gets.
type follower struct {
	t     *testing.T
	s     *stream
	has   [typeCount]map[string]string
	asked [typeCount]bool
	names []string
	nonce [typeCount]string
	ver   [typeCount]string
	// picky says what it refuses; refused are the answers that it refused last, so that none comes twice.
	picky   func(body string) bool
	refused [typeCount]string
	told    int
}

func follow(t *testing.T, delta bool, now func() time.Time) *follower {
	f := &follower{t: t, s: newStream(delta, "cp", now), picky: func(string) bool { return false }}
	for i := range f.has {
		f.has[i] = map[string]string{}
	}
	return f
}

// ask sends a request through its wire form.
func (f *follower) ask(m proto.Message) {
	f.t.Helper()
	raw, err := proto.Marshal(m)
	if err != nil {
		f.t.Fatal(err)
	}
	if f.s.delta {
		r := &deltaRequest{}
		if err := newCodec().Unmarshal(message{bufferOf(raw)}.slice(), r); err != nil {
			f.t.Fatal(err)
		}
		f.s.receive(&r.request)
		return
	}
	r := &sotwRequest{}
	if err := newCodec().Unmarshal(message{bufferOf(raw)}.slice(), r); err != nil {
		f.t.Fatal(err)
	}
	f.s.receive(&r.request)
}

func (f *follower) start() {
	for _, t := range []resourceType{clusters, listeners} {
		f.asked[t] = true
		if f.s.delta {
			f.ask(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: t.url(), InitialResourceVersions: f.versions(t)})
		} else {
			f.ask(&discoveryv3.DiscoveryRequest{TypeUrl: t.url(), VersionInfo: f.ver[t]})
		}
	}
	if len(f.names) > 0 {
		f.resubscribe(nil)
	}
}

// versions are what the follower would claim after a reconnect.
func (f *follower) versions(t resourceType) map[string]string {
	out := map[string]string{}
	for name, body := range f.has[t] {
		var version string
		fmt.Sscanf(body[len(name):], "@%s", &version)
		out[name] = version
	}
	return out
}

// reconnect begins a new stream with what it has.
func (f *follower) reconnect(now func() time.Time) {
	config := f.s.config
	f.s = newStream(f.s.delta, "cp", now)
	f.s.offer(config)
	f.s.adopt()
	f.nonce = [typeCount]string{}
	f.start()
}

// resubscribe asks for the endpoints of its clusters.
func (f *follower) resubscribe(before []string) {
	f.asked[endpoints] = true
	if !f.s.delta {
		f.ask(&discoveryv3.DiscoveryRequest{TypeUrl: endpoints.url(), ResourceNames: f.names, VersionInfo: f.ver[endpoints], ResponseNonce: f.nonce[endpoints]})
		return
	}
	r := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: endpoints.url()}
	if before == nil {
		r.InitialResourceVersions = f.versions(endpoints)
	}
	for _, n := range f.names {
		if !slices.Contains(before, n) {
			r.ResourceNamesSubscribe = append(r.ResourceNamesSubscribe, n)
		}
	}
	for _, n := range before {
		if !slices.Contains(f.names, n) {
			r.ResourceNamesUnsubscribe = append(r.ResourceNamesUnsubscribe, n)
			delete(f.has[endpoints], n)
		}
	}
	f.ask(r)
}

// pump takes and answers until nothing comes.
func (f *follower) pump() {
	for range 1000 {
		m, _ := f.s.next()
		if m == nil {
			return
		}
		f.take(m)
	}
	f.t.Fatal("it never ends")
}

func (f *follower) take(m message) {
	raw := bytesOf(f.t, m)
	f.told++
	put, removed := map[string]string{}, []string(nil)
	var kind resourceType
	var nonce, version string
	if f.s.delta {
		var r discoveryv3.DeltaDiscoveryResponse
		if err := proto.Unmarshal(raw, &r); err != nil {
			f.t.Fatal(err)
		}
		kind, nonce, version, removed = typeOf([]byte(r.TypeUrl)), r.Nonce, r.SystemVersionInfo, r.RemovedResources
		for _, x := range r.Resources {
			put[x.Name] = string(x.Resource.Value)
		}
	} else {
		var r discoveryv3.DiscoveryResponse
		if err := proto.Unmarshal(raw, &r); err != nil {
			f.t.Fatal(err)
		}
		kind, nonce, version = typeOf([]byte(r.TypeUrl)), r.Nonce, r.VersionInfo
		for _, x := range r.Resources {
			body := string(x.Value)
			put[nameIn(body)] = body
		}
		if kind.whole() {
			for name := range f.has[kind] {
				if put[name] == "" {
					removed = append(removed, name)
				}
			}
		}
	}
	f.nonce[kind] = nonce
	var refused *statuspb.Status
	for _, body := range put {
		if f.picky(body) {
			refused = &statuspb.Status{Code: 3, Message: "no " + body}
		}
	}
	slices.Sort(removed)
	content := ""
	if refused != nil {
		content = fmt.Sprint(put, removed)
		// What is asked for by name is sent once more; in state of the world each new name asks for all.
		if f.refused[kind] == content && (f.s.delta || kind.whole()) {
			f.t.Fatalf("refused already: %s %s", kind.url(), content)
		}
	}
	f.refused[kind] = content
	if refused == nil {
		f.ver[kind] = version
		for name, body := range put {
			f.has[kind][name] = body
		}
		for _, name := range removed {
			delete(f.has[kind], name)
		}
	}
	if f.s.delta {
		f.ask(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: kind.url(), ResponseNonce: nonce, ErrorDetail: refused})
	} else {
		r := &discoveryv3.DiscoveryRequest{TypeUrl: kind.url(), ResponseNonce: nonce, VersionInfo: f.ver[kind], ErrorDetail: refused}
		if kind == endpoints {
			r.ResourceNames = f.names
		}
		f.ask(r)
	}
	if kind == clusters && refused == nil {
		before := f.names
		f.names = slices.Sorted(maps.Keys(f.has[clusters]))
		if !slices.Equal(before, f.names) {
			if before == nil {
				before = []string{}
			}
			f.resubscribe(before)
		}
	}
}

// nameIn is the name in a body of the world, or in an empty assignment.
func nameIn(body string) string {
	if body[0] == '\n' {
		return body[2:]
	}
	for i := range body {
		if body[i] == '@' {
			return body[:i]
		}
	}
	return body
}

func (f *follower) is(w *world) {
	f.t.Helper()
	for t, of := range map[resourceType]map[string]int{clusters: w.clusters, endpoints: w.endpoints, listeners: w.listeners} {
		want := map[string]string{}
		for name, v := range of {
			want[name] = fmt.Sprintf("%s@%d", name, v)
		}
		got := maps.Clone(f.has[t])
		if t == endpoints {
			maps.DeleteFunc(got, func(name, _ string) bool { return of[name] == 0 })
		}
		if !maps.Equal(got, want) {
			f.t.Fatalf("%s: has %v, want %v", t.url(), got, want)
		}
	}
}

// TestDeltaIsStateOfTheWorld follows random changes with both variants; after each both have what there is. They reconnect
// now and then, and are slow now and then, so that changes come together.
func TestDeltaIsStateOfTheWorld(t *testing.T) {
	for seed := range uint64(200) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			clock := time.Unix(0, 0)
			now := func() time.Time { return clock }
			w := newWorld()
			w.change(r)
			all := []*follower{follow(t, false, now), follow(t, true, now)}
			for _, f := range all {
				f.s.offer(w.config())
				f.s.adopt()
				f.start()
				f.pump()
				f.is(w)
			}
			for range 30 {
				w.change(r)
				config := w.config()
				for _, f := range all {
					f.s.offer(config)
					f.s.adopt()
					switch r.IntN(8) {
					case 0: // slow
					case 1:
						f.reconnect(now)
						f.pump()
						f.is(w)
					default:
						f.pump()
						f.is(w)
					}
				}
			}
			for _, f := range all {
				f.pump()
				f.is(w)
				told := f.told
				f.reconnect(now)
				f.pump()
				if f.told != told && len(w.clusters) > 0 {
					t.Errorf("delta %v: %d answers to a proxy that came back with all", f.s.delta, f.told-told)
				}
				f.is(w)
			}
		})
	}
}
