package resource

import (
	"sync"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/kumactl/kumactl/internal/problem"
)

// Sync says between which control planes a kind travels in a deployment of several zones.
type Sync int

// The directions.
const (
	NoSync       Sync = 0
	GlobalToZone Sync = 1
	ZoneToGlobal Sync = 2
)

// Kind describes one kind of resource. Everything that the API, the command line and the documents know of a kind is here or
// derived from it; no other code asks for a kind by its name.
type Kind struct {
	// Name is the type in documents: `MeshTimeout`.
	Name string
	// Path is the segment in URLs: `meshtimeouts`; AltPath a second one that is answered too, mostly empty.
	Path    string
	AltPath string
	// Arg and Plural are what people type after `get`: `meshtimeout`, `meshtimeouts`; Aliases are further words.
	Arg     string
	Plural  string
	Aliases []string
	// Short is the kind's word in a KRI: `mt`; empty for kinds without one.
	Short string
	Scope Scope
	Sync  Sync

	// ReadOnly kinds are written by the control plane alone; AdminOnly kinds hold secrets; Volatile kinds are status that
	// machines report often: they live in memory, are saved now and then, and are not in the change log.
	ReadOnly  bool
	AdminOnly bool
	Volatile  bool
	// Nested kinds have `spec` (and `status`) as fields of their own in JSON; the others have the specification's fields inline.
	Nested bool
	// Proxy kinds are proxies and get the label kuma.io/proxy-type from ProxyType.
	ProxyType func(spec any) string
	// OwnLabels are labels that the control plane sets whatever the document says; an empty value removes.
	OwnLabels func(spec any) map[string]string
	// Tags are the sets of tags that lists find a resource by (`tag=`), one for each inbound; nil for kinds without tags.
	Tags func(spec any) []map[string]string
	// Gateway says what gateway a proxy is, for lists (`gateway=`): empty, "builtin" or "delegated"; nil for other kinds.
	Gateway func(spec any) string
	// Members is set for the one kind whose resources hold the resources of kinds with scope InMesh.
	Members bool
	// Skips says whether a new resource with members does not want the ones of a kind to start with.
	Skips func(spec any, kind string) bool
	// ZoneProvided kinds get the labels kuma.io/origin, kuma.io/zone and kuma.io/env when the API writes them.
	ZoneProvided bool
	// NoMeshLabel kinds do not get the label kuma.io/mesh although they are in a mesh.
	NoMeshLabel bool
	// Policy is set for policies.
	Policy *PolicyTraits
	// Overview is set for kinds whose insight is shown together with them.
	Overview *Overview
	// Owner is the name of the kind that a resource of this kind falls with, found by the same mesh and name.
	Owner string
	// OutlivesMesh says which resources stay when their mesh is deleted; nil for none.
	OutlivesMesh func(r *Resource) bool
	// NoEffectYet is told to people who apply a resource of this kind that is stored and does nothing so far; empty otherwise.
	NoEffectYet string

	// Columns are what tables show beside mesh, name and age.
	Columns []Column
	// ForNewMesh gives the resources of this kind, which it is handed, that a new mesh starts with.
	ForNewMesh func(kind *Kind, mesh string) []*Resource
	// BeforePut and BeforeDelete hold a write against the other resources, in the transaction that makes it.
	BeforePut    func(w *Write) error
	BeforeDelete func(all Reader, old *Resource) error

	spec, status codec
	defaults     func(*Resource)
	validate     func(*Resource) problem.Violations
	warn         func(*Resource) []string
	fields       func() *Field
}

// Write is one resource about to be written. A kind's BeforePut may change New, and add what its writer should know.
type Write struct {
	All Reader
	// Old is nil when the resource is new.
	Old, New *Resource
	// Zone that the control plane is of.
	Zone     string
	Warnings []string
}

// PolicyTraits say what the API's catalog tells of a policy.
type PolicyTraits struct {
	// TargetRef policies select with a targetRef; the older ones with tags.
	TargetRef bool
	To, From  bool
	Rules     bool
	// IsInbound/IsOutbound style switches are derived from To, From and Rules.
	Singular string
}

// Overview names the view that joins a kind with its insight.
type Overview struct {
	// Type is `DataplaneOverview`; LegacyPath `dataplanes+insights`; Field and InsightField the two keys in its JSON.
	Type         string
	LegacyPath   string
	Field        string
	InsightField string
	// Insight is the name of the insight's kind; an insight has its resource's mesh and name.
	Insight string
}

