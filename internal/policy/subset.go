package policy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kumactl/kumactl/internal/resource"
)

// maxTags bounds how many tags of entries that overlap are combined: each doubles the number of rules.
const maxTags = 12

// Tag is one tag of a Subset. With Not, everything is meant that does not have the value.
type Tag struct {
	Key   string
	Value string
	Not   bool
}

// Subset means all proxies or destinations that have these tags; an empty one means all.
type Subset []Tag

// SubsetRule is the configuration of what is in a subset and in none of the rules before it.
type SubsetRule[C any] struct {
	Subset Subset
	Conf   C
	// Origins in ascending precedence.
	Origins []Origin
}

// Contains says whether something with these tags is in the subset.
func (s Subset) Contains(tags map[string]string) bool {
	for _, t := range s {
		got, ok := tags[t.Key]
		if same := ok && got == t.Value; same == t.Not {
			return false
		}
	}
	return true
}

// covers says whether everything in o is in s.
func (s Subset) covers(o Subset) bool {
	for _, t := range s {
		found := false
		for _, u := range o {
			if u.Key != t.Key {
				continue
			}
			found = true
			if !t.covers(u) {
				return false
			}
		}
		if !found {
			return false
		}
	}
	return true
}

func (t Tag) covers(u Tag) bool {
	switch {
	case t.Not == u.Not:
		return t.Value == u.Value
	case t.Not:
		return t.Value != u.Value
	}
	return false
}

// overlaps says whether something can be in both. Only for subsets without Not.
func (s Subset) overlaps(o Subset) bool {
	for _, t := range s {
		for _, u := range o {
			if t.Key == u.Key && t.Value != u.Value {
				return false
			}
		}
	}
	return true
}

func (s Subset) positive() int {
	n := 0
	for _, t := range s {
		if !t.Not {
			n++
		}
	}
	return n
}

// subsetOf turns a reference into tags; false when it is not about tags.
func subsetOf(t *TargetRef) (Subset, bool) {
	var s Subset
	switch t.Kind {
	case RefMesh, RefMeshSubset:
	case RefMeshService, RefMeshServiceSubset:
		s = Subset{{Key: resource.TagService, Value: t.Name}}
	default:
		return nil, false
	}
	if t.Kind == RefMeshSubset || t.Kind == RefMeshServiceSubset {
		for _, k := range slices.Sorted(maps.Keys(t.Tags)) {
			s = append(s, Tag{Key: k, Value: t.Tags[k]})
		}
	}
	return s, true
}

// tagged is an entry with the subset that it is about.
type tagged[C any] struct {
	entryOf[C]
	subset Subset
}

// subsetRules gives a rule for each combination of tags in which the configuration may differ, the most specific first. Entries
// that are not about tags are left out. Without negations, as for destinations, which have one service each, the distinct
// subsets are enough as long as they use one key.
func subsetRules[C any](entries []entryOf[C], negations bool) ([]SubsetRule[C], error) {
	var items []tagged[C]
	keys := map[string]bool{}
	for _, e := range entries {
		s, ok := subsetOf(&e.Target)
		if !ok {
			continue
		}
		items = append(items, tagged[C]{e, s})
		for _, t := range s {
			keys[t.Key] = true
		}
	}
	var subsets []Subset
	if !negations && len(keys) <= 1 {
		for _, i := range items {
			if !slices.ContainsFunc(subsets, func(s Subset) bool { return slices.Equal(s, i.subset) }) {
				subsets = append(subsets, i.subset)
			}
		}
	} else {
		for _, clique := range cliques(items) {
			tags := tagsOf(items, clique)
			if len(tags) > maxTags {
				return nil, fmt.Errorf("entries that overlap name %d different tags, at most %d can be combined: %s", len(tags), maxTags, text(tags))
			}
			subsets = append(subsets, combinations(tags)...)
		}
	}
	var rules []SubsetRule[C]
	for _, s := range subsets {
		more, err := rulesFor(s, items)
		if err != nil {
			return nil, err
		}
		rules = append(rules, more...)
	}
	// All entries about something overlap, so they are in one group, and the rule that has them all is the one with the most:
	// it has to come before those of other groups, which know only some of them.
	slices.SortStableFunc(rules, func(a, b SubsetRule[C]) int {
		return cmp.Or(cmp.Compare(len(b.Origins), len(a.Origins)), cmp.Compare(b.Subset.positive(), a.Subset.positive()))
	})
	return rules, nil
}

