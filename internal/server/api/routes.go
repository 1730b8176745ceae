package api

import (
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/kumactl/kumactl/internal/resource"
)

// mediaJSON is what nearly all paths take and give.
const mediaJSON = "application/json"

// node is one step of a path. Steps with a fixed word go before the one that takes any word.
type node struct {
	fixed   map[string]*node
	any     *node
	pattern string
	methods []method
	// accepts are the media types that a body may have, gives those of the answer.
	accepts, gives []string
	// open paths are answered without looking at who asks.
	open bool
}

// method is one HTTP method of a path, kept in the order in which Allow names them.
type method struct {
	name  string
	serve handler
}

// method finds the handler for an HTTP method, nil when the path does not have it.
func (n *node) method(name string) handler {
	for _, m := range n.methods {
		if m.name == name {
			return m.serve
		}
	}
	return nil
}

// allowed is the Allow header of a path.
func (n *node) allowed() string {
	names := make([]string, len(n.methods))
	for i, m := range n.methods {
		names[i] = m.name
	}
	return strings.Join(names, ", ")
}

// add gives a path; `{mesh}` and `{name}` in it stand for any word.
func (n *node) add(pattern string, methods ...method) *node {
	at := n
	for _, step := range strings.Split(strings.Trim(pattern, "/"), "/") {
		switch {
		case step == "":
		case step[0] == '{':
			if at.any == nil {
				at.any = &node{}
			}
			at = at.any
		default:
			if at.fixed == nil {
				at.fixed = map[string]*node{}
			}
			if at.fixed[step] == nil {
				at.fixed[step] = &node{}
			}
			at = at.fixed[step]
		}
	}
	at.pattern, at.methods = pattern, methods
	at.accepts, at.gives = []string{mediaJSON}, []string{mediaJSON}
	return at
}

// find follows the steps of a path and notes the words for {mesh} and {name}; nil when nothing is there.
func (n *node) find(steps []string, c *call) *node {
	var words []string
	found := n.follow(steps, &words)
	if found == nil {
		return nil
	}
	for i, step := range slices.DeleteFunc(strings.Split(found.pattern, "/"), func(s string) bool { return s == "" || s[0] != '{' }) {
		if step == "{mesh}" {
			c.mesh = words[i]
		} else {
			c.name = words[i]
		}
	}
	return found
}

// follow goes on with the rest of the steps. A fixed word that leads nowhere is tried as any word too.
func (n *node) follow(steps []string, words *[]string) *node {
	if len(steps) == 0 {
		if n.methods == nil {
			return nil
		}
		return n
	}
	if next := n.fixed[steps[0]]; next != nil {
		if found := next.follow(steps[1:], words); found != nil {
			return found
		}
	}
	if n.any == nil || steps[0] == "" {
		return nil
	}
	taken := len(*words)
	*words = append(*words, steps[0])
	found := n.any.follow(steps[1:], words)
	if found == nil {
		*words = (*words)[:taken]
	}
	return found
}

// steps splits a path into its words; one slash at the end is overlooked. A word with an encoded slash matches nothing.
func steps(u *url.URL) []string {
	trimmed := strings.TrimSuffix(strings.TrimPrefix(u.EscapedPath(), "/"), "/")
	if trimmed == "" {
		return nil
	}
	words := strings.Split(trimmed, "/")
	for i, word := range words {
		plain, err := url.PathUnescape(word)
		if err != nil || strings.Contains(plain, "/") {
			return []string{""}
		}
		words[i] = plain
	}
	return words
}

// redirected sends a client with `//`, `.` or `..` in the path to the clean one.
func redirected(c *call) bool {
	clean := path.Clean(c.r.URL.Path)
	if strings.HasSuffix(c.r.URL.Path, "/") && clean != "/" {
		clean += "/"
	}
	if clean == c.r.URL.Path || c.r.URL.Path == "" {
		return false
	}
	to := url.URL{Path: clean, RawQuery: c.r.URL.RawQuery}
	http.Redirect(c, c.r, to.String(), http.StatusTemporaryRedirect)
	return true
}

