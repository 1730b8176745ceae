package house

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// onePackageDoc: every package says in exactly one place what it is, what comes in and what goes out.
func onePackageDoc(files []*source) []string {
	docs := map[string][]string{}
	var dirs []string
	for _, s := range files {
		if s.test() {
			continue
		}
		if _, known := docs[s.dir()]; !known {
			dirs, docs[s.dir()] = append(dirs, s.dir()), nil
		}
		if s.ast.Doc == nil || s.generated() {
			continue
		}
		docs[s.dir()] = append(docs[s.dir()], s.path)
	}
	var found []string
	for _, dir := range dirs {
		switch n := docs[dir]; {
		case len(n) == 0:
			found = append(found, fmt.Sprintf("%s: no package comment; say what it is, what comes in and what goes out", dir))
		case len(n) > 1:
			found = append(found, fmt.Sprintf("%s: package comments in %s; keep one", dir, strings.Join(n, " and ")))
		}
	}
	return found
}

var (
	namedPath = `(?:^|[\s(\[\x60"'])((?:internal|cmd|docs|scripts|packaging|tools|conformance|\.ci)/[A-Za-z0-9_./-]+)`
	link      = `\]\(([^)#:\s]+)(?:#[^)]*)?\)`
)

// pathsIn gives the paths of the project that a document names, from the module's root. Patterns are left out.
func pathsIn(document, text string) []string {
	var all []string
	for _, m := range regexp.MustCompile(namedPath).FindAllStringSubmatchIndex(text, -1) {
		p := strings.TrimRight(text[m[2]:m[3]], "./-")
		if next := text[m[3]:min(m[3]+1, len(text))]; next == "*" || next == "<" || next == "{" || next == "…" {
			continue
		}
		if regexp.MustCompile(`/[A-Z]+(/|$|\.)`).MatchString(p) { // internal/policies/KIND
			continue
		}
		all = append(all, p)
	}
	for _, m := range regexp.MustCompile(link).FindAllStringSubmatch(text, -1) {
		all = append(all, filepath.ToSlash(filepath.Join(filepath.Dir(document), m[1])))
	}
	return all
}

// exists takes a path, or a path and a name in it: internal/store/bolt.go, internal/store.Apply.
func exists(p string) bool {
	if _, err := os.Stat(filepath.Join(root, p)); err == nil {
		return true
	}
	dir, name, ok := strings.Cut(p, ".")
	if !ok || name == "" || strings.Contains(name, "/") || name == "go" || name == "md" {
		return false
	}
	_, err := os.Stat(filepath.Join(root, dir))
	return err == nil
}

func TestRule10ANewcomerCanWalkIt(t *testing.T) {
	report(t, onePackageDoc(tree(t)))

	documents, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	documents = append(documents, filepath.Join(root, "README.md"))
	for _, name := range documents {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Errorf("every project has one: %v", err)
			continue
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			t.Fatal(err)
		}
		named := pathsIn(rel, string(text))
		slices.Sort(named)
		for _, p := range slices.Compact(named) {
			if !exists(p) {
				t.Errorf("%s names %s, which is not there; correct the path", rel, p)
			}
		}
	}
}
