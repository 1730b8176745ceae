package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"

	"github.com/kumactl/kumactl/internal/admission"
	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/store"
)

const (
	// DefaultBodyLimit is the largest body of a request, in bytes.
	DefaultBodyLimit = 1 << 20
	// DefaultWatches is how many watches may be open at once.
	DefaultWatches = 64
)

// Options say what the API serves and whom it trusts.
type Options struct {
	// Kinds that are stored; their paths come from here.
	Kinds     []*resource.Kind
	Store     *store.Store
	Admission *admission.Admission
	// Computed are kinds whose resources are worked out when they are asked for.
	Computed []resource.Computed
	// Inspector knows proxies; without one the paths that need it answer 404.
	Inspector Inspector
	Info      Info
	// Config is the configuration as JSON, for GET /config. Secrets must be masked in it.
	Config json.RawMessage
	// ReadOnly refuses all writes; Strict refuses documents with unknown fields.
	ReadOnly bool
	Strict   bool
	// AdminToken is the bearer token of the administrator; empty means that no token is right.
	AdminToken string
	// LocalIsNobody takes the administrator's rights from requests that come from this machine.
	LocalIsNobody bool
	// CompatOpenAPI lets anybody write who reaches the port, as Kuma does.
	CompatOpenAPI bool
	// BodyLimit in bytes and Watches in number; 0 means the default.
	BodyLimit int64
	Watches   int
	// Logger gets what was our own fault. Silent when nil.
	Logger *slog.Logger
}

// Info is what the control plane says of itself.
type Info struct {
	// Version of this program; InstanceID of this process, ClusterID of the store.
	Version    string
	InstanceID string
	ClusterID  string
	Hostname   string
	// Zone is the name of this zone.
	Zone string
}

// API answers HTTP requests. It holds no state of its own but the open watches.
type API struct {
	o        Options
	routes   *node
	byName   map[string]*resource.Kind
	byShort  map[string]*resource.Kind
	computed map[string]resource.Computed
	watches  chan struct{}
}

// New prepares the API.
func New(o Options) *API {
	if o.BodyLimit == 0 {
		o.BodyLimit = DefaultBodyLimit
	}
	if o.Watches == 0 {
		o.Watches = DefaultWatches
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	a := &API{
		o: o, routes: &node{}, byName: map[string]*resource.Kind{}, byShort: map[string]*resource.Kind{},
		computed: map[string]resource.Computed{}, watches: make(chan struct{}, o.Watches),
	}
	for _, c := range o.Computed {
		a.computed[c.Kind.Name] = c
	}
	for _, k := range a.kinds() {
		a.byName[k.Name] = k
		if k.Short != "" {
			a.byShort[k.Short] = k
		}
		a.addKind(k)
	}
	a.addFixed()
	return a
}

// kinds are all that have paths, stored ones first.
func (a *API) kinds() []*resource.Kind {
	all := append([]*resource.Kind(nil), a.o.Kinds...)
	for _, c := range a.o.Computed {
		all = append(all, c.Kind)
	}
	return all
}

// call is one request on its way to an answer.
type call struct {
	http.ResponseWriter

	r *http.Request
	// pattern is the path with names in braces; mesh and name are what stood there.
	pattern    string
	mesh, name string
	who        identity
}

// handler answers a call, or returns why not: a *problem.Error, or anything else for a fault of our own.
type handler func(*call) error

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{ResponseWriter: w, r: r}
	w.Header().Set("Kumactl-Version", a.o.Info.Version)
	defer a.survive(c)
	if redirected(c) {
		return
	}
	if r.URL.Path == guiPath || strings.HasPrefix(r.URL.Path, guiPath+"/") {
		serveGUI(c)
		return
	}
	n := a.routes.find(steps(r.URL), c)
	if n == nil {
		plain(c, http.StatusNotFound, "404: Page Not Found")
		return
	}
	serve := n.method(r.Method)
	if serve == nil {
		c.Header().Set("Allow", n.allowed())
		plain(c, http.StatusMethodNotAllowed, "405: Method Not Allowed")
		return
	}
	if !takes(r, n.accepts) {
		plain(c, http.StatusUnsupportedMediaType, "415: Unsupported Media Type")
		return
	}
	if !wants(r.Header.Values("Accept"), n.gives) {
		plain(c, http.StatusNotAcceptable, "406: Not Acceptable\n\nAvailable representations: "+strings.Join(n.gives, ","))
		return
	}
	c.pattern = n.pattern
	if err := a.serve(c, n, serve); err != nil {
		a.refuse(c, err)
	}
}

// serve finds out who asks, unless the path is open to everybody, and lets the handler answer.
func (a *API) serve(c *call, n *node, serve handler) (err error) {
	if !n.open {
		if c.who, err = a.identify(c.r); err != nil {
			return err
		}
	}
	return serve(c)
}

// survive turns a panic into an answer and a line in the log, so that one bad request harms nobody else.
func (a *API) survive(c *call) {
	switch p := recover(); p {
	case nil:
	case http.ErrAbortHandler:
		panic(p)
	default:
		a.o.Logger.Error("panic while answering a request", "method", c.r.Method, "path", c.r.URL.Path, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		a.refuse(c, errors.New("internal fault"))
	}
}

// readOnly says whether nobody may write a kind through this API.
func (a *API) readOnly(k *resource.Kind) bool { return k.ReadOnly || a.o.ReadOnly }

// titled gives an error a title unless it has one. The title says what was tried, in the peer's words.
func titled(title string, err error) error {
	p, ok := errors.AsType[*problem.Error](err)
	if !ok {
		return &problem.Error{Title: title, Cause: err}
	}
	if p.Title != "" {
		return err
	}
	with := *p
	with.Title = title
	return &with
}
