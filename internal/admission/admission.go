// Package admission holds what must be true of a resource before it is written: defaults, the zone's tag and labels, the checks of
// its kind, and its place among the others.
//
// In come documents from the API and from data planes; out goes one transaction in the store, or an error that says what is wrong
// with which document and leaves everything as it was.
package admission

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/store"
)

// The titles of errors; clients know them.
const (
	titleProcess = "Could not process a resource" // wire: as are all below
	titleUpdate  = "Could not update a resource"
	titleCreate  = "Failed to create a resource"
	titleChange  = "Failed to update a resource"
	titleDelete  = "Could not delete a resource"
	titleMesh    = "Failed to retrieve Mesh"
	notFound     = "Not found"
)

// Options of an Admission.
type Options struct {
	Store *store.Store
	// Kinds that exist; what a new mesh starts with comes from them.
	Kinds []*resource.Kind
	// Zone is the name of this control plane's zone.
	Zone string
	// SkipMeshCreation leaves a first run without the default mesh.
	SkipMeshCreation bool
}

// Admission writes resources. It holds no state of its own.
type Admission struct {
	o Options
	// mesh is the kind of what kinds in a mesh are in.
	mesh *resource.Kind
}

// New prepares an admission.
func New(o Options) *Admission {
	a := &Admission{o: o}
	for _, k := range o.Kinds {
		if k.Members {
			a.mesh = k
		}
	}
	return a
}

// Request is one document to write.
type Request struct {
	// Resource becomes the store's: the caller must not use it any more.
	Resource *resource.Resource
	// Type is the document's own word for its kind, and URL the place that it was sent to; both empty when nobody said.
	Type string
	URL  *resource.Key
	// Unknown fields of the document are named in warnings.
	Unknown []resource.Unknown
	// IfRevision refuses the write unless the stored resource has this revision; 0 unless there is none.
	IfRevision *uint64
	// Rewrite writes also what is there already, as a PUT of the API does.
	Rewrite bool
}

// Result is what became of a document.
type Result int

// The results.
const (
	Unchanged Result = iota
	Created
	Configured
)

// String is the word that people read.
func (r Result) String() string { return [...]string{"unchanged", "created", "configured"}[r] }

// Outcome is what became of one document.
type Outcome struct {
	Key    resource.Key
	Result Result
	// Warnings tell what was accepted and probably not meant.
	Warnings []string
	// Resource as stored, and the store's revision of it.
	Resource *resource.Resource
	Revision uint64
}

// Failure is what is wrong with one document of a set.
type Failure struct {
	Index int
	Err   error
}

// setError carries the failures of a set.
type setError struct{ failures []Failure }

func (e *setError) Error() string {
	parts := make([]string, len(e.failures))
	for i, f := range e.failures {
		parts[i] = fmt.Sprintf("[%d] %v", f.Index, f.Err)
	}
	return strings.Join(parts, "; ")
}

// Unwrap gives each document's error.
func (e *setError) Unwrap() []error {
	all := make([]error, len(e.failures))
	for i, f := range e.failures {
		all[i] = f.Err
	}
	return all
}

// Failures says which documents an error of Put or Check is about; nil when it is about none of them.
func Failures(err error) []Failure {
	if set, ok := errors.AsType[*setError](err); ok {
		return set.failures
	}
	return nil
}

// Put writes a set of documents in one transaction. All are checked, then all are written or none. The error of a single document
// is its own *problem.Error; that of a set tells by Failures which documents it is about.
func (a *Admission) Put(ctx context.Context, w store.Writer, set []Request) ([]Outcome, error) {
	return a.put(ctx, w, set, nil)
}

// errDry rolls a transaction back that was only to be tried.
var errDry = errors.New("tried")

// Check is Put without the write.
func (a *Admission) Check(ctx context.Context, set []Request) ([]Outcome, error) {
	return a.put(ctx, store.Writer{}, set, errDry)
}

func (a *Admission) put(ctx context.Context, w store.Writer, set []Request, instead error) ([]Outcome, error) {
	var outcomes []Outcome
	_, err := a.o.Store.Update(ctx, w, func(tx *store.Tx) error {
		var failures []Failure
		outcomes = make([]Outcome, len(set))
		for _, i := range a.order(set) {
			var err error
			if outcomes[i], err = a.one(tx, &set[i]); err != nil {
				failures = append(failures, Failure{i, err})
			}
		}
		if len(failures) == 0 {
			return instead
		}
		if len(set) == 1 {
			return failures[0].Err
		}
		slices.SortFunc(failures, func(x, y Failure) int { return x.Index - y.Index })
		return &setError{failures}
	})
	if err != nil && (instead == nil || !errors.Is(err, instead)) {
		return nil, err
	}
	return outcomes, nil
}

// order puts the meshes of a set first: what else is in the set may be in them.
func (a *Admission) order(set []Request) []int {
	var first, rest []int
	for i := range set {
		if set[i].Resource.Kind == a.mesh {
			first = append(first, i)
		} else {
			rest = append(rest, i)
		}
	}
	return append(first, rest...)
}

