package catalog

import (
	"github.com/kumactl/kumactl/internal/envoy"
	"github.com/kumactl/kumactl/internal/policies/meshtimeout"
)

// Policies gives the policies in the order in which their effects apply to a proxy.
func Policies() []envoy.Policy {
	return []envoy.Policy{
		meshtimeout.Policy, // after routes, whose requests it limits
	}
}
