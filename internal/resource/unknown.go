package resource

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"

	"github.com/kumactl/kumactl/internal/problem"
)

// Unknown is a field of a document that its kind does not have.
type Unknown struct {
	// Path from the root of the document: `spec.to[0].default.idleTimeoutt`.
	Path string
	// Suggestion is the nearest field that does exist there; may be empty.
	Suggestion string
}

// String tells a person about it.
func (u Unknown) String() string {
	if u.Suggestion == "" {
		return fmt.Sprintf("%s: unknown field", u.Path)
	}
	return fmt.Sprintf("%s: unknown field, did you mean %q?", u.Path, u.Suggestion)
}

// Violation turns it into a violation.
func (u Unknown) Violation() problem.Violation {
	message := "unknown field"
	if u.Suggestion != "" {
		message = fmt.Sprintf("unknown field, did you mean %q?", u.Suggestion)
	}
	return problem.Violation{Field: u.Path, Message: message}
}

// prune finds the fields that the kind does not have and gives the document without them; the same bytes when there are none.
func (k *Kind) prune(raw []byte) ([]Unknown, []byte, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var doc map[string]any
	if err := dec.Decode(&doc); err != nil {
		return nil, nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, nil, fmt.Errorf("more than one value in the document")
	}
	unknown := k.unknownAtRoot(doc)
	if len(unknown) == 0 {
		return nil, raw, nil
	}
	slices.SortFunc(unknown, func(a, b Unknown) int { return strings.Compare(a.Path, b.Path) })
	known, err := json.Marshal(doc)
	return unknown, known, err
}

func (k *Kind) unknownAtRoot(doc map[string]any) []Unknown {
	root := &Field{Type: TypeObject, Fields: slices.Clone(metaFields.Fields)}
	if k.Nested {
		spec := *k.Fields()
		spec.Name = "spec"
		root.Fields = append(root.Fields, &spec, &Field{Name: "status", Type: TypeAny})
	} else {
		root.Fields = append(root.Fields, k.Fields().Fields...)
	}
	var unknown []Unknown
	for name, value := range doc {
		child := root.Child(name)
		if child == nil {
			child = metaAnyCase(name)
		}
		if child == nil {
			unknown = append(unknown, Unknown{name, nearest(name, root.Fields)})
			delete(doc, name)
			continue
		}
		child.unknown(name, value, &unknown)
	}
	return unknown
}

func metaAnyCase(name string) *Field {
	for _, f := range metaFields.Fields {
		if strings.EqualFold(f.Name, name) {
			return f
		}
	}
	return nil
}

func (f *Field) unknown(path string, value any, found *[]Unknown) {
	switch v := value.(type) {
	case map[string]any:
		for name, inner := range v {
			at := problem.Join(path, name)
			switch f.Type {
			case TypeMap:
				f.Element.unknown(at, inner, found)
			case TypeObject:
				child := f.Child(name)
				if child == nil {
					*found = append(*found, Unknown{at, nearest(name, f.Fields)})
					delete(v, name)
					continue
				}
				child.unknown(at, inner, found)
			}
		}
	case []any:
		if f.Type == TypeArray {
			for i, inner := range v {
				f.Element.unknown(fmt.Sprintf("%s[%d]", path, i), inner, found)
			}
		}
	}
}

// nearest is the field whose name is closest, within a third of the length of what was typed.
func nearest(name string, among []*Field) string {
	best, bestAt := "", len(name)/3+2
	for _, f := range among {
		d := levenshtein.ComputeDistance(strings.ToLower(name), strings.ToLower(f.Name))
		if d < bestAt {
			best, bestAt = f.Name, d
		}
	}
	return best
}
