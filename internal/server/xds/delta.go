package xds

import (
	"slices"

	"github.com/kumactl/kumactl/internal/envoy"
)

// receiveDelta takes a DeltaDiscoveryRequest in: changes of the subscription, an acceptance or a refusal, or all at once.
func (s *stream) receiveDelta(u *subscription, r *request) {
	if u.waiting && r.nonce != "" && parseNonce(r.nonce) == u.nonce {
		s.judged(u, r)
	}
	names, star := subscribed(r.names)
	if !u.asked {
		u.asked, u.owed = true, true
		u.wildcard = star || r.kind.whole() && len(names) == 0
		u.names = names
		if !u.stale {
			u.known, u.claims = claimed(r.held), len(r.held) > 0
		}
		return
	}
	if star {
		u.wildcard, u.owed = true, true
	}
	if len(names) > 0 {
		// Whoever asks again is sent it again.
		u.forget(func(name string) bool { _, ok := slices.BinarySearch(names, name); return ok })
		u.names, _ = subscribed(slices.Concat(u.names, names))
	}
	if dropped, all := subscribed(r.dropped); len(dropped) > 0 || all {
		u.names = slices.DeleteFunc(slices.Clone(u.names), func(name string) bool {
			_, ok := slices.BinarySearch(dropped, name)
			return ok
		})
		u.wildcard = u.wildcard && !all
		if !u.wildcard {
			u.forget(func(name string) bool { _, ok := slices.BinarySearch(u.names, name); return !ok })
		}
	}
}

// claimed is what a proxy says that it has. Bodies are not needed.
func claimed(held map[string]string) []*envoy.Sealed {
	list := make([]*envoy.Sealed, 0, len(held))
	for name, version := range held {
		list = append(list, &envoy.Sealed{Name: name, Version: version})
	}
	slices.SortFunc(list, byName)
	return list
}

// nextDelta decides what to send of a type: what has changed and what is gone. Names that nothing is known of are told as gone,
// once; then they are known under the empty version.
func (u *subscription) nextDelta(t resourceType, all []*envoy.Sealed) (answer, bool) {
	list, missing := u.want(t, all)
	var told []*envoy.Sealed
	for _, name := range missing {
		told = append(told, &envoy.Sealed{Name: name})
	}
	with := union(list, told)
	if u.claims && !u.base {
		// From now on our own copies are held, and the claims are garbage.
		u.known = adopted(u.known, with)
	}
	fresh := u.fresh(changed(with, u.known))
	var gone []string
	if u.wildcard {
		gone = namesNotIn(u.known, with)
	}
	put := fresh
	if len(told) > 0 {
		// What is known under the empty version goes on the wire as a removal.
		put = nil
		for _, r := range fresh {
			if r.Version == "" {
				gone = append(gone, r.Name)
			} else {
				put = append(put, r)
			}
		}
	}
	// The first answer of a wildcard may be empty: it tells a proxy that has nothing that there is nothing.
	first := u.owed && !u.base && u.wildcard && len(u.known) == 0
	if !u.news(put, gone) && !first {
		u.owed, u.base = false, true
		return answer{}, false
	}
	u.sent, u.offered, u.gone = u.after(with, fresh), put, gone
	return answer{version: versionOf(list), put: put, removed: gone, anew: put}, true
}

// adopted replaces what a proxy claimed to have by our own where it is the same.
func adopted(claims, list []*envoy.Sealed) []*envoy.Sealed {
	out := slices.Clone(claims)
	for i, r := range out {
		if own := find(list, r.Name); own != nil && same(own, r) {
			out[i] = own
		}
	}
	return out
}
