package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
)

const (
	defaultPage = 100
	maxPage     = 1000
	listing     = "Could not retrieve resources" // wire: the peer's title
)

// page is which part of a list is asked for.
type page struct{ size, offset int }

// pageOf reads `size` and `offset`.
func pageOf(query url.Values) (page, error) {
	p := page{size: defaultPage}
	if s := query.Get("size"); s != "" {
		size, err := strconv.Atoi(s)
		switch {
		case err != nil:
			return p, wrongSize("invalid format")
		case size < 1:
			return p, wrongSize("must be greater than 0")
		case size > maxPage:
			return p, wrongSize(fmt.Sprintf("invalid page size of %d. Maximum page size is %d", size, maxPage)) // wire: recorded so
		}
		p.size = size
	}
	if s := query.Get("offset"); s != "" {
		offset, err := strconv.Atoi(s)
		switch {
		case err != nil:
			return p, wrongOffset(err.Error())
		case offset < 0:
			return p, wrongOffset("must be non-negative")
		case offset > math.MaxInt-p.size:
			return p, wrongOffset("exceeds maximum value")
		}
		p.offset = offset
	}
	return p, nil
}

// wrongSize is about the parameter `size`.
func wrongSize(reason string) error {
	return &problem.Error{Code: problem.Invalid, Detail: "Invalid page size", Violations: problem.Violations{{Field: "size", Message: reason}}} // wire: clients show it
}

// wrongOffset is about the parameter `offset`; the peer names no field for it.
func wrongOffset(reason string) error {
	return problem.New(problem.Invalid, "invalid: invalid offset: %s", reason)
}

// filter says which resources a list is about; nil means all.
type filter func(*resource.Resource) bool

