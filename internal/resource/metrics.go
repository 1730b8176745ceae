package resource

import (
	"fmt"
	"regexp"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/kumactl/kumactl/internal/kumapb"
	"github.com/kumactl/kumactl/internal/problem"
)

// Prometheus is the only type of metrics backend that Mesh and Dataplane have.
const Prometheus = "prometheus"

// CheckPrometheus says what is wrong with the conf of a metrics backend, with paths below it.
func CheckPrometheus(conf *structpb.Struct) (v problem.Violations) {
	var c kumapb.PrometheusMetricsBackendConfig
	if err := ReadStruct(conf, &c); err != nil {
		v.Add("", "could not parse config: %v", err) // wire: clients know it
		return v
	}
	if c.SkipMTLS != nil && c.Tls != nil && !sameTLS(&c) {
		v.Add("", "skipMTLS and tls configuration cannot be defined together")
		return v
	}
	if _, err := regexp.Compile(c.GetEnvoy().GetFilterRegex()); err != nil {
		v.Add("envoy.filterRegex", "provided regexp isn't correct: %v", err)
		return v
	}
	seen := map[string]bool{}
	for i, a := range c.GetAggregate() {
		if seen[a.GetName()] {
			v.Add(fmt.Sprintf("aggregate[%d].name", i), "duplicate entry: %s, values have to be unique", a.GetName())
		}
		seen[a.GetName()] = true
	}
	return v
}

// sameTLS says whether skipMTLS, the older field, means the same as tls.
func sameTLS(c *kumapb.PrometheusMetricsBackendConfig) bool {
	switch c.GetTls().GetMode() {
	case kumapb.PrometheusTlsConfig_activeMTLSBackend:
		return !c.GetSkipMTLS().GetValue()
	case kumapb.PrometheusTlsConfig_disabled:
		return c.GetSkipMTLS().GetValue()
	}
	return false
}
