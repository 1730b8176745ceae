package api

import (
	"bytes"
	"time"

	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
)

// overview shows one resource together with its insight.
func (a *API) overview(k *resource.Kind) handler {
	return func(c *call) error {
		r, p, err := a.one(c, k)
		if err != nil {
			return err
		}
		const title = "Could not retrieve a resource" // wire: the peer's title
		if kubernetes(c.r.URL.Query().Get("format")) {
			return &problem.Error{Code: problem.Invalid, Title: title, Detail: "an overview has no Kubernetes format"}
		}
		insight, err := p.insightOf(r)
		if err != nil {
			return titled(title, err)
		}
		if insight == nil {
			// One overview always has the key; in lists it is left out.
			insight = []byte("{}")
		}
		raw, err := overviewJSON(r, insight)
		if err != nil {
			return titled(title, err)
		}
		return respondRaw(c, raw)
	}
}

// overviews answers with a page of resources and their insights; it is narrowed down like the list of the resources.
func (a *API) overviews(k *resource.Kind) handler {
	return func(c *call) error {
		items, next, total, err := a.slice(c, k)
		if err != nil {
			return err
		}
		p := a.picture()
		raw := make([][]byte, len(items))
		for i, r := range items {
			insight, err := p.insightOf(r)
			if err == nil {
				raw[i], err = overviewJSON(r, insight)
			}
			if err != nil {
				return titled(listing, err)
			}
		}
		return respondList(c, raw, next, total)
	}
}

// insightOf gives the insight of a resource as JSON, nil when there is none.
func (p picture) insightOf(r *resource.Resource) ([]byte, error) {
	insight, ok := p.Get(resource.Key{Kind: r.Kind.Overview.Insight, Mesh: r.Mesh, Name: r.Name})
	if !ok {
		return nil, nil
	}
	return insight.SpecJSON()
}

// heading is a resource's metadata under another type.
type heading struct {
	Type     string            `json:"type"`
	Mesh     string            `json:"mesh,omitempty"`
	Name     string            `json:"name"`
	Created  time.Time         `json:"creationTime"`
	Modified time.Time         `json:"modificationTime"`
	Labels   map[string]string `json:"labels,omitempty"`
	KRI      string            `json:"kri,omitempty"`
}

// overviewJSON joins a resource and its insight; the latter's key is missing when it is nil.
func overviewJSON(r *resource.Resource, insight []byte) ([]byte, error) {
	head, err := marshal(heading{r.Kind.Overview.Type, r.Mesh, r.Name, r.Created.UTC(), r.Modified.UTC(), r.Labels, r.KRI()})
	if err != nil {
		return nil, err
	}
	spec, err := r.SpecJSON()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.Write(head[:len(head)-1])
	b.WriteString(`,"` + r.Kind.Overview.Field + `":`)
	b.Write(spec)
	if insight != nil {
		b.WriteString(`,"` + r.Kind.Overview.InsightField + `":`)
		b.Write(insight)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}
