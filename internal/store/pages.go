package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

// The layout of bbolt's pages, which is fixed by its file format 2 (bbolt's internal/common/{page,meta,bucket}.go): numbers are
// in the machine's own byte order.
const (
	boltMagic      = 0xED0CDAED
	boltVersion    = 2
	boltNoFreelist = ^uint64(0)

	pageHeaderBytes = 16
	elementBytes    = 16
	bucketBytes     = 16
	metaBytes       = 64

	branchPage   = 0x01
	leafPage     = 0x02
	freelistPage = 0x10
	bucketFlag   = 0x01

	maxPageDepth = 32
)

var native = binary.NativeEndian

// pageFile reads a bbolt file with plain reads. bbolt itself maps the file and trusts what it finds, so that a damaged page ends
// in a panic, a fault or an endless loop; and all that it has read counts as the process's memory. Here each page is visited
// once, each offset is checked, and nothing stays.
type pageFile struct {
	file     io.ReaderAt
	size     int64
	pageSize int
	// meta is the newer of the valid headers.
	meta boltMeta
	// oneMeta is set when the other of the two headers is not valid, and with it perhaps the last transaction is gone.
	oneMeta bool
	// seen marks the pages that are in use or free; nil to read them in any order.
	seen []bool
	// lenient makes a walk go on behind damage, of which each is given to it.
	lenient func(error)
}

type boltMeta struct {
	pageSize uint32
	root     uint64
	freelist uint64
	// pages is the high-water mark: pages from here on were never used.
	pages uint64
	txid  uint64
}

// bucketRef is where a bucket's tree begins: a page, or bytes within its parent's page.
type bucketRef struct {
	root   uint64
	inline []byte
}

// openPages checks the two headers and the size of the file. The error tells what is wrong, without the file's name.
func openPages(f io.ReaderAt, size int64) (*pageFile, error) {
	if size == 0 {
		return nil, errors.New("the file is empty")
	}
	// The second header is one page in, and only the first says how large a page is; without it all sizes are tried.
	first, ok := readMeta(f, 0)
	var second boltMeta
	var ok2 bool
	if ok {
		second, ok2 = readMeta(f, int64(first.pageSize))
	} else {
		for size := int64(1024); size <= 1<<24 && !ok2; size *= 2 {
			second, ok2 = readMeta(f, size)
		}
	}
	p := &pageFile{file: f, size: size, meta: first, oneMeta: ok != ok2}
	switch {
	case !ok && !ok2:
		return nil, errors.New("neither of its two headers is valid")
	case !ok || ok2 && second.txid > first.txid:
		p.meta = second
	}
	p.pageSize = int(p.meta.pageSize)
	if p.pageSize < 1024 || p.pageSize > 1<<24 || p.pageSize&(p.pageSize-1) != 0 {
		return nil, fmt.Errorf("its header names a page size of %d", p.pageSize)
	}
	if have := uint64(size) / uint64(p.pageSize); p.meta.pages > have {
		return nil, fmt.Errorf("it is cut short: %d pages were in use, and %d are there", p.meta.pages, have)
	}
	p.seen = make([]bool, p.meta.pages)
	// The headers are pages too.
	for i := range min(2, len(p.seen)) {
		p.seen[i] = true
	}
	return p, nil
}

// readMeta gives the header in the page at an offset, if its checksum is right.
func readMeta(f io.ReaderAt, at int64) (boltMeta, bool) {
	var buf [pageHeaderBytes + metaBytes]byte
	if _, err := f.ReadAt(buf[:], at); err != nil {
		return boltMeta{}, false
	}
	raw := buf[pageHeaderBytes:]
	sum := fnv.New64a()
	sum.Write(raw[:56])
	if native.Uint32(raw) != boltMagic || native.Uint32(raw[4:]) != boltVersion || native.Uint64(raw[56:]) != sum.Sum64() {
		return boltMeta{}, false
	}
	return boltMeta{
		pageSize: native.Uint32(raw[8:]),
		root:     native.Uint64(raw[16:]),
		freelist: native.Uint64(raw[32:]),
		pages:    native.Uint64(raw[40:]),
		txid:     native.Uint64(raw[48:]),
	}, true
}

// damage ends a strict walk and is noted by a lenient one.
func (p *pageFile) damage(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	if p.lenient == nil {
		return err
	}
	p.lenient(err)
	return nil
}

