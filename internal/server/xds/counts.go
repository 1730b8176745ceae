package xds

import (
	"sync"
	"time"
)

// counts are what was sent on one stream and what became of it. The stream writes, whoever shows a proxy's state reads.
type counts struct {
	// changed is told of every change; it must not wait.
	changed func()

	mu      sync.Mutex
	types   [typeCount]typeCounts
	updated time.Time
}

type typeCounts struct {
	sent, accepted, refused uint64
	// version is the last one sent.
	version string
	// reason is why the last refused answer was refused, and when; empty once a later one was accepted.
	reason    string
	refusedAt time.Time
}

// sent counts an answer.
func (c *counts) sent(t resourceType, version string) {
	c.mu.Lock()
	c.types[t].sent++
	c.types[t].version = version
	c.mu.Unlock()
	c.tell()
}

// judged counts what the proxy made of an answer.
func (c *counts) judged(r *request, now time.Time) {
	c.mu.Lock()
	t := &c.types[r.kind]
	c.updated = now
	if r.refused {
		t.refused++
		t.reason, t.refusedAt = clip(r.reason, maxReasonBytes), now
	} else {
		t.accepted++
		t.reason, t.refusedAt = "", time.Time{}
	}
	c.mu.Unlock()
	c.tell()
}

// tell must be called without the lock: whoever is told may read.
func (c *counts) tell() {
	if c.changed != nil {
		c.changed()
	}
}

// read gives a copy, and when the proxy last answered.
func (c *counts) read() ([typeCount]typeCounts, time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.types, c.updated
}

// maxReasonBytes is as much of a proxy's reason as is kept.
const maxReasonBytes = 4 << 10

// clip shortens what a stranger sent.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n] + " ..."
}
