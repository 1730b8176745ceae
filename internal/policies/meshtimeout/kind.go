// Package meshtimeout limits how long connections and requests may take.
//
// In come MeshTimeout policies; out go their effects on the clusters, listeners and routes of a proxy.
package meshtimeout

import (
	"time"

	"github.com/kumactl/kumactl/internal/policy"
	"github.com/kumactl/kumactl/internal/resource"
)

// Kind is MeshTimeout. Kinds are package-level values that are made once and never change.
var Kind = resource.Of(resource.Kind{
	Name:         "MeshTimeout",
	Path:         "meshtimeouts",
	Arg:          "meshtimeout",
	Plural:       "meshtimeouts",
	Short:        "mt",
	Sync:         resource.GlobalToZone | resource.ZoneToGlobal,
	ZoneProvided: true,
	Policy:       &resource.PolicyTraits{TargetRef: true, To: true, From: true, Rules: true, Singular: "Mesh Timeout"},
	ForNewMesh:   forNewMesh,
}, resource.Rules[*Spec]{Validate: validate, Warn: warn})

// Spec is what a MeshTimeout says. Either To and From or Rules are given.
type Spec struct {
	// TargetRef selects the proxies; nil means all of the mesh.
	TargetRef *policy.TargetRef `json:"targetRef,omitempty"`
	To        []To              `json:"to,omitzero"`
	// From is the older form of Rules.
	From  []From `json:"from,omitzero"`
	Rules []Rule `json:"rules,omitzero"`
}

// To is about traffic that the proxies send to the destinations that TargetRef means.
type To struct {
	TargetRef policy.TargetRef `json:"targetRef" schema:"required"`
	Default   Conf             `json:"default"`
}

// From is about traffic that arrives from the clients that TargetRef means.
type From struct {
	TargetRef policy.TargetRef `json:"targetRef" schema:"required"`
	Default   Conf             `json:"default"`
}

// Rule is about traffic that arrives and fits one of Matches; without Matches it is about all that arrives.
type Rule struct {
	Matches []policy.Match `json:"matches,omitzero"`
	Default Conf           `json:"default"`
}

// Conf holds the timeouts; nil leaves to others what is not said here. Zero turns a timeout off, save ConnectionTimeout.
type Conf struct {
	// ConnectionTimeout is how long opening a TCP connection may take.
	ConnectionTimeout *policy.Duration `json:"connectionTimeout,omitempty"`
	// IdleTimeout is how long a connection may carry nothing.
	IdleTimeout *policy.Duration `json:"idleTimeout,omitempty"`
	HTTP        *HTTP            `json:"http,omitempty"`
}

// HTTP holds the timeouts of HTTP traffic.
type HTTP struct {
	// RequestTimeout is how long a request may take, to the end of its answer.
	RequestTimeout *policy.Duration `json:"requestTimeout,omitempty"`
	// StreamIdleTimeout is how long one request may carry nothing.
	StreamIdleTimeout *policy.Duration `json:"streamIdleTimeout,omitempty"`
	// MaxStreamDuration is how long one request may last, long answers included.
	MaxStreamDuration *policy.Duration `json:"maxStreamDuration,omitempty"`
	// MaxConnectionDuration is how long a connection may live before it is drained.
	MaxConnectionDuration *policy.Duration `json:"maxConnectionDuration,omitempty"`
	// RequestHeadersTimeout is how long the headers of a request may take to arrive.
	RequestHeadersTimeout *policy.Duration `json:"requestHeadersTimeout,omitempty"`
}

// forNewMesh gives a new mesh the peers' timeouts: generous for sidecars, tight where strangers connect.
func forNewMesh(kind *resource.Kind, mesh string) []*resource.Resource {
	of := func(name string, t policy.ProxyType, out, in Conf) *resource.Resource {
		r := kind.New(mesh, name+mesh)
		all := policy.TargetRef{Kind: policy.RefMesh}
		r.Spec = &Spec{
			TargetRef: &policy.TargetRef{Kind: policy.RefMesh, ProxyTypes: []policy.ProxyType{t}},
			To:        []To{{all, out}},
			From:      []From{{all, in}},
		}
		return r
	}
	return []*resource.Resource{
		of("mesh-timeout-all-", policy.Sidecar,
			Conf{seconds(5), seconds(3600), &HTTP{RequestTimeout: seconds(15), StreamIdleTimeout: seconds(1800)}},
			Conf{seconds(10), seconds(7200), &HTTP{RequestTimeout: seconds(0), StreamIdleTimeout: seconds(3600), MaxStreamDuration: seconds(0)}}),
		of("mesh-gateways-timeout-all-", policy.Gateway,
			Conf{nil, seconds(3600), &HTTP{StreamIdleTimeout: seconds(5)}},
			Conf{nil, seconds(300), &HTTP{StreamIdleTimeout: seconds(5), RequestHeadersTimeout: seconds(0.5)}}),
	}
}

func seconds(n float64) *policy.Duration {
	return &policy.Duration{Duration: time.Duration(n * float64(time.Second))}
}
