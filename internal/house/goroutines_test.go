package house

import (
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// noSleep: whoever waits, waits for a condition with a deadline, in tests too.
func noSleep(files []*source) []string {
	return each(files, func(s *source, n ast.Node) string {
		if pkg, name := s.callee(n); pkg == "time" && (name == "Sleep" || name == "Tick") {
			return s.at(n, "time.%s hopes; wait for the condition (a channel, a watch, backoff with a context) with a deadline", name)
		}
		return ""
	})
}

func TestRule7OneGoroutineOwnsAThing(t *testing.T) {
	report(t, noSleep(tree(t)))

	// Every package's tests run under the race detector, and .ci/run runs that.
	for file, want := range map[string]string{
		"Makefile": `(?m)^RACE_PKGS \?= \./\.\.\.$(?s:.*)go test .*-race .*\$\(RACE_PKGS\)`,
		".ci/run":  `\brace\b`,
	} {
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile(want).Match(text) {
			t.Errorf("%s does not run the race detector over all packages any more (wanted %s)", file, want)
		}
	}
}
