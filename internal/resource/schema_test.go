package resource_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
)

type shop struct {
	Door   *door             `json:"door,omitempty" schema:"required"`
	Hours  []string          `json:"hours,omitempty" schema:"items=day|night"`
	Signs  map[string]string `json:"signs,omitempty"`
	Floors int               `json:"floors,omitempty"`
	Share  float64           `json:"share,omitempty"`
	Open   bool              `json:"open,omitempty"`
}

type door struct {
	Kind string `json:"kind" schema:"required,enum=glass|wood"`
}

var shopKind = resource.Of(resource.Kind{Name: "Shop", Path: "shops"}, resource.Rules[*shop]{})

func TestSchema(t *testing.T) {
	head := `{"type":"Shop","name":"a",`
	for name, c := range map[string]struct {
		doc  string
		want []string
	}{
		"good":           {head + `"spec":{"door":{"kind":"wood"},"hours":["day"],"signs":{"a":"b"},"floors":2.0,"share":1,"open":true}}`, nil},
		"nothing":        {`null`, []string{"|.type in body is required", "|.name in body is required", "|.spec in body is required"}},
		"wrong kind":     {`{"type":"Mesh","name":"a","spec":{"door":{"kind":"wood"}}}`, []string{"|type in body should be one of [Shop]"}},
		"labels":         {head + `"labels":["x"],"spec":{"door":{"kind":"wood"}}}`, []string{`|labels in body must be of type object: "array"`}},
		"label":          {head + `"labels":{"b":null,"a":1},"spec":{"door":{"kind":"wood"}}}`, []string{`|labels.a in body must be of type string: "number"`, `|labels.b in body must be of type string: "null"`}},
		"spec":           {head + `"spec":null}`, []string{`|spec in body must be of type object: "null"`}},
		"required":       {head + `"spec":{}}`, []string{"spec.door|in body is required"}},
		"required below": {head + `"spec":{"door":{}}}`, []string{"spec.door.kind|in body is required"}},
		"word":           {head + `"spec":{"door":{"kind":"iron"}}}`, []string{"spec.door.kind|in body should be one of [glass wood]"}},
		"no word": {head + `"spec":{"door":{"kind":7}}}`, []string{
			`spec.door.kind|in body must be of type string: "number"`, "spec.door.kind|in body should be one of [glass wood]",
		}},
		"elements": {head + `"spec":{"door":{"kind":"wood"},"hours":["day","noon"]}}`, []string{"spec.hours[1]|in body should be one of [day night]"}},
		"map":      {head + `"spec":{"door":{"kind":"wood"},"signs":{"a":[]}}}`, []string{`spec.signs.a|in body must be of type string: "array"`}},
		"all shapes": {head + `"spec":{"door":[],"hours":{},"signs":"x","floors":1.5,"share":"1","open":"true"}}`, []string{
			`spec.door|in body must be of type object: "array"`,
			`spec.hours|in body must be of type array: "object"`,
			`spec.signs|in body must be of type object: "string"`,
			`spec.floors|in body must be of type integer: "number"`,
			`spec.share|in body must be of type number: "string"`,
			`spec.open|in body must be of type boolean: "string"`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := shopKind.Decode([]byte(c.doc))
			var got []string
			if p, ok := errors.AsType[*problem.Error](err); ok {
				for _, v := range p.Violations {
					got = append(got, v.Field+"|"+v.Message)
				}
			} else if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDecodeGivesNestedKindsTheDefaultMesh(t *testing.T) {
	got, err := shopKind.Decode([]byte(`{"type":"Shop","name":"a","spec":{"door":{"kind":"wood"}}}`))
	if err != nil || got.Mesh != "default" {
		t.Errorf("mesh %q, error %v", got.Mesh, err)
	}
	if got, err = protoKind.Decode([]byte(`{"type":"Dataplane","name":"a"}`)); err != nil || got.Mesh != "" {
		t.Errorf("mesh %q, error %v", got.Mesh, err)
	}
}
