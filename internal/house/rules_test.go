package house

import (
	"strings"
	"testing"
)

// TestRulesFind shows each rule a file that breaks it, and the same put right: a rule that finds nothing is no rule.
func TestRulesFind(t *testing.T) {
	kind := "var Kind = resource.Of(resource.Kind{Name: \"MeshToy\"})\n"
	toy := map[string]string{"internal/policies/meshtoy/kind.go": "package meshtoy\n" + kind}
	for name, c := range map[string]struct {
		rule func([]*source) []string
		path string
		bad  string
		good string
		also map[string]string
	}{
		"upward import":      {oneWay, "internal/store/a.go", `import "` + module + `internal/view"`, `import "` + module + `internal/resource"`, nil},
		"sideward import":    {oneWay, "internal/client/a.go", `import "` + module + `internal/render"`, `import "` + module + `internal/catalog"`, nil},
		"helper in code":     {oneWay, "internal/view/a.go", `import "` + module + `internal/store/storetest"`, `import "` + module + `internal/store"`, nil},
		"no level":           {oneWay, "pkg/a.go", ``, ``, nil},
		"kind not listed":    {listed, "internal/catalog/a.go", ``, `import "` + module + `internal/policies/meshtoy"` + "\nvar All = []any{meshtoy.Kind}", toy},
		"kind by name":       {unnamed, "internal/server/api/a.go", `func f(k string) bool { return k == "MeshToy" }`, `func f(k string) bool { return k == "Mesh Toy" }`, toy},
		"kind in a switch":   {unnamed, "internal/server/api/a.go", `func f(k string) { switch k { case "MeshToy": } }`, `func f(k string) { switch k { case "toy": } }`, toy},
		"init":               {nothingBefore, "internal/a/a.go", `func init() {}`, `func start() {}`, nil},
		"blank import":       {nothingBefore, "internal/a/a.go", `import _ "net/http/pprof"`, `import _ "embed"`, nil},
		"regexp":             {nothingBefore, "internal/a/a.go", "import \"regexp\"\nvar r = regexp.MustCompile(`a`)", "import \"regexp\"\nvar r = func() any { return regexp.MustCompile(`a`) }", nil},
		"exit":               {programsAreValues, "internal/a/a.go", "import \"os\"\nfunc f() { os.Exit(1) }", "import \"os\"\nfunc f() { os.Getpid() }", nil},
		"background":         {programsAreValues, "internal/a/a.go", "import \"context\"\nvar c = context.Background()", "import \"context\"\nvar c context.Context", nil},
		"flag":               {programsAreValues, "internal/a/a.go", "import \"flag\"\nvar f = flag.Int", ``, nil},
		"print":              {parseRunRender, "cmd/kumactl/a.go", "import \"fmt\"\nfunc f() { fmt.Println() }", "import \"fmt\"\nfunc f() { fmt.Sprint() }", nil},
		"http in a command":  {parseRunRender, "cmd/kumactl/a.go", `import "net/http"`, `import "net/url"`, nil},
		"error opening":      {errorsSpeak, "internal/a/a.go", "import \"errors\"\nvar e = errors.New(\"failed to open x\")", "import \"errors\"\nvar e = errors.New(\"open x: locked\")", nil},
		"error stop":         {errorsSpeak, "internal/a/a.go", "import \"fmt\"\nvar e = fmt.Errorf(\"x is locked.\")", "import \"fmt\"\nvar e = fmt.Errorf(\"x is locked\")", nil},
		"error capital":      {errorsSpeak, "internal/a/a.go", "import \"errors\"\nvar e = errors.New(\"Mesh not found\")", "import \"errors\"\nvar e = errors.New(\"Mesh not found\") // wire: the peer's", nil},
		"sleep":              {noSleep, "internal/a/a_test.go", "import \"time\"\nfunc f() { time.Sleep(1) }", "import \"time\"\nfunc f() { time.After(1) }", nil},
		"same last name":     {uniqueNames, "internal/a/store/a.go", ``, ``, map[string]string{"internal/store/a.go": "package store"}},
		"empty name":         {uniqueNames, "internal/util/a.go", ``, ``, nil},
		"standard name":      {uniqueNames, "internal/a/http/a.go", `import "net/http"`, `import "net/url"`, nil},
		"own alias":          {aliases, "internal/a/a.go", `import p "` + module + `internal/problem"`, `import "` + module + `internal/problem"`, nil},
		"envoy alias":        {aliases, "internal/a/a.go", `import core "` + envoyAPI + `config/core/v3"`, `import corev3 "` + envoyAPI + `config/core/v3"`, nil},
		"two envoy aliases":  {aliases, "internal/a/a.go", `import basev3 "` + envoyAPI + `config/core/v3"`, `import corev3 "` + envoyAPI + `config/core/v3"`, map[string]string{"internal/b/b.go": "package b\nimport corev3 \"" + envoyAPI + "config/core/v3\""}},
		"no package comment": {onePackageDoc, "internal/a/a.go", ``, ``, nil},
		"long file":          {shortFiles, "internal/a/a.go", strings.Repeat("\n", fileLines+1), strings.Repeat("\n", fileLines-10), nil},
	} {
		t.Run(name, func(t *testing.T) {
			files := []*source{}
			for p, text := range c.also {
				files = append(files, source1(t, p, text))
			}
			if found := c.rule(append(files, source1(t, c.path, "package a\n"+c.bad))); len(found) != 1 {
				t.Errorf("found %q in what breaks the rule", found)
			}
			good := source1(t, c.path, "package a\n"+c.good)
			switch name {
			case "no level", "same last name", "empty name": // the same where it belongs
				good = source1(t, "internal/problem/own/a.go", "package own\n")
			case "no package comment":
				good = source1(t, c.path, "// Package a is.\npackage a\n")
			}
			if found := c.rule(append(files, good)); len(found) != 0 {
				t.Errorf("found %q where all is right", found)
			}
		})
	}
}

func source1(t *testing.T, name, text string) *source {
	t.Helper()
	s, err := parse(name, text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTestdataIsRead(t *testing.T) {
	words := []string{"testdata/cases/*.txtar", "plain.json", ".yaml", "tables"}
	for file, want := range map[string]bool{
		"testdata/cases/a.txtar":      true,
		"testdata/other/a.txtar":      false,
		"testdata/plain.json":         true,
		"testdata/b.yaml":             true,
		"testdata/tables/wide.want":   true,
		"testdata/left.over":          false,
		"testdata/fuzz/FuzzDecode/01": true,
		"testdata/fuzz/FuzzGone/01":   false,
	} {
		if got := read(file, words, map[string]bool{"FuzzDecode": true}); got != want {
			t.Errorf("read(%s) is %v, want %v", file, got, want)
		}
	}
}

func TestPathsInDocuments(t *testing.T) {
	got := pathsIn("docs/x.md", "see `internal/store/bolt.go:12`, internal/policies/KIND and internal/policies/*; ([cli](cli/kumactl.md)); cmd/kumactl.")
	if want := "internal/store/bolt.go cmd/kumactl docs/cli/kumactl.md"; strings.Join(got, " ") != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for p, want := range map[string]bool{"internal/house/doc.go": true, "internal/house.Rule": true, "internal/house/gone.go": false, "internal/gone": false} {
		if exists(p) != want {
			t.Errorf("exists(%s) is %v", p, !want)
		}
	}
}
