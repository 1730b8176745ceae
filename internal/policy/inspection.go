package policy

// Inspection is what the policies of one kind say about one proxy, in the form of the HTTP API (`_rules`). Lists are never nil.
type Inspection struct {
	Type string `json:"type"`
	// FromRules are by the clients' tags; InboundRules by what clients prove to be.
	FromRules    []InspectedFrom    `json:"fromRules"`
	InboundRules []InspectedInbound `json:"inboundRules"`
	// ToRules are by kuma.io/service, ToResourceRules about destinations that are resources.
	ToRules         []InspectedRule     `json:"toRules"`
	ToResourceRules []InspectedResource `json:"toResourceRules"`
	// ProxyRule is set for kinds that are about the proxy as a whole.
	ProxyRule *InspectedProxy `json:"proxyRule,omitempty"`
	Warnings  []string        `json:"warnings"`
}

// Meta names a resource.
type Meta struct {
	Labels map[string]string `json:"labels"`
	Mesh   string            `json:"mesh"`
	Name   string            `json:"name"`
	Type   string            `json:"type"`
}

// InspectedPort is an inbound.
type InspectedPort struct {
	Name string            `json:"name,omitempty"`
	Port uint32            `json:"port"`
	Tags map[string]string `json:"tags"`
}

// InspectedFrom is an inbound with its rules by tag.
type InspectedFrom struct {
	Inbound InspectedPort   `json:"inbound"`
	Rules   []InspectedRule `json:"rules"`
}

// InspectedRule is a configuration for what fits all matchers.
type InspectedRule struct {
	Conf     any                `json:"conf"`
	Matchers []InspectedMatcher `json:"matchers"`
	Origin   []Meta             `json:"origin"`
}

// InspectedMatcher is one tag, had or not had.
type InspectedMatcher struct {
	Key   string `json:"key"`
	Not   bool   `json:"not"`
	Value string `json:"value"`
}

// InspectedInbound is an inbound with its rules.
type InspectedInbound struct {
	Inbound InspectedPort          `json:"inbound"`
	Rules   []InspectedInboundRule `json:"rules"`
}

// InspectedInboundRule is what one entry of a policy says; without matches it is about everybody.
type InspectedInboundRule struct {
	Conf    []any             `json:"conf"`
	Matches []Match           `json:"matches,omitempty"`
	Origin  []InspectedOrigin `json:"origin"`
}

// InspectedResource is a configuration for a resource, or for one section of it.
type InspectedResource struct {
	Conf    []any             `json:"conf"`
	Origin  []InspectedOrigin `json:"origin"`
	Meta    Meta              `json:"resourceMeta"`
	Section string            `json:"resourceSectionName"`
}

// InspectedOrigin is one entry of a policy.
type InspectedOrigin struct {
	Meta  Meta `json:"resourceMeta"`
	Index int  `json:"ruleIndex"`
}

// InspectedProxy is a configuration for the proxy as a whole.
type InspectedProxy struct {
	Conf   any    `json:"conf"`
	Origin []Meta `json:"origin"`
}
