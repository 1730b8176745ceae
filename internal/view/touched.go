package view

import "iter"

// Touched says what changes did to a picture. Whatever is not named is the same as before.
type Touched struct {
	// Meshes holds each mesh that was touched, by name.
	Meshes map[string]*TouchedMesh
}

// TouchedMesh says what changes did to one mesh. All lists are sorted.
type TouchedMesh struct {
	// Gone: nothing of the mesh is left.
	Gone bool
	// Mesh: the Mesh resource appeared, changed or went.
	Mesh bool
	// Proxies whose own Dataplane appeared or changed; Removed are those whose Dataplane went.
	Proxies []string
	Removed []string
	// Shapes are services that appeared, went, or have another protocol: their consumers have to be compiled again.
	Shapes []string
	// Endpoints are services whose ready endpoints changed: their consumers get these endpoints and nothing else.
	Endpoints []string
	// Policies are the kinds of which a policy appeared, changed or went.
	Policies []string
}

// Mesh gives what was touched in one mesh; never nil.
func (t Touched) Mesh(name string) *TouchedMesh {
	if m := t.Meshes[name]; m != nil {
		return m
	}
	return &TouchedMesh{}
}

// Empty says that the change meant nothing to the picture.
func (t Touched) Empty() bool { return len(t.Meshes) == 0 }

// All says whether every proxy of the mesh has to be compiled again.
func (m *TouchedMesh) All() bool { return m.Mesh || m.Gone || len(m.Policies) > 0 }

// Services yields those whose consumers have something to get, each once, sorted.
func (m *TouchedMesh) Services() iter.Seq[string] {
	return func(yield func(string) bool) {
		a, b := m.Shapes, m.Endpoints
		for len(a) > 0 || len(b) > 0 {
			var next string
			switch {
			case len(b) == 0 || len(a) > 0 && a[0] < b[0]:
				next, a = a[0], a[1:]
			case len(a) == 0 || b[0] < a[0]:
				next, b = b[0], b[1:]
			default:
				next, a, b = a[0], a[1:], b[1:]
			}
			if !yield(next) {
				return
			}
		}
	}
}