// rulesFor merges all entries that are about everything in the subset.
func rulesFor[C any](s Subset, items []tagged[C]) ([]SubsetRule[C], error) {
	var confs []C
	var origins []Origin
	for _, i := range items {
		if i.subset.covers(s) {
			confs = append(confs, i.Default)
			origins = append(origins, i.origin())
		}
	}
	merged, err := Merge(confs)
	if err != nil {
		return nil, err
	}
	rules := make([]SubsetRule[C], len(merged))
	for i, conf := range merged {
		rules[i] = SubsetRule[C]{s, conf, origins}
	}
	return rules, nil
}

// cliques are the largest groups of items whose subsets all overlap with each other (Bron and Kerbosch's search), as indexes in
// ascending order. Items with the same subset are one node of the search.
func cliques[C any](items []tagged[C]) [][]int {
	var nodes [][]int // items of each node
	for i := range items {
		at := slices.IndexFunc(nodes, func(n []int) bool { return slices.Equal(items[n[0]].subset, items[i].subset) })
		if at < 0 {
			nodes = append(nodes, nil)
			at = len(nodes) - 1
		}
		nodes[at] = append(nodes[at], i)
	}
	adjacent := func(a, b int) bool { return a != b && items[nodes[a][0]].subset.overlaps(items[nodes[b][0]].subset) }
	var found [][]int
	var search func(chosen, open, done []int)
	search = func(chosen, open, done []int) {
		if len(open) == 0 {
			if len(done) == 0 && len(chosen) > 0 {
				found = append(found, slices.Clone(chosen))
			}
			return
		}
		pivot := open[0]
		for _, v := range slices.Clone(open) {
			if adjacent(pivot, v) {
				continue
			}
			neighbour := func(u int) bool { return adjacent(v, u) }
			search(append(slices.Clone(chosen), v), filter(open, neighbour), filter(done, neighbour))
			open = filter(open, func(u int) bool { return u != v })
			done = append(done, v)
		}
	}
	all := make([]int, len(nodes))
	for i := range all {
		all[i] = i
	}
	search(nil, all, nil)
	for i, group := range found {
		var members []int
		for _, n := range group {
			members = append(members, nodes[n]...)
		}
		slices.Sort(members)
		found[i] = members
	}
	// The order is the peers': by the members' numbers as text, descending.
	slices.SortFunc(found, func(a, b []int) int { return strings.Compare(numbers(b), numbers(a)) })
	return found
}

func filter(list []int, keep func(int) bool) []int {
	var kept []int
	for _, v := range list {
		if keep(v) {
			kept = append(kept, v)
		}
	}
	return kept
}

func numbers(list []int) string {
	return strings.ReplaceAll(strings.Trim(fmt.Sprint(list), "[]"), " ", ":")
}

func tagsOf[C any](items []tagged[C], group []int) []Tag {
	var tags []Tag
	for _, i := range group {
		tags = append(tags, items[i].subset...)
	}
	slices.SortFunc(tags, func(a, b Tag) int { return cmp.Or(strings.Compare(a.Key, b.Key), strings.Compare(a.Value, b.Value)) })
	return slices.Compact(tags)
}

// combinations are all ways of having or not having each tag that do not contradict themselves, the one with all tags last.
func combinations(tags []Tag) []Subset {
	var all []Subset
	for n := 1; n <= 1<<len(tags); n++ {
		if s, ok := combination(tags, n&(1<<len(tags)-1)); ok {
			all = append(all, s)
		}
	}
	return all
}

// combination negates the tags whose bit is set. A value that is had makes the other values of its key superfluous.
func combination(tags []Tag, negated int) (Subset, bool) {
	s := Subset{}
	for i := 0; i < len(tags); {
		end := i
		had := -1
		for ; end < len(tags) && tags[end].Key == tags[i].Key; end++ {
			if negated&(1<<end) != 0 {
				continue
			}
			if had >= 0 {
				return nil, false
			}
			had = end
		}
		if had >= 0 {
			s = append(s, tags[had])
		} else {
			for _, t := range tags[i:end] {
				s = append(s, Tag{t.Key, t.Value, true})
			}
		}
		i = end
	}
	return s, true
}

func text(tags []Tag) string {
	words := make([]string, len(tags))
	for i, t := range tags {
		words[i] = t.Key + "=" + t.Value
	}
	return strings.Join(words, ", ")
}
