// Package envoy turns the picture of a mesh into what Envoy understands: the first configuration of a proxy (Bootstrap), and
// everything that it gets afterwards (Compile).
//
// In come a mesh, one of its proxies, what the proxy said of itself, and the policies with their effects; out comes a Config of
// sealed resources. Each part of a proxy (an inbound, an outbound with its destination) is drafted in Envoy's own messages,
// changed by the policies' effects, and sealed: marshalled once, versioned by its content, and shared by all proxies that need
// the same. A part depends on nothing but its inputs, so what was made once is found again by them.
package envoy
