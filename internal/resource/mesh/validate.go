package mesh

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/kumactl/kumactl/internal/kumapb"
	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
)

// maxBackends is how many authorities a mesh may have.
const maxBackends = 1

// What the peers say of several fields; clients compare these texts.
const (
	empty         = "cannot be empty"
	nameTaken     = "%q name is already used for another backend"
	noSuchBackend = "has to be set to one of the backends in the mesh"
)

// validate says what is wrong with a Mesh.
func validate(_ resource.Meta, m *kumapb.Mesh) (v problem.Violations) {
	v.AddAll("mtls", checkMtls(m.GetMtls()))
	v.AddAll("logging", checkLogging(m.GetLogging()))
	v.AddAll("tracing", checkTracing(m.GetTracing()))
	v.AddAll("metrics", checkMetrics(m.GetMetrics()))
	c := m.GetConstraints().GetDataplaneProxy()
	v.AddAll("constraints.dataplaneProxy", checkRules("requirements", c.GetRequirements()))
	v.AddAll("constraints.dataplaneProxy", checkRules("restrictions", c.GetRestrictions()))
	if m.GetRouting().GetZoneEgress() && m.GetMtls().GetEnabledBackend() == "" {
		v.Add("mtls", "has to be set when zoneEgress enabled")
	}
	return v
}

// warn tells of names that Kubernetes and DNS will not take.
func warn(meta resource.Meta, _ *kumapb.Mesh) []string {
	wrong := resource.DNS1035(meta.Name)
	if len(wrong) == 0 {
		return nil
	}
	// wire: a whole sentence, as clients know it.
	return []string{fmt.Sprintf("Invalid Mesh resource name: '%s'. It does not conform to the DNS format (RFC 1035). This is deprecated. Errors: %s",
		meta.Name, strings.Join(wrong, "; "))}
}

// backends notes the names of a list of backends, so that each is used once.
type backends map[string]bool

// take notes the name of the backend at an index.
func (b backends) take(v *problem.Violations, i int, name string) {
	if b[name] {
		v.Add(fmt.Sprintf("backends[%d].name", i), nameTaken, name)
	}
	b[name] = true
}

// chosen holds the name of the one that counts against the list.
func (b backends) chosen(v *problem.Violations, field, name, text string) {
	if name != "" && !b[name] {
		v.Add(field, "%s", text)
	}
}

// checkMtls holds the authorities against each other; beforePut looks into each.
func checkMtls(m *kumapb.Mesh_Mtls) (v problem.Violations) {
	if len(m.GetBackends()) > maxBackends {
		v.Add("backends", "cannot have more than %d backends", maxBackends)
	}
	// A backend without a name is taken; the peers write such meshes.
	names := backends{}
	for i, b := range m.GetBackends() {
		names.take(&v, i, b.GetName())
	}
	names.chosen(&v, "enabledBackend", m.GetEnabledBackend(), noSuchBackend)
	for _, b := range m.GetBackends() {
		if c := b.GetDpCert(); c != nil && !isExpiration(c.GetRotation().GetExpiration()) {
			v.Add("dpcert.rotation.expiration", "has to be a valid format")
		}
	}
	return v
}

// isExpiration says whether s is a lifetime: a number and one of y, w, d, h, m, s, ms; or 0.
func isExpiration(s string) bool {
	if s == "0" {
		return true
	}
	number := strings.TrimRight(s, "ywdhms")
	if _, err := strconv.ParseUint(number, 10, 63); err != nil {
		return false
	}
	return slices.Contains([]string{"y", "w", "d", "h", "m", "s", "ms"}, s[len(number):])
}

// checkLogging holds the destinations of access logs.
func checkLogging(l *kumapb.Logging) (v problem.Violations) {
	names := backends{}
	for i, b := range l.GetBackends() {
		at := fmt.Sprintf("backends[%d]", i)
		if b.GetName() == "" {
			v.Add(at+".name", empty)
		}
		switch b.GetType() {
		case "file":
			var c kumapb.FileLoggingBackendConfig
			if readConf(&v, at, b.GetConf(), &c) && c.GetPath() == "" {
				v.Add(at+".config.path", empty)
			}
		case "tcp":
			var c kumapb.TcpLoggingBackendConfig
			if readConf(&v, at, b.GetConf(), &c) {
				checkHostPort(&v, at+".config.address", c.GetAddress())
			}
		default:
			v.Add(at+".type", `unknown backend type. Available backends: "tcp", "file"`)
		}
		names.take(&v, i, b.GetName())
	}
	names.chosen(&v, "defaultBackend", l.GetDefaultBackend(), "has to be set to one of the logging backend in mesh")
	return v
}

