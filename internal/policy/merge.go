package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// How a field of a configuration is merged when it is not replaced: the values of its tag `policyMerge`.
const (
	// mergeTag is the tag itself.
	mergeTag = "policyMerge"
	// mergeAppend: lists are put one after the other.
	mergeAppend = "append"
	// mergeByKey: lists of objects are put one after the other, and those with the same mergeKey field become one, at the
	// place of the last, their other fields merged.
	mergeByKey = "mergeByKey"
	mergeKey   = "mergeKey"
	// mergeValues: a list of strings that splits configurations: there is one result for each string, and one for none.
	mergeValues = "mergeValues"
)

// Merge puts configurations together, later over earlier, as JSON merge patches (RFC 7396) with the exceptions that C's tags
// name. A null does not remove: what a configuration does not say, it leaves to the others. There is one result, or one for
// each value of a mergeValues field; none without configurations.
func Merge[C any](confs []C) ([]C, error) {
	plan := planOf(reflect.TypeFor[C](), nil)
	switch {
	case len(confs) == 0:
		return nil, nil
	case len(confs) == 1 && plan.plain:
		return confs, nil
	}
	groups := newGroups(plan)
	for i := range confs {
		doc, err := toDocument(&confs[i])
		if err != nil {
			return nil, fmt.Errorf("configuration %d: %w", i, err)
		}
		groups.add(doc)
	}
	merged := make([]C, len(groups.order))
	for i, key := range groups.order {
		doc := map[string]any{}
		for _, patch := range groups.docs[key] {
			plan.merge(doc, patch)
		}
		if err := plan.collapse(doc); err != nil {
			return nil, err
		}
		raw, err := json.Marshal(doc)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(raw, &merged[i]); err != nil {
			return nil, fmt.Errorf("merged configuration: %w", err)
		}
	}
	return merged, nil
}

func toDocument(conf any) (map[string]any, error) {
	raw, err := json.Marshal(conf)
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var doc map[string]any
	return doc, dec.Decode(&doc)
}

// mergePlan is what the tags of a type say, by field name in JSON.
type mergePlan struct {
	how    map[string]string
	nested map[string]*mergePlan
	// key is the field that identifies an element of a list.
	key string
	// plain: one configuration alone stays as it is.
	plain bool
}

// planOf reads a type's tags. Types that contain themselves are not followed twice.
func planOf(t reflect.Type, above []reflect.Type) *mergePlan {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	p := &mergePlan{how: map[string]string{}, nested: map[string]*mergePlan{}, plain: true}
	if t.Kind() != reflect.Struct || slices.Contains(above, t) {
		return p
	}
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || name == "-" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		how := f.Tag.Get(mergeTag)
		if how == mergeKey {
			p.key = name
		}
		if how != "" {
			p.how[name] = how
		}
		p.nested[name] = planOf(f.Type, append(above, t))
		p.plain = p.plain && (how == "" || how == mergeAppend) && p.nested[name].plain
	}
	return p
}

// merge applies one patch.
func (p *mergePlan) merge(into, patch map[string]any) {
	for name, value := range patch {
		if value == nil {
			continue
		}
		had, there := into[name]
		object, isObject := value.(map[string]any)
		below, wasObject := had.(map[string]any)
		list, isList := value.([]any)
		earlier, wasList := had.([]any)
		how := ""
		next := &mergePlan{}
		if p != nil {
			how = p.how[name]
			if n := p.nested[name]; n != nil {
				next = n
			}
		}
		switch {
		case isObject && there && wasObject:
			next.merge(below, object)
		case isObject:
			fresh := map[string]any{}
			next.merge(fresh, object)
			into[name] = fresh
		case isList && wasList && (how == mergeAppend || how == mergeByKey):
			into[name] = append(slices.Clone(earlier), list...)
		default:
			into[name] = value
		}
	}
}

// collapse makes one of list elements that have the same key.
func (p *mergePlan) collapse(doc map[string]any) error {
	for name, value := range doc {
		switch v := value.(type) {
		case map[string]any:
			if n := p.nested[name]; n != nil {
				if err := n.collapse(v); err != nil {
					return err
				}
			}
		case []any:
			if p.how[name] == mergeByKey {
				one, err := p.nested[name].collapseList(v)
				if err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
				doc[name] = one
			}
		}
	}
	return nil
}

func (p *mergePlan) collapseList(list []any) ([]any, error) {
	type slot struct {
		key string
		doc map[string]any
	}
	var slots []slot
	for _, element := range list {
		doc, ok := element.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("an element is not an object")
		}
		raw, err := json.Marshal(doc[p.key])
		if err != nil {
			return nil, err
		}
		merged := map[string]any{}
		at := slices.IndexFunc(slots, func(s slot) bool { return s.key == string(raw) })
		if at >= 0 {
			merged = slots[at].doc
			slots = slices.Delete(slots, at, at+1)
		}
		p.merge(merged, doc)
		slots = append(slots, slot{string(raw), merged})
	}
	one := make([]any, len(slots))
	for i, s := range slots {
		one[i] = s.doc
	}
	return one, nil
}

// groups keeps configurations apart that are about different values of a mergeValues field.
type groups struct {
	field string
	order []string
	docs  map[string][]map[string]any
}

func newGroups(p *mergePlan) *groups {
	g := &groups{docs: map[string][]map[string]any{}}
	for name, how := range p.how {
		if how == mergeValues {
			g.field = name
		}
	}
	return g
}

func (g *groups) add(doc map[string]any) {
	values, _ := doc[g.field].([]any)
	if g.field == "" || len(values) == 0 {
		g.put("", doc)
		return
	}
	for _, v := range values {
		one := make(map[string]any, len(doc))
		for name, value := range doc {
			one[name] = value
		}
		one[g.field] = []any{v}
		g.put(fmt.Sprint(v), one)
	}
}

func (g *groups) put(key string, doc map[string]any) {
	if _, there := g.docs[key]; !there {
		g.order = append(g.order, key)
	}
	g.docs[key] = append(g.docs[key], doc)
}
