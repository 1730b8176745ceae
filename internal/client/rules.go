package client

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
)

// maxAsked is how many proxies are asked one by one what they refused.
const maxAsked = 20

// PolicyRules is what the policies of one kind come to for a proxy.
type PolicyRules struct {
	Type  string `json:"type"`
	Proxy *struct {
		Conf   json.RawMessage `json:"conf"`
		Origin []Ref           `json:"origin"`
	} `json:"proxyRule"`
	From     []InboundRules `json:"fromRules"`
	Inbound  []InboundRules `json:"inboundRules"`
	To       []Rule         `json:"toRules"`
	ToOne    []Rule         `json:"toResourceRules"`
	Warnings []string       `json:"warnings"`
}

// InboundRules are the rules of one inbound.
type InboundRules struct {
	Inbound struct {
		Name string            `json:"name"`
		Port uint32            `json:"port"`
		Tags map[string]string `json:"tags"`
	} `json:"inbound"`
	Rules []Rule `json:"rules"`
}

// Rule is a configuration, what it is for and where it came from. Conf is a JSON object, or a list of them.
type Rule struct {
	Conf     json.RawMessage `json:"conf"`
	Matchers []struct {
		Key   string `json:"key"`
		Value string `json:"value"`
		Not   bool   `json:"not"`
	} `json:"matchers"`
	Origin  []Origin `json:"origin"`
	Meta    Ref      `json:"resourceMeta"`
	Section string   `json:"resourceSectionName"`
}

// Origin names a policy, in either of the two shapes that the API has for it.
type Origin struct {
	Ref
	Meta Ref `json:"resourceMeta"`
}

// Ref names a resource.
type Ref struct {
	Type string `json:"type"`
	Mesh string `json:"mesh"`
	Name string `json:"name"`
}

// Rules reads the merged policies of a proxy, and gives the answer too.
func (c *Client) Rules(ctx context.Context, mesh, name string) ([]PolicyRules, json.RawMessage, error) {
	raw, err := c.ofProxy(ctx, mesh, name, "_rules", nil)
	if err != nil {
		return nil, nil, err
	}
	var said struct {
		Rules []PolicyRules `json:"rules"`
	}
	if err := json.Unmarshal(raw, &said); err != nil {
		return nil, nil, problem.New(problem.Internal, "rules of dataplane %q from %s: %w", name, c.URL(), err)
	}
	return said.Rules, raw, nil
}

// Overview reads the overview of one proxy.
func (c *Client) Overview(ctx context.Context, mesh, name string) (Overview, error) {
	raw, err := c.ofProxy(ctx, mesh, name, "_overview", nil)
	if err != nil {
		return Overview{}, err
	}
	o, err := readOverview(raw)
	if err != nil {
		return o, problem.New(problem.Internal, "overview of dataplane %q from %s: %w", name, c.URL(), err)
	}
	return o, nil
}

// Envoy reads what the API tells of a proxy under a word: _config, xds, stats, clusters. JSON or text.
func (c *Client) Envoy(ctx context.Context, proxy Ref, word string, query url.Values) ([]byte, error) {
	return c.ofProxy(ctx, proxy.Mesh, proxy.Name, word, query)
}

func (c *Client) ofProxy(ctx context.Context, mesh, name, word string, query url.Values) (json.RawMessage, error) {
	path, err := itemPath(&resource.Kind{Name: "Dataplane", Path: "dataplanes"}, mesh, name)
	if err != nil {
		return nil, err
	}
	return c.read(ctx, path+"/"+word, query)
}

// StreamStatus is what a proxy was sent, acknowledged and refused on its stream.
type StreamStatus struct {
	Connected bool       `json:"connected"`
	Since     *time.Time `json:"since"`
	Types     []struct {
		Type      string     `json:"type"`
		Resources int        `json:"resources"`
		Refused   string     `json:"refused"`
		RefusedAt *time.Time `json:"refusedAt"`
	} `json:"types"`
	Problems []string `json:"problems"`
}

// Notes are what a person should know: what the proxy refused, in Envoy's words, and what could not be made for it.
func (s StreamStatus) Notes() []string {
	var notes []string
	for _, t := range s.Types {
		if t.Refused != "" {
			notes = append(notes, shortType(t.Type)+" refused: "+t.Refused)
		}
	}
	return append(notes, s.Problems...)
}

// shortType is `Listener` for `type.googleapis.com/envoy.config.listener.v3.Listener`.
func shortType(url string) string { return url[strings.LastIndexAny(url, "./")+1:] }

// Stream reads the status of a proxy's stream; empty where the server does not keep it.
func (c *Client) Stream(ctx context.Context, mesh, name string) (StreamStatus, error) {
	var status StreamStatus
	raw, err := c.ofProxy(ctx, mesh, name, "_status", nil)
	if err != nil {
		return status, err
	}
	if err := json.Unmarshal(raw, &status); err != nil {
		return status, problem.New(problem.Internal, "status of dataplane %q from %s: %w", name, c.URL(), err)
	}
	return status, nil
}

// Refusals asks the proxies that refused something what it was. What cannot be found out is left out: it is a note.
func (c *Client) Refusals(ctx context.Context, overviews []Overview) map[resource.Key]string {
	notes := map[resource.Key]string{}
	asked := 0
	for _, o := range overviews {
		if o.Errors() == 0 || !o.Connected() {
			continue
		}
		if asked++; asked > maxAsked {
			break
		}
		status, err := c.Stream(ctx, o.Mesh, o.Name)
		if err != nil {
			break
		}
		if found := status.Notes(); len(found) > 0 {
			notes[resource.Key{Mesh: o.Mesh, Name: o.Name}] = strings.Join(slices.Compact(found), "; ")
		}
	}
	return notes
}
