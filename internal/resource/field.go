package resource

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// FieldType is the shape of one field in JSON.
type FieldType string

// The shapes. Any takes whatever it is given (a protobuf Struct, raw JSON, a type with its own decoder).
const (
	TypeString  FieldType = "string"
	TypeNumber  FieldType = "number"
	TypeInteger FieldType = "integer"
	TypeBoolean FieldType = "boolean"
	TypeObject  FieldType = "object"
	TypeMap     FieldType = "map"
	TypeArray   FieldType = "array"
	TypeAny     FieldType = "any"
)

// Field is one node of a specification's tree of fields: the base of strict decoding, `explain` and JSON Schema.
type Field struct {
	Name string
	Type FieldType
	// Alias is a second spelling that is read too (protobuf's own name); may be empty.
	Alias string
	// Enum holds the words that the field takes; empty for all.
	Enum []string
	// Required fields of an object cannot be left out.
	Required bool
	// Fields of an object, in the order of the type.
	Fields []*Field
	// Element of an array or map.
	Element *Field
}

// Child finds a field of an object by its name in JSON, or nil.
func (f *Field) Child(name string) *Field {
	for _, c := range f.Fields {
		if c.Name == name || (c.Alias != "" && c.Alias == name) {
			return c
		}
	}
	return nil
}

// maxFieldDepth ends trees of messages that contain themselves.
const maxFieldDepth = 16

func protoFields(d protoreflect.MessageDescriptor, depth int) *Field {
	f := &Field{Type: TypeObject}
	if full := string(d.FullName()); strings.HasPrefix(full, "google.protobuf.") {
		f.Type = wellKnown(full)
		return f
	}
	if depth == maxFieldDepth {
		f.Type = TypeAny
		return f
	}
	list := d.Fields()
	for i := range list.Len() {
		fd := list.Get(i)
		child := protoField(fd, depth)
		child.Name = fd.JSONName()
		if name := string(fd.Name()); name != child.Name {
			child.Alias = name
		}
		f.Fields = append(f.Fields, child)
	}
	return f
}

func protoField(fd protoreflect.FieldDescriptor, depth int) *Field {
	switch {
	case fd.IsMap():
		return &Field{Type: TypeMap, Element: protoValue(fd.MapValue(), depth)}
	case fd.IsList():
		return &Field{Type: TypeArray, Element: protoValue(fd, depth)}
	}
	return protoValue(fd, depth)
}

func protoValue(fd protoreflect.FieldDescriptor, depth int) *Field {
	switch fd.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return protoFields(fd.Message(), depth+1)
	case protoreflect.BoolKind:
		return &Field{Type: TypeBoolean}
	case protoreflect.StringKind, protoreflect.BytesKind:
		return &Field{Type: TypeString}
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return &Field{Type: TypeNumber}
	case protoreflect.EnumKind:
		f := &Field{Type: TypeString}
		for i := range fd.Enum().Values().Len() {
			f.Enum = append(f.Enum, string(fd.Enum().Values().Get(i).Name()))
		}
		return f
	}
	return &Field{Type: TypeInteger}
}

func wellKnown(full string) FieldType {
	switch strings.TrimPrefix(full, "google.protobuf.") {
	case "Duration", "Timestamp", "StringValue", "BytesValue":
		return TypeString
	case "BoolValue":
		return TypeBoolean
	case "DoubleValue", "FloatValue":
		return TypeNumber
	case "UInt32Value", "UInt64Value", "Int32Value", "Int64Value":
		return TypeInteger
	}
	return TypeAny
}

func structFields[S any]() *Field { return goFields(reflect.TypeFor[S](), 0) }

// Shaped types say themselves which shape their JSON has; other types with a decoder of their own count as TypeAny.
type Shaped interface{ Shape() FieldType }

func goFields(t reflect.Type, depth int) *Field {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if s, ok := reflect.Zero(t).Interface().(Shaped); ok {
		return &Field{Type: s.Shape()}
	}
	custom := reflect.TypeFor[json.Unmarshaler]()
	if depth == maxFieldDepth || t.Implements(custom) || reflect.PointerTo(t).Implements(custom) {
		return &Field{Type: TypeAny}
	}
	switch t.Kind() {
	case reflect.Struct:
		f := &Field{Type: TypeObject}
		addGoFields(f, t, depth)
		return f
	case reflect.Map:
		return &Field{Type: TypeMap, Element: goFields(t.Elem(), depth+1)}
	case reflect.Slice, reflect.Array:
		return &Field{Type: TypeArray, Element: goFields(t.Elem(), depth+1)}
	case reflect.String:
		return &Field{Type: TypeString}
	case reflect.Bool:
		return &Field{Type: TypeBoolean}
	case reflect.Float32, reflect.Float64:
		return &Field{Type: TypeNumber}
	case reflect.Interface:
		return &Field{Type: TypeAny}
	}
	return &Field{Type: TypeInteger}
}

func addGoFields(f *Field, t reflect.Type, depth int) {
	for i := range t.NumField() {
		sf := t.Field(i)
		name, opts, _ := strings.Cut(sf.Tag.Get("json"), ",")
		if !sf.IsExported() || name == "-" {
			continue
		}
		if sf.Anonymous && name == "" || slices.Contains(strings.Split(opts, ","), "inline") {
			addGoFields(f, sf.Type, depth)
			continue
		}
		if name == "" {
			name = sf.Name
		}
		child := goFields(sf.Type, depth+1)
		child.Name = name
		child.mark(sf.Tag.Get("schema"))
		f.Fields = append(f.Fields, child)
	}
}
