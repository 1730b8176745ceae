package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/kumactl/kumactl/internal/problem"
)

const (
	applyPath    = "/_apply"
	sourceHeader = "Kumactl-Source"
	// The most that goes into one transaction: our server takes 1000 documents and, unless told otherwise, 1 MiB.
	maxSetDocuments = 1000
	maxSetBytes     = 1<<20 - 1<<12
)

// ApplyOptions say how a set is applied.
type ApplyOptions struct {
	// Check asks the server what it would do, and writes nothing.
	Check bool
	// Lenient takes documents with fields that the server does not know; it names them in warnings.
	Lenient bool
	// Source goes into the change log: where the documents came from.
	Source string
	// Done is told what became of each document, in order.
	Done func(Document, Outcome)
}

// SetError says which documents of a set were refused.
type SetError struct {
	Whole *problem.Error
	// Refused has an entry for each document that was refused, by its place in the set, from 0. Fields are paths in that document.
	Refused map[int]*problem.Error
}

// Error is about the set as a whole.
func (e *SetError) Error() string { return e.Whole.Error() }

// Unwrap gives the error as a whole.
func (e *SetError) Unwrap() error { return e.Whole }

// Apply writes documents: in one transaction where the server is ours (in several, one after the other, when there are very many),
// and one after the other where it is not. It stops at the first failure.
func (c *Client) Apply(ctx context.Context, documents []Document, o ApplyOptions) error {
	first := 0
	for len(documents) > first {
		part := documents[first : first+setSize(documents[first:])]
		err := c.applySet(ctx, part, o)
		if errors.Is(err, errUnknownPath) {
			return c.applyEach(ctx, documents[first:], o)
		}
		if set, ok := errors.AsType[*SetError](err); ok {
			moved := map[int]*problem.Error{}
			for i, p := range set.Refused {
				moved[i+first] = p
			}
			set.Refused = moved
		}
		if err != nil {
			return err
		}
		first += len(part)
	}
	return nil
}

// setSize is how many of the documents fit into one request; at least one.
func setSize(documents []Document) int {
	bytes := 0
	for i, d := range documents {
		if bytes += len(d.JSON) + 1; i > 0 && (bytes > maxSetBytes || i == maxSetDocuments) {
			return i
		}
	}
	return len(documents)
}

func (c *Client) applySet(ctx context.Context, documents []Document, o ApplyOptions) error {
	var body bytes.Buffer
	for i, d := range documents {
		body.WriteByte("[,"[min(i, 1)])
		body.Write(d.JSON)
	}
	body.WriteByte(']')
	q := call{method: http.MethodPost, path: applyPath, query: url.Values{}, body: body.Bytes(), header: http.Header{}}
	if o.Source != "" {
		q.header.Set(sourceHeader, strings.ToValidUTF8(o.Source, "?"))
	}
	if o.Check {
		q.query.Set("dryRun", "true")
	}
	if !o.Lenient {
		q.query.Set("strict", "true")
	}
	a, err := c.do(ctx, q)
	if err != nil {
		return err
	}
	if unknownTo(a) {
		return errUnknownPath
	}
	if a.status != http.StatusOK {
		return c.setRefusal(ctx, q, a)
	}
	var said struct {
		Results []struct {
			Result   string   `json:"result"`
			Warnings []string `json:"warnings"`
		} `json:"results"`
	}
	if err := json.Unmarshal(a.body, &said); err != nil || len(said.Results) != len(documents) {
		return problem.New(problem.Internal, "answer to POST %s at %s tells of %d documents of %d", applyPath, c.URL(), len(said.Results), len(documents))
	}
	for i, r := range said.Results {
		o.Done(documents[i], Outcome{Action: r.Result, Warnings: r.Warnings})
	}
	return nil
}

// unknownTo says whether a path of our API is refused by a server that is not ours.
func unknownTo(a *answer) bool {
	return a.header.Get(versionHeader) == "" && (a.status == http.StatusNotFound || a.status == http.StatusMethodNotAllowed)
}

// setRefusal reads what is wrong with each document.
func (c *Client) setRefusal(ctx context.Context, q call, a *answer) error {
	err := c.refusal(ctx, q, a)
	whole, ok := errors.AsType[*problem.Error](err)
	if !ok {
		return err
	}
	var body struct {
		Failures []struct {
			Index int `json:"index"`
			refusalBody
		} `json:"failures"`
	}
	if json.Unmarshal(a.body, &body) != nil || len(body.Failures) == 0 {
		return err
	}
	set := &SetError{Whole: whole, Refused: map[int]*problem.Error{}}
	for _, f := range body.Failures {
		set.Refused[f.Index] = f.problem(whole.Code)
	}
	return set
}

// applyEach is for servers that know no sets.
func (c *Client) applyEach(ctx context.Context, documents []Document, o ApplyOptions) error {
	if o.Check {
		return problem.New(problem.NotAllowed, "control plane at %s cannot check without writing", c.URL()).
			WithHint("--dry-run=client checks here, with the rules of this kumactl")
	}
	for i, d := range documents {
		done, err := c.Put(ctx, d)
		if p, ok := errors.AsType[*problem.Error](err); ok {
			whole := *p
			whole.Violations, whole.Hint = nil, ""
			whole.Title, whole.Detail = "", fmt.Sprintf("document %d of %d was refused", i+1, len(documents))
			return &SetError{Whole: &whole, Refused: map[int]*problem.Error{i: p}}
		}
		if err != nil {
			return err
		}
		o.Done(d, done)
	}
	return nil
}
