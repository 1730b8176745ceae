package launcher

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/resource/dataplane"
)

// maxResourceBytes bounds a proxy's own resource; a real one has a few kilobytes.
const maxResourceBytes = 1 << 20

// proxyTypes tells which resource each proxy type runs with.
func proxyTypes() map[string]string {
	return map[string]string{TypeDataplane: "Dataplane", TypeIngress: "ZoneIngress", TypeEgress: "ZoneEgress"}
}

// Expand fills `{{ name }}`, `{{{ name }}}` and `{{& name }}` in, as mustache does, but never escapes: the text is YAML, not
// HTML. `{{! … }}` is a comment. Sections and partials are refused, and so is a name without a value.
// (The mustache library is not used: its reflection makes the linker keep 8 MB of code that nobody calls.)
func Expand(text string, vars map[string]string) (string, error) {
	var out strings.Builder
	rest := text
	for {
		before, after, found := strings.Cut(rest, "{{")
		out.WriteString(before)
		if !found {
			return out.String(), nil
		}
		end, skip := "}}", 0
		if strings.HasPrefix(after, "{") {
			end, skip = "}}}", 1
		}
		line := 1 + strings.Count(text[:len(text)-len(after)], "\n")
		tag, tail, closed := strings.Cut(after[skip:], end)
		if !closed {
			return "", problem.New(problem.Invalid, "line %d: `{{` has no matching `%s`", line, end)
		}
		value, err := expandTag(strings.TrimSpace(tag), vars)
		if err != nil {
			err.Detail = fmt.Sprintf("line %d: %s", line, err.Detail)
			return "", err
		}
		out.WriteString(value)
		rest = tail
	}
}

// expandTag gives the text for what stands between the braces.
func expandTag(tag string, vars map[string]string) (string, *problem.Error) {
	name := strings.TrimSpace(strings.TrimPrefix(tag, "&"))
	switch {
	case strings.HasPrefix(tag, "!"):
		return "", nil
	case name == "":
		return "", problem.New(problem.Invalid, "`{{ }}` names no variable")
	case strings.ContainsAny(name[:1], "#^/>="):
		return "", problem.New(problem.Invalid, "`{{%s}}`: only variables are filled in here, no sections or partials", tag)
	}
	value, ok := vars[name]
	if !ok {
		return "", problem.New(problem.Invalid, "variable %q has no value", name).WithHint("add -v %s=VALUE", name)
	}
	return value, nil
}

// readResource brings the text of the proxy's resource from where Config says it is; "" when there is none.
func (c Config) readResource() (file, text string, err error) {
	if c.Resource != "" && c.ResourcePath != "" {
		return "", "", problem.New(problem.Invalid, "the resource is given twice, as text and as file %s", c.ResourcePath).
			WithHint("leave one of them out")
	}
	switch c.ResourcePath {
	case "":
		return "resource", c.Resource, nil
	case "-":
		if c.Stdin == nil {
			return "", "", problem.New(problem.Invalid, "the resource is to come from standard input, and there is none")
		}
		text, err := readBounded("standard input", c.Stdin)
		return "standard input", text, err
	}
	f, err := os.Open(c.ResourcePath)
	if err != nil {
		return "", "", problem.New(problem.Invalid, "resource: %w", err)
	}
	defer f.Close()
	text, err = readBounded(c.ResourcePath, f)
	return c.ResourcePath, text, err
}

// readBounded reads all there is, if that is something and not too much.
func readBounded(name string, r io.Reader) (string, error) {
	raw, err := io.ReadAll(io.LimitReader(r, maxResourceBytes+1))
	if err != nil {
		return "", problem.New(problem.Invalid, "resource: %s: %w", name, err)
	}
	if len(raw) > maxResourceBytes {
		return "", problem.New(problem.TooLarge, "resource: %s has more than %d bytes", name, maxResourceBytes)
	}
	if len(strings.TrimSpace(string(raw))) == 0 {
		return "", problem.New(problem.Invalid, "resource: %s is empty", name)
	}
	return string(raw), nil
}

// proxy is who this data plane is: by name only (the control plane knows the rest), or with its resource as JSON.
type proxy struct {
	name, mesh string
	resource   []byte
}

// proxy settles name, mesh and resource, and refuses what does not fit together.
func (c Config) proxy() (proxy, error) {
	kind, ok := proxyTypes()[c.ProxyType]
	if !ok {
		return proxy{}, problem.New(problem.Invalid, "proxy type %q is not one of dataplane, ingress, egress", c.ProxyType)
	}
	file, text, err := c.readResource()
	if err != nil {
		return proxy{}, err
	}
	if text == "" {
		return c.namedProxy()
	}
	if text, err = Expand(text, c.ResourceVars); err != nil {
		return proxy{}, inFile(file, err)
	}
	docs, err := resource.Documents(file, []byte(text))
	if err != nil {
		return proxy{}, err
	}
	if len(docs) != 1 {
		return proxy{}, problem.New(problem.Invalid, "%s holds %d resources; a data plane runs with one %s", file, len(docs), kind)
	}
	return c.resourceProxy(file, kind, docs[0].JSON)
}

// namedProxy is one that the control plane has, or will have, from somebody else.
func (c Config) namedProxy() (proxy, error) {
	if c.Name == "" {
		return proxy{}, problem.New(problem.Invalid, "nothing says which proxy to run").
			WithHint("give --service NAME --port PORT, or a Dataplane with -d FILE, or the --name of one that the control plane has")
	}
	p := proxy{name: c.Name, mesh: c.Mesh}
	if p.mesh == "" && c.ProxyType == TypeDataplane {
		p.mesh = "default"
	}
	return p, nil
}

// resourceProxy reads who the proxy is from its resource. Name and mesh of the Config may repeat that, or be empty.
func (c Config) resourceProxy(file, kind string, raw []byte) (proxy, error) {
	var head struct{ Type, Mesh, Name string }
	if err := json.Unmarshal(raw, &head); err != nil {
		return proxy{}, problem.New(problem.Invalid, "%s: %w", file, err)
	}
	if head.Type != kind {
		return proxy{}, problem.New(problem.Invalid, "%s: type is %q; proxy type %s runs with a %s", file, head.Type, c.ProxyType, kind)
	}
	if head.Name == "" {
		return proxy{}, problem.New(problem.Invalid, "%s: name is missing", file)
	}
	if c.Name != "" && c.Name != head.Name {
		return proxy{}, problem.New(problem.Invalid, "%s: name is %q, and --name says %q", file, head.Name, c.Name)
	}
	p := proxy{name: head.Name, mesh: head.Mesh, resource: raw}
	if kind != dataplane.Kind.Name {
		return p, nil
	}
	if c.Mesh != "" && p.mesh != "" && c.Mesh != p.mesh {
		return proxy{}, problem.New(problem.Invalid, "%s: mesh is %q, and --mesh says %q", file, p.mesh, c.Mesh)
	}
	if p.mesh != "" {
		return p, nil
	}
	if p.mesh = c.Mesh; p.mesh == "" {
		p.mesh = "default"
	}
	// The mesh travels twice, beside the resource and inside it, and both must say the same.
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return proxy{}, problem.New(problem.Invalid, "%s: %w", file, err)
	}
	fields["mesh"], _ = json.Marshal(p.mesh)
	p.resource, _ = json.Marshal(fields)
	return p, nil
}

// inFile puts the file's name before the line.
func inFile(file string, err error) error {
	if p, ok := err.(*problem.Error); ok {
		p.Title = file
	}
	return err
}
