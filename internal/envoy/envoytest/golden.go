package envoytest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/kumactl/kumactl/internal/envoy"
)

// resourcesFile is the part of a golden file that a user types.
const resourcesFile = "resources.yaml"

// Policy runs the cases of a kind of policy: each txtar file below testdata holds resources, and for each proxy the difference
// that the policies among them make to it. A real Envoy has to take every result. With update the files are
// rewritten.
func Policy(t *testing.T, p envoy.Policy, update bool) {
	var taken []*envoy.Config
	for _, path := range cases(t, "testdata/*.txtar") {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive := open(t, path)
			m := Picture(t, part(archive, resourcesFile), p.Kind)
			with, without := envoy.NewCompiler([]envoy.Policy{p}), envoy.NewCompiler(nil)
			got := &txtar.Archive{Comment: archive.Comment, Files: []txtar.File{{Name: resourcesFile, Data: []byte(part(archive, resourcesFile))}}}
			for proxy := range m.Proxies() {
				after := Compile(t, with, m, proxy.Name())
				if d := Difference(t, Compile(t, without, m, proxy.Name()), after); d != "" {
					got.Files = append(got.Files, txtar.File{Name: proxy.Name() + ".difference", Data: []byte(d)})
				}
				taken = append(taken, after)
			}
			if update {
				write(t, path, got)
			}
			check(t, path, open(t, path), got)
		})
	}
	t.Run("a real Envoy takes it", func(t *testing.T) { Accepted(t, taken...) })
}

// Shapes runs cases about what a proxy gets without policies: each txtar file below testdata holds resources, and parts called
// `PROXY KIND NAME.yaml` for those resources of the result that the case is about; the rest of the result is not shown. With update the
// files are rewritten.
func Shapes(t *testing.T, update bool) {
	var taken []*envoy.Config
	for _, path := range cases(t, "testdata/*.txtar") {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive := open(t, path)
			m := Picture(t, part(archive, resourcesFile))
			compiler := envoy.NewCompiler(nil)
			got := &txtar.Archive{Comment: archive.Comment}
			for _, f := range archive.Files {
				if proxy, name, ok := strings.Cut(strings.TrimSuffix(f.Name, ".yaml"), " "); ok {
					sealed := All(Compile(t, compiler, m, proxy))[name]
					if sealed == nil {
						t.Errorf("%s gets no %s", proxy, name)
						continue
					}
					f.Data = []byte(YAML(t, sealed))
				}
				got.Files = append(got.Files, f)
			}
			for proxy := range m.Proxies() {
				taken = append(taken, Compile(t, compiler, m, proxy.Name()))
			}
			if update {
				write(t, path, got)
			}
			check(t, path, open(t, path), got)
		})
	}
	t.Run("a real Envoy takes it", func(t *testing.T) { Accepted(t, taken...) })
}

func cases(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no cases in %s: %v", pattern, err)
	}
	return paths
}

func open(t *testing.T, path string) *txtar.Archive {
	t.Helper()
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return archive
}

func part(a *txtar.Archive, name string) string {
	i := slices.IndexFunc(a.Files, func(f txtar.File) bool { return f.Name == name })
	if i < 0 {
		return ""
	}
	return string(a.Files[i].Data)
}

func write(t *testing.T, path string, a *txtar.Archive) {
	t.Helper()
	if err := os.WriteFile(path, txtar.Format(a), 0o644); err != nil {
		t.Fatal(err)
	}
}

func check(t *testing.T, path string, want, got *txtar.Archive) {
	t.Helper()
	for _, f := range got.Files {
		if had := part(want, f.Name); had != string(f.Data) {
			t.Errorf("%s: %s is now\n%s\nit was\n%s\n(rewrite with -update when that is right)", path, f.Name, f.Data, had)
		}
	}
	for _, f := range want.Files {
		if !slices.ContainsFunc(got.Files, func(g txtar.File) bool { return g.Name == f.Name }) {
			t.Errorf("%s: there is no %s any more", path, f.Name)
		}
	}
}
