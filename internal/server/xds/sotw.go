package xds

import (
	"slices"

	"github.com/kumactl/kumactl/internal/envoy"
)

// receiveSotw takes a DiscoveryRequest in: a question, an acceptance or a refusal, or the first and one of the others at once.
func (s *stream) receiveSotw(u *subscription, r *request) {
	nonce := parseNonce(r.nonce)
	if u.asked && r.nonce != "" && nonce != u.nonce {
		// It crossed with a newer answer; what it asks will be in the answer to that.
		return
	}
	judged := u.waiting && r.nonce != "" && u.asked
	if judged {
		s.judged(u, r)
	}
	names, star := subscribed(r.names)
	added := slices.ContainsFunc(names, func(name string) bool {
		_, had := slices.BinarySearch(u.names, name)
		return !had
	})
	if !slices.Equal(names, u.names) {
		u.names = names
	}
	switch {
	case !u.asked:
		// The version is from the stream before this one, if there was one.
		u.asked, u.owed, u.heldVersion = true, true, r.version
		u.wildcard = star || r.kind.whole() && len(names) == 0
		return
	case r.nonce == "":
		// It starts anew within the stream.
		u.owed, u.known, u.waiting = true, nil, false
	case added:
		u.owed = true
	case !judged && u.again && !r.refused:
		// The same question once more: what the names belong to has changed.
		u.owed = true
	}
	u.wildcard = star || u.wildcard && len(names) == 0
}

// subscribed sorts names; star says that the wildcard was among them.
func subscribed(names []string) (sorted []string, star bool) {
	slices.Sort(names)
	names = slices.Compact(names)
	if i, ok := slices.BinarySearch(names, "*"); ok {
		return slices.Delete(names, i, i+1), true
	}
	return names, false
}

// nextSotw decides what to send of a type: all of it for clusters, listeners and questions, else what has changed.
func (u *subscription) nextSotw(t resourceType, all []*envoy.Sealed) (answer, bool) {
	list, _ := u.want(t, all)
	if u.owed && !u.base && !u.stale && u.heldVersion != "" && u.heldVersion == versionOf(list) {
		// A proxy that came back has it all.
		u.known, u.base, u.owed, u.heldVersion = list, true, false, ""
		return answer{}, false
	}
	put, anew := list, changed(list, u.known)
	fresh := u.fresh(anew)
	var gone []string
	if t.whole() {
		// What is not in the answer goes.
		gone = namesNotIn(u.known, list)
	}
	switch {
	case u.owed && (t.whole() || len(list) > 0):
		// A question gets all that it asked for, even what the proxy has or has refused.
	case u.owed && len(u.names) == 0:
		// It asked for nothing: it wants no more of this type.
		u.owed = false
		return answer{}, false
	case !u.news(fresh, gone):
		// What it asked for may be missing; then it stays owed until it is there.
		return answer{}, false
	case !t.whole():
		put = fresh
	}
	u.sent, u.offered, u.gone = u.after(list, put), put, gone
	return answer{version: versionOf(list), put: put, anew: anew}, true
}

// fresh gives what is to be sent of what the proxy has not: all but what it has refused as it is.
func (u *subscription) fresh(anew []*envoy.Sealed) []*envoy.Sealed {
	if len(u.refused) == 0 {
		return anew
	}
	return slices.DeleteFunc(slices.Clone(anew), func(r *envoy.Sealed) bool {
		old := find(u.refused, r.Name)
		return old != nil && same(old, r)
	})
}

// after gives what the proxy will have of the list when it accepts put.
func (u *subscription) after(list, put []*envoy.Sealed) []*envoy.Sealed {
	if len(put) == len(list) {
		return list
	}
	out := make([]*envoy.Sealed, 0, len(list))
	for _, r := range list {
		if sent := find(put, r.Name); sent != nil {
			out = append(out, sent)
		} else if old := find(u.known, r.Name); old != nil {
			out = append(out, old)
		}
	}
	return out
}
