package admission_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kumactl/kumactl/internal/admission"
	"github.com/kumactl/kumactl/internal/catalog"
	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/store"
)

// plane is an admission on a store in memory.
type plane struct {
	*admission.Admission
	t     *testing.T
	store *store.Store
}

func start(t *testing.T) plane {
	t.Helper()
	s := store.OpenMemory(store.Options{Kinds: catalog.Kinds()})
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return plane{admission.New(admission.Options{Store: s, Kinds: catalog.Kinds(), Zone: "here"}), t, s}
}

// requests reads documents.
func requests(t *testing.T, documents ...string) (all []admission.Request) {
	t.Helper()
	for _, doc := range documents {
		head, err := resource.ReadHead([]byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(catalog.Kinds(), func(k *resource.Kind) bool { return k.Name == head.Type })
		d, err := catalog.Kinds()[i].Decode([]byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, admission.Request{Resource: d.Resource, Type: d.Type, Unknown: d.Unknown})
	}
	return all
}

var writer = store.Writer{Who: "me", Source: "test"}

// apply writes documents and gives what became of each: `created Mesh/m`.
func (p plane) apply(documents ...string) ([]string, error) {
	p.t.Helper()
	outcomes, err := p.Put(p.t.Context(), writer, requests(p.t, documents...))
	var results []string
	for _, o := range outcomes {
		results = append(results, o.Result.String()+" "+o.Key.Kind+"/"+o.Key.Name)
	}
	return results, err
}

func (p plane) must(documents ...string) {
	p.t.Helper()
	if _, err := p.apply(documents...); err != nil {
		p.t.Fatal(err)
	}
}

// stored lists what is there: `Mesh/m`.
func (p plane) stored() (all []string) {
	for _, k := range catalog.Kinds() {
		for r := range p.store.Snapshot().List(k.Name, "") {
			all = append(all, k.Name+"/"+r.Name)
		}
	}
	return all
}

func (p plane) wantStored(want ...string) {
	p.t.Helper()
	slices.Sort(want)
	got := p.stored()
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		p.t.Errorf("what is stored: %s", diff)
	}
}

const (
	meshDoc     = `{"type":"Mesh","name":"m","skipCreatingInitialPolicies":["*"]}`
	proxyDoc    = `{"type":"Dataplane","mesh":"m","name":"web-1","networking":{"address":"10.0.0.1","inbound":[{"port":80,"tags":{"kuma.io/service":"web"}}]}}`
	timeoutDoc  = `{"type":"MeshTimeout","mesh":"m","name":"t","spec":{"to":[{"targetRef":{"kind":"Mesh"},"default":{"idleTimeout":"1s"}}]}}`
	brokenDoc   = `{"type":"MeshTimeout","mesh":"m","name":"b","spec":{}}`
	secretDoc   = `{"type":"Secret","mesh":"m","name":"s","data":"eA=="}`
	elsewhere   = `{"type":"Dataplane","mesh":"gone","name":"a","networking":{"address":"10.0.0.1"}}`
	unknownDoc  = `{"type":"Dataplane","mesh":"m","name":"web-1","networkin":1,"networking":{"address":"10.0.0.1"}}`
	otherLabels = `{"type":"MeshTimeout","mesh":"m","name":"t","labels":{"a":"b"},"spec":{"to":[{"targetRef":{"kind":"Mesh"},"default":{"idleTimeout":"1s"}}]}}`
)

