package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

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
	Status int       `json:"status"`
	Title  string    `json:"title"`
	Detail string    `json:"detail"`
	Fields []invalid `json:"invalid_parameters,omitempty"`
	Hint   string    `json:"hint,omitempty"`

	code problem.Code
}

// set is a POST /_apply under way. The lists have the order of the documents; at says which document a request is from, since
// those that cannot be read have none.
type set struct {
	raw      []json.RawMessage
	requests []admission.Request
	at       []int
	warnings [][]string
	failures []documentFailure
	// members says that a resource which holds others may be among those that cannot be read: what is in it cannot be judged then.
	members bool
}

// apply writes a set of documents of any kinds.
func (a *API) apply(c *call) error {
	s, err := a.readSet(c)
	if err != nil {
		return err
	}
	dry := c.r.URL.Query().Get("dryRun") == "true"
	var outcomes []admission.Outcome
	switch faulty := len(s.failures) > 0; {
	case faulty && s.members:
	case faulty, dry:
		outcomes, err = a.o.Admission.Check(c.r.Context(), s.requests)
	default:
		outcomes, err = a.o.Admission.Put(c.r.Context(), a.writer(c), s.requests)
	}
	refused := admission.Failures(err)
	if err != nil && len(refused) == 0 {
		return titled(applying, err)
	}
	for _, one := range refused {
		s.fail(a, s.at[one.Index], one.Err)
	}
	if len(s.failures) > 0 {
		s.refuse(c)
		return nil
	}
	answer := setAnswer{Revision: a.o.Store.Snapshot().Revision(), DryRun: dry, Results: []setOutcome{}}
	for i, o := range outcomes {
		answer.Results = append(answer.Results, setOutcome{o.Key.Kind, o.Key.Mesh, o.Key.Name, o.Result.String(), append(o.Warnings, s.warnings[i]...)})
	}
	respond(c, http.StatusOK, encode(answer))
	return nil
}

// readSet reads all documents, and notes those that cannot be read.
func (a *API) readSet(c *call) (*set, error) {
	raw, err := a.readBody(c)
	if err != nil {
		return nil, err
	}
	s := &set{}
	if s.raw, err = split(raw); err != nil {
		return nil, err
	}
	for i, raw := range s.raw {
		d, err := a.member(c, raw)
		if err != nil {
			s.fail(a, i, err)
			continue
		}
		s.requests = append(s.requests, admission.Request{Resource: d.Resource, Unknown: d.Unknown})
		s.at = append(s.at, i)
		s.warnings = append(s.warnings, d.warnings())
	}
	return s, nil
}

// split cuts the array into its documents.
func split(raw []byte) ([]json.RawMessage, error) {
	var documents []json.RawMessage
	if err := json.Unmarshal(raw, &documents); err != nil || documents == nil {
		detail := "the body is no JSON array of documents"
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			detail += ": " + syntax.Error()
		}
		return nil, &problem.Error{Code: problem.Invalid, Title: applying, Detail: detail, Cause: err}
	}
	if len(documents) > maxSet {
		return nil, &problem.Error{Code: problem.TooLarge, Title: applying, Detail: fmt.Sprintf("%d documents, %d are the limit", len(documents), maxSet)}
	}
	return documents, nil
}

// member reads one document of a set, by the kind that it names.
func (a *API) member(c *call, raw json.RawMessage) (document, error) {
	if !bytes.HasPrefix(raw, []byte("{")) {
		return document{}, problem.New(problem.Invalid, "it is no JSON object")
	}
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
	if a.o.ReadOnly {
		return document{}, problem.New(problem.NotAllowed, "this control plane takes no writes").WithHint("apiServer.readOnly is set in its configuration")
	}
	if k.ReadOnly {
		return document{}, problem.New(problem.NotAllowed, "%s is written by the control plane alone", k.Name)
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

// fail notes what is wrong with the document at i.
func (s *set) fail(a *API, i int, err error) {
	p, ok := errors.AsType[*problem.Error](err)
	if !ok {
		p = &problem.Error{Cause: err}
	}
	if p.Code == problem.Internal {
		a.o.Logger.Error("document of a set", "index", i, "error", err)
	}
	f := failureOf(p)
	d := documentFailure{Index: i, Status: f.Status, Title: f.Title, Detail: f.Detail, Fields: f.Invalid, Hint: f.Hint, code: p.Code}
	// What cannot be read is told by its place alone.
	if head, err := resource.ReadHead(s.raw[i]); err == nil {
		d.Type, d.Mesh, d.Name = head.Type, head.Mesh, head.Name
	}
	if k := a.byName[d.Type]; k == nil && d.Name != "" || k != nil && k.Members {
		s.members = true
	}
	s.failures = append(s.failures, d)
}

// refuse answers with all that is wrong. The status is that of the documents where they agree, else 400.
func (s *set) refuse(c *call) {
	slices.SortFunc(s.failures, func(x, y documentFailure) int { return x.Index - y.Index })
	all := &problem.Error{
		Code: s.failures[0].code, Title: applying,
		Detail: fmt.Sprintf("%d of %d documents cannot be applied; nothing was written", len(s.failures), len(s.raw)),
	}
	var violations problem.Violations
	for _, f := range s.failures {
		if f.code != all.Code {
			all.Code = problem.Invalid
		}
		at := fmt.Sprintf("[%d]", f.Index)
		if len(f.Fields) == 0 {
			violations.Add(at, "%s: %s", f.Title, f.Detail)
		}
		for _, field := range f.Fields {
			violations.Add(problem.Join(at, field.Field), "%s", field.Reason)
		}
	}
	all.Violations = violations
	body := setFailure{failureOf(all), s.failures}
	respond(c, body.Status, encode(body))
}
