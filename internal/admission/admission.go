// Package admission is what must hold before a resource is written or deleted, whoever asks for it.
//
// In come resources as a document or a proxy brought them; out go stored resources with their defaults, labels and tags, or
// an error that says what is wrong, in the words and with the titles that clients of the wire know. Everything that one call
// changes is one transaction.
package admission

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/store"
)

// Titles of errors: what was tried. Clients know them.
const (
	titleMesh      = "Failed to retrieve Mesh"
	titleProcess   = "Could not process a resource"
	titleUpdate    = "Could not update a resource"
	titleCreateNew = "Failed to create a resource"
	titleUpdateOld = "Failed to update a resource"
	titleDelete    = "Could not delete a resource"
	titleConflict  = "Conflict"
)

// Options of the admission.
type Options struct {
	Store *store.Store
	// Kinds in the order in which a set of resources is written.
	Kinds []*resource.Kind
	// Zone is the name that resources and tags of this control plane carry.
	Zone string
	// SkipMeshCreation keeps FirstRun from making the default mesh.
	SkipMeshCreation bool
}

// Admission writes to the store. All methods may be called from many goroutines.
type Admission struct {
	o Options
	// mesh is the kind that the kinds in a mesh are in; order gives each kind its place in Options.Kinds.
	mesh  *resource.Kind
	order map[string]int
}

// New prepares an admission.
func New(o Options) *Admission {
	a := &Admission{o: o, order: map[string]int{}}
	for i, k := range o.Kinds {
		a.order[k.Name] = i
		if k.Members {
			a.mesh = k
		}
	}
	return a
}

// Request asks for one resource to be written. The resource belongs to the admission from then on, and gets its defaults.
type Request struct {
	Resource *resource.Resource
	// Type is the document's own word for its kind, and URL what the address says that it was sent to. The document must agree
	// with it. Both are left out when there is no address.
	Type string
	URL  *resource.Key
	// Unknown fields of the document become warnings.
	Unknown []resource.Unknown
	// IfRevision is the revision that the write is based on: 0 for a resource that must not be there. Nil writes anyhow.
	IfRevision *uint64
	// Rewrite writes a resource even if its labels and specification are stored already, as a PUT does.
	Rewrite bool
}

// Result is what became of a resource.
type Result int

// The results.
const (
	Unchanged Result = iota
	Created
	Configured
)

// String is the result as people read it.
func (r Result) String() string {
	switch r {
	case Created:
		return "created"
	case Configured:
		return "configured"
	}
	return "unchanged"
}

// Outcome tells what became of one request.
type Outcome struct {
	Key    resource.Key
	Result Result
	// Warnings are about what was accepted and probably not meant, or not kept.
	Warnings []string
	// Resource is as it is stored now, and must not be changed. Its revision is Revision, 0 after Check.
	Resource *resource.Resource
	Revision uint64
}

// Failure is what is wrong with the request at Index.
type Failure struct {
	Index int
	Err   error
}

// Refusal is the error when requests are refused. Nothing was written.
type Refusal struct{ List []Failure }

// Error joins what is wrong, one line each.
func (r *Refusal) Error() string {
	var lines []string
	for _, f := range r.List {
		lines = append(lines, f.Err.Error())
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives the errors, so that callers find the first *problem.Error.
func (r *Refusal) Unwrap() []error {
	var all []error
	for _, f := range r.List {
		all = append(all, f.Err)
	}
	return all
}

// Failures gives what is wrong with each request, in their order; nothing when the error is about none of them.
func Failures(err error) []Failure {
	if r, ok := errors.AsType[*Refusal](err); ok {
		return r.List
	}
	return nil
}

// errDry ends the transaction of a check.
var errDry = errors.New("dry run")

// Put writes all requests or none, in one transaction, and tells what became of each, in their order. The error is a *Refusal
// when requests are at fault, else that of the store.
func (a *Admission) Put(ctx context.Context, w store.Writer, requests []Request) ([]Outcome, error) {
	var outcomes []Outcome
	_, err := a.o.Store.Update(ctx, w, func(tx *store.Tx) (err error) {
		outcomes, err = a.putAll(tx, requests)
		return err
	})
	if err != nil {
		return nil, err
	}
	return outcomes, nil
}

// Check is Put without writing.
func (a *Admission) Check(ctx context.Context, requests []Request) ([]Outcome, error) {
	var outcomes []Outcome
	_, err := a.o.Store.Update(ctx, store.Writer{}, func(tx *store.Tx) (err error) {
		if outcomes, err = a.putAll(tx, requests); err == nil {
			err = errDry
		}
		return err
	})
	if err != nil && !errors.Is(err, errDry) {
		return nil, err
	}
	for i := range outcomes {
		outcomes[i].Revision = 0
	}
	return outcomes, nil
}

// set is one call of Put under way.
type set struct {
	a  *Admission
	tx *store.Tx
	// requested holds the keys of all requests, so that a mesh and what is in it can be made together.
	requested map[resource.Key]bool
}

func (a *Admission) putAll(tx *store.Tx, requests []Request) ([]Outcome, error) {
	s := &set{a: a, tx: tx, requested: map[resource.Key]bool{}}
	var failures []Failure
	order := make([]int, len(requests))
	for i, r := range requests {
		order[i] = i
		if r.Resource.Kind.Scope == resource.Global {
			r.Resource.Mesh = ""
		}
		key := r.Resource.Key()
		if s.requested[key] {
			failures = append(failures, Failure{i, &problem.Error{
				Code: problem.Invalid, Title: titleProcess, Detail: fmt.Sprintf("%s %s is in the set twice", key.Kind, key.Name),
			}})
		}
		s.requested[key] = true
	}
	slices.SortStableFunc(order, func(i, j int) int {
		return a.order[requests[i].Resource.Kind.Name] - a.order[requests[j].Resource.Kind.Name]
	})
	outcomes := make([]Outcome, len(requests))
	for _, i := range order {
		var err error
		if outcomes[i], err = s.put(requests[i]); err != nil {
			failures = append(failures, Failure{i, err})
		}
	}
	if len(failures) > 0 {
		slices.SortFunc(failures, func(f, g Failure) int { return f.Index - g.Index })
		return nil, &Refusal{failures}
	}
	return outcomes, nil
}

// FirstRun makes the default mesh in a store that was never written to. A default mesh that somebody deletes does not come
// back.
func (a *Admission) FirstRun(ctx context.Context) error {
	if a.o.SkipMeshCreation || a.o.Store.Snapshot().Revision() > 0 {
		return nil
	}
	_, err := a.Put(ctx, store.Writer{Who: "control plane", Source: "default"},
		[]Request{{Resource: a.mesh.New("", resource.DefaultMesh)}})
	return err
}
