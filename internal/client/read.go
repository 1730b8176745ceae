package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
)

const (
	indexPath = "/"
	// pageSize is how much of a long list is asked for at a time: the most that the peer's server gives.
	pageSize = 1000
)

// Index is what a control plane says of itself.
type Index struct {
	Product    string `json:"product"`
	Tagline    string `json:"tagline"`
	Version    string `json:"version"`
	Hostname   string `json:"hostname"`
	InstanceID string `json:"instanceId"`
	ClusterID  string `json:"clusterId"`
	Mode       string `json:"mode"`
	// Ours is the version of a control plane that is kumactl itself; empty for another one.
	Ours string `json:"-"`
}

// String is the program and its version.
func (i Index) String() string {
	if i.Ours != "" {
		return "kumactl " + i.Ours
	}
	return i.Product + " " + i.Version
}

// Index asks the control plane who it is. Another product is an error.
func (c *Client) Index(ctx context.Context) (Index, error) {
	var index Index
	q := call{method: http.MethodGet, path: indexPath}
	a, err := c.do(ctx, q)
	if err != nil {
		return index, err
	}
	if a.status != http.StatusOK {
		return index, c.refusal(ctx, q, a)
	}
	if err := json.Unmarshal(a.body, &index); err != nil || index.Product == "" || index.Version == "" {
		return index, c.noControlPlane()
	}
	index.Ours = a.header.Get(versionHeader)
	return index, nil
}

// Get reads one resource; the error's code is NotFound when it, or its mesh, is not there.
func (c *Client) Get(ctx context.Context, k *resource.Kind, mesh, name string) (json.RawMessage, error) {
	path, err := itemPath(k, mesh, name)
	if err != nil {
		return nil, err
	}
	raw, err := c.read(ctx, path, nil)
	if err == nil && !json.Valid(raw) {
		return nil, c.noControlPlane()
	}
	return raw, err
}

func (c *Client) read(ctx context.Context, path string, query url.Values) (json.RawMessage, error) {
	q := call{method: http.MethodGet, path: path, query: query}
	a, err := c.do(ctx, q)
	if err != nil {
		return nil, err
	}
	if a.status != http.StatusOK {
		return nil, c.refusal(ctx, q, a)
	}
	return a.body, nil
}

// Path is where the resources of a kind are; mesh "" means all meshes.
func Path(k *resource.Kind, mesh string) string {
	if k.Scope == resource.Global || mesh == "" {
		return "/" + k.Path
	}
	return "/meshes/" + url.PathEscape(mesh) + "/" + k.Path
}

// itemPath is where one resource is. Words that a URL would take as steps of a path are no names.
func itemPath(k *resource.Kind, mesh, name string) (string, error) {
	for what, word := range map[string]string{"name": name, "mesh": mesh} {
		if word == "." || word == ".." || strings.ContainsAny(word, "/\\") {
			return "", problem.New(problem.Invalid, "%q is no %s", word, what)
		}
	}
	if name == "" {
		return "", problem.New(problem.Invalid, "%s has no name", k.Name)
	}
	return Path(k, mesh) + "/" + url.PathEscape(name), nil
}

// List is a list in the server's shape. Next is set only where one page was asked for and more follow.
type List struct {
	Total int               `json:"total"`
	Items []json.RawMessage `json:"items"`
	Next  *string           `json:"next"`
}

// Offset is where the next page begins, "" when there is none.
func (l *List) Offset() string {
	if l.Next == nil {
		return ""
	}
	next, err := url.Parse(*l.Next)
	if err != nil {
		return ""
	}
	return next.Query().Get("offset")
}

// List reads all resources of a list: the page that the server gives by itself, which is enough for most, and then large ones; of
// its `next` only the offset is used. With `size` or `offset` in the query it reads that page.
func (c *Client) List(ctx context.Context, path string, query url.Values) (*List, error) {
	if query.Has("size") || query.Has("offset") {
		return c.page(ctx, path, query)
	}
	whole := &List{Items: []json.RawMessage{}}
	query = clone(query)
	for {
		page, err := c.page(ctx, path, query)
		if err != nil {
			return nil, err
		}
		whole.Items = append(whole.Items, page.Items...)
		offset := page.Offset()
		if page.Next == nil || offset == "" && *page.Next == "" {
			whole.Total = len(whole.Items)
			return whole, nil
		}
		if len(page.Items) == 0 || offset == "" || offset == query.Get("offset") {
			return nil, problem.New(problem.Internal, "list %s at %s does not end: after %d of %d its next page is %q", path, c.URL(), len(whole.Items), page.Total, *page.Next)
		}
		query.Set("offset", offset)
		query.Set("size", strconv.Itoa(pageSize))
	}
}

func clone(query url.Values) url.Values {
	c := url.Values{}
	for k, v := range query {
		c[k] = v
	}
	return c
}

func (c *Client) page(ctx context.Context, path string, query url.Values) (*List, error) {
	raw, err := c.read(ctx, path, query)
	if err != nil {
		return nil, err
	}
	page := &List{}
	if !json.Valid(raw) {
		return nil, c.noControlPlane()
	}
	if err := json.Unmarshal(raw, page); err != nil {
		return nil, problem.New(problem.Internal, "answer to GET %s at %s is no list: %w", path, c.URL(), err).
			WithHint("`kumactl version` shows what answers there")
	}
	if page.Items == nil {
		page.Items = []json.RawMessage{}
	}
	return page, nil
}

// Filter chooses some resources of a list.
type Filter struct {
	// Labels and Tags that a resource must have, all of them.
	Labels, Tags map[string]string
	// Size and Offset choose one page; without both all pages are read.
	Size   int
	Offset string
}

// Query is the filter as parameters of a request.
func (f Filter) Query() url.Values {
	q := url.Values{}
	for key, value := range f.Labels {
		q.Set("filter[labels."+key+"]", value)
	}
	for key, value := range f.Tags {
		q.Add("tag", key+":"+value)
	}
	if f.Size != 0 {
		q.Set("size", strconv.Itoa(f.Size))
	}
	if f.Offset != "" {
		q.Set("offset", f.Offset)
	}
	return q
}

// Reached lists the data planes that a policy selects.
func (c *Client) Reached(ctx context.Context, k *resource.Kind, mesh, name string, f Filter) (*List, error) {
	path, err := itemPath(k, mesh, name)
	if err != nil {
		return nil, err
	}
	return c.List(ctx, path+"/_resources/dataplanes", f.Query())
}
