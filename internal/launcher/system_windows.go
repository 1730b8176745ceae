package launcher

import (
	"syscall"

	"github.com/kumactl/kumactl/internal/problem"
)

// unsupported: there is no current Envoy for Windows.
func unsupported() error {
	return problem.New(problem.NotAllowed, "a data plane needs Linux or macOS; there is no current Envoy for Windows")
}

func processAttributes() *syscall.SysProcAttr { return nil }

func guard(int) (func(), error) { return func() {}, nil }

func lockFile(string) (func(), error) { return func() {}, nil }
