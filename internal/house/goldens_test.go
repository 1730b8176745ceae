package house

import (
	"fmt"
	"go/ast"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

const goldenLines = 120

// isGolden files show a behaviour, so a reader has to take them in at a glance.
func isGolden(name string) bool {
	return path.Ext(name) == ".txtar" || strings.Contains(path.Base(name), "golden")
}

// read says whether a test mentions a file of its testdata: by name, pattern, extension or folder. Words are the string literals
// of the package's tests; rel is the path below the package.
func read(rel string, words []string, fuzzers map[string]bool) bool {
	parts := strings.Split(rel, "/") // testdata, ...
	if len(parts) > 3 && parts[1] == "fuzz" {
		return fuzzers[parts[2]]
	}
	base := path.Base(rel)
	for _, w := range words {
		matched, _ := path.Match(w, rel)
		inBase, _ := path.Match(w, base)
		script := w == "testdata" && len(parts) == 2 && (path.Ext(base) == ".txtar" || path.Ext(base) == ".txt")
		if matched || inBase && w != "*" || script || w != "" && (w == path.Ext(base) || w == strings.TrimSuffix(base, path.Ext(base))) {
			return true
		}
		if w != "testdata" && strings.HasPrefix(rel+"/", strings.Trim(w, "/")+"/") && w != "" {
			return true
		}
		for _, folder := range parts[1 : len(parts)-1] {
			if w == folder {
				return true
			}
		}
	}
	return false
}

// mentions gathers string literals and fuzz targets of a package's tests and of the test helpers that they import.
func mentions(files []*source, dir string) (words []string, fuzzers map[string]bool) {
	fuzzers = map[string]bool{}
	helpers := map[string]bool{}
	for _, s := range files {
		if s.dir() == dir && s.test() {
			for _, i := range s.ast.Imports {
				if own, ok := strings.CutPrefix(importPath(i), module); ok && helper(own) {
					helpers[own] = true
				}
			}
		}
	}
	for _, s := range files {
		if !(s.dir() == dir && (s.test() || helper(dir)) || helpers[s.dir()]) {
			continue
		}
		ast.Inspect(s.ast, func(n ast.Node) bool {
			if e, ok := n.(*ast.BasicLit); ok {
				if w, ok := literal(e); ok {
					words = append(words, w)
				}
			}
			if f, ok := n.(*ast.FuncDecl); ok {
				fuzzers[f.Name.Name] = true
			}
			return true
		})
	}
	return words, fuzzers
}

func TestRule8ShowTheEffect(t *testing.T) {
	files := tree(t)
	for _, top := range []string{"cmd", "internal"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(name string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() || d.Name() != "testdata" {
				return err
			}
			rel, err := filepath.Rel(root, filepath.Dir(name))
			if err != nil {
				return err
			}
			report(t, testdata(t, files, filepath.ToSlash(rel)))
			return fs.SkipDir
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// testdata checks the testdata of one package: nothing too long to read, nothing that no test reads.
func testdata(t *testing.T, files []*source, dir string) (found []string) {
	words, fuzzers := mentions(files, dir)
	base := filepath.Join(root, filepath.FromSlash(dir))
	err := fs.WalkDir(os.DirFS(base), "testdata", func(rel string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if !read(rel, words, fuzzers) {
			found = append(found, fmt.Sprintf("%s/%s: no test of the package reads it; delete it, or name it in a test", dir, rel))
		}
		if isGolden(rel) {
			text, err := os.ReadFile(filepath.Join(base, filepath.FromSlash(rel)))
			if n := strings.Count(string(text), "\n"); err != nil || n > goldenLines {
				found = append(found, fmt.Sprintf("%s/%s: %d lines hide what the case is about; show the difference, in at most %d", dir, rel, n, goldenLines))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
