package meshtimeout

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/kumactl/kumactl/internal/envoy"
	"github.com/kumactl/kumactl/internal/policy"
)

// Policy is MeshTimeout with its effects. What a policy does not say stays as the draft has it.
var Policy = envoy.PolicyOf(Kind, policy.Shape[Spec, Conf]{
	Target: func(s *Spec) *policy.TargetRef { return s.TargetRef },
	To: func(s *Spec) (entries []policy.Entry[Conf]) {
		for _, to := range s.To {
			entries = append(entries, policy.Entry[Conf]{Target: to.TargetRef, Default: to.Default})
		}
		return entries
	},
	From: func(s *Spec) (entries []policy.Entry[Conf]) {
		for _, from := range s.From {
			entries = append(entries, policy.Entry[Conf]{Target: from.TargetRef, Default: from.Default})
		}
		return entries
	},
	Rules: func(s *Spec) (entries []policy.Entry[Conf]) {
		for _, rule := range s.Rules {
			entries = append(entries, policy.Entry[Conf]{Matches: rule.Matches, Default: rule.Default})
		}
		return entries
	},
	FromAsRules: true,
}, envoy.Effects[Conf]{Inbound: limitInbound, Outbound: limitOutbound})

// limitInbound applies what is said about everybody. Rules about some clients tell them apart by certificates.
func limitInbound(d *envoy.DraftInbound, rules *policy.InboundRules[Conf]) {
	for _, r := range rules.Rules {
		if r.Match != nil {
			d.Note(Kind.Name+" "+r.Origin.Policy.Name, "its rules with matches have no effect without mTLS, which is not there yet")
			break
		}
	}
	if rules.All == nil {
		return
	}
	limit(d.Chain, rules.All)
	set(&d.Cluster.ConnectTimeout, rules.All.ConnectionTimeout)
	if d.Options != nil {
		limitConnections(d.Options.CommonHttpProtocolOptions, rules.All)
	}
}

// limitOutbound applies what is said about the destination.
func limitOutbound(d *envoy.DraftOutbound, conf *Conf) {
	limit(d.Chain, conf)
	set(&d.Cluster.ConnectTimeout, conf.ConnectionTimeout)
	if d.HTTP != nil {
		limitConnections(d.Options.CommonHttpProtocolOptions, conf)
	}
}

// limit sets what belongs to a listener: for HTTP the requests, for TCP the connection itself.
func limit(chain envoy.Chain, conf *Conf) {
	if chain.TCP != nil {
		set(&chain.TCP.IdleTimeout, conf.IdleTimeout)
		return
	}
	if conf.HTTP == nil {
		return
	}
	set(&chain.HTTP.RequestHeadersTimeout, conf.HTTP.RequestHeadersTimeout)
	for _, route := range chain.Routes() {
		if to := route.GetRoute(); to != nil {
			set(&to.Timeout, conf.HTTP.RequestTimeout)
			set(&to.IdleTimeout, conf.HTTP.StreamIdleTimeout)
		}
	}
}

// limitConnections sets what belongs to the HTTP connections to the application or the destination.
func limitConnections(options *corev3.HttpProtocolOptions, conf *Conf) {
	set(&options.IdleTimeout, conf.IdleTimeout)
	if conf.HTTP != nil {
		set(&options.MaxStreamDuration, conf.HTTP.MaxStreamDuration)
		set(&options.MaxConnectionDuration, conf.HTTP.MaxConnectionDuration)
	}
}

func set(field **durationpb.Duration, to *policy.Duration) {
	if to != nil {
		*field = durationpb.New(to.Duration)
	}
}