// filterOf reads the parameters that narrow a list: name, tag, gateway and filter[labels.key]. Others are overlooked.
func filterOf(c *call, k *resource.Kind) (filter, error) {
	query := c.r.URL.Query()
	var all []filter
	if part := query.Get("name"); part != "" {
		all = append(all, func(r *resource.Resource) bool { return strings.Contains(r.Name, part) })
	}
	labels, err := labelFilters(c.pattern, query)
	if err != nil {
		return nil, err
	}
	for key, value := range labels {
		all = append(all, func(r *resource.Resource) bool { return r.Labels[key] == value })
	}
	if k.Tags != nil {
		if tags := tagFilters(query["tag"]); len(tags) > 0 {
			all = append(all, func(r *resource.Resource) bool { return slices.ContainsFunc(k.Tags(r.Spec), tags.match) })
		}
	}
	if given := query.Get("gateway"); k.Gateway != nil && given != "" {
		f, err := gatewayFilter(c.pattern, k, given)
		if err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	if len(all) == 0 {
		return nil, nil
	}
	return func(r *resource.Resource) bool {
		return !slices.ContainsFunc(all, func(f filter) bool { return !f(r) })
	}, nil
}

// labelFilters reads filter[labels.key]=value. Of several for one key the last counts; all keys must match, exactly.
func labelFilters(pattern string, query url.Values) (map[string]string, error) {
	labels := map[string]string{}
	for name, values := range query {
		inner, ok := strings.CutPrefix(name, "filter[")
		if !ok {
			continue
		}
		key, ok := strings.CutPrefix(strings.TrimSuffix(inner, "]"), "labels.")
		if !ok || !strings.HasSuffix(inner, "]") {
			return nil, &problem.Error{Code: problem.Invalid, Violations: problem.Violations{
				{Field: pattern + "." + name, Message: "filters are only supported on labels"},
			}}
		}
		labels[key] = values[len(values)-1]
	}
	return labels, nil
}

// tagMatch is what tags must be there, each with a part of its value; empty or `*` means any value.
type tagMatch map[string]string

// tagFilters reads `key:value`; what has no colon is overlooked, as the peer does.
func tagFilters(given []string) tagMatch {
	tags := tagMatch{}
	for _, t := range given {
		if key, value, ok := strings.Cut(t, ":"); ok {
			tags[key] = value
		}
	}
	return tags
}

// match says whether one set of tags has all that is asked for: the tags of one inbound, not of several together.
func (m tagMatch) match(tags map[string]string) bool {
	for key, want := range m {
		value, ok := tags[key]
		if !ok || want != "*" && !strings.Contains(value, want) {
			return false
		}
	}
	return true
}

// gatewayFilter reads gateway=true|false|builtin|delegated, in any case of letters.
func gatewayFilter(pattern string, k *resource.Kind, given string) (filter, error) {
	is := func(want func(string) bool) filter {
		return func(r *resource.Resource) bool { return want(k.Gateway(r.Spec)) }
	}
	switch word := strings.ToLower(given); word {
	case "true":
		return is(func(g string) bool { return g != "" }), nil
	case "false":
		return is(func(g string) bool { return g == "" }), nil
	case "builtin", "delegated":
		return is(func(g string) bool { return g == word }), nil
	}
	return nil, &problem.Error{Code: problem.Invalid, Violations: problem.Violations{
		{Field: pattern + ".gateway", Message: "shoud use `true`, `false`, 'builtin' or 'delegated' instead of " + given}, // wire: recorded so
	}}
}

// pick takes one page out of a sequence and counts all that match. Without a filter the count is known and the walk ends early.
func pick(all iter.Seq[*resource.Resource], p page, f filter, count func() int) (items []*resource.Resource, total int) {
	for r := range all {
		if f != nil && !f(r) {
			continue
		}
		if total >= p.offset && len(items) < p.size {
			items = append(items, r)
		}
		if total++; f == nil && len(items) == p.size {
			return items, count()
		}
	}
	return items, total
}

// slice reads the query of a list and takes the page that it asks for.
func (a *API) slice(c *call, k *resource.Kind) (items []*resource.Resource, next *string, total int, err error) {
	from := a.picture()
	if err := a.meshThere(from, c.mesh); err != nil {
		return nil, nil, 0, err
	}
	if err := mayRead(c.who, k); err != nil {
		return nil, nil, 0, err
	}
	p, err := pageOf(c.r.URL.Query())
	if err != nil {
		return nil, nil, 0, titled(listing, err)
	}
	f, err := filterOf(c, k)
	if err != nil {
		return nil, nil, 0, titled(listing, err)
	}
	items, total = pick(from.List(k.Name, c.mesh), p, f, func() int { return from.count(k.Name, c.mesh) })
	return items, nextPage(c, p, total), total, nil
}

// count is the length of a whole list; for stored kinds nobody walks through it.
func (p picture) count(kind, mesh string) int {
	if c, ok := p.computed[kind]; ok {
		return len(c.All(p.Snapshot, mesh))
	}
	return p.Snapshot.Count(kind, mesh)
}

// nextPage is the URL of what follows, as the client would write it; nil at the end.
func nextPage(c *call, p page, total int) *string {
	if p.offset+p.size >= total {
		return nil
	}
	query := c.r.URL.Query()
	query.Set("offset", strconv.Itoa(p.offset+p.size))
	next := url.URL{Scheme: "http", Host: c.r.Host, Path: c.r.URL.Path, RawPath: c.r.URL.RawPath, RawQuery: query.Encode()}
	if c.r.TLS != nil {
		next.Scheme = "https"
	}
	text := next.String()
	return &text
}

// list answers with a page of the resources of a mesh, or of all meshes.
func (a *API) list(k *resource.Kind) handler {
	return func(c *call) error {
		items, next, total, err := a.slice(c, k)
		if err != nil {
			return err
		}
		raw := make([][]byte, len(items))
		for i, r := range items {
			if raw[i], err = r.MarshalJSON(); err != nil {
				return titled(listing, err)
			}
		}
		return respondList(c, raw, next, total)
	}
}

// respondList answers with a page; items and next are always there.
func respondList(c *call, items [][]byte, next *string, total int) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"total":%d,"items":`, total)
	joined(&b, items)
	b.WriteString(`,"next":`)
	if next == nil {
		b.WriteString("null}")
	} else {
		// A URL is made of ASCII, so quoting it cannot fail; & must stay as it is.
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		_ = e.Encode(*next)
		b.WriteByte('}')
	}
	return respondRaw(c, b.Bytes())
}
