package api

import (
	"bytes"
	"fmt"
	"iter"
	"net/http"
	"strconv"
	"strings"
	"unicode"

	"github.com/kumactl/kumactl/internal/admission"
	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/store"
)

const (
	// sourceHeader says in a write where the document came from; it goes into the change log.
	sourceHeader = "Kumactl-Source"
	maxSource    = 256
)

// picture is one snapshot, with the computed kinds beside the stored ones.
type picture struct {
	store.Snapshot
	computed map[string]resource.Computed
}

// picture is taken once for an answer, so that all parts of it are from the same revision.
func (a *API) picture() picture { return picture{a.o.Store.Snapshot(), a.computed} }

// Get overrides the snapshot's for computed kinds.
func (p picture) Get(k resource.Key) (*resource.Resource, bool) {
	c, ok := p.computed[k.Kind]
	if !ok {
		return p.Snapshot.Get(k)
	}
	for _, r := range c.All(p.Snapshot, k.Mesh) {
		if r.Key() == k {
			return r, true
		}
	}
	return nil, false
}

// List overrides the snapshot's for computed kinds.
func (p picture) List(kind, mesh string) iter.Seq[*resource.Resource] {
	c, ok := p.computed[kind]
	if !ok {
		return p.Snapshot.List(kind, mesh)
	}
	return func(yield func(*resource.Resource) bool) {
		for _, r := range c.All(p.Snapshot, mesh) {
			if !yield(r) {
				return
			}
		}
	}
}

// meshThere refuses paths below a mesh that does not exist.
func (a *API) meshThere(p picture, mesh string) error {
	if mesh == "" {
		return nil
	}
	for _, k := range a.o.Kinds {
		if !k.Members {
			continue
		}
		if _, ok := p.Get(resource.Key{Kind: k.Name, Name: mesh}); !ok {
			return &problem.Error{Code: problem.NotFound, Title: "Failed to retrieve " + k.Name} // wire: clients know it
		}
	}
	return nil
}

// one finds the resource that a path means, after its mesh and the right to read it.
func (a *API) one(c *call, k *resource.Kind) (*resource.Resource, picture, error) {
	p := a.picture()
	if err := a.meshThere(p, c.mesh); err != nil {
		return nil, p, err
	}
	if err := mayRead(c.who, k); err != nil {
		return nil, p, err
	}
	r, ok := p.Get(resource.Key{Kind: k.Name, Mesh: c.mesh, Name: c.name})
	if !ok {
		return nil, p, &problem.Error{Code: problem.NotFound, Title: "Could not retrieve a resource"} // wire: kumactl looks for it
	}
	return r, p, nil
}

// get answers with one resource.
func (a *API) get(k *resource.Kind) handler {
	return func(c *call) error {
		r, _, err := a.one(c, k)
		if err != nil {
			return err
		}
		return show(c, r)
	}
}

// show answers with one resource in the format that the query asks for.
func show(c *call, r *resource.Resource) error {
	raw, err := formatted(r, c.r.URL.Query())
	if err != nil {
		return titled("Could not retrieve a resource", err) // wire: the peer's title
	}
	if r.Revision != 0 {
		c.Header().Set("ETag", strconv.Quote(strconv.FormatUint(r.Revision, 10)))
	}
	return respondRaw(c, raw)
}

// gate refuses writes before anything else of the request is looked at. Where all may write, the peer looks at the request first
// and at rights last; so the handlers ask for them again.
func (a *API) gate(c *call, k *resource.Kind, p picture) error {
	if a.readOnly(k) {
		return notHere()
	}
	if err := a.meshThere(p, c.mesh); err != nil {
		return err
	}
	if a.o.CompatOpenAPI {
		return nil
	}
	return a.mayWrite(c.who, k)
}