// Computed is a kind that is not stored, with what works its resources out when somebody asks.
type Computed struct {
	Kind *Kind
	// All gives the resources of one mesh, or of all for "", ordered by mesh, then name. Global kinds may overlook the mesh.
	All func(from Reader, mesh string) []*Resource
}

// Column is one column of a table.
type Column struct {
	Title string
	// Wide columns are shown with `-o wide` only.
	Wide  bool
	Value func(*Resource) string
}

// codec converts one Go type. All closures are bound once, by Of or OfProto.
type codec struct {
	make      func() any
	fromJSON  func([]byte) (any, error)
	toJSON    func(any) ([]byte, error)
	fromBytes func([]byte) (any, error)
	toBytes   func([]byte, any) ([]byte, error)
	clone     func(any) any
}

// Rules are what a kind's own folder knows of its specification.
type Rules[S any] struct {
	// Default fills in what the writer left out. It runs before Validate.
	Default func(m *Meta, spec S)
	// Validate returns everything that is wrong, with paths from the root of the resource as the peer words them.
	Validate func(m Meta, spec S) problem.Violations
	// Warn returns what is accepted and probably not meant.
	Warn func(m Meta, spec S) []string
}

// OfProto binds a kind to a protobuf message. empty makes a new one.
func OfProto[S proto.Message](kind Kind, empty func() S, rules Rules[S]) *Kind {
	kind.spec = codec{
		make: func() any { return empty() },
		fromJSON: func(raw []byte) (any, error) {
			spec := empty()
			return spec, ReadMessage(raw, spec)
		},
		toJSON: func(spec any) ([]byte, error) { return protojson.Marshal(spec.(S)) },
		fromBytes: func(raw []byte) (any, error) {
			spec := empty()
			return spec, proto.Unmarshal(raw, spec)
		},
		toBytes: func(to []byte, spec any) ([]byte, error) {
			return proto.MarshalOptions{Deterministic: true}.MarshalAppend(to, spec.(S))
		},
		clone: func(spec any) any { return proto.Clone(spec.(S)) },
	}
	kind.fields = sync.OnceValue(func() *Field { return protoFields(empty().ProtoReflect().Descriptor(), 0) })
	bindRules(&kind, rules)
	return &kind
}

// Of binds a kind to a Go struct S with JSON tags, without a status.
func Of[S any](kind Kind, rules Rules[*S]) *Kind {
	kind.Nested = true
	kind.spec = structCodec[S]()
	kind.fields = sync.OnceValue(structFields[S])
	bindRules(&kind, rules)
	return &kind
}

// OfStatus binds a kind to a Go struct S and a status T, both with JSON tags.
func OfStatus[S, T any](kind Kind, rules Rules[*S]) *Kind {
	bound := Of(kind, rules)
	bound.status = structCodec[T]()
	return bound
}

func bindRules[S any](kind *Kind, rules Rules[S]) {
	if rules.Default != nil {
		kind.defaults = func(r *Resource) { rules.Default(&r.Meta, r.Spec.(S)) }
	}
	if rules.Validate != nil {
		kind.validate = func(r *Resource) problem.Violations { return rules.Validate(r.Meta, r.Spec.(S)) }
	}
	if rules.Warn != nil {
		kind.warn = func(r *Resource) []string { return rules.Warn(r.Meta, r.Spec.(S)) }
	}
}

// New makes an empty resource of the kind.
func (k *Kind) New(mesh, name string) *Resource {
	return &Resource{Kind: k, Meta: Meta{Mesh: mesh, Name: name}, Spec: k.spec.make()}
}

// HasStatus says whether resources of the kind carry a status.
func (k *Kind) HasStatus() bool { return k.status.make != nil }

// Fields is the tree of the specification's fields, made on first use.
func (k *Kind) Fields() *Field { return k.fields() }

// Default fills in what the writer left out of the specification.
func (r *Resource) Default() {
	if r.Kind.defaults != nil {
		r.Kind.defaults(r)
	}
}

// Validate returns everything that is wrong with the specification.
func (r *Resource) Validate() problem.Violations {
	if r.Kind.validate == nil {
		return nil
	}
	return r.Kind.validate(r)
}

// Warnings returns what is accepted and probably not meant.
func (r *Resource) Warnings() []string {
	if r.Kind.warn == nil {
		return nil
	}
	return r.Kind.warn(r)
}
