package store

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
)

// What the log keeps when Options do not say.
const (
	DefaultKeepChanges = 10_000
	DefaultKeepAge     = 30 * 24 * time.Hour
	DefaultKeepBytes   = 64 << 20
)

// Options of a store. Only Kinds is needed in memory, Path and Kinds on disk.
type Options struct {
	// Path of the file; its directory is made when it is missing.
	Path string
	// Kinds that the store takes and gives.
	Kinds []*resource.Kind
	// Now is the clock of Created, Modified and the log; time.Now when nil. It is called from several goroutines.
	Now func() time.Time
	// KeepChanges, KeepAge and KeepBytes bound the log; zero means the default. The newest transaction always stays.
	KeepChanges int
	KeepAge     time.Duration
	KeepBytes   int64
	// Logger gets what nobody waits for: saves of volatile state and copies that did not work. Silent when nil.
	Logger *slog.Logger
	// ReadOnly opens without changing anything; Update is refused.
	ReadOnly bool
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.KeepChanges <= 0 {
		o.KeepChanges = DefaultKeepChanges
	}
	if o.KeepAge <= 0 {
		o.KeepAge = DefaultKeepAge
	}
	if o.KeepBytes <= 0 {
		o.KeepBytes = DefaultKeepBytes
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Store is an open store. All methods may be called from many goroutines.
type Store struct {
	options Options
	kinds   *kindIndex
	engine  engine
	feed    *feed

	published atomic.Pointer[Snapshot]
	// publishing guards the step from one published snapshot to the next, and the volatile state.
	publishing sync.Mutex
	volatile   volatile

	queue     chan *request
	flush     chan struct{}
	closing   chan struct{}
	stopped   chan struct{}
	closeOnce sync.Once
	closeErr  error
}

// OpenMemory makes a store that forgets everything when it is closed.
func OpenMemory(o Options) *Store {
	o = o.withDefaults()
	index := newKindIndex(o.Kinds)
	return start(o, newMemoryEngine(o), Snapshot{picture: picture{index, index.emptyTrees()}})
}

func start(o Options, e engine, from Snapshot) *Store {
	s := &Store{
		options: o,
		kinds:   from.kinds,
		engine:  e,
		feed:    newFeed(from.revision),
		queue:   make(chan *request, maxGroup),
		flush:   make(chan struct{}, 1),
		closing: make(chan struct{}),
		stopped: make(chan struct{}),
	}
	s.volatile.dirty = map[resource.Key]struct{}{}
	s.published.Store(&from)
	go s.run()
	return s
}

// Snapshot is the state now. It costs nothing and never changes.
func (s *Store) Snapshot() Snapshot { return *s.published.Load() }

// Close lets the queued transactions end, saves the volatile state and closes the file. Later calls of Update are Unavailable.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		close(s.closing)
		<-s.stopped
		s.closeErr = s.engine.close(s.Snapshot())
	})
	return s.closeErr
}

func errClosed() error {
	return problem.New(problem.Unavailable, "the store is closed")
}
