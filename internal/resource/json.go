package resource

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kumactl/kumactl/internal/problem"
)

// metaFields are the keys of a resource's JSON that are not its specification. snis is shown for services and ignored when read.
var metaFields = &Field{Type: TypeObject, Fields: []*Field{
	{Name: "type", Type: TypeString},
	{Name: "mesh", Type: TypeString},
	{Name: "name", Type: TypeString},
	{Name: "creationTime", Type: TypeString},
	{Name: "modificationTime", Type: TypeString},
	{Name: "labels", Type: TypeMap, Element: &Field{Type: TypeString}},
	{Name: "kri", Type: TypeString},
	{Name: "snis", Type: TypeAny},
}}

// Head is the metadata of a document before its kind is known. Its keys are read without regard to case, as the peer does.
type Head struct {
	Type             string            `json:"type"`
	Mesh             string            `json:"mesh"`
	Name             string            `json:"name"`
	CreationTime     *time.Time        `json:"creationTime"`
	ModificationTime *time.Time        `json:"modificationTime"`
	Labels           map[string]string `json:"labels"`
}

// ReadHead reads the metadata of a JSON document.
func ReadHead(raw []byte) (Head, error) {
	var h Head
	if err := json.Unmarshal(raw, &h); err != nil {
		return Head{}, unreadable(headError(err))
	}
	return h, nil
}

// headError names the types of a document's head as the wire does.
func headError(err error) error {
	wrong, ok := errors.AsType[*json.UnmarshalTypeError](err)
	if !ok {
		return err
	}
	if wrong.Field == "" {
		return fmt.Errorf("json: cannot unmarshal %s into Go value of type v1alpha1.ResourceMeta", wrong.Value)
	}
	return &FormError{wrong.Field, fmt.Errorf("json: cannot unmarshal %s into Go struct field ResourceMeta.%s of type %s", wrong.Value, wrong.Field, wrong.Type)}
}

// unreadable makes the error of a document that cannot be read.
func unreadable(err error) error {
	if _, ok := errors.AsType[*FormError](err); !ok {
		err = &FormError{Err: err}
	}
	return problem.New(problem.Invalid, "%w", err)
}

// DefaultMesh is the mesh that is made on the first run, and that of nested kinds whose document names none.
const DefaultMesh = "default"

// Decoded is what Decode found.
type Decoded struct {
	*Resource
	// Type is the document's own word for its kind; the caller decides whether it fits.
	Type string
	// Unknown fields were in the document and are not in the resource.
	Unknown []Unknown
}

// Decode reads a JSON document of this kind. Fields that the kind does not have are left out and returned in Unknown.
// The resource is neither defaulted nor validated. The error is a *problem.Error of code Invalid: with violations when the
// document breaks the schema of a nested kind (Unknown is filled in then too), else with the wire's text as its detail and a *FormError that says where.
func (k *Kind) Decode(raw []byte) (Decoded, error) {
	if k.Nested {
		if violations, err := k.schemaViolations(raw); err != nil {
			return Decoded{}, unreadable(err)
		} else if len(violations) > 0 {
			// A required field may be missing because its name is misspelt.
			unknown, _, err := k.prune(raw)
			if err != nil {
				return Decoded{}, unreadable(err)
			}
			return Decoded{Unknown: unknown}, Refused(violations)
		}
	}
	head, err := ReadHead(raw)
	if err != nil {
		return Decoded{}, err
	}
	if k.Nested && k.Scope == InMesh && head.Mesh == "" {
		head.Mesh = DefaultMesh
	}
	unknown, known, err := k.prune(raw)
	if err != nil {
		return Decoded{}, unreadable(err)
	}
	r := &Resource{Kind: k, Meta: Meta{Mesh: head.Mesh, Name: head.Name, Labels: head.Labels}}
	if head.CreationTime != nil && head.ModificationTime != nil {
		r.Created, r.Modified = head.CreationTime.UTC(), head.ModificationTime.UTC()
	}
	if !k.Nested {
		if r.Spec, err = k.spec.fromJSON(known); err != nil {
			return Decoded{}, unreadable(err)
		}
		return Decoded{r, head.Type, unknown}, nil
	}
	var parts struct {
		Spec   json.RawMessage `json:"spec"`
		Status json.RawMessage `json:"status"`
	}
	if err := json.Unmarshal(known, &parts); err != nil {
		return Decoded{}, unreadable(err)
	}
	r.Spec = k.spec.make()
	if len(parts.Spec) > 0 {
		if r.Spec, err = k.spec.fromJSON(parts.Spec); err != nil {
			return Decoded{}, unreadable(err)
		}
	}
	if len(parts.Status) > 0 && k.HasStatus() {
		if r.Status, err = k.status.fromJSON(parts.Status); err != nil {
			return Decoded{}, unreadable(err)
		}
	}
	return Decoded{r, head.Type, unknown}, nil
}

