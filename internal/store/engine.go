package store

import (
	"time"

	"github.com/kumactl/kumactl/internal/resource"
)

// engine keeps what is committed. The store's one writer goroutine calls all methods save read, which anyone may call.
type engine interface {
	// commit writes the transactions, all or none, and returns when they will survive a crash.
	commit(group []transaction) error
	// read gives changes of the log.
	read(q query) (found, error)
	// saveVolatile writes the given volatile resources and removes the others.
	saveVolatile(put []*resource.Resource, remove []resource.Key) error
	// close frees everything; last is the state that stays.
	close(last Snapshot) error
}

// transaction is one committed call of Update.
type transaction struct {
	revision uint64
	time     time.Time
	writer   Writer
	changes  []Change
	// records are the encoded Afters, by index; nil where the resource was deleted.
	records [][]byte
}

// query asks for changes: those after a revision, oldest first, or those before one, newest first.
type query struct {
	after    uint64
	before   uint64
	backward bool
	// key narrows a backward query to one resource.
	key *resource.Key
	// limit is the number of changes; a forward query may go over it to end with a whole revision.
	limit int
}

// found is the answer. through is the last revision that a forward query looked at.
type found struct {
	changes []Change
	through uint64
}
