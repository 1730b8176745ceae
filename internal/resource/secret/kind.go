// Package secret is the kind of bytes that only administrators may read: keys, certificates, tokens.
//
// In come Secret documents; out goes whether one may be deleted.
package secret

import (
	"slices"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/kumactl/kumactl/internal/kumapb"
	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
)

// Kind is Secret. Secrets outlive their mesh when a user made them: they may be all that is left of an authority.
var Kind = resource.OfProto(resource.Kind{
	Name:         "Secret",
	Path:         "secrets",
	Arg:          "secret",
	Plural:       "secrets",
	Sync:         resource.GlobalToZone | resource.ZoneToGlobal,
	AdminOnly:    true,
	ZoneProvided: true,
	OutlivesMesh: func(r *resource.Resource) bool { return !ownSecret(r) },
	BeforeDelete: beforeDelete,
}, func() *kumapb.Secret { return &kumapb.Secret{} }, resource.Rules[*kumapb.Secret]{Default: dropEmpty})

// ownSecret says whether the control plane made the secret, which gives its own no labels.
func ownSecret(r *resource.Resource) bool { return len(r.Labels) == 0 }

// dropEmpty stores no data and empty data as the same.
func dropEmpty(_ *resource.Meta, s *kumapb.Secret) {
	if len(s.GetData().GetValue()) == 0 {
		s.Data = nil
	}
}

// New makes a secret of a mesh.
func New(mesh, name string, data []byte) *resource.Resource {
	r := Kind.New(mesh, name)
	r.Spec = &kumapb.Secret{Data: wrapperspb.Bytes(data)}
	return r
}

// beforeDelete keeps what the mesh's authorities need.
func beforeDelete(all resource.Reader, old *resource.Resource) error {
	m, ok := all.Get(resource.Key{Kind: "Mesh", Name: old.Mesh})
	if !ok {
		return nil
	}
	var v problem.Violations
	for _, backend := range m.Spec.(*kumapb.Mesh).GetMtls().GetBackends() {
		if slices.Contains(UsedBy(old.Mesh, backend), old.Name) {
			// wire: a whole sentence, as clients know it.
			v.Add("name", "The secret %q that you are trying to remove is currently in use in Mesh %q in mTLS backend %q. Please remove the reference from the %q backend before removing the secret.",
				old.Name, old.Mesh, backend.GetName(), backend.GetName())
		}
	}
	if len(v) > 0 {
		return resource.Refused(v)
	}
	return nil
}

// UsedBy names the secrets that an authority of a mesh keeps its certificate and key in.
func UsedBy(mesh string, backend *kumapb.CertificateAuthorityBackend) []string {
	switch backend.GetType() {
	case "builtin":
		return []string{mesh + ".ca-builtin-cert-" + backend.GetName(), mesh + ".ca-builtin-key-" + backend.GetName()}
	case "provided":
		var names []string
		for _, part := range []string{"cert", "key"} {
			var source kumapb.DataSource
			if err := resource.ReadStruct(backend.GetConf().GetFields()[part].GetStructValue(), &source); err == nil && source.GetSecret() != "" {
				names = append(names, source.GetSecret())
			}
		}
		return names
	}
	return nil
}
