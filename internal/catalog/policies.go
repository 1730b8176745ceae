package catalog

import "github.com/kumactl/kumactl/internal/envoy"

// Policies gives the policies in the order in which their effects apply to a proxy.
func Policies() []envoy.Policy { return nil }
