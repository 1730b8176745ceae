package store

import (
	"time"

	"github.com/kumactl/kumactl/internal/resource"
)

// Writer says who writes and by which way it came in.
type Writer struct {
	// Who is the authenticated user, or the part of the control plane that acts.
	Who string
	// Source is "api", "dataplane", "default", or a file's name.
	Source string
}

// Change is what a transaction did to one resource, from before it to after it.
type Change struct {
	Revision uint64
	// Index counts the changes of one revision from 0.
	Index int
	Time  time.Time
	Writer
	Key resource.Key
	// Before is nil when the resource was created, After when it was deleted. They are the values that snapshots hold, save
	// for changes that were read back from the disk.
	Before, After *resource.Resource
}
