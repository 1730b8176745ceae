package xds

import (
	"fmt"
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

// Limits of what a request may make us keep: bytes of the node's metadata, and names in one request.
const (
	maxMetadataBytes = 512 << 10
	maxNames         = 50_000
)

// node is the part of envoy.config.core.v3.Node that is used. Envoy also sends some 500 extensions (62 KB); of these only the
// name that decides something is looked for.
type node struct {
	id       string
	metadata *structpb.Struct
	// kafka says that this Envoy was built with the Kafka filters.
	kafka bool
}

// request is one message of a proxy on a discovery stream, of either variant.
type request struct {
	// node comes with the first message alone.
	node *node
	kind resourceType
	// typeURL is set for types that are not served.
	typeURL string
	// version is the last one accepted; state of the world only.
	version string
	// names are all that the proxy wants (state of the world), or those that it wants from now on (delta).
	names []string
	// dropped are names that it no longer wants, and held what it has already; delta only.
	dropped []string
	held    map[string]string
	nonce   string
	// refused says that the answer with this nonce was not accepted, and why.
	refused bool
	reason  string
}

// sotwRequest and deltaRequest are the two encodings.
type (
	sotwRequest  struct{ request }
	deltaRequest struct{ request }
)

// decode reads envoy.service.discovery.v3.DiscoveryRequest.
func (r *sotwRequest) decode(raw []byte) error {
	r.request = request{kind: unknownType}
	return eachBytes(raw, func(n protowire.Number, value []byte) error {
		switch n {
		case 1:
			r.version = string(value)
		case 2:
			return r.readNode(value)
		case 3:
			return appendName(&r.names, value)
		case 4:
			r.readType(value)
		case 5:
			r.nonce = string(value)
		case 6:
			return r.readStatus(value)
		}
		return nil
	})
}

// decode reads envoy.service.discovery.v3.DeltaDiscoveryRequest.
func (r *deltaRequest) decode(raw []byte) error {
	r.request = request{kind: unknownType}
	return eachBytes(raw, func(n protowire.Number, value []byte) error {
		switch n {
		case 1:
			return r.readNode(value)
		case 2:
			r.readType(value)
		case 3:
			return appendName(&r.names, value)
		case 4:
			return appendName(&r.dropped, value)
		case 5:
			return r.readHeld(value)
		case 6:
			r.nonce = string(value)
		case 7:
			return r.readStatus(value)
		}
		return nil
	})
}

// appendName reads one of the names that a proxy asks for. They come back in answers, so they must be text.
func appendName(to *[]string, value []byte) error {
	if len(*to) >= maxNames {
		return fmt.Errorf("more than %d names in one request", maxNames)
	}
	if !utf8.Valid(value) {
		return fmt.Errorf("resource name %q is not UTF-8", value)
	}
	*to = append(*to, string(value))
	return nil
}

// readType keeps the text of types that are not served, for those who look at what proxies ask.
func (r *request) readType(value []byte) {
	r.kind, r.typeURL = typeOf(value), ""
	if r.kind == unknownType {
		r.typeURL = string(value)
	}
}

// readStatus reads google.rpc.Status. A status without a message is an error too.
func (r *request) readStatus(value []byte) error {
	r.refused = true
	return eachBytes(value, func(n protowire.Number, value []byte) error {
		if n == 2 {
			r.reason = string(value)
		}
		return nil
	})
}

// readHeld reads one entry of a map from a resource's name to its version.
func (r *request) readHeld(value []byte) error {
	var name, version string
	err := eachBytes(value, func(n protowire.Number, value []byte) error {
		switch n {
		case 1:
			name = string(value)
		case 2:
			version = string(value)
		}
		return nil
	})
	if r.held == nil {
		r.held = map[string]string{}
	}
	if len(r.held) >= maxNames {
		return fmt.Errorf("more than %d versions in one request", maxNames)
	}
	r.held[name] = version
	return err
}

// readNode reads the node, which comes once.
func (r *request) readNode(value []byte) error {
	if r.node == nil {
		r.node = &node{}
	}
	return r.node.decode(value)
}

// decode reads envoy.config.core.v3.Node. Called twice it merges, as protobuf says.
func (n *node) decode(raw []byte) error {
	return eachBytes(raw, func(number protowire.Number, value []byte) error {
		switch number {
		case 1:
			n.id = string(value)
		case 3:
			if len(value) > maxMetadataBytes {
				return fmt.Errorf("the node's metadata has %d bytes, and %d is the most", len(value), maxMetadataBytes)
			}
			if n.metadata == nil {
				n.metadata = &structpb.Struct{}
			}
			return proto.UnmarshalOptions{Merge: true, RecursionLimit: 64}.Unmarshal(value, n.metadata)
		case 9:
			n.readExtension(value)
		}
		return nil
	})
}

// kafkaFilter is the extension that decides whether a Kafka listener is understood.
const kafkaFilter = "envoy.filters.network.kafka_broker"

// readExtension looks at the name of one envoy.config.core.v3.Extension. There are hundreds, and the name is each one's first
// field, so nothing else is taken apart.
func (n *node) readExtension(value []byte) {
	const nameTag = 1<<3 | byte(protowire.BytesType)
	if len(value) > len(kafkaFilter)+1 && value[0] == nameTag && int(value[1]) == len(kafkaFilter) {
		n.kafka = n.kafka || string(value[2:2+len(kafkaFilter)]) == kafkaFilter
	}
}

// eachBytes visits the length-delimited fields of an encoded message and checks that the others are well formed.
func eachBytes(raw []byte, visit func(n protowire.Number, value []byte) error) error {
	for len(raw) > 0 {
		number, kind, size := protowire.ConsumeTag(raw)
		if size < 0 {
			return protowire.ParseError(size)
		}
		raw = raw[size:]
		if kind != protowire.BytesType {
			if size = protowire.ConsumeFieldValue(number, kind, raw); size < 0 {
				return protowire.ParseError(size)
			}
			raw = raw[size:]
			continue
		}
		value, size := protowire.ConsumeBytes(raw)
		if size < 0 {
			return protowire.ParseError(size)
		}
		raw = raw[size:]
		if err := visit(number, value); err != nil {
			return err
		}
	}
	return nil
}

// parseNonce gives the number of an answer; 0 is the nonce of no answer.
func parseNonce(s string) uint64 {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
