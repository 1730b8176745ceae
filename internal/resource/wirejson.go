package resource

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/kumactl/kumactl/internal/problem"
)

// FormError is the cause when a document cannot be read as its kind. Its text belongs to the wire; Path says where, and is
// empty when the whole document is meant.
type FormError struct {
	Path string
	Err  error
}

// Error is the text that clients of the HTTP API know.
func (e *FormError) Error() string { return e.Err.Error() }

// Unwrap gives the decoder's own error.
func (e *FormError) Unwrap() error { return e.Err }

// ReadMessage reads protobuf's JSON as the peers do, which is laxer than protojson: durations as Go writes them, null for the
// zero value in lists and maps, the fields that m does not have left out. The errors are *FormError.
func ReadMessage(raw []byte, m proto.Message) error {
	return readMessage(m.ProtoReflect(), raw, "")
}

// ReadStruct reads a free-form part of a message (`conf`) into the message that its type asks for; nil reads as empty.
func ReadStruct(s *structpb.Struct, m proto.Message) error {
	if s == nil {
		return nil
	}
	raw, err := protojson.Marshal(s)
	if err != nil {
		return err
	}
	return ReadMessage(raw, m)
}

// WriteStruct is the reverse of ReadStruct.
func WriteStruct(m proto.Message) (*structpb.Struct, error) {
	raw, err := protojson.Marshal(m)
	if err != nil {
		return nil, err
	}
	s := &structpb.Struct{}
	return s, protojson.Unmarshal(raw, s)
}

func readMessage(m protoreflect.Message, raw []byte, path string) error {
	if string(raw) == "null" {
		return nil
	}
	if full, ok := strings.CutPrefix(string(m.Descriptor().FullName()), "google.protobuf."); ok {
		return readWellKnown(m, full, raw, path)
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(raw, &object); err != nil {
		return &FormError{path, err}
	}
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		part, ok := object[fd.JSONName()]
		if !ok {
			part, ok = object[string(fd.Name())]
		}
		if !ok || string(part) == "null" {
			continue
		}
		value, err := readField(m.NewField(fd), fd, part, problem.Join(path, fd.JSONName()))
		if err != nil {
			return err
		}
		m.Set(fd, value)
	}
	return nil
}

func readField(empty protoreflect.Value, fd protoreflect.FieldDescriptor, raw []byte, path string) (protoreflect.Value, error) {
	switch {
	case fd.IsList():
		var parts []json.RawMessage
		if err := json.Unmarshal(raw, &parts); err != nil {
			return empty, &FormError{path, err}
		}
		list := empty.List()
		for i, part := range parts {
			v, err := readOne(list.NewElement(), fd, part, fmt.Sprintf("%s[%d]", path, i))
			if err != nil {
				return empty, err
			}
			list.Append(v)
		}
		return empty, nil
	case fd.IsMap():
		var parts map[string]json.RawMessage
		if err := json.Unmarshal(raw, &parts); err != nil {
			return empty, &FormError{path, err}
		}
		all := empty.Map()
		for key, part := range parts {
			v, err := readOne(all.NewValue(), fd.MapValue(), part, problem.Join(path, key))
			if err != nil {
				return empty, err
			}
			// All maps of the wire have text as keys.
			all.Set(protoreflect.ValueOfString(key).MapKey(), v)
		}
		return empty, nil
	}
	return readOne(empty, fd, raw, path)
}

func readOne(empty protoreflect.Value, fd protoreflect.FieldDescriptor, raw []byte, path string) (protoreflect.Value, error) {
	v, err := empty, error(nil)
	switch fd.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return v, readMessage(v.Message(), raw, path)
	case protoreflect.EnumKind:
		v, err = readEnum(fd, raw)
	case protoreflect.BoolKind:
		v, err = scalar[bool](raw)
	case protoreflect.StringKind:
		v, err = scalar[string](raw)
	case protoreflect.BytesKind:
		v, err = scalar[[]byte](raw)
	case protoreflect.FloatKind:
		v, err = scalar[float32](unquoted(raw))
	case protoreflect.DoubleKind:
		v, err = scalar[float64](unquoted(raw))
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		v, err = scalar[int64](unquoted(raw))
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		v, err = scalar[uint64](unquoted(raw))
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		v, err = scalar[uint32](unquoted(raw))
	default:
		v, err = scalar[int32](unquoted(raw))
	}
	if err != nil {
		return v, &FormError{path, err}
	}
	return v, nil
}

// scalar reads one value; the texts of encoding/json, Go types included, are what clients know.
func scalar[T any](raw []byte) (protoreflect.Value, error) {
	var v T
	if err := json.Unmarshal(raw, &v); err != nil {
		return protoreflect.Value{}, err
	}
	return protoreflect.ValueOf(v), nil
}

// unquoted takes the quotes from a number that came as text.
func unquoted(raw []byte) []byte {
	if n := len(raw); n >= 2 && raw[0] == '"' && raw[n-1] == '"' {
		return raw[1 : n-1]
	}
	return raw
}

func readEnum(fd protoreflect.FieldDescriptor, raw []byte) (protoreflect.Value, error) {
	if len(raw) == 0 || raw[0] != '"' {
		return scalar[protoreflect.EnumNumber](raw)
	}
	if value := fd.Enum().Values().ByName(protoreflect.Name(unquoted(raw))); value != nil {
		return protoreflect.ValueOfEnum(value.Number()), nil
	}
	return protoreflect.Value{}, fmt.Errorf("unknown value %q for enum %s", raw, fd.Enum().FullName())
}

// readWellKnown reads the types that protobuf itself defines, which have a JSON form of their own.
func readWellKnown(m protoreflect.Message, name string, raw []byte, path string) error {
	var err error
	fields := m.Descriptor().Fields()
	switch name {
	case "Struct":
		var object map[string]any
		if err = json.Unmarshal(raw, &object); err != nil {
			return &FormError{path, fmt.Errorf("bad StructValue: %w", err)}
		}
		err = protojson.Unmarshal(raw, m.Interface())
	case "Duration", "Timestamp":
		var text string
		if err = json.Unmarshal(raw, &text); err != nil {
			break
		}
		var seconds, nanos int64
		if seconds, nanos, err = readTime(name, text); err == nil {
			m.Set(fields.ByName("seconds"), protoreflect.ValueOfInt64(seconds))
			m.Set(fields.ByName("nanos"), protoreflect.ValueOfInt32(int32(nanos)))
		}
	case "Empty":
	default:
		// Wrappers have one field, and its JSON.
		fd := fields.ByNumber(1)
		v, err := readField(m.NewField(fd), fd, raw, path)
		if err != nil {
			return err
		}
		m.Set(fd, v)
	}
	if err != nil {
		return &FormError{path, err}
	}
	return nil
}

func readTime(name, text string) (seconds, nanos int64, err error) {
	if name == "Duration" {
		d, err := time.ParseDuration(text)
		if err != nil {
			return 0, 0, fmt.Errorf("bad Duration: %w", err)
		}
		return int64(d / time.Second), int64(d % time.Second), nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return 0, 0, fmt.Errorf("bad Timestamp: %w", err)
	}
	return t.Unix(), int64(t.Nanosecond()), nil
}
