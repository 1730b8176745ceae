package client

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"

	"github.com/kumactl/kumactl/internal/problem"
)

// errUnknownPath is in the chain when the server does not know a path at all, as opposed to a resource.
var errUnknownPath = errors.New("path is not known")

// Service is a service of a mesh with its proxies.
type Service struct {
	Mesh string `json:"mesh"`
	Name string `json:"name"`
	// Status is online, offline, partially_degraded or not_available.
	Status     string `json:"status"`
	Dataplanes Count  `json:"dataplanes"`
	// Type is internal (or empty), external, gateway_delegated or gateway_builtin.
	Type  string   `json:"serviceType,omitempty"`
	Zones []string `json:"zones,omitempty"`
	// Address is the name under which it is reached; empty where nobody computed one.
	Address string `json:"addressPort,omitempty"`
}

// Count counts proxies by how they are.
type Count struct {
	Total   int `json:"total,omitempty"`
	Online  int `json:"online,omitempty"`
	Offline int `json:"offline,omitempty"`
	Partly  int `json:"partiallyDegraded,omitempty"`
}

// State is the service's status in words.
func (s Service) State() State {
	switch s.Status {
	case "online":
		return Online
	case "partially_degraded":
		return Partly
	case "not_available":
		return Unwatched
	}
	return Offline
}

// Services lists the services of a mesh, or of all for "". A server without service insights is asked for its proxies instead.
func (c *Client) Services(ctx context.Context, mesh string) ([]Service, *List, error) {
	path := "/service-insights"
	if mesh != "" {
		path = "/meshes/" + url.PathEscape(mesh) + path
	}
	list, err := c.List(ctx, path, nil)
	if errors.Is(err, errUnknownPath) {
		overviews, _, err := c.Overviews(ctx, mesh, nil)
		if err != nil {
			return nil, nil, err
		}
		return servicesOf(overviews)
	}
	if err != nil {
		return nil, nil, err
	}
	services := make([]Service, len(list.Items))
	for i, raw := range list.Items {
		if err := json.Unmarshal(raw, &services[i]); err != nil {
			return nil, nil, problem.New(problem.Internal, "answer to GET %s at %s: %w", path, c.URL(), err)
		}
	}
	return services, list, nil
}

// servicesOf counts the proxies of each service. The list has the shape that a server would give.
func servicesOf(overviews []Overview) ([]Service, *List, error) {
	type key struct{ mesh, name string }
	all := map[key]*Service{}
	for _, o := range overviews {
		state, _ := o.State()
		for _, name := range o.Services() {
			k := key{o.Mesh, name}
			if all[k] == nil {
				all[k] = &Service{Mesh: o.Mesh, Name: name}
			}
			all[k].add(o, state)
		}
	}
	services := make([]Service, 0, len(all))
	for _, s := range all {
		s.Status = s.Dataplanes.status()
		slices.Sort(s.Zones)
		services = append(services, *s)
	}
	slices.SortFunc(services, func(a, b Service) int { return cmp.Or(cmp.Compare(a.Mesh, b.Mesh), cmp.Compare(a.Name, b.Name)) })
	list := &List{Total: len(services), Items: []json.RawMessage{}}
	for _, s := range services {
		raw, err := json.Marshal(struct {
			Type string `json:"type"`
			Service
		}{"ServiceInsight", s})
		if err != nil {
			return nil, nil, err
		}
		list.Items = append(list.Items, raw)
	}
	return services, list, nil
}

func (s *Service) add(o Overview, state State) {
	s.Dataplanes.add(state)
	if o.Dataplane.GetNetworking().GetGateway() != nil {
		s.Type = "gateway_delegated"
		if o.Labels["kuma.io/proxy-type"] == "gateway" {
			s.Type = "gateway_builtin"
		}
	}
	for _, zone := range o.Tags()["kuma.io/zone"] {
		if !slices.Contains(s.Zones, zone) {
			s.Zones = append(s.Zones, zone)
		}
	}
}

func (c *Count) add(state State) {
	c.Total++
	switch state {
	case Online:
		c.Online++
	case Partly:
		c.Partly++
	default:
		c.Offline++
	}
}

func (c Count) status() string {
	switch {
	case c.Total > 0 && c.Online == c.Total:
		return "online"
	case c.Online+c.Partly > 0:
		return "partially_degraded"
	}
	return "offline"
}

// Mesh is what a mesh holds.
type Mesh struct {
	Name       string `json:"name"`
	Dataplanes Count  `json:"dataplanes"`
	Services   Count  `json:"services"`
	// Policies counts them by kind.
	Policies map[string]Count `json:"policies"`
	MTLS     struct {
		Issued map[string]Count `json:"issuedBackends"`
	} `json:"mTLS"`
}

// Meshes summarises all meshes. A server without mesh insights is asked for meshes and proxies instead; policies are not counted then.
func (c *Client) Meshes(ctx context.Context) ([]Mesh, *List, error) {
	list, err := c.List(ctx, "/mesh-insights", nil)
	if errors.Is(err, errUnknownPath) {
		return c.countMeshes(ctx)
	}
	if err != nil {
		return nil, nil, err
	}
	meshes := make([]Mesh, len(list.Items))
	for i, raw := range list.Items {
		if err := json.Unmarshal(raw, &meshes[i]); err != nil {
			return nil, nil, problem.New(problem.Internal, "answer to GET /mesh-insights at %s: %w", c.URL(), err)
		}
	}
	return meshes, list, nil
}

func (c *Client) countMeshes(ctx context.Context) ([]Mesh, *List, error) {
	list, err := c.List(ctx, "/meshes", nil)
	if err != nil {
		return nil, nil, err
	}
	overviews, _, err := c.Overviews(ctx, "", nil)
	if err != nil {
		return nil, nil, err
	}
	services, _, err := servicesOf(overviews)
	if err != nil {
		return nil, nil, err
	}
	meshes := make([]Mesh, len(list.Items))
	for i, raw := range list.Items {
		m := &meshes[i]
		if err := json.Unmarshal(raw, &struct{ Name *string }{&m.Name}); err != nil {
			return nil, nil, problem.New(problem.Internal, "answer to GET /meshes at %s: %w", c.URL(), err)
		}
		for _, o := range overviews {
			if o.Mesh == m.Name {
				state, _ := o.State()
				m.Dataplanes.add(state)
			}
		}
		for _, s := range services {
			if s.Mesh == m.Name {
				m.Services.Total++
			}
		}
		if list.Items[i], err = json.Marshal(struct {
			Type string `json:"type"`
			*Mesh
		}{"MeshInsight", m}); err != nil {
			return nil, nil, err
		}
	}
	return meshes, list, nil
}
