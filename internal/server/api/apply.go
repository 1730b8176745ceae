package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/kumactl/kumactl/internal/admission"
	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
)

const (
	// maxSet is how many documents one set may hold.
	maxSet   = 1000
	applying = "Could not apply the set"
)

// setAnswer is what POST /_apply says. The request is a JSON array of documents; all of them are checked before any is written,
// and they are written in one transaction. Results have the order of the documents.
type setAnswer struct {
	// Revision of the store after the write.
	Revision uint64 `json:"revision"`
	// DryRun says that nothing was written.
	DryRun  bool         `json:"dryRun,omitempty"`
	Results []setOutcome `json:"results"`
}

// setOutcome is what became of one document.
type setOutcome struct {
	Type string `json:"type"`
	Mesh string `json:"mesh,omitempty"`
	Name string `json:"name"`
	// Result is created, configured or unchanged.
	Result   string   `json:"result"`
	Warnings []string `json:"warnings,omitempty"`
}

// setFailure is the answer to a set with mistakes: an error as all others, whose fields begin with `[index]` of the document,
// and each document's own error.
type setFailure struct {
	failure
	Failures []documentFailure `json:"failures"`
}

// documentFailure is what is wrong with the document at Index, counted from 0. The fields of its invalid_parameters are paths in
// that document.
type documentFailure struct {
	Index  int       `json:"index"`
	Type   string    `json:"type,omitempty"`
	Mesh   string    `json:"mesh,omitempty"`
	Name   string    `json:"name,omitempty"`
	Title  string    `json:"title"`
	Detail string    `json:"detail"`
	Fields []invalid `json:"invalid_parameters,omitempty"`
	Hint   string    `json:"hint,omitempty"`
}

// apply writes a set of documents of any kinds.
func (a *API) apply(c *call) error {
	raw, err := a.readBody(c)
	if err != nil {
		return err
	}
	documents, err := split(raw)
	if err != nil {
		return err
	}
	requests := make([]admission.Request, len(documents))
	warnings := make([][]string, len(documents))
	var failures []documentFailure
	for i, raw := range documents {
		d, err := a.member(c, raw)
		if err != nil {
			failures = append(failures, a.documentFailure(i, raw, err))
			continue
		}
		requests[i] = admission.Request{Resource: d.Resource, Unknown: d.Unknown}
		warnings[i] = d.warnings()
	}
	if len(failures) > 0 {
		return a.refuseSet(c, failures, len(documents))
	}
	dry := c.r.URL.Query().Get("dryRun") == "true"
	var outcomes []admission.Outcome
	if dry {
		outcomes, err = a.o.Admission.Check(c.r.Context(), requests)
	} else {
		outcomes, err = a.o.Admission.Put(c.r.Context(), a.writer(c), requests)
	}
	if err != nil {
		return a.setRefused(c, documents, err)
	}
	answer := setAnswer{DryRun: dry, Results: []setOutcome{}}
	for i, o := range outcomes {
		answer.Revision = max(answer.Revision, o.Revision)
		answer.Results = append(answer.Results, setOutcome{o.Key.Kind, o.Key.Mesh, o.Key.Name, o.Result.String(), append(o.Warnings, warnings[i]...)})
	}
	respond(c, http.StatusOK, encode(answer))
	return nil
}

// split cuts the array into its documents.
func split(raw []byte) ([]json.RawMessage, error) {
	var documents []json.RawMessage
	if err := json.Unmarshal(raw, &documents); err != nil || documents == nil {
		if err == nil {
			err = errors.New("null is no list")
		}
		return nil, &problem.Error{Code: problem.Invalid, Title: applying, Detail: "the body is no JSON array of documents: " + err.Error(), Cause: err}
	}
	if len(documents) > maxSet {
		return nil, &problem.Error{Code: problem.TooLarge, Title: applying, Detail: fmt.Sprintf("%d documents, %d are the limit", len(documents), maxSet)}
	}
	return documents, nil
}

// member reads one document of a set, by the kind that it names.
func (a *API) member(c *call, raw json.RawMessage) (document, error) {
	head, err := resource.ReadHead(raw)
	if err != nil {
		return document{}, err
	}
	k := a.byName[head.Type]
	if k == nil {
		return document{}, &problem.Error{Code: problem.Invalid, Title: applying, Violations: problem.Violations{
			{Field: "type", Message: fmt.Sprintf("kind %q is not known", head.Type)},
		}}
	}
	if a.readOnly(k) {
		return document{}, a.notHere()
	}
	if err := a.mayWrite(c.who, k); err != nil {
		return document{}, err
	}
	d, err := decode(k, raw)
	if err != nil {
		return document{}, err
	}
	return d, a.strict(c, d)
}

// setRefused answers for a set that admission refused; the error says which documents are to blame.
func (a *API) setRefused(c *call, documents []json.RawMessage, err error) error {
	var failures []documentFailure
	for _, one := range admission.Failures(err) {
		failures = append(failures, a.documentFailure(one.Index, documents[one.Index], one.Err))
	}
	if len(failures) == 0 {
		return titled(applying, err)
	}
	return a.refuseSet(c, failures, len(documents))
}

func (a *API) documentFailure(i int, raw json.RawMessage, err error) documentFailure {
	p, ok := errors.AsType[*problem.Error](err)
	if !ok {
		a.o.Logger.Error("document of a set", "index", i, "error", err)
		p = &problem.Error{Cause: err}
	}
	f := failureOf(p)
	d := documentFailure{Index: i, Title: f.Title, Detail: f.Detail, Fields: f.Invalid, Hint: f.Hint}
	// What cannot be read is told by its place alone.
	if head, err := resource.ReadHead(raw); err == nil {
		d.Type, d.Mesh, d.Name = head.Type, head.Mesh, head.Name
	}
	return d
}

// refuseSet answers 400 with all that is wrong.
func (a *API) refuseSet(c *call, failures []documentFailure, of int) error {
	var violations problem.Violations
	for _, f := range failures {
		at := fmt.Sprintf("[%d]", f.Index)
		if len(f.Fields) == 0 {
			violations.Add(at, "%s: %s", f.Title, f.Detail)
		}
		for _, field := range f.Fields {
			violations.Add(problem.Join(at, field.Field), "%s", field.Reason)
		}
	}
	body := setFailure{failureOf(&problem.Error{
		Code: problem.Invalid, Title: applying, Violations: violations,
		Detail: fmt.Sprintf("%d of %d documents cannot be applied; nothing was written", len(failures), of),
	}), failures}
	respond(c, body.Status, encode(body))
	return nil
}
