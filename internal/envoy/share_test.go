package envoy_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/kumactl/kumactl/internal/envoy"
	"github.com/kumactl/kumactl/internal/envoy/envoytest"
	"github.com/kumactl/kumactl/internal/policy"
	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/resource/dataplane"
	"github.com/kumactl/kumactl/internal/resource/mesh"
	"github.com/kumactl/kumactl/internal/store"
	"github.com/kumactl/kumactl/internal/view"
)

// delay is a policy for these tests: it sets the connect timeout, and panics when told to.
type delay struct {
	TargetRef *policy.TargetRef `json:"targetRef,omitempty"`
	To        []delayTo         `json:"to,omitempty"`
	From      []delayFrom       `json:"from,omitempty"`
}

type delayTo struct {
	TargetRef policy.TargetRef `json:"targetRef"`
	Default   delayConf        `json:"default"`
}

type delayFrom = delayTo

type delayConf struct {
	Seconds int  `json:"seconds,omitempty"`
	Panic   bool `json:"panic,omitempty"`
}

var delayKind = resource.Of(resource.Kind{Name: "Delay", Policy: &resource.PolicyTraits{}}, resource.Rules[*delay]{})

func delayPolicy() envoy.Policy {
	apply := func(c *clusterv3.Cluster, conf *delayConf) {
		if conf.Panic {
			panic("told to")
		}
		c.ConnectTimeout = &durationpb.Duration{Seconds: int64(conf.Seconds)}
	}
	entries := func(of func(*delay) []delayTo) func(*delay) []policy.Entry[delayConf] {
		return func(d *delay) (list []policy.Entry[delayConf]) {
			for _, e := range of(d) {
				list = append(list, policy.Entry[delayConf]{Target: e.TargetRef, Default: e.Default})
			}
			return list
		}
	}
	return envoy.PolicyOf(delayKind, policy.Shape[delay, delayConf]{
		Target:      func(d *delay) *policy.TargetRef { return d.TargetRef },
		To:          entries(func(d *delay) []delayTo { return d.To }),
		From:        entries(func(d *delay) []delayTo { return d.From }),
		FromAsRules: true,
	}, envoy.Effects[delayConf]{
		Inbound: func(d *envoy.DraftInbound, rules *policy.InboundRules[delayConf]) {
			if rules.All != nil {
				apply(d.Cluster, rules.All)
			}
		},
		Outbound: func(d *envoy.DraftOutbound, conf *delayConf) { apply(d.Cluster, conf) },
	})
}

const pair = `
type: Dataplane
name: web
networking:
  address: 10.0.0.1
  inbound:
  - {port: 80, tags: {kuma.io/service: web}}
  - {port: 81, tags: {kuma.io/service: other}}
  outbound:
  - {port: 1, tags: {kuma.io/service: a}}
  - {port: 2, tags: {kuma.io/service: b}}
---
`

func TestOnePartThatPanicsIsLeftOut(t *testing.T) {
	m := envoytest.Picture(t, pair+`
type: Delay
name: bad
spec:
  to:
  - {targetRef: {kind: MeshService, name: a}, default: {panic: true}}
---
type: Delay
name: bad-inbound
spec:
  targetRef: {kind: MeshService, name: other}
  from:
  - {targetRef: {kind: Mesh}, default: {panic: true}}
`, delayKind)
	got := envoytest.Compile(t, envoy.NewCompiler([]envoy.Policy{delayPolicy()}), m, "web")
	names := strings.Join(append(namesOf(got.Listeners), namesOf(got.Clusters)...), " ")
	if want := "inbound:10.0.0.1:80 kuma:envoy:admin outbound:127.0.0.1:2 b kuma:envoy:admin kuma:readiness localhost:80"; names != want {
		t.Errorf("what is left is %s, want %s", names, want)
	}
	var about []string
	for _, p := range got.Problems {
		if !strings.Contains(p.Text, "told to") {
			t.Errorf("a problem does not say why: %s", p)
		}
		if !slices.Contains(about, p.About) {
			about = append(about, p.About)
		}
	}
	slices.Sort(about)
	if text := strings.Join(about, ", "); text != "destination a, inbound 81, outbound a" {
		t.Errorf("the problems are about %s", text)
	}
}

func TestRulesThatCannotBeMadeHaveNoEffect(t *testing.T) {
	var from []string
	for i := range 20 {
		from = append(from, fmt.Sprintf(`{targetRef: {kind: Mesh}, default: {seconds: %d}}`, i))
	}
	m := envoytest.Picture(t, pair+`
type: Delay
name: many
spec:
  to:
`+func() (text string) {
		for i := range 20 {
			text += fmt.Sprintf("  - {targetRef: {kind: MeshServiceSubset, name: s, tags: {t%d: x}}, default: {seconds: 1}}\n", i)
		}
		return text
	}()+"  from: ["+strings.Join(from, ", ")+"]\n", delayKind)
	got := envoytest.Compile(t, envoy.NewCompiler([]envoy.Policy{delayPolicy()}), m, "web")
	if len(got.Problems) != 1 || got.Problems[0].About != "Delay" || !strings.Contains(got.Problems[0].Text, "has no effect") {
		t.Errorf("the problems are %v", got.Problems)
	}
	if len(got.Listeners) != 5 {
		t.Errorf("the listeners are %v", namesOf(got.Listeners))
	}
}

