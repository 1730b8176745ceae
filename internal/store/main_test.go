//go:build unix

package store_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/store"
	"github.com/kumactl/kumactl/internal/store/storetest"
)

// childEnv makes the test binary be a process of its own that does something to the store in childPath.
const (
	childEnv  = "KUMACTL_STORE_CHILD"
	childPath = "KUMACTL_STORE_CHILD_PATH"
)

func TestMain(m *testing.M) {
	play, ok := map[string]func(path string) error{
		"hold":         childHolds,
		"write":        childWrites,
		"limited":      childIsLimited,
		"unprivileged": childIsUnprivileged,
	}[os.Getenv(childEnv)]
	if !ok {
		goleak.VerifyTestMain(m)
		return
	}
	if err := play(os.Getenv(childPath)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		if p, ok := err.(*problem.Error); ok {
			fmt.Fprintln(os.Stderr, "hint:", p.Hint)
		}
		os.Exit(1)
	}
}

// child starts the test binary as another process. It ends when its standard input does.
type child struct {
	*exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
	stderr strings.Builder
}

func startChild(t testing.TB, what, path string) *child {
	t.Helper()
	c := &child{Cmd: exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")}
	c.Env = append(os.Environ(), childEnv+"="+what, childPath+"="+path)
	c.Stderr = &c.stderr
	var err error
	if c.stdin, err = c.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.stdout = bufio.NewReader(out)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	return c
}

// childHolds keeps a store open.
func childHolds(path string) error {
	s, err := store.Open(noContext(), store.Options{Path: path, Kinds: storetest.NewSet().Kinds()})
	if err != nil {
		return err
	}
	fmt.Println("open")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return s.Close()
}
