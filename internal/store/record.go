package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kumactl/kumactl/internal/kumapb"
	"github.com/kumactl/kumactl/internal/resource"
)

// Everything on disk is a CRC-32C (4 bytes, little-endian, over key and content) followed by its content. bbolt's pages have no
// checksum of their own.
const sumBytes = 4

// castagnoli is CRC-32C, for which processors have an instruction.
func castagnoli(key, content []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Checksum(key, table), table, content)
}

// sealed puts the checksum before the content.
func sealed(key, content []byte) []byte {
	value := make([]byte, sumBytes, sumBytes+len(content))
	binary.LittleEndian.PutUint32(value, castagnoli(key, content))
	return append(value, content...)
}

// opened checks the checksum and gives the content.
func opened(key, value []byte) ([]byte, error) {
	if len(value) < sumBytes {
		return nil, errors.New("shorter than its checksum")
	}
	if binary.LittleEndian.Uint32(value) != castagnoli(key, value[sumBytes:]) {
		return nil, errors.New("its checksum is wrong")
	}
	return value[sumBytes:], nil
}

// keyBytes is kind, mesh and name with zeros between them, which sort like Key.Less.
func keyBytes(k resource.Key) []byte {
	return []byte(k.Kind + "\x00" + k.Mesh + "\x00" + k.Name)
}

// parseKey is the other way round. Keys of the log are none: they begin with a zero.
func parseKey(raw []byte) (resource.Key, error) {
	kind, rest, ok := strings.Cut(string(raw), "\x00")
	mesh, name, ok2 := strings.Cut(rest, "\x00")
	if !ok || !ok2 || kind == "" || name == "" {
		return resource.Key{}, fmt.Errorf("%q is not a key", raw)
	}
	return resource.Key{Kind: kind, Mesh: mesh, Name: name}, nil
}

// encodeRecord gives the bytes of a kumapb.Record.
func encodeRecord(r *resource.Resource) ([]byte, error) {
	spec, err := r.SpecBytes()
	if err != nil {
		return nil, err
	}
	status, err := r.StatusBytes()
	if err != nil {
		return nil, err
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(&kumapb.Record{
		Kind:     r.Kind.Name,
		Mesh:     r.Mesh,
		Name:     r.Name,
		Created:  timestamppb.New(r.Created),
		Modified: timestamppb.New(r.Modified),
		Labels:   r.Labels,
		Spec:     spec,
		Status:   status,
		Revision: r.Revision,
	})
}

// decoder reads records. It keeps one copy of each word that many resources share: meshes, labels.
type decoder struct {
	kinds *kindIndex
	words map[string]string
}

func newDecoder(kinds *kindIndex) *decoder { return &decoder{kinds: kinds, words: map[string]string{}} }

// maxWords bounds the shared words, for labels can hold anything.
const maxWords = 4_096

func (d *decoder) word(raw []byte) string {
	if w, ok := d.words[string(raw)]; ok {
		return w
	}
	w := string(raw)
	if len(d.words) < maxWords && len(w) <= 64 {
		d.words[w] = w
	}
	return w
}

// resource decodes a record. It returns nil for a kind that the store does not know. It reads the wire form of kumapb.Record
// itself, for on the way through the generated message each resource would cost twice the time and eight more allocations.
func (d *decoder) resource(record []byte) (*resource.Resource, error) {
	r := &resource.Resource{}
	var kind string
	var spec, status []byte
	err := eachField(record, func(n protowire.Number, number uint64, value []byte) (err error) {
		switch n {
		case 1:
			kind = d.word(value)
		case 2:
			r.Mesh = d.word(value)
		case 3:
			r.Name = string(value)
		case 4:
			r.Created, err = decodeTime(value)
		case 5:
			r.Modified, err = decodeTime(value)
		case 6:
			err = d.label(r, value)
		case 7:
			spec = value
		case 8:
			status = value
		case 9:
			r.Revision = number
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	i, ok := d.kinds.byName[kind]
	if !ok {
		// Not an error: a later release wrote it.
		return nil, nil
	}
	r.Kind = d.kinds.kinds[i]
	return r, r.SetBytes(spec, status)
}

// label reads one entry of the map: on the wire a message with key and value.
func (d *decoder) label(r *resource.Resource, entry []byte) error {
	var key, value string
	err := eachField(entry, func(n protowire.Number, _ uint64, raw []byte) error {
		switch n {
		case 1:
			key = d.word(raw)
		case 2:
			value = d.word(raw)
		}
		return nil
	})
	if r.Labels == nil {
		r.Labels = map[string]string{}
	}
	r.Labels[key] = value
	return err
}

// decodeTime reads a google.protobuf.Timestamp.
func decodeTime(raw []byte) (time.Time, error) {
	var seconds, nanos int64
	err := eachField(raw, func(n protowire.Number, number uint64, _ []byte) error {
		switch n {
		case 1:
			seconds = int64(number)
		case 2:
			nanos = int64(int32(number))
		}
		return nil
	})
	return time.Unix(seconds, nanos).UTC(), err
}

// eachField calls visit for each field of a message: number for varints, value (a part of raw) for everything with a length.
func eachField(raw []byte, visit func(n protowire.Number, number uint64, value []byte) error) error {
	for len(raw) > 0 {
		n, kind, used := protowire.ConsumeTag(raw)
		if used < 0 {
			return protowire.ParseError(used)
		}
		raw = raw[used:]
		var number uint64
		var value []byte
		switch kind {
		case protowire.VarintType:
			number, used = protowire.ConsumeVarint(raw)
		case protowire.BytesType:
			value, used = protowire.ConsumeBytes(raw)
		default:
			used = protowire.ConsumeFieldValue(n, kind, raw)
		}
		if used < 0 {
			return protowire.ParseError(used)
		}
		raw = raw[used:]
		if err := visit(n, number, value); err != nil {
			return err
		}
	}
	return nil
}