// TestSetsAreOneTransaction: a mesh and what is in it come in any order, under one revision, or not at all.
func TestSetsAreOneTransaction(t *testing.T) {
	p := start(t)
	got, err := p.apply(proxyDoc, timeoutDoc, secretDoc, meshDoc)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"created Dataplane/web-1", "created MeshTimeout/t", "created Secret/s", "created Mesh/m"}, got); diff != "" {
		t.Error(diff)
	}
	if r := p.store.Snapshot().Revision(); r != 1 {
		t.Errorf("revision %d", r)
	}
	p.wantStored("Mesh/m", "Dataplane/web-1", "MeshTimeout/t", "Secret/s")

	_, err = p.apply(otherLabels, brokenDoc, elsewhere, otherLabels)
	var failures []string
	for _, f := range admission.Failures(err) {
		one, _ := errors.AsType[*problem.Error](f.Err)
		failures = append(failures, strings.Join([]string{string(rune('0' + f.Index)), one.Title, one.Detail}, "|"))
	}
	if diff := cmp.Diff([]string{
		"1|Could not process a resource|Resource is not valid",
		"2|Failed to retrieve Mesh|",
		"3|Could not process a resource|MeshTimeout t is in the set twice",
	}, failures); diff != "" {
		t.Error(diff)
	}
	if r, _ := p.store.Snapshot().Get(resource.Key{Kind: "MeshTimeout", Mesh: "m", Name: "t"}); r.Revision != 1 || r.Labels["a"] != "" {
		t.Errorf("a part of a refused set was written: revision %d, labels %v", r.Revision, r.Labels)
	}
}

func TestUnchangedIsNotWritten(t *testing.T) {
	p := start(t)
	p.must(meshDoc, timeoutDoc, proxyDoc)
	for doc, want := range map[string]string{timeoutDoc: "unchanged MeshTimeout/t", proxyDoc: "unchanged Dataplane/web-1", meshDoc: "unchanged Mesh/m"} {
		if got, err := p.apply(doc); err != nil || got[0] != want {
			t.Errorf("got %q, %v, want %s", got, err, want)
		}
	}
	if got, err := p.apply(otherLabels); err != nil || got[0] != "configured MeshTimeout/t" {
		t.Errorf("other labels: %q, %v", got, err)
	}
	all := requests(t, otherLabels)
	all[0].Rewrite = true
	before := p.store.Snapshot().Revision()
	outcomes, err := p.Put(t.Context(), writer, all)
	if err != nil || outcomes[0].Result != admission.Configured || outcomes[0].Revision != before+1 {
		t.Errorf("rewritten: %+v, %v", outcomes, err)
	}
}

func TestCheckWritesNothing(t *testing.T) {
	p := start(t)
	outcomes, err := p.Check(t.Context(), requests(t, meshDoc, proxyDoc))
	if err != nil || len(outcomes) != 2 || outcomes[1].Result != admission.Created || outcomes[1].Revision != 0 {
		t.Errorf("got %+v, %v", outcomes, err)
	}
	if tags := outcomes[1].Resource.Labels; tags["kuma.io/zone"] != "here" {
		t.Errorf("labels %v", tags)
	}
	p.wantStored()
	if _, err := p.Check(t.Context(), requests(t, proxyDoc)); problem.CodeOf(err) != problem.NotFound {
		t.Errorf("got %v", err)
	}
}

