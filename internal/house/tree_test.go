package house

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const (
	module = "github.com/kumactl/kumactl/"
	root   = "../.."
)

// source is one Go file of the module.
type source struct {
	path string // from the module's root, with slashes
	text string
	ast  *ast.File
	pos  *token.FileSet
}

func parse(name, text string) (*source, error) {
	pos := token.NewFileSet()
	file, err := parser.ParseFile(pos, name, text, parser.ParseComments|parser.SkipObjectResolution)
	return &source{name, text, file, pos}, err
}

// dir is the package's folder, which names the package everywhere in the rules.
func (s *source) dir() string     { return path.Dir(s.path) }
func (s *source) test() bool      { return strings.HasSuffix(s.path, "_test.go") }
func (s *source) generated() bool { return ast.IsGenerated(s.ast) }
func (s *source) lines() []string { return strings.Split(strings.TrimSuffix(s.text, "\n"), "\n") }

func (s *source) line(n ast.Node) int { return s.pos.Position(n.Pos()).Line }

// at words one failure: the place, then what to do.
func (s *source) at(n ast.Node, format string, args ...any) string {
	return fmt.Sprintf("%s:%d: %s", s.path, s.line(n), fmt.Sprintf(format, args...))
}

// marked says whether the line of n carries the comment `// word: reason`.
func (s *source) marked(n ast.Node, word string) bool {
	return strings.Contains(s.lines()[s.line(n)-1], "// "+word+": ")
}

// imported gives the import path behind a package's name in this file, the empty string for anything else.
func (s *source) imported(name string) string {
	for _, i := range s.ast.Imports {
		p := importPath(i)
		if i.Name != nil && i.Name.Name == name || i.Name == nil && path.Base(p) == name {
			return p
		}
	}
	return ""
}

// callee gives the package and the name of a call such as os.Exit(1); empty for methods and local functions.
func (s *source) callee(n ast.Node) (pkg, name string) {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return "", ""
	}
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return "", ""
	}
	id, ok := sel.X.(*ast.Ident)
	if !ok {
		return "", ""
	}
	return s.imported(id.Name), sel.Sel.Name
}

func importPath(i *ast.ImportSpec) string {
	p, _ := strconv.Unquote(i.Path.Value)
	return p
}

// literal gives the value of a string literal.
func literal(e ast.Expr) (string, bool) {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(lit.Value)
	return s, err == nil
}

var readTree = sync.OnceValues(func() ([]*source, error) {
	var all []*source
	for _, top := range []string{"cmd", "internal"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() && d.Name() == "testdata" {
				if err == nil {
					err = fs.SkipDir
				}
				return err
			}
			if !strings.HasSuffix(name, ".go") {
				return nil
			}
			text, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(root, name)
			if err != nil {
				return err
			}
			s, err := parse(filepath.ToSlash(rel), string(text))
			all = append(all, s)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
})

// tree is every Go file of the module.
func tree(t *testing.T) []*source {
	t.Helper()
	all, err := readTree()
	if err != nil {
		t.Fatalf("parse the module: %v", err)
	}
	return all
}

// report fails the test once for each finding.
func report(t *testing.T, findings []string) {
	t.Helper()
	for _, f := range findings {
		t.Error(f)
	}
}

// each runs a check on every node of every file and gathers what it finds.
func each(files []*source, check func(s *source, n ast.Node) string) []string {
	var found []string
	for _, s := range files {
		ast.Inspect(s.ast, func(n ast.Node) bool {
			if n != nil {
				if f := check(s, n); f != "" {
					found = append(found, f)
				}
			}
			return true
		})
	}
	return found
}
