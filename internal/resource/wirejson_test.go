package resource_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/kumactl/kumactl/internal/kumapb"
	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
)

var protoKind = resource.OfProto(resource.Kind{Name: "Dataplane", Path: "dataplanes"},
	func() *kumapb.Dataplane { return &kumapb.Dataplane{} }, resource.Rules[*kumapb.Dataplane]{})

// TestReadMessage: the left is what a person may write, the right the strict form of the same.
func TestReadMessage(t *testing.T) {
	for name, c := range map[string]struct{ lax, strict string }{
		"numbers in quotes":     {`{"networking":{"inbound":[{"port":"80"}]}}`, `{"networking":{"inbound":[{"port":80}]}}`},
		"enumeration by number": {`{"networking":{"gateway":{"type":1}}}`, `{"networking":{"gateway":{"type":"BUILTIN"}}}`},
		"Go's durations":        {`{"networking":{"inbound":[{"serviceProbe":{"interval":"1m30.5s"}}]}}`, `{"networking":{"inbound":[{"serviceProbe":{"interval":"90.5s"}}]}}`},
		"negative durations":    {`{"networking":{"inbound":[{"serviceProbe":{"interval":"-500ms"}}]}}`, `{"networking":{"inbound":[{"serviceProbe":{"interval":"-0.5s"}}]}}`},
		"null in a map":         {`{"networking":{"gateway":{"tags":{"a":null}}}}`, `{"networking":{"gateway":{"tags":{"a":""}}}}`},
		"null in a list":        {`{"networking":{"inbound":[null]}}`, `{"networking":{"inbound":[{}]}}`},
		"null for a message":    {`{"networking":null}`, `{}`},
		"wrappers":              {`{"networking":{"inbound":[{"serviceProbe":{"healthyThreshold":"3"}}]}}`, `{"networking":{"inbound":[{"serviceProbe":{"healthyThreshold":3}}]}}`},
		"free form":             {`{"metrics":{"conf":{"a":[1,"x",null,{"b":true}]}}}`, `{"metrics":{"conf":{"a":[1,"x",null,{"b":true}]}}}`},
		"protobuf's own names":  {`{"networking":{"transparent_proxying":{"redirect_port_inbound":1}}}`, `{"networking":{"transparentProxying":{"redirectPortInbound":1}}}`},
		"unknown fields":        {`{"nope":{"a":1},"networking":{"address":"a","nope":2}}`, `{"networking":{"address":"a"}}`},
		"last of two keys":      {`{"networking":{"address":"a"},"networking":{"address":"b"}}`, `{"networking":{"address":"b"}}`},
		"floats and whole ones": {`{"networking":{"inbound":[{"port":8e1}]}}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var got, want kumapb.Dataplane
			err := resource.ReadMessage([]byte(c.lax), &got)
			if c.strict == "" {
				if err == nil {
					t.Error("was read")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := protojson.Unmarshal([]byte(c.strict), &want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&want, &got, protocmp.Transform()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDecodeSaysWhatCannotBeRead(t *testing.T) {
	for name, c := range map[string]struct {
		kind             *resource.Kind
		doc, path, error string
	}{
		"negative":      {protoKind, `{"networking":{"inbound":[{},{"port":-1}]}}`, "networking.inbound[1].port", "json: cannot unmarshal number -1 into Go value of type uint32"},
		"fraction":      {protoKind, `{"networking":{"inbound":[{"port":80.5}]}}`, "networking.inbound[0].port", "json: cannot unmarshal number 80.5 into Go value of type uint32"},
		"word":          {protoKind, `{"networking":{"inbound":[{"port":"http"}]}}`, "networking.inbound[0].port", "invalid character 'h' looking for beginning of value"},
		"tag":           {protoKind, `{"networking":{"gateway":{"tags":{"v":1}}}}`, "networking.gateway.tags.v", "json: cannot unmarshal number into Go value of type string"},
		"message":       {protoKind, `{"networking":"x"}`, "networking", "json: cannot unmarshal string into Go value of type map[string]json.RawMessage"},
		"enumeration":   {protoKind, `{"networking":{"gateway":{"type":"X"}}}`, "networking.gateway.type", `unknown value "\"X\"" for enum kuma.mesh.v1alpha1.Dataplane.Networking.Gateway.GatewayType`},
		"duration":      {protoKind, `{"networking":{"inbound":[{"serviceProbe":{"interval":"1"}}]}}`, "networking.inbound[0].serviceProbe.interval", `bad Duration: time: missing unit in duration "1"`},
		"list":          {protoKind, `[]`, "", "json: cannot unmarshal array into Go value of type v1alpha1.ResourceMeta"},
		"head":          {protoKind, `{"name":5}`, "name", "json: cannot unmarshal number into Go struct field ResourceMeta.name of type string"},
		"time":          {protoKind, `{"creationTime":"yesterday"}`, "", `parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": cannot parse "yesterday" as "2006"`},
		"end":           {protoKind, `{"name"`, "", "unexpected end of JSON input"},
		"more":          {protoKind, `{} x`, "", "invalid character 'x' after top-level value"},
		"nested: list":  {kind, `[]`, "", "json: cannot unmarshal array into Go value of type map[string]interface {}"},
		"nested: empty": {kind, ``, "", "unexpected end of JSON input"},
		"nested: more":  {kind, `{} x`, "", "invalid character 'x' after top-level value"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.kind.Decode([]byte(c.doc))
			form, ok := errors.AsType[*resource.FormError](err)
			if !ok || problem.CodeOf(err) != problem.Invalid {
				t.Fatalf("got %v", err)
			}
			if form.Path != c.path || form.Error() != c.error || err.Error() != c.error {
				t.Errorf("got  %s: %s\nwant %s: %s", form.Path, err, c.path, c.error)
			}
		})
	}
}

func FuzzReadMessage(f *testing.F) {
	f.Add([]byte(`{"networking":{"address":"a","inbound":[{"port":"80","tags":{"a":null},"serviceProbe":{"interval":"1h"}}],"gateway":{"type":1}},"metrics":{"conf":{"a":[1]}}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := protoKind.Decode(raw)
		if err != nil {
			return
		}
		once, err := got.SpecJSON()
		if err != nil {
			t.Fatal(err)
		}
		if err := got.SetSpecJSON(once); err != nil {
			t.Fatalf("%s: %v", once, err)
		}
	})
}
