package house

import (
	"go/ast"
	"strings"
	"testing"
)

// parseRunRender: a command parses, runs and renders; printing is render's, HTTP is client's.
func parseRunRender(files []*source) []string {
	var commands []*source
	for _, s := range files {
		if strings.HasPrefix(s.path, "cmd/") && !s.test() {
			commands = append(commands, s)
		}
	}
	return each(commands, func(s *source, n ast.Node) string {
		if i, ok := n.(*ast.ImportSpec); ok && importPath(i) == "net/http" {
			return s.at(i, "a command does no HTTP; add what is missing to internal/client")
		}
		if pkg, name := s.callee(n); pkg == "fmt" && strings.HasPrefix(name, "Print") {
			return s.at(n, "fmt.%s goes past the streams that tests replace; write to the command's output, through internal/render", name)
		}
		return ""
	})
}

func TestRule5ParseRunRender(t *testing.T) { report(t, parseRunRender(tree(t))) }
