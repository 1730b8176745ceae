package resource_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
)

type limits struct {
	Timeout string            `json:"timeout,omitempty"`
	To      []limit           `json:"to,omitempty"`
	Tags    map[string]string `json:"tags,omitempty"`
}

type limit struct {
	IdleTimeout string `json:"idleTimeout,omitempty"`
}

var kind = resource.Of(resource.Kind{Name: "Limit", Path: "limits", Short: "l"}, resource.Rules[*limits]{
	Validate: func(_ resource.Meta, spec *limits) (v problem.Violations) {
		if spec.Timeout == "" {
			v.Add("spec.timeout", "must be defined")
		}
		return v
	},
})

func TestDecodeNamesUnknownFields(t *testing.T) {
	for name, c := range map[string]struct {
		doc  string
		want []string
	}{
		"none":            {`{"type":"Limit","name":"a","spec":{"timeout":"1s"}}`, nil},
		"metadata's case": {`{"type":"Limit","name":"a","Labels":{},"spec":{}}`, nil},
		"free keys":       {`{"type":"Limit","name":"a","labels":{"x":"y"},"spec":{"tags":{"anything":"goes"}}}`, nil},
		"at the root":     {`{"type":"Limit","nmae":"a","spec":{}}`, []string{`nmae: unknown field, did you mean "name"?`}},
		"in a list": {
			`{"type":"Limit","name":"a","spec":{"to":[{},{"idleTimeoutt":"1s"}]}}`,
			[]string{`spec.to[1].idleTimeoutt: unknown field, did you mean "idleTimeout"?`},
		},
		"the specification is exact": {
			`{"type":"Limit","name":"a","spec":{"Timeout":"1s"}}`,
			[]string{`spec.Timeout: unknown field, did you mean "timeout"?`},
		},
		"nothing near": {`{"type":"Limit","name":"a","spec":{"zzzzzz":1}}`, []string{`spec.zzzzzz: unknown field`}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := kind.Decode([]byte(c.doc))
			if err != nil && name != "at the root" {
				t.Fatal(err)
			}
			var texts []string
			for _, u := range got.Unknown {
				texts = append(texts, u.String())
			}
			if diff := cmp.Diff(c.want, texts); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDecodeDropsWhatItNames(t *testing.T) {
	got, err := kind.Decode([]byte(`{"type":"Limit","name":"a","spec":{"Timeout":"1s"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if s := got.Spec.(*limits); s.Timeout != "" {
		t.Errorf("a field named as unknown was read: %q", s.Timeout)
	}
	raw, err := got.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	want := `{"type":"Limit","mesh":"default","name":"a","creationTime":"0001-01-01T00:00:00Z","modificationTime":"0001-01-01T00:00:00Z","kri":"kri_l_default___a_","spec":{}}`
	if string(raw) != want {
		t.Errorf("got  %s\nwant %s", raw, want)
	}
}

func TestDocuments(t *testing.T) {
	docs, err := resource.Documents("f.yaml", []byte("# nothing\n---\ntype: Limit\nspec:\n  to:\n  - idleTimeout: 1s\n  - idleTimeoutt: 2s\n---\n{\"type\":\"Limit\"}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if len(docs) != 2 {
		t.Fatalf("%d documents, want 2", len(docs))
	}
	for path, want := range map[string]int{"spec.to[1].idleTimeoutt": 7, "spec.to[0].missing": 6, "spec.from": 4, "name": 3} {
		if got := docs[0].LineOf(path); got != want {
			t.Errorf("line of %s is %d, want %d", path, got, want)
		}
	}
	if docs[1].Line != 9 {
		t.Errorf("the second document is at line %d, want 9", docs[1].Line)
	}
}

func TestDocumentsRefuse(t *testing.T) {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for i := 1; i < 9; i++ {
		bomb += string(rune('a'+i)) + ": &" + string(rune('a'+i)) + " [" + strings.Repeat("*"+string(rune('a'+i-1))+",", 9) + "]\n"
	}
	for name, c := range map[string]struct{ doc, want string }{
		"an alias bomb":   {bomb, "more than 10000 values"},
		"deep nesting":    {strings.Repeat("[", 100) + strings.Repeat("]", 100), "deeper than 64 levels"},
		"a key twice":     {"a: 1\nb: 2\na: 3\n", `line 3: key "a" is given twice`},
		"broken YAML":     {"a: [1\n", "f.yaml"},
		"a key of a list": {"[a, b]: 1\n", "a key must be a word"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := resource.Documents("f.yaml", []byte(c.doc))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q in it", err, c.want)
			}
			if problem.CodeOf(err) != problem.Invalid {
				t.Error("the code is not Invalid")
			}
		})
	}
}

func FuzzDocuments(f *testing.F) {
	f.Add([]byte("type: Limit\nspec: {to: [{idleTimeout: 1s}]}\n"))
	f.Add([]byte("a: &a {b: 1}\nc:\n  <<: *a\n  d: [*a]\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		docs, err := resource.Documents("f.yaml", raw)
		if err != nil {
			return
		}
		for _, d := range docs {
			if got, err := kind.Decode(d.JSON); err == nil {
				if _, err := got.MarshalJSON(); err != nil {
					t.Errorf("decoded but not encoded: %v", err)
				}
			}
		}
	})
}
