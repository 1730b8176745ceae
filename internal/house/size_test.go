package house

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

const (
	fileLines   = 400
	binaryBytes = 22_000_000
)

// shortFiles: a file is something that one can read at a sitting.
func shortFiles(files []*source) []string {
	var found []string
	for _, s := range files {
		if n := len(s.lines()); n > fileLines && !s.generated() {
			found = append(found, fmt.Sprintf("%s: %d lines; split it along a seam, %d is the limit", s.path, n, fileLines))
		}
	}
	return found
}

func TestFilesAreShort(t *testing.T) { report(t, shortFiles(tree(t))) }

// TestBinaryIsSmall builds the program as it is released. What makes it jump is mostly one import that forces the linker to keep
// every method (text/template, reflect's MethodByName) or every Envoy message.
func TestBinaryIsSmall(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "kumactl")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-tags", "grpcnotrace", "-ldflags", "-s -w", "-o", binary, "./cmd/kumactl")
	build.Dir = root
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	info, err := os.Stat(binary)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > binaryBytes {
		t.Errorf("kumactl has %d bytes, %d is the limit; see what came in: go list -deps ./cmd/kumactl, go tool nm -size -sort size", info.Size(), binaryBytes)
	}
}