// page reads a page with its overflow into buf (made longer when needed), checks what its header says and marks it as seen.
func (p *pageFile) page(id uint64, buf []byte) ([]byte, error) {
	buf = grow(buf, p.pageSize)
	if _, err := p.file.ReadAt(buf, int64(id)*int64(p.pageSize)); err != nil {
		return buf, fmt.Errorf("page %d: %w", id, err)
	}
	overflow := uint64(native.Uint32(buf[12:]))
	switch {
	case native.Uint64(buf) != id:
		return buf, fmt.Errorf("page %d says that it is page %d", id, native.Uint64(buf))
	case overflow > uint64(p.size)/uint64(p.pageSize)-id-1:
		return buf, fmt.Errorf("page %d goes over the end", id)
	}
	if err := p.claim(id, overflow); err != nil {
		return buf, err
	}
	if overflow > 0 {
		buf = grow(buf, int(1+overflow)*p.pageSize)
		if _, err := p.file.ReadAt(buf, int64(id)*int64(p.pageSize)); err != nil {
			return buf, fmt.Errorf("page %d: %w", id, err)
		}
	}
	return buf, nil
}

// grow gives a slice of n bytes, the same memory when it is enough.
func grow(buf []byte, n int) []byte {
	if cap(buf) < n {
		return make([]byte, n)
	}
	return buf[:n]
}

// claim marks a page and its overflow as visited.
func (p *pageFile) claim(id, overflow uint64) error {
	if p.seen == nil {
		return nil
	}
	for i := id; i <= id+overflow; i++ {
		if i >= uint64(len(p.seen)) {
			return fmt.Errorf("page %d is beyond the %d in use", i, len(p.seen))
		}
		if p.seen[i] {
			return fmt.Errorf("page %d is used twice", i)
		}
		p.seen[i] = true
	}
	return nil
}

// element is one entry of a page; child is set in branches, value in leaves.
type element struct {
	flags      uint32
	key, value []byte
	child      uint64
}

// elements checks the entries of a page and calls visit for each.
func elements(page []byte, visit func(element) error) error {
	if len(page) < pageHeaderBytes {
		return errors.New("shorter than its header")
	}
	flags, count := native.Uint16(page[8:]), int(native.Uint16(page[10:]))
	if flags != branchPage && flags != leafPage {
		return fmt.Errorf("type %#x is neither branch nor leaf", flags)
	}
	if pageHeaderBytes+count*elementBytes > len(page) {
		return fmt.Errorf("%d entries do not fit", count)
	}
	for i := range count {
		// Positions count from the entry's own start.
		at := pageHeaderBytes + i*elementBytes
		raw := page[at:]
		var e element
		var pos, ksize, vsize uint64
		if flags == branchPage {
			pos, ksize = uint64(native.Uint32(raw)), uint64(native.Uint32(raw[4:]))
			e.child = native.Uint64(raw[8:])
		} else {
			e.flags = native.Uint32(raw)
			pos, ksize, vsize = uint64(native.Uint32(raw[4:])), uint64(native.Uint32(raw[8:])), uint64(native.Uint32(raw[12:]))
		}
		if ksize == 0 || pos+ksize+vsize > uint64(len(raw)) {
			return fmt.Errorf("entry %d goes over its end", i)
		}
		e.key, e.value = raw[pos:pos+ksize:pos+ksize], raw[pos+ksize:pos+ksize+vsize:pos+ksize+vsize]
		if err := visit(e); err != nil {
			return err
		}
	}
	return nil
}

// walker goes through one bucket's tree, leaf by leaf in the order of keys.
type walker struct {
	*pageFile
	visit func(element) error
	// bufs has a page for each level, for a branch is still needed when its children are read.
	bufs [maxPageDepth][]byte
	// last is the key visited last; least, when set, is what the next one must reach, for the branches above say so.
	last, least []byte
	// stop is an error of visit, which ends a lenient walk too.
	stop error
}

// each calls visit for every entry of a bucket. The slices are valid during the call.
func (p *pageFile) each(b bucketRef, visit func(element) error) error {
	w := &walker{pageFile: p, visit: visit}
	if b.root == 0 {
		if err := elements(b.inline, w.leaf); w.stop != nil || err != nil {
			return w.ended("a small bucket", err)
		}
		return nil
	}
	return w.walk(b.root, 0)
}

// ended tells an error of the visitor from damage.
func (w *walker) ended(where string, err error) error {
	if w.stop != nil {
		return w.stop
	}
	return w.damage("%s: %w", where, err)
}

