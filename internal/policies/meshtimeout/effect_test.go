package meshtimeout_test

import (
	"testing"

	"github.com/kumactl/kumactl/internal/envoy/envoytest"
	"github.com/kumactl/kumactl/internal/policies/meshtimeout"
)

func TestEffect(t *testing.T) { envoytest.Policy(t, meshtimeout.Policy) }
