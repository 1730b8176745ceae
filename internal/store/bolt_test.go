package store_test

import (
	"testing"

	"github.com/kumactl/kumactl/internal/store"
	"github.com/kumactl/kumactl/internal/store/storetest"
)

func openBolt(t testing.TB, o store.Options) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestBolt(t *testing.T) { storetest.Run(t, openBolt) }

func TestBoltDurable(t *testing.T) { storetest.RunDurable(t, openBolt) }
