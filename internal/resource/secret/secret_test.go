package secret_test

import (
	"errors"
	"iter"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/resource/mesh"
	"github.com/kumactl/kumactl/internal/resource/secret"
)

// world is a store with one mesh.
type world struct{ mesh *resource.Resource }

func (w world) Get(k resource.Key) (*resource.Resource, bool) {
	return w.mesh, w.mesh != nil && w.mesh.Key() == k
}

func (w world) List(string, string) iter.Seq[*resource.Resource] {
	return func(func(*resource.Resource) bool) {}
}

func TestSecretsInUseStay(t *testing.T) {
	m := mesh.Kind.New("", "m")
	err := m.SetSpecJSON([]byte(`{"mtls":{"backends":[{"name":"ca","type":"builtin"},{"name":"own","type":"provided","conf":{"cert":{"secret":"c"},"key":{"inlineString":"k"}}},{"name":"x","type":"other"}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, backend := range map[string]string{"m.ca-builtin-cert-ca": "ca", "m.ca-builtin-key-ca": "ca", "c": "own", "k": "", "other": ""} {
		err := secret.Kind.BeforeDelete(world{m}, secret.New("m", name, nil))
		if backend == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		p, ok := errors.AsType[*problem.Error](err)
		want := `The secret "` + name + `" that you are trying to remove is currently in use in Mesh "m" in mTLS backend "` + backend + `". Please remove the reference from the "` + backend + `" backend before removing the secret.`
		if !ok || p.Violations[0].Field != "name" || p.Violations[0].Message != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := secret.Kind.BeforeDelete(world{}, secret.New("m", "c", nil)); err != nil {
		t.Errorf("without its mesh: %v", err)
	}
}

func TestDocuments(t *testing.T) {
	for doc, want := range map[string]string{
		`{"type":"Secret","data":"dGVzdA=="}`: `{"data":"dGVzdA=="}`,
		`{"type":"Secret","data":""}`:         `{}`,
		`{"type":"Secret","data":null}`:       `{}`,
		`{"type":"Secret","data":"dGVzdA"}`:   "illegal base64 data at input byte 4",
		`{"type":"Secret","data":"_-8="}`:     "illegal base64 data at input byte 0",
		`{"type":"Secret","data":5}`:          "json: cannot unmarshal number into Go value of type []uint8",
	} {
		r, err := secret.Kind.Decode([]byte(doc))
		if err != nil {
			if err.Error() != want {
				t.Errorf("%s: %v, want %s", doc, err, want)
			}
			continue
		}
		r.Default()
		raw, err := r.SpecJSON()
		if diff := cmp.Diff(want, string(raw)); diff != "" || err != nil {
			t.Errorf("%s: %v %s", doc, err, diff)
		}
	}
}

func TestOwnSecretsGoWithTheirMesh(t *testing.T) {
	own, users := secret.New("m", "a", nil), secret.New("m", "b", nil)
	users.ComputeLabels("z")
	if secret.Kind.OutlivesMesh(own) || !secret.Kind.OutlivesMesh(users) {
		t.Error("the control plane's own secrets go, those of users stay")
	}
}
