package house

import (
	"go/ast"
	"strings"
	"testing"
)

const mainFile = "cmd/kumactl/main.go"

// ownContexts are files that may start from context.Background, and why.
var ownContexts = map[string]string{
	"internal/store/bolt.go": "closing writes the last good copy, and has no caller who could hurry it",
	"internal/store/good.go": "the copy lives from start to stop, which waits for it",
}

// programsAreValues: only main ends the process or starts a context, and nothing is configured by package-level flags.
func programsAreValues(files []*source) []string {
	var hand []*source
	for _, s := range files {
		if !s.test() && !s.generated() && s.path != mainFile && !helper(s.dir()) {
			hand = append(hand, s)
		}
	}
	logged := map[ast.Node]bool{}
	return each(hand, func(s *source, n ast.Node) string {
		if call, ok := n.(*ast.CallExpr); ok && len(call.Args) > 0 { // slog's Log takes a context where there is none
			if sel, ok := call.Fun.(*ast.SelectorExpr); ok && (sel.Sel.Name == "Log" || sel.Sel.Name == "LogAttrs" || sel.Sel.Name == "Enabled") {
				logged[call.Args[0]] = true
			}
		}
		if i, ok := n.(*ast.ImportSpec); ok && importPath(i) == "flag" {
			return s.at(i, "package flag keeps its state in globals; flags belong to cmd/kumactl and cobra")
		}
		pkg, name := s.callee(n)
		switch {
		case pkg == "os" && name == "Exit", pkg == "log" && strings.HasPrefix(name, "Fatal"), pkg == "runtime" && name == "Goexit":
			return s.at(n, "%s.%s ends the program under its caller; return an error", pkg, name)
		case pkg == "context" && (name == "Background" || name == "TODO") && ownContexts[s.path] == "" && !logged[n]:
			return s.at(n, "context.%s cuts the caller off; take a context as the first parameter (context.WithoutCancel for clean-up)", name)
		}
		return ""
	})
}

func TestRule4ProgramsAreValues(t *testing.T) { report(t, programsAreValues(tree(t))) }
