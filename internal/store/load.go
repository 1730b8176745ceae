package store

import (
	"errors"
	"fmt"
	"os"

	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
)

// entry is a key and its value as they are in the file.
type entry struct{ key, value []byte }

// contents is what a file holds.
type contents struct {
	*pageFile
	buckets map[string]bucketRef
	schema  uint32
	// state is what the file says of itself, trees what was found.
	state fileState
	trees []*tree
	// foreign are the records of kinds that this release does not know; they stay as they are.
	foreign []entry
	// free and lost count pages without content; the lost ones cost room and nothing else.
	free, lost int
	// notes are faults that do not keep the store from being used: of the log and of volatile state.
	notes []error
}

// readHead opens a file up to its meta bucket. The caller closes the file.
func readHead(f *os.File, lenient func(error)) (*contents, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	pages, err := openPages(f, info.Size())
	if err != nil {
		return nil, err
	}
	pages.lenient = lenient
	c := &contents{pageFile: pages}
	if c.buckets, err = pages.buckets(); err != nil {
		return nil, err
	}
	for _, name := range []string{bucketMeta, bucketResources, bucketVolatile, bucketLog} {
		if _, ok := c.buckets[name]; !ok {
			if err := c.damage("it has no bucket %s: it is not a store, or not whole", name); err != nil {
				return nil, err
			}
		}
	}
	return c, c.readMeta()
}

// readMeta comes first: how to read the rest depends on the schema.
func (c *contents) readMeta() error {
	var schema, state bool
	err := c.each(c.buckets[bucketMeta], func(e element) (err error) {
		switch string(e.key) {
		case metaSchema:
			c.schema, err = decodeSchema(e.value)
			schema = true
		case metaState:
			c.state, err = decodeState(e.value)
			state = true
		}
		if err != nil {
			return c.damage("its %s: %w", e.key, err)
		}
		return nil
	})
	if err == nil && (!schema || !state) {
		return c.damage("its schema version and state are not there")
	}
	return err
}

// readAll reads the rest into memory. All that keeps the store from being used is an error.
func (c *contents) readAll(kinds *kindIndex) error {
	c.trees = kinds.emptyTrees()
	if err := c.readResources(kinds); err != nil {
		return err
	}
	if err := c.readVolatile(newDecoder(kinds)); err != nil {
		return err
	}
	if err := c.readLog(); err != nil {
		return err
	}
	// Buckets of a later release are walked for their pages alone: the list of free pages is checked against all that is used.
	for name, b := range c.buckets {
		switch name {
		case bucketMeta, bucketResources, bucketVolatile, bucketLog:
		default:
			if err := c.each(b, func(element) error { return nil }); err != nil {
				return err
			}
		}
	}
	var err error
	c.free, c.lost, err = c.freelist()
	return err
}

// readResources decodes the records and adds them up: a page that is sound in itself can still be the wrong one.
func (c *contents) readResources(kinds *kindIndex) error {
	var seen fileState
	work := newDecoders(kinds)
	err := c.each(c.buckets[bucketResources], func(e element) error {
		if len(e.value) < sumBytes {
			return c.damage("record %q is shorter than its checksum", e.key)
		}
		seen.addRecord(e.value)
		work.add(e.key, e.value)
		return nil
	})
	for _, j := range work.wait() {
		for _, fault := range j.errs {
			err = firstError(err, c.damage("%w", fault))
		}
		for _, r := range j.resources {
			c.trees[kinds.byName[r.Kind.Name]].Load(r)
		}
		c.foreign = append(c.foreign, j.foreign...)
	}
	if err != nil {
		return err
	}
	if seen.records != c.state.records || seen.digest != c.state.digest {
		return c.damage("%d resources are there, and %d were written, or some are of another time", seen.records, c.state.records)
	}
	return nil
}

// decodeEntry checks and decodes a record; nil for a kind that is not known.
func decodeEntry(dec *decoder, key, value []byte) (*resource.Resource, error) {
	raw, err := opened(key, value)
	if err != nil {
		return nil, fmt.Errorf("record %q: %w", key, err)
	}
	r, err := dec.resource(raw)
	if err != nil {
		return nil, fmt.Errorf("record %q: %w", key, err)
	}
	return r, nil
}

// readVolatile drops what it cannot read: it is only status, and will be reported again.
func (c *contents) readVolatile(dec *decoder) error {
	return c.each(c.buckets[bucketVolatile], func(e element) error {
		r, err := decodeEntry(dec, e.key, e.value)
		if err != nil {
			c.notes = append(c.notes, err)
		} else if r != nil {
			c.trees[dec.kinds.byName[r.Kind.Name]].Load(r)
		}
		return nil
	})
}

// readLog checks the log without decoding it. Bad entries are noted: the resources are whole without them.
func (c *contents) readLog() error {
	var count, size uint64
	next, index := c.state.logStart, 0
	err := c.each(c.buckets[bucketLog], func(e element) error {
		count++
		size += uint64(len(e.value))
		if _, err := opened(e.key, e.value); err != nil {
			c.notes = append(c.notes, fmt.Errorf("log entry %x: %w", e.key, err))
		}
		revision, i, err := parseLogKey(e.key)
		if err != nil {
			c.notes = append(c.notes, err)
			return nil
		}
		// Either the next change of the same transaction or the first one of the next.
		if !(revision == next && i == index) && !(revision == next+1 && i == 0 && index > 0) {
			c.notes = append(c.notes, fmt.Errorf("the log has a gap before revision %d, change %d", revision, i))
		}
		next, index = revision, i+1
		return nil
	})
	if err != nil {
		return err
	}
	if count != c.state.logCount || size != c.state.logBytes || count > 0 && next != c.state.revision {
		c.notes = append(c.notes, fmt.Errorf("the log has %d entries up to revision %d, and %d up to %d were written",
			count, next, c.state.logCount, c.state.revision))
	}
	return nil
}

// loadFile reads the store's file into memory. The error says what to do.
func loadFile(path string, kinds *kindIndex, schema uint32) (*contents, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, diskError(path, "it is not opened", err)
	}
	defer f.Close()
	c, err := readHead(f, nil)
	if err == nil && c.schema > schema {
		return nil, problem.New(problem.Invalid, "%s has the form of a newer release (schema %d, and this one knows %d)",
			path, c.schema, schema).WithHint("use the release that wrote it, or a newer one")
	}
	if err == nil && c.schema < schema {
		return c, errOldSchema
	}
	if err == nil {
		err = c.readAll(kinds)
	}
	if err != nil {
		return nil, damaged(path, err)
	}
	// What was read stays, the file does not.
	c.file = nil
	return c, nil
}

// errOldSchema says that the file must be migrated before it is read.
var errOldSchema = errors.New("the file has the form of an older release")
