package xds

import (
	"encoding/binary"
	"encoding/hex"
	"hash/fnv"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/kumactl/kumactl/internal/envoy"
)

// resourceType is one of the types that are served, in the order in which a change is sent: make before break.
type resourceType int

const (
	clusters resourceType = iota
	endpoints
	listeners
	routes
	secrets
	typeCount

	unknownType resourceType = -1
)

const typePrefix = "type.googleapis.com/"

// url is the type's name on the wire.
func (t resourceType) url() string {
	switch t {
	case clusters:
		return envoy.TypeCluster
	case endpoints:
		return envoy.TypeEndpoint
	case listeners:
		return envoy.TypeListener
	case routes:
		return typePrefix + "envoy.config.route.v3.RouteConfiguration"
	case secrets:
		return typePrefix + "envoy.extensions.transport_sockets.tls.v3.Secret"
	}
	return ""
}

// whole types are always sent and asked for as a whole in state of the world; of the others a response may hold a part.
func (t resourceType) whole() bool { return t == clusters || t == listeners }

// typeOf finds a type by its name on the wire.
func typeOf(url []byte) resourceType {
	for t := range typeCount {
		if string(url) == t.url() {
			return t
		}
	}
	return unknownType
}

// subscription is what one stream has asked for and got of one type. Lists are sorted by name. It is guarded by its stream.
type subscription struct {
	asked bool
	// wildcard wants all that there is, names (sorted) just these.
	wildcard bool
	names    []string

	// known is what the proxy has accepted or said that it has. sent is what it will have once it has accepted what is on its
	// way, offered what that holds, and gone what it removes.
	known, sent, offered []*envoy.Sealed
	gone                 []string
	// base is false while nothing is known of what the proxy has; then the first answer goes out even if it is empty.
	base bool
	// waiting says that the last answer is neither accepted nor refused; nonce is its number.
	waiting bool
	nonce   uint64
	// owed says that the proxy asked and must be answered even if nothing has changed.
	owed bool
	// again says that the proxy may ask the same once more and is to be answered: what its names belong to was sent meanwhile.
	again bool
	// stale says that what the proxy claims to have must be sent again: its clusters have changed.
	stale bool
	// refused are resources that the proxy did not accept, and removals with which they came; they are not sent again as they
	// are, and removals only together with something new.
	refused        []*envoy.Sealed
	refusedRemoval []string
	// heldVersion is the version that the proxy came with, used once; claims says that it came with resources (delta).
	heldVersion string
	claims      bool
}

// want says what a subscription should have, given all resources of the type.
func (u *subscription) want(t resourceType, all []*envoy.Sealed) (list []*envoy.Sealed, missing []string) {
	if u.wildcard && len(u.names) == 0 {
		return all, nil
	}
	for _, name := range u.names {
		r := find(all, name)
		switch {
		case r != nil:
		case t == endpoints:
			// A cluster that goes keeps its endpoints while listeners may still use it.
			if r = find(u.known, name); r == nil {
				r = noEndpoints(name)
			}
		default:
			missing = append(missing, name)
			continue
		}
		list = append(list, r)
	}
	if u.wildcard {
		list = union(all, list)
	}
	return list, missing
}

// settled says that the proxy has what it should have, or has refused it.
func (u *subscription) settled(list []*envoy.Sealed) bool { return !u.waiting && equal(u.known, list) }

// accept takes note that the proxy has accepted the last answer, reject that it has not.
func (u *subscription) accept() {
	u.waiting = false
	u.known, u.refused, u.refusedRemoval = u.sent, without(u.refused, u.offered), nil
	u.sent, u.offered, u.gone = nil, nil, nil
}

func (u *subscription) reject() {
	u.waiting = false
	// What it has stays what it had. Envoy does take the good parts of an answer that it refuses, but it does not say which.
	u.refused, u.refusedRemoval = union(u.offered, u.refused), u.gone
	u.sent, u.offered, u.gone = nil, nil, nil
}

// news says whether there is anything to send that was not refused already.
func (u *subscription) news(fresh []*envoy.Sealed, gone []string) bool {
	return len(fresh) > 0 || slices.ContainsFunc(gone, func(name string) bool { return !slices.Contains(u.refusedRemoval, name) })
}

