package store

import (
	"context"

	bolt "go.etcd.io/bbolt"

	"github.com/kumactl/kumactl/internal/resource"
)

// OpenFaulty opens a store whose disk does what fault says, before each commit and after it.
func OpenFaulty(ctx context.Context, o Options, fault func(committed bool) error) (*Store, error) {
	return open(ctx, o, parts{steps: migrations(), fault: fault})
}

// OpenSteps opens a store as a release with these steps of migration would.
func OpenSteps(ctx context.Context, o Options, steps ...func(*bolt.Tx) error) (*Store, error) {
	p := parts{steps: migrations()}
	for _, s := range steps {
		p.steps = append(p.steps, s)
	}
	return open(ctx, o, p)
}

// EncodeSchema gives the value of the schema version, to make a file of another release.
func EncodeSchema(version uint32) []byte { return encodeSchema(version) }

// EncodeRecord and DecodeRecord are the form on disk.
func EncodeRecord(r *resource.Resource) ([]byte, error) { return encodeRecord(r) }

// DecodeRecord gives nil for a kind that is not among those given.
func DecodeRecord(kinds []*resource.Kind, raw []byte) (*resource.Resource, error) {
	return newDecoder(newKindIndex(kinds)).resource(raw)
}

// DecodeChange decodes an entry of the log; false for a kind that is not among those given.
func DecodeChange(kinds []*resource.Kind, raw []byte) (Change, bool, error) {
	c, err := decodeChange(raw)
	if err != nil {
		return Change{}, false, err
	}
	return newDecoder(newKindIndex(kinds)).change(c, 0)
}

// EncodeChange gives the bytes of an entry of the log.
func EncodeChange(c Change, before, after []byte) ([]byte, error) {
	return encodeChange(c, before, after)
}