// TestErrors holds title, detail and fields of the errors of single documents, in the order of the checks.
func TestErrors(t *testing.T) {
	at := func(name string) *resource.Key { return &resource.Key{Kind: "MeshTimeout", Mesh: "m", Name: name} }
	zero, wrong := uint64(0), uint64(77)
	with := func(labels string) string {
		return strings.Replace(timeoutDoc, `"spec"`, `"labels":`+labels+`,"spec"`, 1)
	}
	for name, c := range map[string]struct {
		doc      string
		at       *resource.Key
		revision *uint64
		want     string
		code     problem.Code
	}{
		"no mesh comes first":   {strings.Replace(brokenDoc, `"m"`, `"gone"`, 1), nil, nil, "Failed to retrieve Mesh", problem.NotFound},
		"then the spec":         {brokenDoc, at("x"), nil, "Could not process a resource: spec", problem.Invalid},
		"then all of the rest":  {strings.Replace(with(`{"kuma.io/zone":"x"}`), `"t"`, `"T"`, 1), at("t"), nil, `Could not process a resource: name, labels["kuma.io/zone"], name`, problem.Invalid},
		"then labels that stay": {with(`{"kuma.io/origin":"global"}`), at("t"), nil, `Could not update a resource: labels["kuma.io/origin"], labels["kuma.io/zone"]`, problem.Invalid},
		"then the kind":         {`{"type":"Dataplane","mesh":"m","name":"g","networking":{"address":"10.0.0.1","gateway":{}}}`, nil, nil, "Failed to create a resource: networking.gateway.tags", problem.Invalid},
		"an older revision":     {otherLabels, nil, &wrong, "Conflict", problem.Conflict},
		"there already":         {otherLabels, nil, &zero, "Conflict", problem.Conflict},
		"read-only":             {`{"type":"DataplaneInsight","mesh":"m","name":"x"}`, nil, nil, "", problem.NotAllowed},
		"no name":               {strings.Replace(proxyDoc, `"web-1"`, `""`, 1), nil, nil, "Could not process a resource: name", problem.Invalid},
		"no mesh named":         {strings.Replace(proxyDoc, `"m"`, `""`, 1), &resource.Key{Kind: "Dataplane", Mesh: "m", Name: "web-1"}, nil, "Could not process a resource: mesh, mesh", problem.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t)
			p.must(meshDoc, timeoutDoc)
			all := requests(t, c.doc)
			all[0].URL, all[0].IfRevision = c.at, c.revision
			_, err := p.Put(t.Context(), writer, all)
			one, ok := errors.AsType[*problem.Error](err)
			if !ok || one.Code != c.code {
				t.Fatalf("got %v", err)
			}
			var fields []string
			for _, v := range one.Violations {
				fields = append(fields, v.Field)
			}
			got := one.Title
			if len(fields) > 0 {
				got += ": " + strings.Join(fields, ", ")
			}
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	p := start(t)
	p.must(meshDoc)
	doc := strings.Replace(unknownDoc, `"10.0.0.1"`, `"10.0.0.1","inbound":[{"port":80,"tags":{"kuma.io/service":"a","kuma.io/zone":"there"}}],"listeners":[{"type":"ZoneEgress","address":"10.0.0.1","port":1}]`, 1)
	outcomes, err := p.Put(t.Context(), writer, requests(t, doc))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{
		`networkin: unknown field, did you mean "networking"?`,
		"networking.listeners[0]: ZoneEgress listeners are stored, and carry no traffic yet",
		`networking.inbound[0].tags["kuma.io/zone"]: this is zone "here", not "there"; the right name is stored`,
	}, outcomes[0].Warnings); diff != "" {
		t.Error(diff)
	}
}

