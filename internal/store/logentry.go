package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kumactl/kumactl/internal/kumapb"
	"github.com/kumactl/kumactl/internal/resource"
)

// logKeyBytes is the length of a key of the log: revision (8) and index (4), big-endian, so that they sort by time.
const logKeyBytes = 12

func logKey(revision uint64, index int) []byte {
	key := binary.BigEndian.AppendUint64(make([]byte, 0, logKeyBytes), revision)
	return binary.BigEndian.AppendUint32(key, uint32(index))
}

// parseLogKey is the other way round.
func parseLogKey(raw []byte) (revision uint64, index int, err error) {
	if len(raw) != logKeyBytes {
		return 0, 0, fmt.Errorf("%x is not a key of the log", raw)
	}
	return binary.BigEndian.Uint64(raw), int(binary.BigEndian.Uint32(raw[8:])), nil
}

// The numbers of the fields of kumapb.Change that are written and read here.
const (
	changeRevision = 1
	changeTime     = 2
	changeWho      = 3
	changeKind     = 4
	changeMesh     = 5
	changeName     = 6
	changeBefore   = 7
	changeAfter    = 8
	changeSource   = 9
)

// encodeChange gives the bytes of a kumapb.Change. The records before and after are already encoded (nil: there is none), and
// an encoded message within a message is just its bytes.
func encodeChange(c Change, before, after []byte) ([]byte, error) {
	// Before and After are appended below, so that their bytes are copied once and not decoded at all.
	raw, err := proto.Marshal(&kumapb.Change{
		Revision: c.Revision,
		Time:     timestamppb.New(c.Time),
		Who:      c.Who,
		Kind:     c.Key.Kind,
		Mesh:     c.Key.Mesh,
		Name:     c.Key.Name,
		Source:   c.Source,
	})
	if before != nil {
		raw = protowire.AppendBytes(protowire.AppendTag(raw, changeBefore, protowire.BytesType), before)
	}
	if after != nil {
		raw = protowire.AppendBytes(protowire.AppendTag(raw, changeAfter, protowire.BytesType), after)
	}
	return raw, err
}

// rawChange is an entry of the log whose resources are not decoded yet.
type rawChange struct {
	revision      uint64
	time          time.Time
	writer        Writer
	key           resource.Key
	before, after []byte
}

// decodeChange reads all but the resources; their bytes are parts of raw.
func decodeChange(raw []byte) (rawChange, error) {
	var c rawChange
	err := eachField(raw, func(n protowire.Number, number uint64, value []byte) (err error) {
		switch n {
		case changeRevision:
			c.revision = number
		case changeTime:
			c.time, err = decodeTime(value)
		case changeWho:
			c.writer.Who = string(value)
		case changeKind:
			c.key.Kind = string(value)
		case changeMesh:
			c.key.Mesh = string(value)
		case changeName:
			c.key.Name = string(value)
		case changeBefore:
			c.before = value
		case changeAfter:
			c.after = value
		case changeSource:
			c.writer.Source = string(value)
		}
		return err
	})
	if err == nil && c.before == nil && c.after == nil {
		err = errors.New("it has neither a before nor an after")
	}
	return c, err
}

// change decodes the resources too; false for a kind that the store does not know.
func (d *decoder) change(c rawChange, index int) (Change, bool, error) {
	if _, ok := d.kinds.byName[c.key.Kind]; !ok {
		return Change{}, false, nil
	}
	out := Change{Revision: c.revision, Index: index, Time: c.time, Writer: c.writer, Key: c.key}
	var err error
	if c.before != nil {
		if out.Before, err = d.resource(c.before); err != nil {
			return Change{}, false, err
		}
	}
	if c.after != nil {
		out.After, err = d.resource(c.after)
	}
	return out, err == nil, err
}
