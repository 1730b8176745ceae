package meshtimeout_test

import (
	"flag"
	"testing"

	"github.com/kumactl/kumactl/internal/envoy/envoytest"
	"github.com/kumactl/kumactl/internal/policies/meshtimeout"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestEffect(t *testing.T) { envoytest.Policy(t, meshtimeout.Policy, *update) }
