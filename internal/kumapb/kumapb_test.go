package kumapb_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/kumactl/kumactl/internal/kumapb"
)

var update = flag.Bool("update", false, "rewrite the list of field numbers")

// documents maps each file of testdata to the message that it is the JSON of.
var documents = map[string]proto.Message{
	"change":                 &kumapb.Change{},
	"config":                 &kumapb.Config{},
	"datadog":                &kumapb.DatadogTracingBackendConfig{},
	"dataplane":              &kumapb.Dataplane{},
	"dataplane-insight":      &kumapb.DataplaneInsight{},
	"dataplane-overview":     &kumapb.DataplaneOverview{},
	"file-logging":           &kumapb.FileLoggingBackendConfig{},
	"mesh":                   &kumapb.Mesh{},
	"mesh-gateway":           &kumapb.MeshGateway{},
	"mesh-gateway-route":     &kumapb.MeshGatewayRoute{},
	"mesh-gateway-route-tcp": &kumapb.MeshGatewayRoute{},
	"mesh-insight":           &kumapb.MeshInsight{},
	"mesh-overview":          &kumapb.MeshOverview{},
	"prometheus":             &kumapb.PrometheusMetricsBackendConfig{},
	"secret":                 &kumapb.Secret{},
	"service-insight":        &kumapb.ServiceInsight{},
	"tcp-logging":            &kumapb.TcpLoggingBackendConfig{},
	"traffic-permission":     &kumapb.TrafficPermission{},
	"zipkin":                 &kumapb.ZipkinTracingBackendConfig{},
	"zone":                   &kumapb.Zone{},
	"zone-egress":            &kumapb.ZoneEgress{},
	"zone-egress-overview":   &kumapb.ZoneEgressOverview{},
	"zone-ingress":           &kumapb.ZoneIngress{},
	"zone-ingress-overview":  &kumapb.ZoneIngressOverview{},
	"zone-overview":          &kumapb.ZoneOverview{},
}

// TestJSONSurvives reads each document strictly, and demands the same JSON back, through the
// binary form too.
func TestJSONSurvives(t *testing.T) {
	for name, prototype := range documents {
		t.Run(name, func(t *testing.T) {
			in := read(t, name)
			m := decode(t, prototype, in)

			wire, err := proto.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			back := prototype.ProtoReflect().New().Interface()
			if err := proto.Unmarshal(wire, back); err != nil {
				t.Fatal(err)
			}
			out, err := protojson.Marshal(back)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(plain(t, in), plain(t, out)); diff != "" {
				t.Errorf("JSON changed (-in +out):\n%s", diff)
			}
		})
	}
}

// TestUnknownFieldIsRefused guards what strict reading rests on: no message swallows a field.
func TestUnknownFieldIsRefused(t *testing.T) {
	for name, prototype := range documents {
		m := prototype.ProtoReflect().New().Interface()
		err := protojson.Unmarshal([]byte(`{"noSuchField":1}`), m)
		if err == nil || !strings.Contains(err.Error(), "noSuchField") {
			t.Errorf("%s: want an error that names noSuchField, got %v", name, err)
		}
	}
}

// TestDocumentsNameEveryField keeps testdata complete: a new field needs a line there, or its JSON
// name is tested by nobody.
func TestDocumentsNameEveryField(t *testing.T) {
	seen := map[protoreflect.FullName]bool{}
	for name, prototype := range documents {
		collect(decode(t, prototype, read(t, name)).ProtoReflect(), seen)
	}
	for _, f := range fields() {
		if !seen[f.FullName()] {
			t.Errorf("no document of testdata sets %s", f.FullName())
		}
	}
}

// TestNumbersAreFrozen compares all numbers with the recorded list: other programs, and files on
// disk, rely on them. Run with -update after adding a field; never after changing one.
func TestNumbersAreFrozen(t *testing.T) {
	var lines []string
	for _, f := range fields() {
		kind := f.Kind().String()
		switch {
		case f.IsMap():
			kind = "map"
		case f.Enum() != nil:
			kind = string(f.Enum().FullName())
		case f.Message() != nil:
			kind = string(f.Message().FullName())
		}
		lines = append(lines, fmt.Sprintf("%s = %d %s %s %s", f.FullName(), f.Number(), f.Cardinality(), kind, f.JSONName()))
		if e := f.Enum(); e != nil {
			for i := range e.Values().Len() {
				lines = append(lines, fmt.Sprintf("%s %s = %d", e.FullName(), e.Values().Get(i).Name(), e.Values().Get(i).Number()))
			}
		}
	}
	slices.Sort(lines)
	got := strings.Join(lines, "\n") + "\n"

	path := filepath.Join("testdata", "numbers.txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("fields differ from %s (-recorded +now):\n%s", path, diff)
	}
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func decode(t *testing.T, prototype proto.Message, in []byte) proto.Message {
	t.Helper()
	m := prototype.ProtoReflect().New().Interface()
	if err := protojson.Unmarshal(in, m); err != nil {
		t.Fatal(err)
	}
	return m
}

func plain(t *testing.T, in []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(in, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// fields lists the fields of all messages that this package registers, save the entries of maps.
func fields() []protoreflect.FieldDescriptor {
	var all []protoreflect.FieldDescriptor
	var walk func(protoreflect.MessageDescriptors)
	walk = func(messages protoreflect.MessageDescriptors) {
		for i := range messages.Len() {
			m := messages.Get(i)
			if m.IsMapEntry() {
				continue
			}
			for j := range m.Fields().Len() {
				all = append(all, m.Fields().Get(j))
			}
			walk(m.Messages())
		}
	}
	protoregistry.GlobalFiles.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		if strings.HasPrefix(f.Path(), "kumapb/") {
			walk(f.Messages())
		}
		return true
	})
	return all
}

// collect notes every field that m or a message inside of it sets.
func collect(m protoreflect.Message, seen map[protoreflect.FullName]bool) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		seen[f.FullName()] = true
		switch {
		case f.IsMap() && f.MapValue().Message() != nil:
			v.Map().Range(func(_ protoreflect.MapKey, e protoreflect.Value) bool {
				collect(e.Message(), seen)
				return true
			})
		case f.IsList() && f.Message() != nil:
			for i := range v.List().Len() {
				collect(v.List().Get(i).Message(), seen)
			}
		case !f.IsMap() && !f.IsList() && f.Message() != nil:
			collect(v.Message(), seen)
		}
		return true
	})
}