// put makes or replaces a resource. Admission decides; here the document is read and held against rights.
func (a *API) put(k *resource.Kind) handler {
	return func(c *call) error {
		if err := a.gate(c, k, a.picture()); err != nil {
			return err
		}
		raw, err := a.readBody(c)
		if err != nil {
			return err
		}
		d, err := decode(k, raw)
		if err != nil {
			return err
		}
		if err := a.strict(c, d); err != nil {
			return err
		}
		if err := a.mayWrite(c.who, k); err != nil {
			return err
		}
		at, err := ifRevision(c.r)
		if err != nil {
			return err
		}
		// A PUT writes even what is there already, so that its modificationTime is that of the last PUT.
		request := admission.Request{
			Resource: d.Resource, Type: d.Type, URL: &resource.Key{Kind: k.Name, Mesh: c.mesh, Name: c.name},
			Unknown: d.Unknown, IfRevision: at, Rewrite: true,
		}
		outcomes, err := a.o.Admission.Put(c.r.Context(), a.writer(c), []admission.Request{request})
		if err != nil {
			return titled(processing, err)
		}
		outcomes[0].Warnings = append(outcomes[0].Warnings, d.warnings()...)
		answerPut(c, outcomes[0])
		return nil
	}
}

// answerPut says whether the resource is new, and what its writer should know. The resource itself is not sent back.
func answerPut(c *call, o admission.Outcome) {
	status := http.StatusOK
	if o.Result == admission.Created {
		status = http.StatusCreated
	}
	c.Header().Set("ETag", strconv.Quote(strconv.FormatUint(o.Revision, 10)))
	respond(c, status, encode(warned{o.Warnings}))
}

// warned is the body of the answer to a write.
type warned struct {
	Warnings []string `json:"warnings,omitempty"`
}

// strict refuses what would be dropped when the request or the configuration says so.
func (a *API) strict(c *call, d document) error {
	if !a.o.Strict && c.r.URL.Query().Get("strict") != "true" {
		return nil
	}
	if v := d.violations(); len(v) > 0 {
		return titled(processing, resource.Refused(v))
	}
	return nil
}

// delete removes a resource. What is not there is not found, whoever asks; rights come after that.
func (a *API) delete(k *resource.Kind) handler {
	return func(c *call) error {
		p := a.picture()
		if err := a.gate(c, k, p); err != nil {
			return err
		}
		const title = "Could not delete a resource" // wire: the peer's title
		key := resource.Key{Kind: k.Name, Mesh: c.mesh, Name: c.name}
		if _, ok := p.Get(key); !ok {
			return &problem.Error{Code: problem.NotFound, Title: title}
		}
		if err := a.mayWrite(c.who, k); err != nil {
			return err
		}
		at, err := ifRevision(c.r)
		if err != nil {
			return err
		}
		if at != nil {
			err = a.o.Admission.DeleteAt(c.r.Context(), a.writer(c), key, *at)
		} else {
			err = a.o.Admission.Delete(c.r.Context(), a.writer(c), key)
		}
		if err != nil {
			return titled(title, err)
		}
		respond(c, http.StatusOK, []byte("{}\n"))
		return nil
	}
}

// notHere refuses a write of what this control plane alone writes, or of anything when it is read-only.
func notHere() error {
	return &problem.Error{
		Code: problem.NotAllowed, Title: "Method not allowed", // wire: both are recorded word for word
		Detail: "On zone control plane you can only modify zone resources with 'kumactl apply' or via the HTTP API. You can still use 'kumactl' or the HTTP API to modify the rest of the resource on the global control plane.\n",
	}
}

// writer says for the change log who writes and from where.
func (a *API) writer(c *call) store.Writer {
	source := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, c.r.Header.Get(sourceHeader))
	if source == "" {
		source = "api"
	}
	if len(source) > maxSource {
		source = source[:maxSource]
	}
	return store.Writer{Who: c.who.Name, Source: source}
}

// ifRevision is the revision that a write was based on: 0 for a resource that must not be there yet, nil when the client does
// not say.
func ifRevision(r *http.Request) (*uint64, error) {
	if r.Header.Get("If-None-Match") == "*" {
		return new(uint64), nil
	}
	given := r.Header.Get("If-Match")
	if given == "" || given == "*" {
		return nil, nil
	}
	revision, err := strconv.ParseUint(strings.Trim(strings.TrimPrefix(given, "W/"), `"`), 10, 64)
	if err != nil {
		return nil, &problem.Error{
			Code: problem.Invalid, Title: "Bad Request", Detail: fmt.Sprintf("bad request: If-Match %q is no revision", given),
			Hint: `send what GET said in ETag, such as "42"`,
		}
	}
	return &revision, nil
}

// joined writes a list of resources as they are shown, with commas.
func joined(b *bytes.Buffer, raw [][]byte) {
	b.WriteByte('[')
	b.Write(bytes.Join(raw, []byte(",")))
	b.WriteByte(']')
}
