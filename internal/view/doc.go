// Package view holds what the stored resources mean together: for each mesh its proxies with their inbounds and outbounds
// resolved, the destinations that they offer, and the policies by kind.
//
// In come a snapshot of the store once, and then changes; out comes the next immutable Picture and what was Touched, so that
// nobody has to look at what stayed the same. Pictures share all unchanged parts, readers hold them without a lock, and a
// pointer to a part (a Proxy, a Destination, a PolicyList) stays the same for as long as the part does.
//
// The picture is a pure function of the resources: a proxy that is stored counts whether it is connected or not, so nothing
// vanishes while proxies find their way back to a control plane that was started again.
package view
