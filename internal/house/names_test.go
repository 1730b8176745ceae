package house

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
)

// emptyNames say nothing about what a package holds.
var emptyNames = []string{"util", "utils", "common", "types", "core", "base", "manager", "helpers", "misc", "shared", "lib", "v1alpha1"}

// uniqueNames: a package's last name is its own: not another package's, not one of the standard library that we import.
func uniqueNames(files []*source) []string {
	standard, dirs := map[string]string{}, map[string]bool{}
	for _, s := range files {
		dirs[s.dir()] = true
		if s.dir() == "internal/house" {
			continue // it reads Go, the program does not
		}
		for _, i := range s.ast.Imports {
			if first, _, _ := strings.Cut(importPath(i), "/"); !strings.Contains(first, ".") {
				standard[path.Base(importPath(i))] = importPath(i)
			}
		}
	}
	var found []string
	seen := map[string]string{}
	for _, dir := range slices.Sorted(func(yield func(string) bool) {
		for d := range dirs {
			if !yield(d) {
				return
			}
		}
	}) {
		name := path.Base(dir)
		switch {
		case slices.Contains(emptyNames, name):
			found = append(found, fmt.Sprintf("%s: the name %s says nothing; name the package after what it holds", dir, name))
		case seen[name] != "":
			found = append(found, fmt.Sprintf("%s: %s has the same last name; rename one, so that neither is ever aliased", dir, seen[name]))
		case standard[name] != "":
			found = append(found, fmt.Sprintf("%s: the standard library's %s has the same last name, and is imported here; rename the package", dir, standard[name]))
		}
		seen[name] = dir
	}
	return found
}

const envoyAPI = "github.com/envoyproxy/go-control-plane/envoy/"

// aliases: our packages have none; each of Envoy's has the same one everywhere, and it ends with v3.
func aliases(files []*source) []string {
	var found []string
	used := map[string]string{}
	for _, s := range files {
		if s.generated() {
			continue
		}
		for _, i := range s.ast.Imports {
			p, alias := importPath(i), ""
			if i.Name != nil {
				alias = i.Name.Name
			}
			switch {
			case strings.HasPrefix(p, module) && alias != "":
				found = append(found, s.at(i, "%s has the alias %s; our own packages are called by their names", p, alias))
			case strings.HasPrefix(p, envoyAPI) && alias == "_":
			case strings.HasPrefix(p, envoyAPI) && !strings.HasSuffix(alias, "v3"):
				found = append(found, s.at(i, "%s needs an alias <name>v3", p))
			case strings.HasPrefix(p, envoyAPI) && used[p] != "" && used[p] != alias:
				found = append(found, s.at(i, "%s is %s elsewhere; call it the same here", p, used[p]))
			case strings.HasPrefix(p, envoyAPI):
				used[p] = alias
			}
		}
	}
	return found
}

func TestRule9NamesAreUnique(t *testing.T) {
	report(t, uniqueNames(tree(t)))
	report(t, aliases(tree(t)))
}
