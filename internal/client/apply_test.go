package client_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kumactl/kumactl/internal/client"
	"github.com/kumactl/kumactl/internal/problem"
)

func document(name string) client.Document {
	return client.Document{Kind: timeouts, Mesh: "default", Name: name, JSON: json.RawMessage(fmt.Sprintf(`{"type":"MeshTimeout","mesh":"default","name":%q}`, name))}
}

func documents(n int) []client.Document {
	set := make([]client.Document, n)
	for i := range set {
		set[i] = document(fmt.Sprintf("t%d", i))
	}
	return set
}

// ourServer answers POST /_apply as internal/server/api does, and notes the sizes of the sets and the last request.
type ourServer struct {
	sizes  []int
	query  string
	source string
	// refuse is the name of a document that is wrong.
	refuse string
}

func (o *ourServer) apply(w http.ResponseWriter, r *http.Request) {
	raw, _ := io.ReadAll(r.Body)
	var set []struct{ Name string }
	if err := json.Unmarshal(raw, &set); err != nil || r.Method != http.MethodPost {
		answer(w, 400, `{"title":"bad request"}`)
		return
	}
	o.sizes, o.query, o.source = append(o.sizes, len(set)), r.URL.RawQuery, r.Header.Get("Kumactl-Source")
	var results []string
	for i, d := range set {
		if d.Name == o.refuse {
			answer(w, 400, fmt.Sprintf(`{"title":"Could not apply the set","detail":"1 of %d","failures":[{"index":%d,"title":"t","detail":"Resource is not valid",
				"invalid_parameters":[{"field":"spec.timeout","reason":"is wrong"}]}]}`, len(set), i))
			return
		}
		results = append(results, fmt.Sprintf(`{"type":"MeshTimeout","name":%q,"result":"created","warnings":["w"]}`, d.Name))
	}
	answer(w, 200, `{"revision":7,"results":[`+strings.Join(results, ",")+`]}`)
}

func TestApplyIsOneTransaction(t *testing.T) {
	ours := &ourServer{}
	s := serve(t, map[string]http.HandlerFunc{"/_apply": ours.apply})
	var done []string
	err := connect(t, s.URL, nil).Apply(t.Context(), documents(3), client.ApplyOptions{Source: "a.yaml", Done: func(d client.Document, o client.Outcome) {
		done = append(done, d.Name+" "+o.Action+" "+strings.Join(o.Warnings, ","))
	}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"t0 created w", "t1 created w", "t2 created w"}, done); diff != "" {
		t.Error(diff)
	}
	if len(ours.sizes) != 1 || ours.query != "strict=true" || ours.source != "a.yaml" {
		t.Errorf("sets %v, query %q, source %q", ours.sizes, ours.query, ours.source)
	}
}

func TestApplyOfVeryManyGoesInParts(t *testing.T) {
	ours := &ourServer{refuse: "t1500"}
	s := serve(t, map[string]http.HandlerFunc{"/_apply": ours.apply})
	done := 0
	err := connect(t, s.URL, nil).Apply(t.Context(), documents(2500), client.ApplyOptions{Check: true, Lenient: true, Done: func(client.Document, client.Outcome) { done++ }})
	set, ok := errors.AsType[*client.SetError](err)
	if !ok {
		t.Fatalf("got %v", err)
	}
	if diff := cmp.Diff([]int{1000, 1000}, ours.sizes); diff != "" {
		t.Error(diff)
	}
	if p := set.Refused[1500]; p == nil || len(p.Violations) != 1 || p.Violations[0].Field != "spec.timeout" {
		t.Errorf("refused: %v", set.Refused)
	}
	if done != 1000 || ours.query != "dryRun=true" {
		t.Errorf("%d done, query %q", done, ours.query)
	}
}

func TestApplyOfLargeDocumentsGoesInParts(t *testing.T) {
	ours := &ourServer{}
	s := serve(t, map[string]http.HandlerFunc{"/_apply": ours.apply})
	set := documents(3)
	for i := range set {
		set[i].JSON = json.RawMessage(strings.TrimSuffix(string(set[i].JSON), "}") + `,"x":"` + strings.Repeat("y", 600_000) + `"}`)
	}
	if err := connect(t, s.URL, nil).Apply(t.Context(), set, client.ApplyOptions{Done: func(client.Document, client.Outcome) {}}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{1, 1, 1}, ours.sizes); diff != "" {
		t.Error(diff)
	}
}

func TestApplyToAnotherServerGoesOneByOne(t *testing.T) {
	var put []string
	s := serve(t, map[string]http.HandlerFunc{"PUT /meshes/default/meshtimeouts/{name}": func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("name")
		put = append(put, name+" "+r.Header.Get("Content-Type"))
		switch name {
		case "t0":
			answer(w, http.StatusCreated, `{}`)
		case "t1":
			answer(w, http.StatusOK, `{"warnings":["old"]}`)
		default:
			answer(w, 400, `{"title":"Could not process a resource","detail":"Resource is not valid","invalid_parameters":[{"field":"spec","reason":"must be set"}]}`)
		}
	}})
	var done []string
	c := connect(t, s.URL, nil)
	note := func(d client.Document, o client.Outcome) { done = append(done, d.Name+" "+o.Action) }
	err := c.Apply(t.Context(), documents(4), client.ApplyOptions{Done: note})
	set, ok := errors.AsType[*client.SetError](err)
	if !ok || set.Refused[2] == nil || !strings.Contains(set.Refused[2].Error(), "spec: must be set") {
		t.Errorf("got %v", err)
	}
	if diff := cmp.Diff([]string{"t0 created", "t1 configured"}, done); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"t0 application/json", "t1 application/json", "t2 application/json"}, put); diff != "" {
		t.Error(diff)
	}
	if err := c.Apply(t.Context(), documents(1), client.ApplyOptions{Check: true, Done: note}); problem.CodeOf(err) != problem.NotAllowed {
		t.Errorf("a check by another server: %v", err)
	}
}

func TestDelete(t *testing.T) {
	s := serve(t, map[string]http.HandlerFunc{"DELETE /meshes/default/meshtimeouts/{name}": func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("name") == "there" {
			answer(w, http.StatusOK, `{}`)
			return
		}
		answer(w, http.StatusNotFound, `{"title":"Could not delete a resource","detail":"Not found"}`)
	}})
	c := connect(t, s.URL, nil)
	if err := c.Delete(t.Context(), timeouts, "default", "there"); err != nil {
		t.Error(err)
	}
	if err := c.Delete(t.Context(), timeouts, "default", "gone"); problem.CodeOf(err) != problem.NotFound {
		t.Errorf("got %v", err)
	}
}
