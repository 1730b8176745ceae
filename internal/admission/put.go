package admission

import (
	"bytes"
	"errors"
	"maps"

	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
)

// put does one request. The order of the checks is the wire's: clients that send several mistakes get the first.
func (s *set) put(request Request) (Outcome, error) {
	r := request.Resource
	if r.Kind.ReadOnly {
		return Outcome{}, problem.New(problem.NotAllowed, "%s is written by the control plane alone", r.Kind.Name)
	}
	name, meshName := r.Name, r.Mesh
	if request.URL != nil {
		name, meshName = request.URL.Name, request.URL.Mesh
	}
	if err := s.meshThere(r.Kind, meshName); err != nil {
		return Outcome{}, err
	}
	r.Default()
	if v := r.Validate(); len(v) > 0 {
		return Outcome{}, titled(titleProcess, resource.Refused(v))
	}
	old, exists := s.tx.Get(resource.Key{Kind: r.Kind.Name, Mesh: meshName, Name: name})
	if v := s.checkMeta(request, exists); len(v) > 0 {
		return Outcome{}, titled(titleProcess, resource.Refused(v))
	}
	r.ComputeLabels(s.a.o.Zone)
	if exists {
		if v := r.CheckLabelsKept(old); len(v) > 0 {
			return Outcome{}, titled(titleUpdate, resource.Refused(v))
		}
	}
	warnings, err := s.before(old, r)
	if err != nil {
		return Outcome{}, err
	}
	o := Outcome{Key: r.Key(), Result: Created, Warnings: warningsOf(request, warnings), Resource: r}
	if exists {
		o.Result = Configured
		if !request.Rewrite && (request.IfRevision == nil || *request.IfRevision == old.Revision) && same(old, r) {
			o.Result, o.Resource, o.Revision = Unchanged, old, old.Revision
			return o, nil
		}
	}
	if err := s.write(r, request.IfRevision); err != nil {
		return Outcome{}, err
	}
	o.Revision = r.Revision
	if !exists && r.Kind.Members {
		return o, s.furnish(r)
	}
	return o, nil
}

// meshThere refuses resources of meshes that are neither stored nor in the set.
func (s *set) meshThere(k *resource.Kind, name string) error {
	key := resource.Key{Kind: s.a.mesh.Name, Name: name}
	if k.Scope == resource.Global || name == "" || s.requested[key] {
		return nil
	}
	if _, ok := s.tx.Get(key); !ok {
		return &problem.Error{
			Code: problem.NotFound, Title: titleMesh,
			Hint: "make mesh " + name + " first, or put its document into the same set",
		}
	}
	return nil
}

// checkMeta holds a document's metadata against its path, and against the rules for labels and names.
func (s *set) checkMeta(request Request, exists bool) (v problem.Violations) {
	r := request.Resource
	if p := request.URL; p != nil {
		for _, part := range []struct {
			field string
			same  bool
		}{{"name", r.Name == p.Name}, {"type", request.Type == r.Kind.Name}, {"mesh", r.Kind.Scope == resource.Global || r.Mesh == p.Mesh}} {
			if !part.same {
				v.Add(part.field, "%s from the URL has to be the same as in body", part.field)
			}
		}
	}
	v = append(v, r.CheckLabels(s.a.o.Zone)...)
	return append(v, r.CheckMeta(exists)...)
}

// before lets the kind look at the write.
func (s *set) before(old, r *resource.Resource) (warnings []string, err error) {
	if old != nil && r.Status == nil && old.Status != nil {
		// Documents do not say what the control plane found out.
		r.Status = old.Clone().Status
	}
	if r.Kind.BeforePut == nil {
		return nil, nil
	}
	title := titleCreateNew
	if old != nil {
		title = titleUpdateOld
	}
	w := &resource.Write{All: s.tx, Old: old, New: r, Zone: s.a.o.Zone}
	if err := r.Kind.BeforePut(w); err != nil {
		return nil, titled(title, err)
	}
	return w.Warnings, nil
}

// warningsOf joins all that the writer should know.
func warningsOf(request Request, more []string) (all []string) {
	for _, u := range request.Unknown {
		all = append(all, u.String())
	}
	all = append(all, request.Resource.Warnings()...)
	all = append(all, more...)
	if n := request.Resource.Kind.NoEffectYet; n != "" {
		all = append(all, n)
	}
	return all
}

// same says whether a write would change nothing but times and revision.
func same(old, r *resource.Resource) bool {
	was, err := old.SpecBytes()
	is, err2 := r.SpecBytes()
	return err == nil && err2 == nil && bytes.Equal(was, is) && maps.Equal(old.Labels, r.Labels)
}

func (s *set) write(r *resource.Resource, revision *uint64) error {
	if revision == nil {
		return titled(titleProcess, s.tx.Put(r))
	}
	return titled(titleConflict, s.tx.PutAt(r, *revision))
}

// furnish gives a new mesh what every mesh begins with. What the set itself brings is not made.
func (s *set) furnish(m *resource.Resource) error {
	for _, k := range s.a.o.Kinds {
		// Meshes choose among policies only; keys and the like come always.
		if k.ForNewMesh == nil || k.Policy != nil && m.Kind.Skips != nil && m.Kind.Skips(m.Spec, k.Name) {
			continue
		}
		for _, r := range k.ForNewMesh(k, m.Name) {
			if _, there := s.tx.Get(r.Key()); there || s.requested[r.Key()] {
				continue
			}
			r.ComputeLabels(s.a.o.Zone)
			if err := s.tx.Put(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// titled gives an error a title if it has none.
func titled(title string, err error) error {
	p, ok := errors.AsType[*problem.Error](err)
	if !ok || p.Title != "" {
		return err
	}
	with := *p
	with.Title = title
	return &with
}
