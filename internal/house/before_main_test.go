package house

import (
	"go/ast"
	"go/token"
	"strings"
	"testing"
)

// startCosts are calls that must not initialise a package-level variable: I/O, environment, compiling. Every short command would
// pay for them. An empty list of names means the whole package.
var startCosts = map[string][]string{
	"os":                      nil,
	"os/exec":                 nil,
	"net":                     nil,
	"net/http":                nil,
	"io/fs":                   nil,
	"path/filepath":           {"Glob", "Walk", "WalkDir", "Abs", "EvalSymlinks"},
	"regexp":                  nil,
	"text/template":           nil,
	"html/template":           nil,
	"time":                    {"Now", "LoadLocation", "Tick", "NewTicker", "NewTimer", "AfterFunc"},
	"encoding/json":           {"Unmarshal", "Marshal"},
	"sigs.k8s.io/yaml":        nil,
	"go.yaml.in/yaml/v3":      nil,
	"flag":                    nil,
	"crypto/rand":             nil,
	"github.com/google/uuid":  {"New", "NewString"},
	"github.com/caarlos0/env": nil,
}

// nothingBefore: no init, no blank import, no start cost in package-level variables. Tests may register messages of Envoy that
// they only read as JSON.
func nothingBefore(files []*source) []string {
	var found []string
	for _, s := range files {
		if s.generated() {
			continue
		}
		for _, i := range s.ast.Imports {
			if i.Name != nil && i.Name.Name == "_" && importPath(i) != "embed" && !(s.test() && strings.HasPrefix(importPath(i), envoyAPI)) {
				found = append(found, s.at(i, "blank import of %s runs code before main; call what you need by name", importPath(i)))
			}
		}
		for _, d := range s.ast.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil && d.Name.Name == "init" {
					found = append(found, s.at(d, "init runs before main; make a constructor, or sync.OnceValue"))
				}
			case *ast.GenDecl:
				if d.Tok == token.VAR && !s.test() {
					found = append(found, startCost(s, d)...)
				}
			}
		}
	}
	return found
}

func startCost(s *source, d *ast.GenDecl) []string {
	var found []string
	for _, spec := range d.Specs {
		for _, value := range spec.(*ast.ValueSpec).Values {
			ast.Inspect(value, func(n ast.Node) bool {
				if _, later := n.(*ast.FuncLit); later {
					return false
				}
				pkg, name := s.callee(n)
				names, costs := startCosts[pkg]
				if costs && (names == nil || strings.Contains(" "+strings.Join(names, " ")+" ", " "+name+" ")) {
					found = append(found, s.at(n, "%s.%s runs before main; put it behind sync.OnceValue or into a constructor", pkg, name))
				}
				return true
			})
		}
	}
	return found
}

func TestRule3NothingBeforeMain(t *testing.T) { report(t, nothingBefore(tree(t))) }
