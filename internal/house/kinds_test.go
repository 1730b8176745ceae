package house

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
	"testing"
)

const catalog = "internal/catalog"

// wireWords are packages that may compare with a word that is also a kind's name, and why.
var wireWords = map[string]string{
	"internal/policy": "`kind` of a target reference is a word of the wire, and means a set of proxies or destinations",
}

// declared is one kind: the variable that holds it, and the name that documents use.
type declared struct {
	dir, variable, name string
	at                  string
}

// kindsOf finds the package-level variables that are made from a resource.Kind.
func kindsOf(files []*source) []declared {
	var all []declared
	for _, s := range files {
		if s.test() {
			continue
		}
		for _, d := range s.ast.Decls {
			gen, ok := d.(*ast.GenDecl)
			if !ok || gen.Tok != token.VAR {
				continue
			}
			for _, spec := range gen.Specs {
				v := spec.(*ast.ValueSpec)
				for i, value := range v.Values {
					if name := kindName(value); name != "" {
						all = append(all, declared{s.dir(), v.Names[i].Name, name, s.at(v, "")})
					}
				}
			}
		}
	}
	return all
}

// kindName is the Name of the resource.Kind literal within an expression.
func kindName(e ast.Expr) (name string) {
	ast.Inspect(e, func(n ast.Node) bool {
		lit, ok := n.(*ast.CompositeLit)
		if !ok || name != "" {
			return true
		}
		sel, ok := lit.Type.(*ast.SelectorExpr)
		if !ok || sel.Sel.Name != "Kind" {
			return true
		}
		for _, el := range lit.Elts {
			if kv, ok := el.(*ast.KeyValueExpr); ok {
				if key, ok := kv.Key.(*ast.Ident); ok && key.Name == "Name" {
					name, _ = literal(kv.Value)
				}
			}
		}
		return true
	})
	return name
}

// listed: every folder that declares a kind is in the catalog, with each exported kind that stands for itself.
func listed(files []*source) []string {
	used := map[string]bool{} // "mesh.Kind" in the catalog, "Kind" within its own folder
	for _, s := range files {
		if s.dir() != catalog || s.test() {
			continue
		}
		ast.Inspect(s.ast, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				if id, ok := sel.X.(*ast.Ident); ok {
					used[s.imported(id.Name)+"."+sel.Sel.Name] = true
				}
			}
			return true
		})
	}
	var found []string
	for _, k := range kindsOf(files) {
		inRange := strings.HasPrefix(k.dir, "internal/policies/") || strings.HasPrefix(k.dir, "internal/resource/")
		if inRange && ast.IsExported(k.variable) && !used[module+k.dir+"."+k.variable] && !wrapped(files, k) {
			found = append(found, k.at+"kind "+k.name+" is in no list; add "+k.dir+"'s "+k.variable+" to "+catalog)
		}
	}
	return found
}

// wrapped says whether another variable of the folder is made from this kind; then that one stands in the catalog.
func wrapped(files []*source, k declared) bool {
	return slices.ContainsFunc(files, func(s *source) bool {
		if s.dir() != k.dir || s.test() {
			return false
		}
		for _, d := range s.ast.Decls {
			if gen, ok := d.(*ast.GenDecl); ok && gen.Tok == token.VAR {
				for _, spec := range gen.Specs {
					for _, value := range spec.(*ast.ValueSpec).Values {
						if call, ok := value.(*ast.CallExpr); ok && slices.ContainsFunc(call.Args, func(a ast.Expr) bool {
							id, ok := a.(*ast.Ident)
							return ok && id.Name == k.variable
						}) {
							return true
						}
					}
				}
			}
		}
		return false
	})
}

// unnamed: no code asks for a kind by its name, except its own folder, the catalog and tests.
func unnamed(files []*source) []string {
	home := map[string]string{}
	for _, k := range kindsOf(files) {
		home[k.name] = k.dir
	}
	return each(files, func(s *source, n ast.Node) string {
		if s.test() || s.generated() || s.dir() == catalog || wireWords[s.dir()] != "" {
			return ""
		}
		var compared []ast.Expr
		switch n := n.(type) {
		case *ast.BinaryExpr:
			if n.Op == token.EQL || n.Op == token.NEQ {
				compared = []ast.Expr{n.X, n.Y}
			}
		case *ast.CaseClause:
			compared = n.List
		}
		for _, e := range compared {
			word, ok := literal(e)
			if dir := home[word]; ok && dir != "" && dir != s.dir() && !s.marked(e, "wire") {
				return s.at(e, "code asks for the kind %s by name; put what differs into its resource.Kind or its folder (%s)", word, dir)
			}
		}
		return ""
	})
}

func TestRule2KindIsAFolder(t *testing.T) {
	files := tree(t)
	report(t, listed(files))
	report(t, unnamed(files))
}