// walk visits a page and all below it. That each page is claimed once, and the depth bounded, makes it end on any file.
func (w *walker) walk(id uint64, depth int) error {
	if depth == maxPageDepth {
		return w.damage("page %d: more than %d levels", id, maxPageDepth)
	}
	if id < 2 || id >= w.meta.pages {
		return w.damage("page %d is beyond the %d in use", id, w.meta.pages)
	}
	page, err := w.page(id, w.bufs[depth])
	if err != nil {
		return w.damage("%w", err)
	}
	w.bufs[depth] = page
	visit := w.leaf
	if native.Uint16(page[8:]) == branchPage {
		visit = func(e element) error {
			err := w.inOrder(e.key)
			if err == nil {
				w.least = e.key
				err = w.walk(e.child, depth+1)
			}
			if err != nil {
				w.stop = err
			}
			return err
		}
	}
	if err := elements(page, visit); err != nil {
		return w.ended(fmt.Sprintf("page %d", id), err)
	}
	return nil
}

// leaf gives an entry to the visitor.
func (w *walker) leaf(e element) error {
	if w.stop = w.inOrder(e.key); w.stop != nil {
		return w.stop
	}
	w.least = nil
	w.last = append(w.last[:0], e.key...)
	w.stop = w.visit(e)
	return w.stop
}

// inOrder checks that a key, of a leaf or of a branch, comes after those before it: bbolt searches by them.
func (w *walker) inOrder(key []byte) error {
	if w.last != nil && bytes.Compare(w.last, key) >= 0 || w.least != nil && bytes.Compare(key, w.least) < 0 {
		return w.damage("its entries are out of order at %q", key)
	}
	return nil
}

// buckets gives the buckets at the top, by name.
func (p *pageFile) buckets() (map[string]bucketRef, error) {
	found := map[string]bucketRef{}
	err := p.each(bucketRef{root: p.meta.root}, func(e element) error {
		if e.flags&bucketFlag == 0 || len(e.value) < bucketBytes {
			return p.damage("%q is not a bucket", e.key)
		}
		found[string(e.key)] = bucketRef{root: native.Uint64(e.value), inline: bytes.Clone(e.value[bucketBytes:])}
		return nil
	})
	return found, err
}

// freelist checks that no page is both free and in use, and gives the numbers of free pages and of those that are lost (neither
// free nor in use, which costs room and nothing else). All buckets must have been walked.
func (p *pageFile) freelist() (free, lost int, err error) {
	if p.meta.freelist != boltNoFreelist {
		if free, err = p.readFreelist(); err != nil {
			return 0, 0, p.damage("the list of free pages: %w", err)
		}
	}
	for _, seen := range p.seen {
		if !seen {
			lost++
		}
	}
	return free, lost, nil
}

// readFreelist claims the free pages and the list's own.
func (p *pageFile) readFreelist() (int, error) {
	id := p.meta.freelist
	if id < 2 || id >= p.meta.pages {
		return 0, fmt.Errorf("page %d is beyond the %d in use", id, p.meta.pages)
	}
	page, err := p.page(id, nil)
	if err != nil {
		return 0, err
	}
	if flags := native.Uint16(page[8:]); flags != freelistPage {
		return 0, fmt.Errorf("page %d has type %#x", id, flags)
	}
	// More than 65,534 entries do not fit in the header's count: then the first entry is the count.
	count, ids := uint64(native.Uint16(page[10:])), page[pageHeaderBytes:]
	if count == 0xFFFF && len(ids) >= 8 {
		count, ids = native.Uint64(ids), ids[8:]
	}
	if count > uint64(len(ids)/8) {
		return 0, fmt.Errorf("%d entries do not fit", count)
	}
	for i := range count {
		if err := p.claim(native.Uint64(ids[i*8:]), 0); err != nil {
			return 0, err
		}
	}
	return int(count), nil
}

// scan calls visit for each leaf entry of every page that looks like a leaf, current or not: what a rescue has to go by.
func scanPages(f *os.File, size int64, pageSize int, visit func(element)) {
	p := &pageFile{file: f, size: size, pageSize: pageSize}
	var buf []byte
	for id := uint64(2); int64(id+1)*int64(pageSize) <= size; id++ {
		page, err := p.page(id, buf)
		buf = page
		if err != nil || native.Uint16(page[8:]) != leafPage {
			continue
		}
		// Entries before a bad one are as good as any.
		_ = elements(page, func(e element) error { visit(e); return nil })
	}
}
