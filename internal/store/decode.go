package store

import (
	"bytes"
	"runtime"
	"sync"

	"github.com/kumactl/kumactl/internal/resource"
)

// jobEntries is the number of records that are decoded at a time.
const jobEntries = 256

// job is some records in the order of the file, and later what they are.
type job struct {
	entries   []entry
	resources []*resource.Resource
	foreign   []entry
	errs      []error
}

// decoders decode records on all processors while the file is read: most of a start's time goes there.
type decoders struct {
	// all are the jobs handed out, in the order of the file.
	all     []*job
	current *job
	// queue is short: reading waits for decoding, so that little of the file is in memory at a time.
	queue chan *job
	done  sync.WaitGroup
}

func newDecoders(kinds *kindIndex) *decoders {
	workers := runtime.GOMAXPROCS(0)
	d := &decoders{current: &job{}, queue: make(chan *job, workers)}
	for range workers {
		d.done.Go(func() {
			dec := newDecoder(kinds)
			for j := range d.queue {
				j.decode(dec)
			}
		})
	}
	return d
}

// add takes a copy of an entry.
func (d *decoders) add(key, value []byte) {
	both := append(append(make([]byte, 0, len(key)+len(value)), key...), value...)
	d.current.entries = append(d.current.entries, entry{both[:len(key):len(key)], both[len(key):]})
	if len(d.current.entries) == jobEntries {
		d.hand()
	}
}

// hand gives the current job to a worker.
func (d *decoders) hand() {
	d.all = append(d.all, d.current)
	d.queue <- d.current
	d.current = &job{}
}

// wait ends the work and gives the jobs in order. It must be called, also when the rest is given up.
func (d *decoders) wait() []*job {
	d.hand()
	close(d.queue)
	d.done.Wait()
	return d.all
}

// decode goes on behind a bad record, so that Check tells of all.
func (j *job) decode(dec *decoder) {
	j.resources = make([]*resource.Resource, 0, len(j.entries))
	for _, e := range j.entries {
		r, err := decodeEntry(dec, e.key, e.value)
		switch {
		case err != nil:
			j.errs = append(j.errs, err)
		case r == nil:
			j.foreign = append(j.foreign, entry{e.key, bytes.Clone(e.value)})
		default:
			j.resources = append(j.resources, r)
		}
	}
	// The bytes are not needed any more.
	j.entries = nil
}
