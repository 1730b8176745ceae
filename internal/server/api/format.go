package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
)

// systemNamespace is where objects go when the query names no namespace.
const systemNamespace = "kuma-system"

// kubernetes says whether a format is that of Kubernetes objects.
func kubernetes(format string) bool { return format == "k8s" || format == "kubernetes" }

// formatted is a resource as `format=` asks for: as it is, or as the object that Kubernetes would hold.
func formatted(r *resource.Resource, query url.Values) ([]byte, error) {
	switch format := query.Get("format"); {
	case format == "", format == "universal":
		return r.MarshalJSON()
	case kubernetes(format):
		namespace := query.Get("namespace")
		if namespace == "" {
			namespace = systemNamespace
		}
		return objectJSON(r, namespace)
	}
	return nil, &problem.Error{Code: problem.Invalid, Violations: problem.Violations{
		{Message: `"format" must be one of ["k8s", "kubernetes", "universal"]`}, // wire: recorded so
	}}
}

// object is a Kubernetes object. Older kinds name their mesh beside the specification, others in a label.
type object struct {
	Kind       string          `json:"kind"`
	APIVersion string          `json:"apiVersion"`
	Metadata   objectMeta      `json:"metadata"`
	Mesh       string          `json:"mesh,omitempty"`
	Spec       json.RawMessage `json:"spec,omitempty"`
	Data       any             `json:"data,omitempty"`
	Type       string          `json:"type,omitempty"`
}

// objectMeta has no labels but the mesh: the others are computed anew by the control plane that gets the object.
type objectMeta struct {
	Name      string            `json:"name"`
	Namespace string            `json:"namespace,omitempty"`
	Created   string            `json:"creationTimestamp"`
	Labels    map[string]string `json:"labels,omitempty"`
}

// objectJSON writes the object that Kubernetes would hold for a resource.
func objectJSON(r *resource.Resource, namespace string) ([]byte, error) {
	spec, err := r.SpecJSON()
	if err != nil {
		return nil, err
	}
	o := object{
		Kind: r.Kind.Name, APIVersion: "kuma.io/v1alpha1", Spec: spec,
		Metadata: objectMeta{Name: r.Name, Created: r.Created.UTC().Format(time.RFC3339)},
	}
	inMesh := map[string]string{resource.LabelMesh: r.Mesh}
	switch k := r.Kind; {
	case k.AdminOnly:
		return secretJSON(o, r, namespace)
	case k.Nested:
		o.Metadata.Namespace = namespace
		if k.Scope == resource.InMesh {
			o.Metadata.Labels = inMesh
		}
	default:
		o.Mesh = r.Mesh
		// Older policies and what stands beside the meshes are objects of the whole cluster; proxies live in a namespace.
		if k.ProxyType != nil {
			o.Metadata.Namespace = namespace
		}
	}
	return marshal(o)
}

// secretJSON writes a kind that holds secrets as a Secret of Kubernetes itself.
func secretJSON(o object, r *resource.Resource, namespace string) ([]byte, error) {
	var held struct {
		Data string `json:"data"`
	}
	if err := json.Unmarshal(o.Spec, &held); err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.Kind.Name, r.Name, err)
	}
	o.Kind, o.APIVersion, o.Spec = "Secret", "v1", nil
	o.Data = map[string]string{"value": held.Data}
	o.Type = "system.kuma.io/secret"
	if r.Kind.Scope == resource.Global {
		o.Type = "system.kuma.io/global-secret"
	} else {
		o.Metadata.Labels = map[string]string{resource.LabelMesh: r.Mesh}
	}
	o.Metadata.Namespace = namespace
	return marshal(o)
}

// marshal is json.Marshal with `<`, `>` and `&` as they are.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSpace(b.Bytes()), err
}

// byKRI finds a resource by its identifier, `kri_<short>_<mesh>_<zone>_<namespace>_<name>_<section>`. The namespace and the
// section do not count.
func (a *API) byKRI(c *call) error {
	parts := strings.Split(c.name, "_")
	if len(parts) != 7 || parts[0] != "kri" {
		return badRequest("invalid KRI %q: it looks like kri_<short>_<mesh>_<zone>_<namespace>_<name>_", c.name)
	}
	k := a.byShort[parts[1]]
	if k == nil {
		return badRequest("unknown short name of resource type: %q", parts[1])
	}
	if zone := parts[3]; zone != "" && zone != a.o.Info.Zone {
		return &problem.Error{Code: problem.NotFound, Title: "Could not retrieve a resource"} // wire: kumactl looks for it
	}
	c.mesh, c.name = parts[2], parts[5]
	r, _, err := a.one(c, k)
	if err != nil {
		return err
	}
	return show(c, r)
}

// badRequest is about the request itself, not about a resource in it.
func badRequest(format string, args ...any) error {
	return &problem.Error{Code: problem.Invalid, Title: "Bad Request", Detail: "bad request: " + fmt.Sprintf(format, args...)}
}
