package store

import (
	"encoding/binary"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// The buckets of the file, and the keys in meta.
const (
	bucketMeta      = "meta"
	bucketResources = "resources"
	bucketVolatile  = "volatile"
	bucketLog       = "log"

	metaSchema = "schema"
	metaState  = "state"
)

// schemaVersion is what this release writes. Raising it takes a migration in migrations.
const schemaVersion = 1

// fileState is what the file says of itself in each commit; the rest of it must agree.
type fileState struct {
	revision uint64
	// logStart is the oldest revision in the log, revision+1 when the log is empty.
	logStart uint64
	logCount uint64
	logBytes uint64
	records  uint64
	// digest is the sum of the records' checksums: a page that lost some, or came back from the past, changes it.
	digest uint64
}

// fields gives the numbers in their order on disk, which is kept for good: new ones come with a new schema version.
func (s *fileState) fields() []*uint64 {
	return []*uint64{&s.revision, &s.logStart, &s.logCount, &s.logBytes, &s.records, &s.digest}
}

func (s fileState) encode() []byte {
	var raw []byte
	for _, f := range s.fields() {
		raw = binary.BigEndian.AppendUint64(raw, *f)
	}
	return sealed([]byte(metaState), raw)
}

func decodeState(value []byte) (fileState, error) {
	var s fileState
	raw, err := opened([]byte(metaState), value)
	if err != nil {
		return s, err
	}
	fields := s.fields()
	if len(raw) != 8*len(fields) {
		return s, errors.New("it has another length")
	}
	for i, f := range fields {
		*f = binary.BigEndian.Uint64(raw[8*i:])
	}
	return s, nil
}

func encodeSchema(version uint32) []byte {
	return sealed([]byte(metaSchema), binary.BigEndian.AppendUint32(nil, version))
}

func decodeSchema(value []byte) (uint32, error) {
	raw, err := opened([]byte(metaSchema), value)
	if err == nil && len(raw) != 4 {
		err = errors.New("it has another length")
	}
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint32(raw), nil
}

// addRecord and dropRecord keep count of a record that is put and of one that is replaced or removed.
func (s *fileState) addRecord(value []byte) {
	s.records++
	s.digest += uint64(binary.LittleEndian.Uint32(value))
}

func (s *fileState) dropRecord(value []byte) {
	s.records--
	s.digest -= uint64(binary.LittleEndian.Uint32(value))
}

// put adds an entry to a file under construction. Keys that come in their order make it smallest.
// Neither slice may change afterwards.
type put func(bucket string, key, value []byte) error

// buildEntries is the number of entries that share a transaction of a file under construction.
const buildEntries = 4_096

// buildFile writes a new bbolt file with what fill puts, packed, and flushes it.
func buildFile(path string, fill func(put) error) (err error) {
	db, err := bolt.Open(path, 0o600, boltOptions(func(o *bolt.Options) { o.NoSync = true }))
	if err != nil {
		return err
	}
	db.AllocSize = allocBytes
	defer func() {
		// One flush for all transactions: until the file gets its name, a half of it is of no use anyway.
		if err == nil {
			err = db.Sync()
		}
		err = errors.Join(err, db.Close())
	}()
	b := builder{db: db}
	if err := b.begin(); err != nil {
		return err
	}
	if err := fill(b.put); err != nil {
		return errors.Join(err, b.tx.Rollback())
	}
	return b.tx.Commit()
}

// builder puts entries in transactions of bounded size: each is one pass over the pages that it touched.
type builder struct {
	db      *bolt.DB
	tx      *bolt.Tx
	buckets map[string]*bolt.Bucket
	entries int
}

func (b *builder) begin() (err error) {
	b.buckets, b.entries = map[string]*bolt.Bucket{}, 0
	if b.tx, err = b.db.Begin(true); err != nil {
		return err
	}
	for _, name := range []string{bucketMeta, bucketResources, bucketVolatile, bucketLog} {
		if _, err = b.bucket(name); err != nil {
			return errors.Join(err, b.tx.Rollback())
		}
	}
	return nil
}

func (b *builder) bucket(name string) (*bolt.Bucket, error) {
	if bucket, ok := b.buckets[name]; ok {
		return bucket, nil
	}
	bucket, err := b.tx.CreateBucketIfNotExists([]byte(name))
	if err != nil {
		return nil, fmt.Errorf("bucket %s: %w", name, err)
	}
	// Half-full pages would be right for random writes; this file is mostly read.
	bucket.FillPercent = 0.95
	b.buckets[name] = bucket
	return bucket, nil
}

// put begins a new transaction now and then. What it is given must stay as it is until that ends.
func (b *builder) put(name string, key, value []byte) error {
	if b.entries == buildEntries {
		if err := b.tx.Commit(); err != nil {
			return err
		}
		if err := b.begin(); err != nil {
			return err
		}
	}
	b.entries++
	bucket, err := b.bucket(name)
	if err != nil {
		return err
	}
	return bucket.Put(key, value)
}
