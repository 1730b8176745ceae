package store_test

import (
	"testing"

	"github.com/kumactl/kumactl/internal/store"
	"github.com/kumactl/kumactl/internal/store/storetest"
)

func TestMemory(t *testing.T) {
	storetest.Run(t, func(_ testing.TB, o store.Options) *store.Store { return store.OpenMemory(o) })
}
