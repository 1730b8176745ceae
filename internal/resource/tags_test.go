package resource_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
)

func TestCheckTags(t *testing.T) {
	type tags = map[string]string
	const value = "tag value must consist of alphanumeric characters, dots, dashes and underscores"
	for name, c := range map[string]struct {
		tags  tags
		rules resource.TagRules
		want  []string
	}{
		"none":            {nil, resource.TagRules{}, nil},
		"good":            {tags{"kuma.io/service": "a", "A_b:c/d": "A-1.b_c:80"}, resource.TagRules{Service: true, NotEmpty: true}, nil},
		"at least one":    {nil, resource.TagRules{NotEmpty: true}, []string{"|must have at least one tag"}},
		"service":         {tags{"a": "b"}, resource.TagRules{Service: true}, []string{`|mandatory tag "kuma.io/service" is missing`}},
		"letters":         {tags{"": "", "a b": "c/d"}, resource.TagRules{}, []string{"|tag name must be non-empty", `[""]|tag value must be non-empty`, `["a b"]|tag name must consist of alphanumeric characters, dots, dashes, slashes and underscores`, `["a b"]|` + value}},
		"star":            {tags{"a": "*"}, resource.TagRules{}, []string{`["a"]|` + value}},
		"selector":        {tags{"a": "*", "b": "c/d"}, resource.TagRules{Selector: true}, nil},
		"selector, wrong": {tags{"a": "**"}, resource.TagRules{Selector: true}, []string{`["a"]|tag value must consist of alphanumeric characters, dots, dashes, slashes and underscores or be "*"`}},
		"more": {tags{"a": ""}, resource.TagRules{More: func(got map[string]string) (v problem.Violations) {
			v.Add(resource.TagPath("x"), "has %d", len(got))
			return v
		}}, []string{`["x"]|has 1`, `["a"]|tag value must be non-empty`}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, texts(resource.CheckTags(c.tags, c.rules))); diff != "" {
				t.Error(diff)
			}
		})
	}
}
