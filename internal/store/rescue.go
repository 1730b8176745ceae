package store

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"os"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
)

// Exported tells how an export went.
type Exported struct {
	// Revision of the newest transaction that was seen.
	Revision  uint64
	Resources int
	// Unknown counts resources of kinds that this release does not know, which were passed over.
	Unknown int
	// Faults tells what is wrong with the file, as in Report. When there are any, the resources were put together from all
	// pages that are still readable, and some may be missing or older than they were.
	Faults []string
}

// Export gives every resource of a file that no process has open to each, in the order of kinds, then mesh and name; volatile
// ones are left out. A damaged file gives what can still be read of it. Nothing is changed. An error of each ends it.
func Export(ctx context.Context, path string, kinds []*resource.Kind, each func(*resource.Resource) error) (Exported, error) {
	f, release, err := openOffline(ctx, path)
	if err != nil {
		return Exported{}, err
	}
	defer release()
	var report Report
	index := newKindIndex(kinds)
	c, err := readHead(f, nil)
	if err == nil && c.schema != schemaVersion {
		return Exported{}, problem.New(problem.NotAllowed, "%s has schema %d, and this release reads %d", path, c.schema, schemaVersion).
			WithHint("use the release that wrote it, or start the control plane once, which brings an older file up to date")
	}
	if err == nil {
		err = c.readAll(index)
	}
	exported := Exported{}
	if err == nil {
		exported.Revision, exported.Unknown = c.state.revision, len(c.foreign)
	} else {
		report.fault(err)
		if c, err = rescue(f, index, &report, &exported); err != nil {
			return exported, diskError(path, "it is not read", err)
		}
	}
	exported.Faults = report.Faults
	for i, kind := range index.kinds {
		if kind.Volatile {
			continue
		}
		for _, r := range c.trees[i].Items() {
			if err := each(r); err != nil {
				return exported, err
			}
			exported.Resources++
		}
	}
	return exported, nil
}

// version is the newest that a rescue knows of one resource.
type version struct {
	key      string
	revision uint64
	// record is nil when the resource was deleted.
	record []byte
}

// rescue gives the resources of a damaged file. When their own bucket is sound it alone counts; else every page is looked at.
func rescue(f *os.File, index *kindIndex, report *Report, exported *Exported) (*contents, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	r := rescuer{newest: map[string]version{}, upTo: ^uint64(0)}
	pageSize := os.Getpagesize()
	sound := true
	c, err := readHead(f, func(err error) {
		sound = false
		report.fault(err)
	})
	if err == nil {
		c.trees = index.emptyTrees()
		err = c.readResources(index)
	}
	if err == nil && sound {
		exported.Revision, exported.Unknown = c.state.revision, len(c.foreign)
		return c, nil
	}
	if c != nil {
		pageSize = c.pageSize
		if c.state.revision > 0 {
			r.upTo = c.state.revision
		}
	}
	// Old pages hold what has been replaced or deleted since: the newest version of each wins, deletes among them.
	scanPages(f, info.Size(), pageSize, r.entry)
	return r.contents(index, report, exported), nil
}

// rescuer puts the newest versions together from whatever has a right checksum: records, and the log's afters.
type rescuer struct {
	newest map[string]version
	// upTo is the last acknowledged revision, if the file still tells.
	upTo uint64
}

// contents decodes what was found.
func (r *rescuer) contents(index *kindIndex, report *Report, exported *Exported) *contents {
	versions := make([]version, 0, len(r.newest))
	for _, v := range r.newest {
		versions = append(versions, v)
	}
	slices.SortFunc(versions, func(a, b version) int { return cmp.Compare(a.key, b.key) })
	c := &contents{trees: index.emptyTrees()}
	dec := newDecoder(index)
	for _, v := range versions {
		exported.Revision = max(exported.Revision, v.revision)
		if v.record == nil {
			continue
		}
		got, err := dec.resource(v.record)
		switch {
		case err != nil:
			report.fault(err)
		case got == nil:
			exported.Unknown++
		default:
			c.trees[index.byName[got.Kind.Name]].Load(got)
		}
	}
	if len(versions) == 0 {
		report.fault(errors.New("no resource can be read"))
	}
	return c
}

// entry takes what is an entry of the resources or of the log; everything else has another form or a wrong checksum.
func (r *rescuer) entry(e element) {
	content, err := opened(e.key, e.value)
	if err != nil {
		return
	}
	if _, err := parseKey(e.key); err == nil {
		r.note(string(e.key), recordRevision(content), content)
		return
	}
	if len(e.key) != logKeyBytes {
		return
	}
	if c, err := decodeChange(content); err == nil {
		r.note(string(keyBytes(c.key)), c.revision, c.after)
	}
}

func (r *rescuer) note(key string, revision uint64, record []byte) {
	if old, ok := r.newest[key]; revision > r.upTo || ok && old.revision >= revision {
		return
	}
	r.newest[key] = version{key, revision, bytes.Clone(record)}
}

func recordRevision(record []byte) (revision uint64) {
	// The checksum was right, so the form is too.
	_ = eachField(record, func(n protowire.Number, number uint64, _ []byte) error {
		if n == 9 {
			revision = number
		}
		return nil
	})
	return revision
}
