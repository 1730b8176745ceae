package house

import (
	"go/ast"
	"strings"
	"testing"
)

const mainFile = "cmd/kumactl/main.go"

// ownContexts are files that may start from context.Background, and why.
var ownContexts = map[string]string{}

// programsAreValues: only main ends the process or starts a context, and nothing is configured by package-level flags.
func programsAreValues(files []*source) []string {
	var hand []*source
	for _, s := range files {
		if !s.test() && !s.generated() && s.path != mainFile && !helper(s.dir()) {
			hand = append(hand, s)
		}
	}
	return each(hand, func(s *source, n ast.Node) string {
		if i, ok := n.(*ast.ImportSpec); ok && importPath(i) == "flag" {
			return s.at(i, "package flag keeps its state in globals; flags belong to cmd/kumactl and cobra")
		}
		pkg, name := s.callee(n)
		switch {
		case pkg == "os" && name == "Exit", pkg == "log" && strings.HasPrefix(name, "Fatal"), pkg == "runtime" && name == "Goexit":
			return s.at(n, "%s.%s ends the program under its caller; return an error", pkg, name)
		case pkg == "context" && (name == "Background" || name == "TODO") && ownContexts[s.path] == "":
			return s.at(n, "context.%s cuts the caller off; take a context as the first parameter (context.WithoutCancel for clean-up)", name)
		}
		return ""
	})
}

func TestRule4ProgramsAreValues(t *testing.T) { report(t, programsAreValues(tree(t))) }
