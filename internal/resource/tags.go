package resource

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kumactl/kumactl/internal/problem"
)

// TagRules say what a set of tags must be like, beyond the letters that names and values consist of.
type TagRules struct {
	// NotEmpty asks for at least one tag, Service for kuma.io/service.
	NotEmpty, Service bool
	// Selector values select instead of describing: they may have slashes, or be "*".
	Selector bool
	// More checks the set as a whole, with paths below it.
	More func(tags map[string]string) problem.Violations
}

// CheckTags says what is wrong with a set of tags, with paths below it: `["version"]`.
func CheckTags(tags map[string]string, rules TagRules) (v problem.Violations) {
	if rules.NotEmpty && len(tags) == 0 {
		v.Add("", "must have at least one tag")
	}
	if rules.More != nil {
		v = append(v, rules.More(tags)...)
	}
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		at, value := TagPath(name), tags[name]
		if name == "" {
			v.Add("", "tag name must be non-empty")
		}
		if !tagLetters(name, ".-_:/") {
			v.Add(at, "tag name must consist of alphanumeric characters, dots, dashes, slashes and underscores")
		}
		if value == "" {
			v.Add(at, "tag value must be non-empty")
		}
		switch {
		case rules.Selector && value != "*" && !tagLetters(value, ".-_:/"):
			v.Add(at, `tag value must consist of alphanumeric characters, dots, dashes, slashes and underscores or be "*"`)
		case !rules.Selector && !tagLetters(value, ".-_:"):
			v.Add(at, "tag value must consist of alphanumeric characters, dots, dashes and underscores")
		}
	}
	if _, ok := tags[TagService]; rules.Service && !ok {
		v.Add("", "mandatory tag %q is missing", TagService)
	}
	return v
}

// TagPath is the path of one tag below its set.
func TagPath(name string) string { return fmt.Sprintf("[%q]", name) }

func tagLetters(s, more string) bool {
	for i := range len(s) {
		if c := s[i]; !lower(c) && !upper(c) && !digit(c) && strings.IndexByte(more, c) < 0 {
			return false
		}
	}
	return true
}
