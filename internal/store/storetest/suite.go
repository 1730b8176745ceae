package storetest

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/kumactl/kumactl/internal/store"
)

// Open opens a store of the engine under test. Path, Kinds and Now of the options are set.
type Open func(testing.TB, store.Options) *store.Store

// Run checks what every engine must do.
func Run(t *testing.T, open Open) {
	for name, test := range map[string]func(*testing.T, harness){
		"a transaction is whole":              transactionIsWhole,
		"revisions have no gap":               revisionsHaveNoGap,
		"a transaction sees its own writes":   seesOwnWrites,
		"one change for each resource":        oneChangeEach,
		"times and revision are set":          timesAreSet,
		"stored values stay as they are":      storedValuesStay,
		"compare and set":                     compareAndSet,
		"names that cannot be stored":         refusedNames,
		"transactions are serial":             transactionsAreSerial,
		"a group keeps its good transactions": groupKeepsTheGood,
		"snapshots never change":              snapshotsNeverChange,
		"order, ranges and counts":            orderAndRanges,
		"watch from the start":                watchFromStart,
		"watch from the middle":               watchFromMiddle,
		"watch waits":                         watchWaits,
		"watch while others write":            watchWhileWriting,
		"watch behind the trimmed log":        watchCompacted,
		"watch behind what is too old":        watchTooOld,
		"changes hold the stored values":      changesHoldStoredValues,
		"history":                             history,
		"volatile state":                      volatileState,
		"volatile in a transaction":           volatileInTransaction,
		"telling of volatile changes":         volatileTold,
		"functions that never return":         functionsThatNeverReturn,
		"giving up":                           givingUp,
		"closing":                             closing,
	} {
		t.Run(name, func(t *testing.T) { test(t, newHarness(t, open)) })
	}
}

// RunDurable checks what an engine that keeps a file must do too.
func RunDurable(t *testing.T, open Open) {
	for name, test := range map[string]func(*testing.T, harness){
		"everything is there again":     everythingIsThereAgain,
		"watch over a restart":          watchOverRestart,
		"the trimmed log over restarts": trimmedOverRestart,
		"the log's size is bounded":     logIsBounded,
		"history over a restart":        historyOverRestart,
		"volatile state is saved":       volatileIsSaved,
		"a random life":                 randomLife,
	} {
		t.Run(name, func(t *testing.T) { test(t, newHarness(t, open)) })
	}
}

// harness is one test's store, kinds and clock.
type harness struct {
	Set
	open    Open
	options store.Options
}

// start is the time of the suite's clock when a test begins.
var start = time.Date(2026, 11, 21, 12, 0, 0, 123456789, time.UTC)

func newHarness(t *testing.T, open Open) harness {
	set := NewSet()
	return harness{Set: set, open: open, options: store.Options{
		Path:  filepath.Join(t.TempDir(), "data", "store.db"),
		Kinds: set.Kinds(),
		Now:   func() time.Time { return start },
	}}
}

// store opens a store that the test's end closes; closing twice does no harm.
func (h harness) store(t *testing.T) *store.Store {
	s := h.open(t, h.options)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
