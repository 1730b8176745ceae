package xds

import (
	"fmt"
	"slices"
	"strconv"
	"sync"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/kumactl/kumactl/internal/envoy"
)

// codec is what gRPC encodes and decodes with on this server. Answers are assembled from bytes that were sealed once and are
// shared by all streams; of requests only the fields that are used are read.
type codec struct{ buffers *sync.Pool }

// newCodec has buffers of its own: gRPC's pool would clear a megabyte for each first request.
func newCodec() codec {
	return codec{&sync.Pool{New: func() any { return new([]byte) }}}
}

// Name is what the content type application/grpc stands for.
func (codec) Name() string { return "proto" }

// Marshal hands the prepared bytes on.
func (codec) Marshal(v any) (mem.BufferSlice, error) {
	m, ok := v.(message)
	if !ok {
		return nil, fmt.Errorf("a stream sends messages, not %T", v)
	}
	return mem.BufferSlice(m), nil
}

// Unmarshal lets the request read itself.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	r, ok := v.(interface{ decode(raw []byte) error })
	if !ok {
		return fmt.Errorf("a stream reads requests, not %T", v)
	}
	if len(data) == 1 {
		return r.decode(data[0].ReadOnlyData())
	}
	// A first request has some 60 KB. What it keeps is copied out of the buffer.
	buf := c.buffers.Get().(*[]byte)
	defer c.buffers.Put(buf)
	*buf = slices.Grow((*buf)[:0], data.Len())[:data.Len()]
	data.CopyTo(*buf)
	return r.decode(*buf)
}

// message is an encoded answer in pieces: sealed bodies as they are, and what stands between them.
type message mem.BufferSlice

// shareFrom is the size in bytes from which a body is referenced and not copied into the message.
const shareFrom = 512

// assembly puts a message together.
type assembly struct {
	parts message
	// own holds what is not shared; what was cut off from it stays where it is.
	own []byte
}

// share appends a body.
func (a *assembly) share(body []byte) {
	if len(body) < shareFrom {
		a.own = append(a.own, body...)
		return
	}
	a.cut()
	a.parts = append(a.parts, mem.SliceBuffer(body))
}

// cut ends the piece that is being written.
func (a *assembly) cut() {
	if len(a.own) > 0 {
		a.parts = append(a.parts, mem.SliceBuffer(a.own))
		a.own = a.own[len(a.own):]
	}
}

// message gives the pieces.
func (a *assembly) message() message {
	a.cut()
	return a.parts
}

// text appends a field of text; an empty one is left out, as protobuf does.
func (a *assembly) text(n protowire.Number, s string) {
	if s != "" {
		a.own = protowire.AppendString(protowire.AppendTag(a.own, n, protowire.BytesType), s)
	}
}

// head begins a message within the message, of a known size.
func (a *assembly) head(n protowire.Number, size int) {
	a.own = protowire.AppendVarint(protowire.AppendTag(a.own, n, protowire.BytesType), uint64(size))
}

// textSize is what text adds, for field numbers below 16.
func textSize(s string) int {
	if s == "" {
		return 0
	}
	return 1 + protowire.SizeBytes(len(s))
}

// The fields of google.protobuf.Any.
const (
	anyType  = 1
	anyValue = 2
)

// anySize is what any adds.
func anySize(r *envoy.Sealed) int {
	size := textSize(r.TypeURL)
	if len(r.Body) > 0 {
		size += 1 + protowire.SizeBytes(len(r.Body))
	}
	return size
}

// any appends a resource in its envelope.
func (a *assembly) any(r *envoy.Sealed) {
	a.text(anyType, r.TypeURL)
	if len(r.Body) > 0 {
		a.head(anyValue, len(r.Body))
		a.share(r.Body)
	}
}

// answer is what one response says.
type answer struct {
	typeURL  string
	version  string
	nonce    uint64
	instance string
	// put is all, or what has changed; removed are names, and only delta has them.
	put     []*envoy.Sealed
	removed []string
	// anew is the part of put that the proxy has not, or not so; it is not sent.
	anew []*envoy.Sealed
}

// ownBytes guesses what stands between the bodies, so that it is allocated once.
func (w answer) ownBytes() int {
	n := 160 + len(w.version)
	for _, r := range w.put {
		n += 64 + len(r.Name) + len(r.TypeURL)
		if len(r.Body) < shareFrom {
			n += len(r.Body)
		}
	}
	for _, name := range w.removed {
		n += 4 + len(name)
	}
	return n
}

// sotw encodes envoy.service.discovery.v3.DiscoveryResponse.
func (w answer) sotw() message {
	a := assembly{own: make([]byte, 0, w.ownBytes())}
	a.text(1, w.version)
	a.text(4, w.typeURL)
	a.text(5, strconv.FormatUint(w.nonce, 10))
	a.controlPlane(6, w.instance)
	for _, r := range w.put {
		a.head(2, anySize(r))
		a.any(r)
	}
	return a.message()
}

// delta encodes envoy.service.discovery.v3.DeltaDiscoveryResponse.
func (w answer) delta() message {
	a := assembly{own: make([]byte, 0, w.ownBytes())}
	a.text(1, w.version)
	a.text(4, w.typeURL)
	a.text(5, strconv.FormatUint(w.nonce, 10))
	for _, name := range w.removed {
		a.text(6, name)
	}
	a.controlPlane(7, w.instance)
	for _, r := range w.put {
		size := anySize(r)
		a.head(2, textSize(r.Version)+1+protowire.SizeBytes(size)+textSize(r.Name))
		a.text(1, r.Version)
		a.text(3, r.Name)
		a.head(2, size)
		a.any(r)
	}
	return a.message()
}

// controlPlane encodes envoy.config.core.v3.ControlPlane.
func (a *assembly) controlPlane(n protowire.Number, instance string) {
	if instance != "" {
		a.head(n, textSize(instance))
		a.text(1, instance)
	}
}
