// Package mesh is the kind of isolated sets of proxies.
//
// In come Mesh documents; out go their defaults, what is wrong with them, and whether one may be written or deleted.
package mesh

import (
	"slices"

	"github.com/kumactl/kumactl/internal/kumapb"
	"github.com/kumactl/kumactl/internal/resource"
)

// Kind is Mesh.
var Kind = resource.OfProto(resource.Kind{
	Name:   "Mesh",
	Path:   "meshes",
	Arg:    "mesh",
	Plural: "meshes",
	Short:  "m",
	Scope:  resource.Global,
	Sync:   resource.GlobalToZone,
	Columns: []resource.Column{
		{Title: "mTLS", Value: column(mtlsColumn)},
		{Title: "LOCALITY", Value: column(func(m *kumapb.Mesh) string { return onOff(m.GetRouting().GetLocalityAwareLoadBalancing()) })},
		{Title: "ZONEEGRESS", Value: column(func(m *kumapb.Mesh) string { return onOff(m.GetRouting().GetZoneEgress()) })},
		{Title: "SERVICES", Wide: true, Value: column(func(m *kumapb.Mesh) string { return m.GetMeshServices().GetMode().String() })},
	},
	Members:      true,
	Skips:        func(spec any, kind string) bool { return skips(spec.(*kumapb.Mesh), kind) },
	BeforePut:    beforePut,
	BeforeDelete: beforeDelete,
}, func() *kumapb.Mesh { return &kumapb.Mesh{} }, resource.Rules[*kumapb.Mesh]{Default: setDefaults, Validate: validate, Warn: warn})

// skips says whether a new mesh goes without the initial resources of a kind.
func skips(m *kumapb.Mesh, kind string) bool {
	skip := m.GetSkipCreatingInitialPolicies()
	return slices.Contains(skip, "*") || slices.Contains(skip, kind)
}

// Authority is the backend that signs workload certificates; nil when the mesh has no mTLS.
func Authority(m *kumapb.Mesh) *kumapb.CertificateAuthorityBackend {
	for _, b := range m.GetMtls().GetBackends() {
		if enabled := m.GetMtls().GetEnabledBackend(); enabled != "" && b.GetName() == enabled {
			return b
		}
	}
	return nil
}

// column reads a Mesh for a table.
func column(of func(*kumapb.Mesh) string) func(*resource.Resource) string {
	return func(r *resource.Resource) string { return of(r.Spec.(*kumapb.Mesh)) }
}

// mtlsColumn is the type and name of the authority, or `off`.
func mtlsColumn(m *kumapb.Mesh) string {
	if b := Authority(m); b != nil {
		return b.GetType() + "/" + b.GetName()
	}
	return onOff(false)
}

// onOff is how tables say yes and no.
func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// What a Prometheus backend has when it is not said.
const (
	metricsPort    = 5670
	metricsPath    = "/metrics"
	metricsService = "dataplane-metrics"
)

// setDefaults fills in the conf of Prometheus backends, as the peers do, so that readers see what counts. A conf that cannot be
// read stays as it is, for validate to say.
func setDefaults(_ *resource.Meta, m *kumapb.Mesh) {
	for _, b := range m.GetMetrics().GetBackends() {
		var c kumapb.PrometheusMetricsBackendConfig
		if b.GetType() != resource.Prometheus || resource.ReadStruct(b.GetConf(), &c) != nil {
			continue
		}
		setPrometheus(&c)
		if conf, err := resource.WriteStruct(&c); err == nil {
			b.Conf = conf
		}
	}
}

// setPrometheus fills in one conf.
func setPrometheus(c *kumapb.PrometheusMetricsBackendConfig) {
	if c.GetTls() == nil {
		c.Tls = &kumapb.PrometheusTlsConfig{}
		if c.GetSkipMTLS().GetValue() {
			c.Tls.Mode = kumapb.PrometheusTlsConfig_disabled
		}
	}
	if c.GetPort() == 0 {
		c.Port = metricsPort
	}
	if c.GetPath() == "" {
		c.Path = metricsPath
	}
	if len(c.GetTags()) == 0 {
		c.Tags = map[string]string{resource.TagService: metricsService}
	}
}
