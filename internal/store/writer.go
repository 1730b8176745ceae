package store

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
)

// maxGroup is the number of transactions that share one commit.
const maxGroup = 256

// request is one call of Update. Its function runs on the caller's goroutine, at the turn that the writer gives it, so that a
// panic reaches whoever caused it.
type request struct {
	writer Writer
	// taken goes from false to true once: by the writer who gives the turn, or by the caller who gives up.
	taken atomic.Bool
	// turn starts the function, ran says that it has ended and whether it counts, result comes when it is on disk. All have
	// room for one, so that neither side waits for one that is gone.
	turn   chan *Tx
	ran    chan bool
	result chan result
}

type result struct {
	revision uint64
	err      error
}

// Update runs f as one transaction and returns its revision when it is on disk. When f returns an error, or panics, nothing is
// written; the error is returned as it is. When f writes nothing the revision is that of the state it saw.
// The error has the code Unavailable when the disk is full or the store is closed; the next Update tries anew.
// Transactions run one after the other, so f must not call Update and should not wait for anything.
func (s *Store) Update(ctx context.Context, w Writer, f func(*Tx) error) (uint64, error) {
	if s.options.ReadOnly {
		return 0, problem.New(problem.NotAllowed, "%s is open for reading only", s.options.Path)
	}
	r := &request{writer: w, turn: make(chan *Tx, 1), ran: make(chan bool, 1), result: make(chan result, 1)}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	select {
	case s.queue <- r:
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-s.closing:
		return 0, errClosed()
	}
	tx, err := r.await(ctx, s.stopped)
	if err != nil {
		return 0, err
	}
	if err := r.run(tx, f); err != nil {
		return 0, err
	}
	answer := <-r.result
	return answer.revision, answer.err
}

// await waits for the turn. Once the writer has taken the request it is too late to give up.
func (r *request) await(ctx context.Context, stopped <-chan struct{}) (*Tx, error) {
	var err error
	select {
	case tx := <-r.turn:
		return tx, nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-stopped:
		err = errClosed()
	}
	if r.taken.CompareAndSwap(false, true) {
		return nil, err
	}
	return <-r.turn, nil
}

// run calls f and tells the writer whether the transaction counts, whichever way f ends.
func (r *request) run(tx *Tx, f func(*Tx) error) error {
	good := false
	defer func() {
		tx.ended = true
		r.ran <- good
	}()
	err := f(tx)
	good = err == nil
	return err
}

// run is the writer: it alone calls the engine's writing methods.
func (s *Store) run() {
	defer close(s.stopped)
	for {
		select {
		case r := <-s.queue:
			s.serve(r)
		case <-s.flush:
			s.saveVolatile()
		case <-s.closing:
			// Whoever is in the queue by now is served, whoever comes later finds the store stopped.
			for {
				select {
				case r := <-s.queue:
					s.serve(r)
					continue
				default:
				}
				break
			}
			s.saveVolatile()
			return
		}
	}
}

// group is the transactions that share a commit, and the state after them.
type group struct {
	revision uint64
	// trees are the kinds that the group has changed, nil for the others.
	trees        []*tree
	transactions []transaction
	volatile     []map[resource.Key]*resource.Resource
	// waiting get answers when the commit is done, the same place in both.
	waiting []*request
	answers []result
}

// serve gives turns to the request and to those queued behind it, commits what they wrote, publishes it and answers.
func (s *Store) serve(first *request) {
	g := &group{revision: s.published.Load().revision, trees: make([]*tree, len(s.kinds.kinds))}
	for r, more := first, true; more; {
		s.turn(g, r)
		if len(g.waiting) == maxGroup {
			break
		}
		select {
		case r = <-s.queue:
		default:
			more = false
		}
	}
	// No timer gathers a larger group: while this one is committed, the next gathers in the queue by itself.
	var err error
	if len(g.transactions) > 0 {
		err = s.engine.commit(g.transactions)
	}
	if err == nil {
		s.publish(g)
	}
	for i, r := range g.waiting {
		// Transactions that wrote nothing fail too: they saw what is not to be.
		if err != nil {
			g.answers[i] = result{err: err}
		}
		r.result <- g.answers[i]
	}
}

// turn lets one caller run its function on top of what the group has done so far.
func (s *Store) turn(g *group, r *request) {
	if !r.taken.CompareAndSwap(false, true) {
		return
	}
	tx := s.begin(g, r.writer)
	r.turn <- tx
	if !<-r.ran {
		return
	}
	done := tx.result()
	if len(done.changes) > 0 {
		g.revision = done.revision
		g.transactions = append(g.transactions, done)
		for i, own := range tx.own {
			if own && !s.kinds.kinds[i].Volatile {
				g.trees[i] = tx.trees[i]
			}
		}
	}
	if len(tx.volatile) > 0 {
		g.volatile = append(g.volatile, tx.volatile)
	}
	g.waiting = append(g.waiting, r)
	g.answers = append(g.answers, result{revision: g.revision})
}

// begin makes a transaction on the group's trees, and on the volatile ones as they are at this moment.
func (s *Store) begin(g *group, w Writer) *Tx {
	trees := slices.Clone(s.published.Load().trees)
	for i, t := range g.trees {
		if t != nil {
			trees[i] = t
		}
	}
	return &Tx{
		picture:  picture{s.kinds, trees},
		store:    s,
		revision: g.revision + 1,
		now:      wall(s.options.Now()),
		writer:   w,
		own:      make([]bool, len(trees)),
	}
}

// publish makes the group's state the one that everybody reads, and then wakes the watchers.
func (s *Store) publish(g *group) {
	if len(g.transactions) == 0 && len(g.volatile) == 0 {
		return
	}
	s.publishing.Lock()
	// Volatile trees may have changed since the group began, so the newest are the base.
	trees := slices.Clone(s.published.Load().trees)
	for i, t := range g.trees {
		if t != nil {
			trees[i] = t
		}
	}
	edit := treeEditor{kinds: s.kinds, trees: trees}
	for _, writes := range g.volatile {
		for k, r := range writes {
			edit.set(k, r)
			s.dirty(k)
		}
	}
	s.published.Store(&Snapshot{picture{s.kinds, trees}, g.revision})
	s.publishing.Unlock()
	s.feed.add(g.transactions)
	if len(g.volatile) > 0 {
		s.volatile.tell()
	}
}

// wall is a time as it comes back from the disk: UTC, without the monotonic part.
func wall(t time.Time) time.Time { return t.UTC().Round(0) }
