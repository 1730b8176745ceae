package server

import (
	"encoding/json"
	"sync/atomic"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/kumactl/kumactl/internal/catalog"
	"github.com/kumactl/kumactl/internal/envoy"
	"github.com/kumactl/kumactl/internal/policy"
	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/server/api"
	"github.com/kumactl/kumactl/internal/server/xds"
	"github.com/kumactl/kumactl/internal/store"
	"github.com/kumactl/kumactl/internal/view"
)

// inspector joins what the API shows of proxies with those who know it.
type inspector struct {
	store    *store.Store
	xds      *xds.Server
	compiler *envoy.Compiler

	// last is the picture that was made for the last question; another one is made when the store has moved on.
	last atomic.Pointer[view.Picture]
}

// picture is that of the store's newest revision, which the streams may be a few milliseconds behind.
func (i *inspector) picture() *view.Picture {
	snapshot := i.store.Snapshot()
	if p := i.last.Load(); p != nil && p.Revision() == snapshot.Revision() {
		return p
	}
	p := view.New(snapshot, catalog.Kinds())
	i.last.Store(p)
	return p
}

// Sent is the very configuration that the proxy's stream sends, as Envoy's JSON by type and name; with shadow, what it would send
// if policies in shadow mode counted.
func (i *inspector) Sent(mesh, proxy string, shadow bool) (map[string]map[string]json.RawMessage, error) {
	config, ok := i.xds.Config(mesh, proxy)
	if !ok {
		return nil, problem.New(problem.NotFound, "%s of mesh %s was not connected since this control plane started", proxy, mesh)
	}
	if shadow {
		m, p, err := i.find(mesh, proxy)
		if err != nil {
			return nil, err
		}
		node, _ := i.xds.Node(mesh, proxy)
		if config, err = i.compiler.CompileShadow(m, p, node); err != nil {
			return nil, err
		}
	}
	sent := map[string]map[string]json.RawMessage{}
	for _, list := range [][]*envoy.Sealed{config.Clusters, config.Listeners, config.Endpoints} {
		for _, s := range list {
			message, err := s.Message()
			if err != nil {
				return nil, err
			}
			raw, err := protojson.Marshal(message)
			if err != nil {
				return nil, err
			}
			if sent[s.TypeURL] == nil {
				sent[s.TypeURL] = map[string]json.RawMessage{}
			}
			sent[s.TypeURL][s.Name] = raw
		}
	}
	return sent, nil
}

// Status is what happened on the proxy's stream.
func (i *inspector) Status(mesh, proxy string) (api.ProxyStatus, error) {
	known, ok := i.xds.Status(mesh, proxy)
	if !ok {
		return api.ProxyStatus{Types: []api.TypeStatus{}}, nil
	}
	status := api.ProxyStatus{Connected: known.Connected, Since: &known.Since, Types: []api.TypeStatus{}}
	for _, t := range known.Types {
		one := api.TypeStatus{Type: t.URL, Version: t.Version, Refused: t.Rejection}
		if t.Rejection == "" {
			one.Acked = t.Version
		} else {
			one.RefusedAt = &t.RejectedAt
		}
		status.Types = append(status.Types, one)
	}
	for _, p := range known.Problems {
		status.Problems = append(status.Problems, p.String())
	}
	if known.Err != nil {
		status.Problems = append(status.Problems, known.Err.Error())
	}
	return status, nil
}

// Rules are the merged policies of a proxy, connected or not: those that its configuration is made from.
func (i *inspector) Rules(mesh, proxy string) ([]*policy.Inspection, error) {
	m, p, err := i.find(mesh, proxy)
	if err != nil {
		return nil, err
	}
	return i.compiler.Inspect(m, p)
}

// Selects says whether a policy applies to a proxy.
func (i *inspector) Selects(policy, proxy *resource.Resource) (bool, error) {
	_, p, err := i.find(proxy.Mesh, proxy.Name)
	return err == nil && i.compiler.Selects(policy, p), err
}

// find looks a proxy up in the picture that configuration is made from.
func (i *inspector) find(mesh, proxy string) (*view.Mesh, *view.Proxy, error) {
	m, ok := i.picture().Mesh(mesh)
	if !ok {
		return nil, nil, problem.New(problem.NotFound, "mesh %s does not exist", mesh)
	}
	p, ok := m.Proxy(proxy)
	if !ok {
		return nil, nil, problem.New(problem.NotFound, "there is no proxy %s in mesh %s", proxy, mesh)
	}
	return m, p, nil
}