// TestSharingChangesNothing: a compiler that has seen everything gives what one gives that has seen nothing, whatever happened.
func TestSharingChangesNothing(t *testing.T) {
	kinds := []*resource.Kind{mesh.Kind, dataplane.Kind, delayKind}
	for range 3 {
		seed := rand.Uint64()
		random := rand.New(rand.NewPCG(seed, 0))
		s := store.OpenMemory(store.Options{Kinds: kinds})
		watch := s.Watch(0)
		picture := view.New(s.Snapshot(), kinds)
		old := envoy.NewCompiler([]envoy.Policy{delayPolicy()})
		var held []*envoy.Config
		for step := range 30 {
			_, err := s.Update(t.Context(), store.Writer{}, func(tx *store.Tx) error {
				if step == 0 {
					return tx.Put(mesh.Kind.New("", "default"))
				}
				return something(random, tx)
			})
			if err != nil {
				t.Fatal(err)
			}
			changes, err := watch.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			picture, _ = picture.Next(changes)
			if random.IntN(10) == 0 {
				held = nil
				runtime.GC()
			}
			m, _ := picture.Mesh("default")
			for p := range m.Proxies() {
				a, b := envoytest.Compile(t, old, m, p.Name()), envoytest.Compile(t, envoy.NewCompiler([]envoy.Policy{delayPolicy()}), m, p.Name())
				if d := envoytest.Difference(t, b, a); d != "" || !slices.Equal(a.Destinations, b.Destinations) || len(a.Problems) != len(b.Problems) {
					t.Fatalf("seed %d, step %d: %s gets something else from a compiler with a memory:\n%s", seed, step, p.Name(), d)
				}
				held = append(held, a)
			}
		}
		runtime.KeepAlive(held)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func something(random *rand.Rand, tx *store.Tx) error {
	pick := func(words ...string) string { return words[random.IntN(len(words))] }
	if random.IntN(2) == 0 {
		r := delayKind.New("default", pick("p", "q"))
		target := pick(`{"kind":"Mesh"}`, `{"kind":"MeshService","name":"web"}`, `{"kind":"Dataplane","name":"x"}`)
		to := pick(`{"kind":"Mesh"}`, `{"kind":"MeshService","name":"web"}`)
		if err := r.SetSpecJSON(fmt.Appendf(nil, `{"targetRef":%s,"to":[{"targetRef":%s,"default":{"seconds":%d}}],"from":[{"targetRef":{"kind":"Mesh"},"default":{"seconds":%d}}]}`,
			target, to, 1+random.IntN(3), 1+random.IntN(3))); err != nil {
			return err
		}
		return tx.Put(r)
	}
	r := dataplane.Kind.New("default", pick("x", "y", "z"))
	if err := r.SetSpecJSON(fmt.Appendf(nil, `{"networking":{"address":"10.0.0.%d","inbound":[{"port":80,"tags":{"kuma.io/service":%q,"kuma.io/protocol":%q,"v":%q}}],
		"outbound":[{"port":1,"tags":{"kuma.io/service":"web"}},{"port":%d,"tags":{"kuma.io/service":"db","v":"1"}}]}}`,
		random.IntN(3), pick("web", "db"), pick("http", "tcp"), pick("1", "2"), 2+random.IntN(2))); err != nil {
		return err
	}
	return tx.Put(r)
}

// TestAnotherPolicyKeepsPieces: what a change of policies does not concern is the same resource as before, not an equal one.
func TestAnotherPolicyKeepsPieces(t *testing.T) {
	c := envoy.NewCompiler([]envoy.Policy{delayPolicy()})
	rule := func(service, seconds string) string {
		return "type: Delay\nname: " + service + "\nspec:\n  to:\n  - {targetRef: {kind: MeshService, name: " + service + "}, default: {seconds: " + seconds + "}}\n---\n"
	}
	before := envoytest.Compile(t, c, envoytest.Picture(t, pair+rule("a", "1")+rule("b", "1"), delayKind), "web")
	after := envoytest.Compile(t, c, envoytest.Picture(t, pair+rule("a", "1")+rule("b", "2"), delayKind), "web")
	for name, s := range envoytest.All(before) {
		if now := envoytest.All(after)[name]; (now == s) == (name == "cluster b") {
			t.Errorf("%s is the same: %v", name, now == s)
		}
	}
}

func TestShadow(t *testing.T) {
	m := envoytest.Picture(t, pair+"type: Delay\nname: p\nlabels: {kuma.io/effect: shadow}\nspec:\n  to:\n  - {targetRef: {kind: Mesh}, default: {seconds: 1}}\n", delayKind)
	c := envoy.NewCompiler([]envoy.Policy{delayPolicy()})
	p, _ := m.Proxy("web")
	shadow, err := c.CompileShadow(m, p, envoytest.Node())
	if err != nil {
		t.Fatal(err)
	}
	want := "cluster a\n  connectTimeout: 5s → 1s\ncluster b\n  connectTimeout: 5s → 1s\n"
	if got := envoytest.Difference(t, envoytest.Compile(t, c, m, "web"), shadow); got != want {
		t.Errorf("shadow mode would change\n%s", got)
	}
}

// TestManyAtOnce is for the race detector.
func TestManyAtOnce(t *testing.T) {
	m := envoytest.Picture(t, pair+"type: Delay\nname: p\nspec:\n  to:\n  - {targetRef: {kind: Mesh}, default: {seconds: 1}}\n", delayKind)
	c := envoy.NewCompiler([]envoy.Policy{delayPolicy()})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 5 {
				for _, s := range envoytest.Compile(t, c, m, "web").Listeners {
					if message, err := s.Message(); err != nil || !proto.Equal(message, proto.Clone(message)) {
						t.Errorf("%s: %v", s.Name, err)
					}
				}
				runtime.GC()
			}
		})
	}
	wg.Wait()
}
