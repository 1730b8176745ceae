package xds

import "github.com/kumactl/kumactl/internal/envoy"

// Totals are what all connected proxies were sent on their current connections, for metrics.
type Totals struct {
	Connected                int
	Sent, Accepted, Rejected uint64
}

// Totals adds up the proxies that are connected now.
func (s *Server) Totals() Totals {
	s.fleet.mu.Lock()
	sessions := make([]*session, 0, len(s.fleet.proxies))
	for _, p := range s.fleet.proxies {
		if p.session != nil {
			sessions = append(sessions, p.session)
		}
	}
	s.fleet.mu.Unlock()
	sum := Totals{Connected: len(sessions)}
	for _, session := range sessions {
		types, _ := session.counts.read()
		for _, t := range types {
			sum.Sent += t.sent
			sum.Accepted += t.accepted
			sum.Rejected += t.refused
		}
	}
	return sum
}

// Node is what a proxy told of itself when it connected last; false when it was not connected since the start.
func (s *Server) Node(mesh, name string) (envoy.Node, bool) {
	p := s.fleet.get(dataplaneKey(mesh, name))
	if p == nil {
		return envoy.Node{}, false
	}
	s.fleet.mu.Lock()
	defer s.fleet.mu.Unlock()
	for _, session := range []*session{p.session, p.last} {
		if session != nil {
			return session.node, true
		}
	}
	return envoy.Node{}, false
}
