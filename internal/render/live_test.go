package render_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kumactl/kumactl/internal/render"
)

func TestLive(t *testing.T) {
	for name, c := range map[string]struct {
		height int
		texts  []string
		want   string
	}{
		"a pipe":              {0, []string{"a\nb\n", "a\nb\n", "c\n"}, "a\nb\n\nc\n"},
		"a terminal":          {10, []string{"a\nb\n", "a\nb\n", "c\n"}, "\r\x1b[Ja\nb\n\x1b[2A\r\x1b[Jc\n"},
		"a small terminal":    {4, []string{"1\n2\n3\n4\n5\n"}, "\r\x1b[J1\n2\n(3 more lines than this terminal has room for)\n"},
		"just large enough":   {4, []string{"1\n2\n3\n"}, "\r\x1b[J1\n2\n3\n"},
		"less than there was": {10, []string{"1\n2\n3\n", "1\n", "2\n"}, "\r\x1b[J1\n2\n3\n\x1b[3A\r\x1b[J1\n\x1b[1A\r\x1b[J2\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			live := render.NewLive(render.Output{Out: &b, Height: c.height})
			for _, text := range c.texts {
				err := live.Draw(func(to render.Output) error {
					_, err := to.Out.Write([]byte(text))
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(c.want, b.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSteps(t *testing.T) {
	for name, c := range map[string]struct {
		width int
		want  string
	}{
		"a pipe":     {0, "✓ keys                   created    /k\n"},
		"a terminal": {80, "\r\x1b[K… keys  /k\r\x1b[K✓ keys                   created    /k\n\r\x1b[K… health  :1\r✗\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			s := render.NewSteps(render.Output{Out: &b, Width: c.width})
			s.Begin("keys", "/k")
			s.End("keys", "/k", "created")
			s.Begin("health", ":1")
			s.Broken()
			if diff := cmp.Diff(c.want, b.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTree(t *testing.T) {
	root := &render.Node{Text: "root", Note: "note"}
	first := root.Add("first", "")
	first.Block = "a: 1\nb: 2\n"
	first.Add("below", "")
	root.Add("last", "x").Block = "c: 3\n"
	var b bytes.Buffer
	if err := (render.Output{Out: &b}).Tree(root); err != nil {
		t.Fatal(err)
	}
	want := `
root  note
├─ first
│  │  a: 1
│  │  b: 2
│  └─ below
└─ last  x
      c: 3
`
	if diff := cmp.Diff(want[1:], b.String()); diff != "" {
		t.Error(diff)
	}
}

func TestItem(t *testing.T) {
	const raw = `{"type":"X","name":"a","spec":{"z":1},"labels":{"b":"c"},"alpha":true}`
	for name, c := range map[string]struct {
		format render.Format
		nested bool
		want   string
	}{
		"flat YAML":   {render.FormatYAML, false, "labels:\n  b: c\nname: a\ntype: X\nalpha: true\nspec:\n  z: 1\n"},
		"nested YAML": {render.FormatYAML, true, "alpha: true\nlabels:\n  b: c\nname: a\nspec:\n  z: 1\ntype: X\n"},
		"JSON":        {render.FormatJSON, false, "{\n  \"type\": \"X\",\n  \"name\": \"a\",\n  \"spec\": {\n    \"z\": 1\n  },\n  \"labels\": {\n    \"b\": \"c\"\n  },\n  \"alpha\": true\n}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := (render.Output{Out: &b}).Item(c.format, []byte(raw), c.nested); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, b.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTablesOfAnyTextFit(t *testing.T) {
	table := render.Table{
		Columns: []render.Column{{Title: "NAME"}, {Title: "LIST", List: true}, {Title: "LATE", Rank: 5}, {Title: "NOTE", Text: true, Optional: true}, {Title: "NONE", Optional: true}},
		Rows: [][]string{
			{"a", "one two three four five", "x", strings.Repeat("long ", 30), ""},
			{"ü字", "", "", "averyveryveryverylongwordthatmustbecut", ""},
		},
	}
	for width := 16; width < 200; width++ {
		var b bytes.Buffer
		if err := (render.Output{Out: &b, Width: width}).Table(table); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(b.String()) {
			if n := len([]rune(strings.TrimRight(line, "\n"))); n > width {
				t.Fatalf("%d cells on %d: %s", n, width, b.String())
			}
		}
		if strings.Contains(b.String(), "NONE") {
			t.Fatal("an empty column is shown")
		}
	}
}
