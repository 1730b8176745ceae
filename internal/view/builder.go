package view

import (
	"maps"
	"slices"
	"strings"

	"github.com/tidwall/btree"

	"github.com/kumactl/kumactl/internal/kumapb"
	"github.com/kumactl/kumactl/internal/resource"
)

// builder makes the next picture from one. It copies what it changes, and only once.
type builder struct {
	from     *Picture
	revision uint64
	edits    map[string]*meshEdit
}

// meshEdit gathers what happens to one mesh, so that each destination and list is rebuilt once however many changes there are.
type meshEdit struct {
	mesh    *Mesh // the copy that becomes the next
	touched *TouchedMesh
	// proxies holds the last state of each proxy that was touched; nil when it is gone.
	proxies map[string]*Proxy
	// policies holds, by kind and name, the last state of each policy that was touched; nil when it is gone.
	policies map[*resource.Kind]map[string]*resource.Resource
}

// destinationEdit is what happens to one destination.
type destinationEdit struct {
	gone map[string]bool // proxies whose members are taken out
	come []*Endpoint
}

func newBuilder(from *Picture, revision uint64) *builder {
	return &builder{from: from, revision: revision, edits: map[string]*meshEdit{}}
}

// put notes what happened to one resource: before is nil when it is new, after when it is gone.
func (b *builder) put(before, after *resource.Resource) {
	r := after
	if r == nil {
		r = before
	}
	if r == nil {
		return
	}
	switch r.Spec.(type) {
	case *kumapb.Mesh:
		e := b.edit(r.Name)
		e.touched.Mesh = true
		e.mesh.Resource, e.mesh.Spec = after, &kumapb.Mesh{}
		if after != nil {
			e.mesh.Spec = after.Spec.(*kumapb.Mesh)
		}
	case *kumapb.Dataplane:
		e := b.edit(r.Mesh)
		e.proxies[r.Name] = nil
		if after != nil {
			e.proxies[r.Name] = newProxy(after)
		}
	default:
		if r.Kind.Policy != nil {
			e := b.edit(r.Mesh)
			if e.policies[r.Kind] == nil {
				e.policies[r.Kind] = map[string]*resource.Resource{}
			}
			e.policies[r.Kind][r.Name] = after
		}
	}
}

func (b *builder) edit(mesh string) *meshEdit {
	if e := b.edits[mesh]; e != nil {
		return e
	}
	e := &meshEdit{
		touched:  &TouchedMesh{},
		proxies:  map[string]*Proxy{},
		policies: map[*resource.Kind]map[string]*resource.Resource{},
	}
	if m := b.from.meshes[mesh]; m != nil {
		c := *m
		e.mesh = &c
	} else {
		e.mesh = &Mesh{
			Name: mesh, Spec: &kumapb.Mesh{},
			proxies: new(btree.Map[string, *Proxy]), destinations: new(btree.Map[string, *Destination]),
		}
	}
	b.edits[mesh] = e
	return e
}

func (b *builder) finish() (*Picture, Touched) {
	if len(b.edits) == 0 && b.revision == b.from.revision {
		return b.from, Touched{}
	}
	next := &Picture{revision: b.revision, meshes: b.from.meshes}
	if len(b.edits) == 0 {
		return next, Touched{}
	}
	next.meshes = maps.Clone(b.from.meshes)
	if next.meshes == nil {
		next.meshes = map[string]*Mesh{}
	}
	touched := Touched{Meshes: make(map[string]*TouchedMesh, len(b.edits))}
	for name, e := range b.edits {
		e.finish()
		e.mesh.Revision = b.revision
		touched.Meshes[name] = e.touched
		next.meshes[name] = e.mesh
		if e.mesh.empty() {
			e.touched.Gone = true
			delete(next.meshes, name)
		}
	}
	return next, touched
}

func (e *meshEdit) finish() {
	if len(e.proxies) > 0 {
		e.finishProxies()
	}
	if len(e.policies) > 0 {
		e.finishPolicies()
	}
}

func (e *meshEdit) finishProxies() {
	proxies := e.mesh.proxies.Copy()
	destinations := map[string]*destinationEdit{}
	at := func(service string) *destinationEdit {
		d := destinations[service]
		if d == nil {
			d = &destinationEdit{gone: map[string]bool{}}
			destinations[service] = d
		}
		return d
	}
	for name, p := range e.proxies {
		old, had := proxies.Get(name)
		if had {
			for _, m := range old.endpoints {
				at(m.service()).gone[name] = true
			}
		}
		switch {
		case p != nil:
			proxies.Set(name, p)
			e.touched.Proxies = append(e.touched.Proxies, name)
			for _, m := range p.endpoints {
				d := at(m.service())
				d.come = append(d.come, m)
			}
		case had:
			proxies.Delete(name)
			e.touched.Removed = append(e.touched.Removed, name)
		}
	}
	e.mesh.proxies = proxies
	slices.Sort(e.touched.Proxies)
	slices.Sort(e.touched.Removed)
	e.finishDestinations(destinations)
}

func (e *meshEdit) finishDestinations(edits map[string]*destinationEdit) {
	all := e.mesh.destinations.Copy()
	for service, edit := range edits {
		old, _ := all.Get(service)
		next := old.next(service, edit)
		switch {
		case next == old:
			continue
		case next == nil:
			all.Delete(service)
		default:
			all.Set(service, next)
		}
		if old == nil || next == nil || old.Protocol != next.Protocol {
			e.touched.Shapes = append(e.touched.Shapes, service)
		}
		if !sameEndpoints(old, next) {
			e.touched.Endpoints = append(e.touched.Endpoints, service)
		}
	}
	e.mesh.destinations = all
	slices.Sort(e.touched.Shapes)
	slices.Sort(e.touched.Endpoints)
}

func sameEndpoints(a, b *Destination) bool {
	var old, next []*Endpoint
	if a != nil {
		old = a.Endpoints
	}
	if b != nil {
		next = b.Endpoints
	}
	return slices.Equal(old, next)
}

func (e *meshEdit) finishPolicies() {
	policies := maps.Clone(e.mesh.policies)
	if policies == nil {
		policies = map[string]*PolicyList{}
	}
	for kind, edits := range e.policies {
		list := &PolicyList{Kind: kind}
		if old := policies[kind.Name]; old != nil {
			for _, r := range old.Items {
				if _, edited := edits[r.Name]; !edited {
					list.Items = append(list.Items, r)
				}
			}
		}
		for _, r := range edits {
			if r != nil {
				list.Items = append(list.Items, r)
			}
		}
		slices.SortFunc(list.Items, func(a, b *resource.Resource) int { return strings.Compare(a.Name, b.Name) })
		policies[kind.Name] = list
		if len(list.Items) == 0 {
			delete(policies, kind.Name)
		}
		e.touched.Policies = append(e.touched.Policies, kind.Name)
	}
	e.mesh.policies = policies
	slices.Sort(e.touched.Policies)
}
