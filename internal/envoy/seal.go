package envoy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"weak"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// Type URLs of what is sealed.
const (
	TypeCluster  = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
	TypeListener = "type.googleapis.com/envoy.config.listener.v3.Listener"
	TypeEndpoint = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
)

// Sealed is one Envoy resource, marshalled once. It never changes, and proxies that need the same share it.
type Sealed struct {
	Name    string
	TypeURL string
	// Version is a hash of the content: the same resource has the same version on every control plane and after every restart.
	Version string
	// Body is the message's wire form, the value of an Any.
	Body []byte
}

// Message unpacks the resource, for people who look at it.
func (s *Sealed) Message() (proto.Message, error) {
	return anypb.UnmarshalNew(&anypb.Any{TypeUrl: s.TypeURL, Value: s.Body}, proto.UnmarshalOptions{})
}

type digest [sha256.Size]byte

// sealer keeps one copy of equal resources for as long as somebody holds it.
type sealer struct {
	mu    sync.Mutex
	known map[digest]weak.Pointer[Sealed]
}

func newSealer() *sealer { return &sealer{known: map[digest]weak.Pointer[Sealed]{}} }

// seal marshals a resource, deterministically, and gives the shared copy.
func (s *sealer) seal(name, typeURL string, m proto.Message) (*Sealed, error) {
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", typeURL, name, err)
	}
	return s.share(name, typeURL, body), nil
}

func (s *sealer) share(name, typeURL string, body []byte) *Sealed {
	h := sha256.New()
	h.Write([]byte(typeURL))
	h.Write([]byte{0})
	h.Write(body)
	var sum digest
	h.Sum(sum[:0])
	s.mu.Lock()
	defer s.mu.Unlock()
	if had := s.known[sum].Value(); had != nil {
		return had
	}
	sealed := &Sealed{Name: name, TypeURL: typeURL, Version: hex.EncodeToString(sum[:8]), Body: body}
	s.known[sum] = weak.Make(sealed)
	runtime.AddCleanup(sealed, s.forget, sum)
	return sealed
}

// forget removes what nobody holds any more, unless it was sealed again meanwhile.
func (s *sealer) forget(sum digest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known[sum].Value() == nil {
		delete(s.known, sum)
	}
}

// inboundListener seals the cluster as well: whoever has not got the one has rarely got the other.
func (c *Compiler) inboundListener(of inboundKey) piece {
	d := draftInbound(of)
	p := c.sealListener(d.Listener, d.Chain)
	p.problems = d.problems
	c.inboundClusters.put(of, c.sealCluster(d.Cluster, d.Options))
	return p
}

func (c *Compiler) inboundCluster(of inboundKey) piece {
	d := draftInbound(of)
	return c.sealCluster(d.Cluster, d.Options)
}

func (c *Compiler) outboundListener(of outboundKey) piece {
	d := draftOutbound(of)
	p := c.sealListener(d.Listener, d.Chain)
	p.problems = d.problems
	return p
}

func (c *Compiler) destinationCluster(of destinationKey) piece {
	d := draftOutbound(outboundKey{destinationKey: of})
	return c.sealCluster(d.Cluster, d.Options)
}

func draftInbound(of inboundKey) *DraftInbound {
	d := newInbound(of.inbound.Value(), Node{ReusePort: of.reuse, KafkaFilter: of.kafka})
	of.effects.onInbound(d)
	return d
}

func draftOutbound(of outboundKey) *DraftOutbound {
	d := newOutbound(of)
	of.effects.onOutbound(d)
	return d
}

func (c *Compiler) sealListener(l *listenerv3.Listener, chain Chain) piece {
	end := networkFilter(filterTCP, chain.TCP)
	if chain.HTTP != nil {
		end = networkFilter(filterHTTP, chain.HTTP)
	}
	l.FilterChains = []*listenerv3.FilterChain{{Filters: append(slices.Clip(chain.Network), end)}}
	return piece{sealed: c.sealer.must(l.GetName(), TypeListener, l)}
}

func (c *Compiler) sealCluster(cluster *clusterv3.Cluster, options *httpv3.HttpProtocolOptions) piece {
	if options != nil {
		cluster.TypedExtensionProtocolOptions = map[string]*anypb.Any{optionsHTTP: mustPack(options)}
	}
	return piece{sealed: c.sealer.must(cluster.GetName(), TypeCluster, cluster)}
}

// must seals, and panics where the message cannot be marshalled; whoever makes a piece is ready for that.
func (s *sealer) must(name, typeURL string, m proto.Message) *Sealed {
	sealed, err := s.seal(name, typeURL, m)
	if err != nil {
		panic(err)
	}
	return sealed
}

// mustPack puts a message into an Any. Strings that are not UTF-8 are the one thing that cannot be marshalled; documents with
// such do not get past their decoder.
func mustPack(m proto.Message) *anypb.Any {
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		panic(err)
	}
	return &anypb.Any{TypeUrl: "type.googleapis.com/" + string(m.ProtoReflect().Descriptor().FullName()), Value: body}
}
