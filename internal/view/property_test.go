package view_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/store"
	"github.com/kumactl/kumactl/internal/view"
)

// TestIncrementalEqualsFresh: whatever happened, the picture that followed the changes says what one built from the store says,
// and what was not touched is the very same part as before.
func TestIncrementalEqualsFresh(t *testing.T) {
	for range 10 {
		seed := rand.Uint64()
		random := rand.New(rand.NewPCG(seed, 0))
		w := newWorld(t)
		for step := range 50 {
			before := w.picture
			touched := w.update(func(tx *store.Tx) error {
				for range 1 + random.IntN(6) {
					if err := w.anything(random, tx); err != nil {
						return err
					}
				}
				return nil
			})
			if wrong := w.compare(before, touched); wrong != "" {
				t.Fatalf("seed %d, step %d: %s", seed, step, wrong)
			}
		}
	}
}

// anything does something to something.
func (w *world) anything(random *rand.Rand, tx *store.Tx) error {
	pick := func(words ...string) string { return words[random.IntN(len(words))] }
	kind := w.kinds[[]int{0, 1, 1, 1, 1, 1, 2, 3}[random.IntN(8)]]
	r := kind.New(pick("default", "other"), pick("a", "b", "c", "d", "e"))
	if kind.Scope == resource.Global {
		r.Mesh, r.Name = "", pick("default", "other")
	}
	if random.IntN(4) == 0 {
		if _, there := tx.Get(r.Key()); there {
			return tx.Delete(r.Key())
		}
		return nil
	}
	spec := `{}`
	if kind.Name == "Dataplane" {
		var inbounds []string
		for range random.IntN(4) {
			inbounds = append(inbounds, fmt.Sprintf(`{"port":%d,"state":%q,"tags":{"kuma.io/service":%q,"kuma.io/protocol":%q,"version":%q}}`,
				1+random.IntN(2), pick("Ready", "Ready", "NotReady", "Ignored"), pick("web", "db", "log"), pick("http", "tcp", "grpc"), pick("v1", "v2")))
		}
		spec = fmt.Sprintf(`{"networking":{"address":"10.0.0.%d","inbound":[%s]}}`, random.IntN(3), strings.Join(inbounds, ","))
		r.Labels = map[string]string{"team": pick("x", "y")}
	}
	if err := r.SetSpecJSON([]byte(spec)); err != nil {
		return err
	}
	return tx.Put(r)
}

// compare says what is wrong with the picture after a step; nothing when all is right.
func (w *world) compare(before *view.Picture, touched view.Touched) string {
	fresh := w.fresh()
	var incremental, scratch []string
	for m := range w.picture.Meshes() {
		incremental = append(incremental, text(m, w.kinds))
	}
	for m := range fresh.Meshes() {
		scratch = append(scratch, text(m, w.kinds))
	}
	if !slices.Equal(incremental, scratch) {
		return fmt.Sprintf("followed:\n%s\nfresh:\n%s", incremental, scratch)
	}
	for m := range w.picture.Meshes() {
		old, ok := before.Mesh(m.Name)
		told, inTold := touched.Meshes[m.Name]
		switch {
		case !inTold && m != old:
			return "mesh " + m.Name + " is another one and was not touched"
		case !inTold || !ok:
			continue
		}
		if wrong := untold(old, m, told); wrong != "" {
			return wrong
		}
	}
	return ""
}

// untold finds a difference between two pictures of a mesh that nobody was told of.
func untold(old, now *view.Mesh, told *view.TouchedMesh) string {
	for p := range now.Proxies() {
		if before, _ := old.Proxy(p.Name()); before != p && !slices.Contains(told.Proxies, p.Name()) {
			return "proxy " + p.Name() + " is another one"
		}
	}
	for p := range old.Proxies() {
		if _, there := now.Proxy(p.Name()); there == slices.Contains(told.Removed, p.Name()) {
			return "proxy " + p.Name() + " is gone"
		}
	}
	for _, service := range []string{"web", "db", "log"} {
		a, inOld := old.Destination(service)
		b, inNow := now.Destination(service)
		if shape := inOld != inNow || old.Protocol(service) != now.Protocol(service); shape != slices.Contains(told.Shapes, service) {
			return fmt.Sprintf("shape of %s changed: %v, told %v", service, shape, told.Shapes)
		}
		if changed := content(a) != content(b); changed != slices.Contains(told.Endpoints, service) {
			return fmt.Sprintf("endpoints of %s changed: %v, told %v", service, changed, told.Endpoints)
		}
	}
	return ""
}

func content(d *view.Destination) string {
	if d == nil {
		return ""
	}
	var b strings.Builder
	for _, e := range d.Endpoints {
		fmt.Fprintf(&b, "%s %d %s:%d %v %v;", e.Proxy, e.Inbound, e.Address, e.Port, e.Tags, e.Labels)
	}
	return b.String()
}