func TestNewMeshesAreFurnished(t *testing.T) {
	p := start(t)
	if err := p.FirstRun(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.wantStored("Mesh/default", "MeshTimeout/mesh-timeout-all-default", "MeshTimeout/mesh-gateways-timeout-all-default")
	own := strings.Replace(strings.Replace(timeoutDoc, `"t"`, `"mesh-timeout-all-n"`, 1), `"m"`, `"n"`, 1)
	p.must(own, `{"type":"Mesh","name":"n"}`, `{"type":"Mesh","name":"bare","skipCreatingInitialPolicies":["MeshTimeout"]}`)
	r, ok := p.store.Snapshot().Get(resource.Key{Kind: "MeshTimeout", Mesh: "n", Name: "mesh-timeout-all-n"})
	if raw, err := json.Marshal(r); !ok || err != nil || !strings.Contains(string(raw), `"idleTimeout":"1s"`) {
		t.Errorf("what the set brings is kept: %s, %v", raw, err)
	}
	r, _ = p.store.Snapshot().Get(resource.Key{Kind: "MeshTimeout", Mesh: "n", Name: "mesh-gateways-timeout-all-n"})
	if diff := cmp.Diff(map[string]string{"kuma.io/mesh": "n", "kuma.io/origin": "zone", "kuma.io/zone": "here", "kuma.io/env": "universal"}, r.Labels); diff != "" {
		t.Error(diff)
	}
	if n := p.store.Snapshot().Count("MeshTimeout", "bare"); n != 0 {
		t.Errorf("%d policies in a mesh that wants none", n)
	}
	// A mesh that is written again is not furnished again.
	key := resource.Key{Kind: "MeshTimeout", Mesh: "n", Name: "mesh-gateways-timeout-all-n"}
	if err := p.Delete(t.Context(), writer, key); err != nil {
		t.Fatal(err)
	}
	p.must(`{"type":"Mesh","name":"n","labels":{"a":"b"}}`)
	if _, ok := p.store.Snapshot().Get(key); ok {
		t.Error("a deleted policy came back")
	}
}

func TestFirstRunIsOnce(t *testing.T) {
	p := start(t)
	if err := p.FirstRun(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.Delete(t.Context(), writer, resource.Key{Kind: "Mesh", Name: "default"}); err != nil {
		t.Fatal(err)
	}
	if err := p.FirstRun(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.wantStored()
	without := admission.New(admission.Options{Store: start(t).store, Kinds: catalog.Kinds(), SkipMeshCreation: true})
	if err := without.FirstRun(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestDelete(t *testing.T) {
	p := start(t)
	p.must(meshDoc, proxyDoc, timeoutDoc, secretDoc)
	own := requests(t, `{"type":"Secret","mesh":"m","name":"own"}`)[0].Resource
	if _, err := p.store.Update(t.Context(), writer, func(tx *store.Tx) error { return tx.Put(own) }); err != nil {
		t.Fatal(err)
	}
	insight := requests(t, `{"type":"DataplaneInsight","mesh":"m","name":"web-1"}`)[0].Resource
	p.store.PutVolatile(insight)

	meshKey, proxyKey := resource.Key{Kind: "Mesh", Name: "m"}, resource.Key{Kind: "Dataplane", Mesh: "m", Name: "web-1"}
	err := p.Delete(t.Context(), writer, meshKey)
	if one, ok := errors.AsType[*problem.Error](err); !ok || one.Title != "Could not delete a resource" || one.Violations[0].Field != "mesh" {
		t.Errorf("a mesh with proxies: %v", err)
	}
	err = p.Delete(t.Context(), writer, proxyKey, resource.Key{Kind: "MeshTimeout", Mesh: "m", Name: "none"})
	if problem.CodeOf(err) != problem.NotFound || !errors.Is(err, store.ErrNotFound) {
		t.Errorf("one that is not there: %v", err)
	}
	if err := p.Delete(t.Context(), writer, insight.Key()); problem.CodeOf(err) != problem.NotAllowed {
		t.Errorf("a read-only kind: %v", err)
	}
	p.wantStored("Mesh/m", "Dataplane/web-1", "DataplaneInsight/web-1", "MeshTimeout/t", "Secret/s", "Secret/own")

	// A mesh and its proxies can go together, whatever the order. What users keep secret stays.
	before := p.store.Snapshot().Revision()
	if err := p.Delete(t.Context(), writer, meshKey, proxyKey); err != nil {
		t.Fatal(err)
	}
	p.wantStored("Secret/s")
	if r := p.store.Snapshot().Revision(); r != before+1 {
		t.Errorf("%d revisions for one delete", r-before)
	}
}

func TestDeleteAt(t *testing.T) {
	p := start(t)
	p.must(meshDoc)
	key := resource.Key{Kind: "Mesh", Name: "m"}
	stored, _ := p.store.Snapshot().Get(key)
	if err := p.DeleteAt(t.Context(), writer, key, stored.Revision+1); problem.CodeOf(err) != problem.Conflict {
		t.Errorf("another revision: %v", err)
	}
	p.wantStored("Mesh/m")
	if err := p.DeleteAt(t.Context(), writer, key, stored.Revision); err != nil {
		t.Error(err)
	}
	p.wantStored()
}
