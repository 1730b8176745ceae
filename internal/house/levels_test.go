package house

import (
	"path"
	"strings"
	"testing"
)

// levels is the table of docs/architecture.md. `x/*` stands for the folders right below x. A folder that is not named has the
// level of the folder above it, and is a part of it.
var levels = map[string]int{
	"internal/problem":     0,
	"internal/kumapb":      0,
	"internal/wholefile":   0,
	"internal/resource":    1,
	"internal/resource/*":  2,
	"internal/store":       2,
	"internal/store/*":     3,
	"internal/view":        3,
	"internal/identity":    3,
	"internal/token":       3,
	"internal/policy":      4,
	"internal/envoy":       5,
	"internal/policies/*":  6,
	"internal/admission":   7,
	"internal/catalog":     7,
	"internal/server/api":  8,
	"internal/server/xds":  8,
	"internal/server/kds":  8,
	"internal/server/mads": 8,
	"internal/server/web":  8,
	"internal/client":      8,
	"internal/render":      8,
	"internal/dns":         8,
	"internal/tproxy":      8,
	"internal/server":      9,
	"internal/launcher":    9,
	"internal/install":     9,
	"internal/demo":        10, // all of it in one process
	"cmd/kumactl":          11,
	"internal/house":       12,
}

// levelOf finds a folder's level, and the folder that the table names for it.
func levelOf(dir string) (level int, named string, ok bool) {
	for at := dir; at != "."; at = path.Dir(at) {
		for _, key := range []string{at, path.Dir(at) + "/*"} {
			if level, ok := levels[key]; ok {
				return level, at, true
			}
		}
	}
	return 0, "", false
}

// helper packages hold what several tests share: storetest, envoytest, servertest.
func helper(dir string) bool { return strings.HasSuffix(dir, "test") }

// oneWay: a package imports only packages of a lower level, or parts of itself; only tests import test helpers.
func oneWay(files []*source) []string {
	var found []string
	for _, s := range files {
		from, fromNamed, ok := levelOf(s.dir())
		if !ok {
			found = append(found, s.at(s.ast.Name, "folder %s has no level; give it one in internal/house/levels_test.go and in docs/architecture.md", s.dir()))
			continue
		}
		for _, i := range s.ast.Imports {
			dir, own := strings.CutPrefix(importPath(i), module)
			if !own {
				continue
			}
			to, toNamed, _ := levelOf(dir)
			inTest := s.test() || helper(s.dir())
			switch {
			case helper(dir) && !inTest:
				found = append(found, s.at(i, "%s is for tests; move what the program needs out of it", dir))
			case to < from, inTest && (to == from || helper(dir)):
			case toNamed == fromNamed && strings.HasPrefix(dir, s.dir()+"/"): // a part of it
			default:
				found = append(found, s.at(i, "%s (level %d) must not import %s (level %d); declare the small interface that you need, and let a higher level join them",
					s.dir(), from, dir, to))
			}
		}
	}
	return found
}

func TestRule1OneWay(t *testing.T) { report(t, oneWay(tree(t))) }
