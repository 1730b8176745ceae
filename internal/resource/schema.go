package resource

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/kumactl/kumactl/internal/problem"
)

// notValid is the detail of all errors that come with violations.
const notValid = "Resource is not valid" // wire: clients know it

// Refused makes the error of a resource with violations; its title is the caller's.
func Refused(v problem.Violations) *problem.Error {
	return &problem.Error{Code: problem.Invalid, Detail: notValid, Violations: v}
}

// mark takes over what a field's schema tag says, options with commas between: `required`, `enum=a|b` for the words that a
// text takes, `items=a|b` for those of a list's elements.
func (f *Field) mark(tag string) {
	for option := range strings.SplitSeq(tag, ",") {
		name, value, _ := strings.Cut(option, "=")
		switch name {
		case "required":
			f.Required = true
		case "enum":
			f.Enum = strings.Split(value, "|")
		case "items":
			f.Element.Enum = strings.Split(value, "|")
		}
	}
}

// schemaViolations holds a document of a nested kind against the tree of its fields. The texts are those of go-openapi, which
// the peers use. Fields that the kind does not have are no violation here.
func (k *Kind) schemaViolations(raw []byte) (problem.Violations, error) {
	var whole json.RawMessage
	// The whole text first: its errors come before those of the form.
	if err := json.Unmarshal(raw, &whole); err != nil {
		return nil, err
	}
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.UseNumber()
	var doc map[string]any
	if err := dec.Decode(&doc); err != nil {
		return nil, err
	}
	spec := *k.Fields()
	spec.Name, spec.Required = "spec", true
	root := &Field{Type: TypeObject, Fields: []*Field{
		{Name: "type", Type: TypeString, Required: true, Enum: []string{k.Name}},
		{Name: "name", Type: TypeString, Required: true},
		{Name: "mesh", Type: TypeString},
		{Name: "labels", Type: TypeMap, Element: &Field{Type: TypeString}},
		&spec,
	}}
	var c schemaCheck
	for _, f := range root.Fields {
		value, ok := doc[f.Name]
		switch {
		case ok:
			c.value(f, f.Name, value)
		case f.Required:
			c.add("."+f.Name, "is required")
		}
	}
	return c.found, nil
}

type schemaCheck struct{ found problem.Violations }

// add notes a violation. Only paths below `spec` become fields, others stay in the text.
func (c *schemaCheck) add(path, format string, args ...any) {
	text := "in body " + fmt.Sprintf(format, args...)
	if strings.HasPrefix(path, "spec.") {
		c.found.Add(path, "%s", text)
		return
	}
	c.found.Add("", "%s %s", path, text)
}

func (c *schemaCheck) value(f *Field, path string, v any) {
	if want, got := f.shape(), shapeOf(v); f.Type != TypeAny && !fits(want, got, v) {
		c.add(path, "must be of type %s: %q", want, got)
		if len(f.Enum) == 0 {
			return
		}
	}
	switch v := v.(type) {
	case map[string]any:
		c.object(f, path, v)
	case []any:
		for i, element := range v {
			if f.Type == TypeArray {
				c.value(f.Element, fmt.Sprintf("%s[%d]", path, i), element)
			}
		}
	default:
		word, _ := v.(string)
		if len(f.Enum) > 0 && !slices.Contains(f.Enum, word) {
			c.add(path, "should be one of [%s]", strings.Join(f.Enum, " "))
		}
	}
}

func (c *schemaCheck) object(f *Field, path string, v map[string]any) {
	if f.Type == TypeMap {
		for _, key := range slices.Sorted(maps.Keys(v)) {
			c.value(f.Element, problem.Join(path, key), v[key])
		}
		return
	}
	for _, field := range f.Fields {
		value, ok := v[field.Name]
		at := problem.Join(path, field.Name)
		switch {
		case ok:
			c.value(field, at, value)
		case field.Required:
			c.add(at, "is required")
		}
	}
}

// shape is the field's type in the words of JSON schema.
func (f *Field) shape() FieldType {
	if f.Type == TypeMap {
		return TypeObject
	}
	return f.Type
}

func shapeOf(v any) FieldType {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return TypeBoolean
	case json.Number:
		return TypeNumber
	case string:
		return TypeString
	case []any:
		return TypeArray
	}
	return TypeObject
}

func fits(want, got FieldType, v any) bool {
	if want != TypeInteger || got != TypeNumber {
		return want == got
	}
	n, err := v.(json.Number).Float64()
	return err == nil && n == math.Trunc(n)
}