// one checks and writes one document. The order of the checks decides which mistake is told first; it is the peers'.
func (a *Admission) one(tx *store.Tx, q *Request) (Outcome, error) {
	r := q.Resource
	if err := a.check(tx, q); err != nil {
		return Outcome{}, err
	}
	if q.URL != nil {
		r.Mesh, r.Name = q.URL.Mesh, q.URL.Name
	}
	out := Outcome{Key: r.Key(), Result: Created, Resource: r}
	out.Warnings = warnings(q)
	old, exists := tx.Get(r.Key())
	r.ComputeLabels(a.o.Zone)
	title := titleCreate
	if exists {
		out.Result, title = Configured, titleChange
		if v := r.CheckLabelsKept(old); len(v) > 0 {
			return out, titled(titleUpdate, resource.Refused(v))
		}
		if r.Status == nil {
			r.Status = old.Status
		}
	}
	if r.Kind.BeforePut != nil {
		w := &resource.Write{All: tx, Old: old, New: r, Zone: a.o.Zone}
		if err := r.Kind.BeforePut(w); err != nil {
			return out, titled(title, err)
		}
		out.Warnings = append(out.Warnings, w.Warnings...)
	}
	if exists && !q.Rewrite && same(old, r) && (q.IfRevision == nil || *q.IfRevision == old.Revision) {
		out.Result, out.Resource, out.Revision = Unchanged, old, old.Revision
		return out, nil
	}
	if err := write(tx, r, q.IfRevision); err != nil {
		return out, titled(title, err)
	}
	out.Revision = r.Revision
	if !exists && r.Kind == a.mesh {
		return out, a.furnish(tx, r)
	}
	return out, nil
}

func write(tx *store.Tx, r *resource.Resource, at *uint64) error {
	if at == nil {
		return tx.Put(r)
	}
	return tx.PutAt(r, *at)
}

// check holds a document against its kind and its place, before the resource that it would replace is looked at.
func (a *Admission) check(tx *store.Tx, q *Request) error {
	r := q.Resource
	mesh := r.Mesh
	if q.URL != nil {
		mesh = q.URL.Mesh
	}
	if r.Kind.Scope == resource.InMesh && mesh != "" {
		if _, ok := tx.Get(resource.Key{Kind: a.mesh.Name, Name: mesh}); !ok {
			err := &problem.Error{Code: problem.NotFound, Title: titleMesh, Detail: notFound}
			return err.WithHint("mesh %q does not exist; kumactl get meshes lists those that do", mesh)
		}
	}
	r.Default()
	if v := r.Validate(); len(v) > 0 {
		return titled(titleProcess, resource.Refused(v))
	}
	key := r.Key()
	if q.URL != nil {
		key = *q.URL
	}
	_, exists := tx.Get(key)
	wrong := misplaced(q)
	wrong = append(wrong, r.CheckMeta(exists)...)
	wrong = append(wrong, r.CheckLabels(a.o.Zone)...)
	if len(wrong) > 0 {
		return titled(titleProcess, resource.Refused(wrong))
	}
	return nil
}

// misplaced says where a document and the URL that it was sent to differ.
func misplaced(q *Request) (v problem.Violations) {
	if q.URL == nil {
		return nil
	}
	r := q.Resource
	differs := func(field, have, want string) {
		if have != want {
			v.Add(field, "%s from the URL has to be the same as in body", field)
		}
	}
	differs("name", r.Name, q.URL.Name)
	differs("type", q.Type, r.Kind.Name)
	if r.Kind.Scope == resource.InMesh {
		differs("mesh", r.Mesh, q.URL.Mesh)
	}
	return v
}

// warnings are those of the kind and the fields that were dropped.
func warnings(q *Request) []string {
	r := q.Resource
	warnings := r.Warnings()
	for _, u := range q.Unknown {
		warnings = append(warnings, u.String())
	}
	if r.Kind.NoEffectYet != "" {
		warnings = append(warnings, r.Kind.NoEffectYet)
	}
	return warnings
}

// same says whether a write would change nothing that a person wrote.
func same(old, r *resource.Resource) bool {
	if len(old.Labels) != len(r.Labels) {
		return false
	}
	for k, v := range r.Labels {
		if had, ok := old.Labels[k]; !ok || had != v {
			return false
		}
	}
	if x, ok := old.Spec.(proto.Message); ok {
		return proto.Equal(x, r.Spec.(proto.Message))
	}
	was, err := old.SpecBytes()
	if err != nil {
		return false
	}
	is, err := r.SpecBytes()
	return err == nil && string(was) == string(is)
}

// titled gives an error the title of what was tried, unless it has one.
func titled(title string, err error) error {
	p, ok := errors.AsType[*problem.Error](err)
	if !ok || p.Title != "" {
		return err
	}
	again := *p
	again.Title = title
	return &again
}