// readConf reads the conf of a backend; the peers call it config in paths.
func readConf(v *problem.Violations, at string, conf *structpb.Struct, into proto.Message) bool {
	err := resource.ReadStruct(conf, into)
	if err != nil {
		v.Add(at+".config", "could not parse config: %v", err) // wire: clients know it
	}
	return err == nil
}

// checkHostPort takes `host:port` with both parts.
func checkHostPort(v *problem.Violations, at, address string) {
	if address == "" {
		v.Add(at, empty)
		return
	}
	if host, port, err := net.SplitHostPort(address); host == "" || port == "" || err != nil {
		v.Add(at, "has to be in format of HOST:PORT")
	}
}

// checkTracing holds the collectors of spans.
func checkTracing(t *kumapb.Tracing) (v problem.Violations) {
	names := backends{}
	for i, b := range t.GetBackends() {
		at := fmt.Sprintf("backends[%d]", i)
		if b.GetName() == "" {
			v.Add(at+".name", empty)
		}
		if s := b.GetSampling().GetValue(); s < 0 || s > 100 {
			v.Add(at+".sampling", "has to be in [0.0 - 100.0] range")
		}
		switch b.GetType() {
		case "zipkin":
			var c kumapb.ZipkinTracingBackendConfig
			if readConf(&v, at, b.GetConf(), &c) {
				v.AddAll(at+".config", checkZipkin(&c))
			}
		case "datadog":
			var c kumapb.DatadogTracingBackendConfig
			if readConf(&v, at, b.GetConf(), &c) {
				v.AddAll(at+".config", checkDatadog(&c))
			}
		default:
			v.Add(at+".type", `unknown backend type. Available backends: "zipkin", "datadog"`)
		}
		names.take(&v, i, b.GetName())
	}
	names.chosen(&v, "defaultBackend", t.GetDefaultBackend(), "has to be set to one of the tracing backend in mesh")
	return v
}

// checkZipkin holds the conf of a Zipkin backend, with paths below it.
func checkZipkin(c *kumapb.ZipkinTracingBackendConfig) (v problem.Violations) {
	if a := c.GetApiVersion(); a != "" && !slices.Contains([]string{"httpJsonV1", "httpJson", "httpProto"}, a) {
		v.Add("apiVersion", "has invalid value. Allowed values: httpJsonV1, httpJson, httpProto")
	}
	if c.GetUrl() == "" {
		v.Add("url", empty)
		return v
	}
	switch u, err := url.ParseRequestURI(c.GetUrl()); {
	case err != nil:
		v.Add("url", "invalid URL")
	case u.Port() == "":
		v.Add("url", "port has to be explicitly specified")
	}
	return v
}

// checkDatadog holds the conf of a Datadog backend, with paths below it.
func checkDatadog(c *kumapb.DatadogTracingBackendConfig) (v problem.Violations) {
	if c.GetAddress() == "" {
		v.Add("address", empty)
	}
	if c.GetPort() < 1 || c.GetPort() > 65535 {
		v.Add("port", "port must be in the range [1, 65535]")
	}
	return v
}

// checkMetrics holds the backends that scrape proxies.
func checkMetrics(m *kumapb.Metrics) (v problem.Violations) {
	names := backends{}
	for i, b := range m.GetBackends() {
		at := fmt.Sprintf("backends[%d]", i)
		names.take(&v, i, b.GetName())
		if b.GetType() != resource.Prometheus {
			v.Add(at+".type", "unknown backend type. Available backends: %q", resource.Prometheus)
			continue
		}
		v.AddAll(at+".conf", resource.CheckPrometheus(b.GetConf()))
	}
	names.chosen(&v, "enabledBackend", m.GetEnabledBackend(), noSuchBackend)
	return v
}

// checkRules holds the tags by which a mesh takes or refuses members.
func checkRules(at string, rules []*kumapb.Mesh_DataplaneProxyConstraints_Rules) (v problem.Violations) {
	for i, rule := range rules {
		v.AddAll(fmt.Sprintf("%s[%d].tags", at, i), resource.CheckTags(rule.GetTags(), resource.TagRules{NotEmpty: true, Selector: true}))
	}
	return v
}