// forget makes resources be sent again.
func (u *subscription) forget(drop func(name string) bool) {
	match := func(r *envoy.Sealed) bool { return drop(r.Name) }
	if slices.ContainsFunc(u.known, match) {
		u.known = slices.DeleteFunc(slices.Clone(u.known), match)
	}
	if slices.ContainsFunc(u.sent, match) {
		u.sent = slices.DeleteFunc(slices.Clone(u.sent), match)
	}
}

// find looks for a name in a sorted list; nil when it is not there.
func find(list []*envoy.Sealed, name string) *envoy.Sealed {
	i, ok := slices.BinarySearchFunc(list, name, func(r *envoy.Sealed, name string) int { return strings.Compare(r.Name, name) })
	if !ok {
		return nil
	}
	return list[i]
}

// same says that two resources of one type are the same to a proxy.
func same(a, b *envoy.Sealed) bool { return a == b || a.Name == b.Name && a.Version == b.Version }

// equal says that two lists are the same to a proxy.
func equal(a, b []*envoy.Sealed) bool { return shared(a, b) || slices.EqualFunc(a, b, same) }

// shared says that two lists are the same piece of memory.
func shared(a, b []*envoy.Sealed) bool { return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0]) }

// changed gives what is in list and not, or not so, in before. Both are sorted, so one walk does.
func changed(list, before []*envoy.Sealed) []*envoy.Sealed {
	switch {
	case shared(list, before):
		return nil
	case len(before) == 0:
		return list
	}
	var out []*envoy.Sealed
	for _, r := range list {
		var old *envoy.Sealed
		if old, before = skipTo(before, r.Name); old == nil || !same(old, r) {
			out = append(out, r)
		}
	}
	return out
}

// skipTo leaves out what comes before a name, and finds the resource of that name; nil when it is not there.
func skipTo(list []*envoy.Sealed, name string) (*envoy.Sealed, []*envoy.Sealed) {
	for i, r := range list {
		switch c := strings.Compare(r.Name, name); {
		case c == 0:
			return r, list[i+1:]
		case c > 0:
			return nil, list[i:]
		}
	}
	return nil, nil
}

// namesNotIn gives the names in list that the other list has not.
func namesNotIn(list, other []*envoy.Sealed) []string {
	if shared(list, other) {
		return nil
	}
	var out []string
	for _, r := range list {
		var there *envoy.Sealed
		if there, other = skipTo(other, r.Name); there == nil {
			out = append(out, r.Name)
		}
	}
	return out
}

// without gives list less what is in other under the same name.
func without(list, other []*envoy.Sealed) []*envoy.Sealed {
	if len(list) == 0 || len(other) == 0 {
		return list
	}
	return slices.DeleteFunc(slices.Clone(list), func(r *envoy.Sealed) bool { return find(other, r.Name) != nil })
}

// union gives list and those of more whose name is not in list.
func union(list, more []*envoy.Sealed) []*envoy.Sealed {
	more = without(more, list)
	if len(more) == 0 {
		return list
	}
	out := slices.Concat(list, more)
	slices.SortFunc(out, byName)
	return out
}

func byName(a, b *envoy.Sealed) int { return strings.Compare(a.Name, b.Name) }

// versionOf is a version for a list, made of its content alone.
func versionOf(list []*envoy.Sealed) string {
	// Lengths keep the boundaries: ("ab", "c") is not ("a", "bc").
	h := fnv.New128a()
	var size [8]byte
	for _, r := range list {
		for _, s := range [2]string{r.Name, r.Version} {
			binary.BigEndian.PutUint64(size[:], uint64(len(s)))
			h.Write(size[:])
			h.Write([]byte(s))
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// noEndpoints is the answer for a name that nobody serves: Envoy waits for one, and silence costs it 15 seconds.
func noEndpoints(name string) *envoy.Sealed {
	return &envoy.Sealed{
		Name: name, TypeURL: endpoints.url(), Version: "none",
		Body: protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), name),
	}
}
