// Package policy holds what all policies share: references to targets, which proxies and destinations they mean, in which
// order policies count, and how their configurations are merged.
//
// In come policies and the picture of a mesh; out come, for one proxy, the configurations that apply to it. The package is
// generic over specification and configuration, and knows no kind of policy.
package policy