// takes says whether the body's media type is one of those that a path reads. PUT and POST must say what they send.
func takes(r *http.Request, among []string) bool {
	given := r.Header.Get("Content-Type")
	if given == "" {
		return r.Method != http.MethodPut && r.Method != http.MethodPost
	}
	return slices.ContainsFunc(mediaTypes(given), func(m string) bool { return m == "*/*" || slices.Contains(among, m) })
}

// wants says whether a client that accepts these media types can read one of what we have.
func wants(accept []string, have []string) bool {
	given := mediaTypes(strings.Join(accept, ","))
	if len(given) == 0 {
		return true
	}
	return slices.ContainsFunc(given, func(m string) bool {
		family, any := strings.CutSuffix(m, "/*")
		return m == "*/*" || slices.ContainsFunc(have, func(h string) bool { return h == m || any && strings.HasPrefix(h, family+"/") })
	})
}

// mediaTypes splits a header's list and drops parameters.
func mediaTypes(list string) []string {
	var types []string
	for part := range strings.SplitSeq(list, ",") {
		if word, _, _ := strings.Cut(part, ";"); strings.TrimSpace(word) != "" {
			types = append(types, strings.ToLower(strings.TrimSpace(word)))
		}
	}
	return types
}

// addKind gives a kind its paths.
func (a *API) addKind(k *resource.Kind) {
	paths := []string{k.Path}
	if k.AltPath != "" {
		paths = append(paths, k.AltPath)
	}
	for _, p := range paths {
		at := "/" + p
		if k.Scope == resource.InMesh {
			a.routes.add(at, method{http.MethodGet, a.list(k)})
			at = "/meshes/{mesh}/" + p
		}
		a.routes.add(at, method{http.MethodGet, a.list(k)})
		a.routes.add(at+"/{name}", method{http.MethodPut, a.put(k)}, method{http.MethodDelete, a.delete(k)}, method{http.MethodGet, a.get(k)})
		if a.o.Inspector == nil {
			continue
		}
		if k.Policy != nil {
			a.routes.add(at+"/{name}/_resources/dataplanes", method{http.MethodGet, a.matched(k)})
		}
		if k.ProxyType != nil && k.Scope == resource.InMesh {
			a.addProxy(k, at+"/{name}")
		}
	}
	if k.Overview != nil {
		a.addOverview(k, paths)
	}
}

// addOverview gives the paths of overviews, and the older ones that clients of Kuma still ask for.
func (a *API) addOverview(k *resource.Kind, paths []string) {
	one, all := method{http.MethodGet, a.overview(k)}, method{http.MethodGet, a.overviews(k)}
	for _, p := range paths {
		at := "/" + p
		if k.Scope == resource.InMesh {
			a.routes.add(at+"/_overview", all)
			at = "/meshes/{mesh}" + at
		}
		a.routes.add(at+"/_overview", all)
		a.routes.add(at+"/{name}/_overview", one)
	}
	legacy := "/" + k.Overview.LegacyPath
	if k.Scope == resource.InMesh {
		a.routes.add(legacy, all)
		legacy = "/meshes/{mesh}" + legacy
	}
	a.routes.add(legacy, all)
	a.routes.add(legacy+"/{name}", one)
}

// addProxy gives the paths below a proxy that show what became of it.
func (a *API) addProxy(k *resource.Kind, at string) {
	a.routes.add(at+"/_rules", method{http.MethodGet, a.rules(k)})
	a.routes.add(at+"/_config", method{http.MethodGet, a.config(k)})
	a.routes.add(at+"/_status", method{http.MethodGet, a.status(k)})
}

// addFixed gives the paths that belong to no kind.
func (a *API) addFixed() {
	get := func(pattern string, serve handler) *node { return a.routes.add(pattern, method{http.MethodGet, serve}) }
	get("/", a.index).open = true
	get("/who-am-i", a.whoAmI)
	get("/config", a.configuration)
	get("/policies", a.policies)
	get("/_resources", a.resources)
	get("/_kri/{name}", a.byKRI)
	get("/_watch", a.watch).gives = []string{mediaLines, mediaEvents, mediaJSON}
	a.routes.add("/_apply", method{http.MethodPost, a.apply})
}
