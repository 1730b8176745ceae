package store

import (
	"sync"
	"time"

	"github.com/kumactl/kumactl/internal/resource"
)

// memoryEngine keeps the log alone: the resources themselves are in the snapshots.
type memoryEngine struct {
	// The size in bytes is not bounded: nothing is encoded.
	keepChanges int
	keepAge     time.Duration
	now         func() time.Time

	mu sync.RWMutex
	// log holds transactions without a gap, count their changes.
	log   []transaction
	count int
	// trimmed is the last revision that the log has lost.
	trimmed uint64
}

func newMemoryEngine(o Options) *memoryEngine {
	return &memoryEngine{keepChanges: o.KeepChanges, keepAge: o.KeepAge, now: o.Now}
}

func (m *memoryEngine) commit(group []transaction) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, t := range group {
		t.records = nil
		m.log = append(m.log, t)
		m.count += len(t.changes)
	}
	// Whole transactions go, and the newest stays whatever its size.
	oldest := m.now().Add(-m.keepAge)
	drop := 0
	for drop < len(m.log)-1 && (m.count > m.keepChanges || m.log[drop].time.Before(oldest)) {
		m.count -= len(m.log[drop].changes)
		m.trimmed = m.log[drop].revision
		drop++
	}
	clear(m.log[:drop])
	m.log = m.log[drop:]
	return nil
}

func (m *memoryEngine) read(q query) (found, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if q.backward {
		return m.backward(q), nil
	}
	if q.after < m.trimmed {
		return found{}, ErrCompacted
	}
	answer := found{through: q.after}
	// Revisions follow each other without a gap.
	for i := q.after - m.trimmed; i < uint64(len(m.log)) && len(answer.changes) < q.limit; i++ {
		answer.changes = append(answer.changes, m.log[i].changes...)
		answer.through = m.log[i].revision
	}
	return answer, nil
}

// backward walks the log from its end.
func (m *memoryEngine) backward(q query) found {
	var answer found
	for i := len(m.log) - 1; i >= 0; i-- {
		changes := m.log[i].changes
		if q.before > 0 && m.log[i].revision >= q.before {
			continue
		}
		for j := len(changes) - 1; j >= 0; j-- {
			if q.key != nil && changes[j].Key != *q.key {
				continue
			}
			if len(answer.changes) == q.limit {
				return answer
			}
			answer.changes = append(answer.changes, changes[j])
		}
	}
	return answer
}

func (m *memoryEngine) saveVolatile([]*resource.Resource, []resource.Key) error { return nil }

func (m *memoryEngine) close(Snapshot) error { return nil }
