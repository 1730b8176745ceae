package envoy

import (
	"encoding/json"
	"slices"
	"strconv"

	"google.golang.org/protobuf/types/known/structpb"
)

// Features that a proxy may announce and that decide what it is sent.
const (
	featureDelta         = "feature-delta-grpc"
	featureReusePort     = "feature-reuse-port"
	featureStrictInbound = "feature-strict-inbound-ports"
)

// Node is what a proxy told of itself when it connected, as far as its configuration depends on it. It is comparable in the
// sense that two equal nodes get equal configurations.
type Node struct {
	// ProxyType is dataplane, ingress or egress.
	ProxyType string
	// Resource is the JSON of the proxy's own resource; empty when it was there before the proxy.
	Resource string
	// AdminAddress and AdminPort are of Envoy's admin; AdminSocket is a path when it listens there instead.
	AdminAddress string
	AdminPort    uint32
	AdminSocket  string
	// ReadinessPort is the launcher's; 0 when it reports none.
	ReadinessPort uint32
	DNSPort       uint32
	Workdir       string
	IPv6          bool
	ReusePort     bool
	StrictInbound bool
	// KafkaFilter says that this Envoy has the filter that understands Kafka.
	KafkaFilter bool
	// TransparentProxy is the launcher's description of interception, JSON; empty without one.
	TransparentProxy string
	Version          BootstrapVersion
}

// ParseNode reads a node's metadata. It is what a stranger sent: whatever is missing or of another type counts as not said.
func ParseNode(metadata *structpb.Struct) Node {
	f := metadata.GetFields()
	text := func(key string) string { return f[key].GetStringValue() }
	port := func(key string) uint32 {
		n, err := strconv.ParseUint(text(key), 10, 16)
		if err != nil {
			return 0
		}
		return uint32(n)
	}
	var features []string
	for _, v := range f["features"].GetListValue().GetValues() {
		features = append(features, v.GetStringValue())
	}
	n := Node{
		ProxyType:     text("dataplane.proxyType"),
		Resource:      text("dataplane.resource"),
		AdminAddress:  text("dataplane.admin.address"),
		AdminPort:     port("dataplane.admin.port"),
		AdminSocket:   text("dataplane.admin.socketPath"),
		ReadinessPort: port("dataplane.readinessReporter.port"),
		DNSPort:       port("dataplane.dns.port"),
		Workdir:       text("workdir"),
		IPv6:          true,
		ReusePort:     slices.Contains(features, featureReusePort),
		StrictInbound: slices.Contains(features, featureStrictInbound),
	}
	if v, said := f["ipv6Enabled"].GetKind().(*structpb.Value_BoolValue); said {
		n.IPv6 = v.BoolValue
	}
	if tp := f["transparentProxy"].GetStructValue(); tp != nil {
		if raw, err := json.Marshal(tp.AsMap()); err == nil {
			n.TransparentProxy = string(raw)
		}
	}
	version := f["version"].GetStructValue().GetFields()
	dp, own := version["kumaDp"].GetStructValue().GetFields(), version["envoy"].GetStructValue().GetFields()
	n.Version.KumaDP.Version = dp["version"].GetStringValue()
	n.Version.KumaDP.GitTag = dp["gitTag"].GetStringValue()
	n.Version.KumaDP.GitCommit = dp["gitCommit"].GetStringValue()
	n.Version.KumaDP.BuildDate = dp["buildDate"].GetStringValue()
	n.Version.Envoy.Version = own["version"].GetStringValue()
	n.Version.Envoy.Build = own["build"].GetStringValue()
	return n
}
