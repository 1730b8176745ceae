package dataplane_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/resource/dataplane"
)

// read makes a Dataplane of its specification's JSON.
func read(t *testing.T, spec string) *resource.Resource {
	t.Helper()
	r := dataplane.Kind.New("m", "dp-1")
	if err := r.SetSpecJSON([]byte(spec)); err != nil {
		t.Fatal(err)
	}
	r.Default()
	return r
}

func texts(v problem.Violations) (all []string) {
	for _, one := range v {
		all = append(all, one.Field+"|"+one.Message)
	}
	return all
}

const portRange = "port must be in the range [1, 65535]"

func TestValidate(t *testing.T) {
	for name, c := range map[string]struct {
		spec string
		want []string
	}{
		"sidecar":            {`{"networking":{"address":"10.0.0.1","inbound":[{"port":80,"tags":{"kuma.io/service":"web","kuma.io/protocol":"HTTP"}}],"outbound":[{"port":81,"tags":{"kuma.io/service":"db"}}]}}`, nil},
		"no inbounds":        {`{"networking":{"address":"web-1.example_com"}}`, nil},
		"no tags":            {`{"networking":{"address":"fd00::1","inbound":[{"port":80}]}}`, nil},
		"tags of our making": {`{"networking":{"address":"fd00::1","inbound":[{"port":80,"tags":{"kuma.io/zone":"z"}}]}}`, nil},
		"nothing":            {`{}`, []string{"networking|must be defined"}},
		"no address":         {`{"networking":{}}`, []string{"networking.address|address can't be empty"}},
		"any address":        {`{"networking":{"address":"::"}}`, []string{"networking.address|must not be 0.0.0.0 or ::"}},
		"bad address":        {`{"networking":{"address":"-a"}}`, []string{"networking.address|address has to be valid IP address or domain name"}},
		"two dots":           {`{"networking":{"address":"a..b"}}`, []string{"networking.address|address has to be valid IP address or domain name"}},
		"inbound":            {`{"networking":{"address":"10.0.0.1","inbound":[{"port":65536,"servicePort":70000,"serviceAddress":"x","address":"y","protocol":"smtp","tags":{"kuma.io/service":"a b","kuma.io/protocol":"ftp"}}]}}`, []string{"networking.inbound[0].port|" + portRange, "networking.inbound[0].servicePort|" + portRange, "networking.inbound[0].serviceAddress|serviceAddress has to be valid IP address", "networking.inbound[0].address|address has to be valid IP address", `networking.inbound[0].protocol|has an invalid value "smtp". Allowed values: grpc, http, http2, kafka, tcp`, `networking.inbound[0].tags["kuma.io/protocol"]|tag "kuma.io/protocol" has an invalid value "ftp". Allowed values: grpc, http, http2, kafka, tcp`, `networking.inbound[0].tags["kuma.io/service"]|tag value must consist of alphanumeric characters, dots, dashes and underscores`}},
		"no service":         {`{"networking":{"address":"10.0.0.1","inbound":[{"port":80,"tags":{"version":"1","kuma.io/zone":"z"}}]}}`, []string{`networking.inbound[0].tags["kuma.io/service"]|tag has to exist`}},
		"itself":             {`{"networking":{"address":"10.0.0.1","inbound":[{"port":80,"servicePort":80,"serviceAddress":"10.0.0.1"},{"port":81,"address":"10.0.0.2","serviceAddress":"10.0.0.2"},{"port":82,"servicePort":83,"serviceAddress":"10.0.0.1"}]}}`, []string{"networking.inbound[0].serviceAddress|serviceAddress and servicePort has to differ from address and port", "networking.inbound[1].serviceAddress|serviceAddress and servicePort has to differ from address and port"}},
		"service probe":      {`{"networking":{"address":"10.0.0.1","inbound":[{"port":80,"serviceProbe":{"interval":"0s","timeout":"-1s","unhealthyThreshold":0,"healthyThreshold":1}}]}}`, []string{"networking.inbound[0].serviceProbe.interval|must have a positive value", "networking.inbound[0].serviceProbe.unhealthyThreshold|must have a positive value"}},
		"outbounds":          {`{"networking":{"address":"10.0.0.1","outbound":[{"port":1,"address":"host"},{"port":2,"tags":{"a":"b"}},{"port":3,"backendRef":{"kind":"Mesh"}},{"port":4,"backendRef":{"kind":"MeshExternalService","labels":{"a":"b"}},"tags":{"kuma.io/service":"x"}}]}}`, []string{"networking.outbound[0].address|address has to be valid IP address", `networking.outbound[0].tags|mandatory tag "kuma.io/service" is missing`, `networking.outbound[1].tags|mandatory tag "kuma.io/service" is missing`, "networking.outbound[2].backendRef.kind|invalid value. Available values are: MeshExternalService,MeshMultiZoneService,MeshService", "networking.outbound[2].backendRef|either 'name' or 'labels' should be specified", "networking.outbound[2].backendRef.port|" + portRange, "networking.outbound[3].backendRef|both backendRef and tags/service cannot be defined"}},
		"reachable":          {`{"networking":{"address":"10.0.0.1","transparentProxying":{"reachableBackends":{"refs":[{"kind":"MeshService","name":"ok"},{"kind":"X","name":"A"},{"kind":"MeshService"},{"kind":"MeshService","namespace":"n","labels":{"a":"b"}}]}}}}`, []string{"networking.transparentProxing.reachableBackends.refs[1].kind|invalid value. Available values are: MeshExternalService,MeshMultiZoneService,MeshService", "networking.transparentProxing.reachableBackends.refs[1].name|invalid characters. A lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character", "networking.transparentProxing.reachableBackends.refs[2].name|name or labels are required", "networking.transparentProxing.reachableBackends.refs[3].name|name is required, when namespace is defined", "networking.transparentProxing.reachableBackends.refs[3].labels|labels cannot be defined when name is specified"}},
		"delegated":          {`{"networking":{"address":"10.0.0.1","gateway":{"tags":{"kuma.io/protocol":"http"}},"inbound":[{"port":80}]},"probes":{"port":1}}`, []string{"networking.inbound|inbound cannot be defined for delegated gateways", `networking.gateway.tags["kuma.io/protocol"]|other values than tcp are not allowed, provided value "http"`, `networking.gateway.tags|mandatory tag "kuma.io/service" is missing`}},
		"builtin":            {`{"networking":{"address":"10.0.0.1","gateway":{"type":"BUILTIN","tags":{"kuma.io/service":"g"}},"inbound":[{"port":80}],"outbound":[{"port":1,"tags":{"kuma.io/service":"a"}}]},"probes":{}}`, []string{"networking.inbound|inbound cannot be defined for builtin gateways", "networking.outbound|outbound cannot be defined for builtin gateways", "networking.probes|probes cannot be defined for builtin gateways"}},
		"admin":              {`{"networking":{"address":"10.0.0.1","admin":{"port":9901},"inbound":[{"port":9901},{"port":80,"serviceAddress":"127.0.0.1","servicePort":9901}],"outbound":[{"port":9901,"tags":{"kuma.io/service":"a"}}]}}`, []string{"networking.admin.port|must differ from inbound", "networking.admin.port|must differ from outbound"}},
		"admin elsewhere":    {`{"networking":{"address":"10.0.0.1","admin":{"port":9901},"inbound":[{"port":9901}]}}`, nil},
		"probes":             {`{"networking":{"address":"10.0.0.1"},"probes":{"endpoints":[{"inboundPath":"x","path":"/y"}]}}`, []string{"probes.port|" + portRange, "probes.endpoints[0].inboundPort|" + portRange, "probes.endpoints[0].inboundPath|should be a valid URL Path"}},
		"metrics":            {`{"networking":{"address":"10.0.0.1"},"metrics":{"type":"statsd"}}`, []string{`metrics.type|unknown backend type. Available backends: "prometheus"`}},
		"metrics, conf":      {`{"networking":{"address":"10.0.0.1"},"metrics":{"type":"prometheus","conf":{"aggregate":[{"name":"a"},{"name":"a"}]}}}`, []string{"metrics.conf.aggregate[1].name|duplicate entry: a, values have to be unique"}},
		"listeners": {
			`{"networking":{"address":"10.0.0.1","inbound":[{"port":80,"name":"a"}],"listeners":[{"address":"10.0.0.1","port":80,"name":"a"},{"type":"ZoneEgress"},{"type":"ZoneIngress","address":"10.0.0.2","port":1,"name":"b"},{"type":"ZoneIngress","address":"10.0.0.2","port":1,"name":"b"},{"type":"ZoneEgress","address":"10.0.0.2","port":1}]}}`,
			[]string{"networking.listeners[0].type|type must be ZoneIngress or ZoneEgress", `networking.listeners[0].name|name "a" must be unique across inbounds and listeners`, "networking.listeners[0]|address:port 10.0.0.1:80 collides with an inbound listener", "networking.listeners[1].address|address can't be empty", "networking.listeners[1].port|" + portRange, `networking.listeners[3].name|name "b" must be unique across inbounds and listeners`, "networking.listeners[3]|address:port 10.0.0.2:1 is already used by another listener", "networking.listeners[4]|address:port 10.0.0.2:1 is used by listeners of different types"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, texts(read(t, c.spec).Validate())); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	r := read(t, `{"networking":{"address":"10.0.0.1","listeners":[{"type":"ZoneEgress","address":"10.0.0.1","port":1}]}}`)
	want := []string{"networking.listeners[0]: ZoneEgress listeners are stored, and carry no traffic yet"}
	if diff := cmp.Diff(want, r.Warnings()); diff != "" {
		t.Error(diff)
	}
}

func FuzzValidate(f *testing.F) {
	f.Add([]byte(`{"networking":{"address":"10.0.0.1","inbound":[{"port":80,"tags":{"kuma.io/service":"web"}}],"outbound":[{"backendRef":{}}],"listeners":[{"type":1}],"gateway":{"type":1},"admin":{}},"probes":{"endpoints":[{}]},"metrics":{"conf":{}}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r := dataplane.Kind.New("m", "dp-1")
		if r.SetSpecJSON(raw) != nil {
			return
		}
		r.Default()
		for _, v := range r.Validate() {
			if v.Message == "" {
				t.Errorf("%s: a violation without words", v.Field)
			}
		}
		for _, c := range dataplane.Kind.Columns {
			c.Value(r)
		}
		r.Warnings()
		r.ComputeLabels("z")
	})
}
