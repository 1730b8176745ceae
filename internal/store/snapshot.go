package store

import (
	"iter"
	"sort"

	"github.com/tidwall/btree"

	"github.com/kumactl/kumactl/internal/resource"
)

// tree holds the resources of one kind by mesh, then name. A published tree is never changed: a writer copies it first,
// which shares all nodes that the writer does not touch.
type tree = btree.BTreeG[*resource.Resource]

func newTree() *tree {
	return btree.NewBTreeGOptions(before, btree.Options{NoLocks: true})
}

func before(a, b *resource.Resource) bool {
	if a.Mesh != b.Mesh {
		return a.Mesh < b.Mesh
	}
	return a.Name < b.Name
}

// at makes an item to search with.
func at(mesh, name string) *resource.Resource {
	return &resource.Resource{Meta: resource.Meta{Mesh: mesh, Name: name}}
}

// kindIndex gives each kind its place in a slice of trees. It never changes after it is made.
type kindIndex struct {
	kinds  []*resource.Kind
	byName map[string]int
}

func newKindIndex(kinds []*resource.Kind) *kindIndex {
	x := &kindIndex{kinds: kinds, byName: make(map[string]int, len(kinds))}
	for i, k := range kinds {
		x.byName[k.Name] = i
	}
	return x
}

func (x *kindIndex) emptyTrees() []*tree {
	trees := make([]*tree, len(x.kinds))
	for i := range trees {
		trees[i] = newTree()
	}
	return trees
}

// picture is the reading side that snapshots and transactions share.
type picture struct {
	kinds *kindIndex
	trees []*tree
}

func (p picture) tree(kind string) *tree {
	if p.kinds == nil {
		return nil
	}
	i, ok := p.kinds.byName[kind]
	if !ok {
		return nil
	}
	return p.trees[i]
}

// Get returns the resource, or false.
func (p picture) Get(k resource.Key) (*resource.Resource, bool) {
	t := p.tree(k.Kind)
	if t == nil {
		return nil, false
	}
	return t.Get(at(k.Mesh, k.Name))
}

// List yields the resources of a kind ordered by mesh, then name; mesh "" means all meshes. Unknown kinds are empty.
func (p picture) List(kind, mesh string) iter.Seq[*resource.Resource] {
	return func(yield func(*resource.Resource) bool) {
		t := p.tree(kind)
		switch {
		case t == nil:
		case mesh == "":
			t.Scan(yield)
		default:
			t.Ascend(at(mesh, ""), func(r *resource.Resource) bool { return r.Mesh == mesh && yield(r) })
		}
	}
}

// From yields the resources of a kind that come after a key (which need not exist), of all meshes.
func (p picture) From(kind string, after resource.Key) iter.Seq[*resource.Resource] {
	return func(yield func(*resource.Resource) bool) {
		t := p.tree(kind)
		if t == nil {
			return
		}
		t.Ascend(at(after.Mesh, after.Name), func(r *resource.Resource) bool {
			if r.Mesh == after.Mesh && r.Name == after.Name {
				return true
			}
			return yield(r)
		})
	}
}

// Count is the number of resources of a kind; mesh "" means all meshes. It does not walk through them.
func (p picture) Count(kind, mesh string) int {
	t := p.tree(kind)
	if t == nil {
		return 0
	}
	if mesh == "" {
		return t.Len()
	}
	first := func(reached func(*resource.Resource) bool) int {
		return sort.Search(t.Len(), func(i int) bool {
			r, _ := t.GetAt(i)
			return reached(r)
		})
	}
	return first(func(r *resource.Resource) bool { return r.Mesh > mesh }) -
		first(func(r *resource.Resource) bool { return r.Mesh >= mesh })
}

// Snapshot is the state as of one revision, with the volatile state as of when it was taken. It implements resource.Reader.
type Snapshot struct {
	picture
	revision uint64
}

// Revision of the last transaction that is in the snapshot; 0 when there was none.
func (s Snapshot) Revision() uint64 { return s.revision }