// MarshalJSON gives the resource as the HTTP API shows it, compact, metadata first. Zero times are left as they are.
func (r *Resource) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(`{"type":`)
	put(&b, r.Kind.Name)
	if r.Kind.Scope == InMesh {
		b.WriteString(`,"mesh":`)
		put(&b, r.Mesh)
	}
	b.WriteString(`,"name":`)
	put(&b, r.Name)
	fmt.Fprintf(&b, `,"creationTime":%q,"modificationTime":%q`, formatTime(r.Created), formatTime(r.Modified))
	if len(r.Labels) > 0 {
		b.WriteString(`,"labels":`)
		put(&b, r.Labels)
	}
	if kri := r.KRI(); kri != "" {
		b.WriteString(`,"kri":`)
		put(&b, kri)
	}
	spec, err := r.SpecJSON()
	if err != nil {
		return nil, err
	}
	if err := r.appendSpec(&b, spec); err != nil {
		return nil, err
	}
	b.WriteString("}")
	return b.Bytes(), nil
}

func (r *Resource) appendSpec(b *bytes.Buffer, spec []byte) error {
	if !r.Kind.Nested {
		if inner := bytes.TrimSpace(spec[1 : len(spec)-1]); len(inner) > 0 {
			b.WriteString(",")
			b.Write(inner)
		}
		return nil
	}
	b.WriteString(`,"spec":`)
	b.Write(spec)
	if !r.Kind.HasStatus() {
		return nil
	}
	status := []byte("{}")
	if r.Status != nil {
		var err error
		if status, err = r.Kind.status.toJSON(r.Status); err != nil {
			return err
		}
	}
	b.WriteString(`,"status":`)
	b.Write(status)
	return nil
}

// SpecJSON gives the specification alone.
func (r *Resource) SpecJSON() ([]byte, error) {
	raw, err := r.Kind.spec.toJSON(r.Spec)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.Kind.Name, r.Name, err)
	}
	return bytes.TrimSpace(raw), nil
}

// SetSpecJSON replaces the specification.
func (r *Resource) SetSpecJSON(raw []byte) error {
	spec, err := r.Kind.spec.fromJSON(raw)
	if err != nil {
		return problem.New(problem.Invalid, "%w", err)
	}
	r.Spec = spec
	return nil
}

// SpecBytes and StatusBytes give the forms that are stored; the second is nil where there is no status.
func (r *Resource) SpecBytes() ([]byte, error) { return r.Kind.spec.toBytes(nil, r.Spec) }

// StatusBytes gives the stored form of the status, nil where there is none.
func (r *Resource) StatusBytes() ([]byte, error) {
	if r.Status == nil {
		return nil, nil
	}
	return r.Kind.status.toBytes(nil, r.Status)
}

// SetBytes fills specification and status from their stored forms.
func (r *Resource) SetBytes(spec, status []byte) (err error) {
	if r.Spec, err = r.Kind.spec.fromBytes(spec); err != nil {
		return err
	}
	if len(status) > 0 && r.Kind.HasStatus() {
		r.Status, err = r.Kind.status.fromBytes(status)
	}
	return err
}

func put(b *bytes.Buffer, v any) {
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	// Strings and string maps cannot fail to encode.
	_ = enc.Encode(v)
	b.Truncate(b.Len() - 1)
}

func formatTime(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// KRI is the resource's identifier, `kri_<short>_<mesh>_<zone>_<namespace>_<display name>_`; empty for kinds without a short name.
func (r *Resource) KRI() string {
	if r.Kind.Short == "" {
		return ""
	}
	return "kri_" + strings.Join([]string{
		r.Kind.Short, r.Mesh, r.Labels[LabelZone], r.Labels[LabelNamespace], r.DisplayName(), "",
	}, "_")
}

// DisplayName is the name that people gave; it differs from Name only for resources that came from elsewhere.
func (r *Resource) DisplayName() string {
	if d := r.Labels[LabelDisplayName]; d != "" {
		return d
	}
	return r.Name
}

func structCodec[S any]() codec {
	read := func(raw []byte) (any, error) {
		spec := new(S)
		return spec, json.Unmarshal(raw, spec)
	}
	write := func(spec any) ([]byte, error) {
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		err := enc.Encode(spec)
		return b.Bytes(), err
	}
	return codec{
		make:      func() any { return new(S) },
		fromJSON:  read,
		toJSON:    write,
		fromBytes: read,
		toBytes: func(to []byte, spec any) ([]byte, error) {
			raw, err := write(spec)
			return append(to, bytes.TrimSpace(raw)...), err
		},
		clone: func(spec any) any {
			raw, err := write(spec)
			if err != nil {
				// A specification was read from JSON, so it can be written again.
				panic(err)
			}
			again, err := read(raw)
			if err != nil {
				panic(err)
			}
			return again
		},
	}
}
