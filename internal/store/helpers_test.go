package store_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/store"
)

// wantError checks that an error is for the person who caused it: its code, and words that it and its hint must have.
func wantError(t testing.TB, err error, code problem.Code, words ...string) {
	t.Helper()
	p, ok := errors.AsType[*problem.Error](err)
	if !ok {
		t.Fatalf("got %v, want a *problem.Error", err)
	}
	if p.Code != code {
		t.Errorf("code %d, want %d: %v", p.Code, code, err)
	}
	text := p.Error() + "\n" + p.Hint
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%q is not in\n%s", w, text)
		}
	}
	if p.Hint == "" {
		t.Errorf("no hint with %v", err)
	}
}

// allChanges reads the log from its start.
func allChanges(t testing.TB, s *store.Store) []store.Change {
	t.Helper()
	var all []store.Change
	for w := s.Watch(0); len(all) == 0 || all[len(all)-1].Revision < s.Snapshot().Revision(); {
		changes, err := w.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, changes...)
	}
	return all
}

func fileBytes(t testing.TB, path string) []byte {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
