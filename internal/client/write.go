package client

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
)

// Document is one resource that a person wrote, with the JSON that goes to the server.
type Document struct {
	Kind *resource.Kind
	Mesh string
	Name string
	JSON json.RawMessage
}

// What happened to a document.
const (
	Created    = "created"
	Configured = "configured"
	Unchanged  = "unchanged"
)

// Outcome is what the server made of a document.
type Outcome struct {
	// Action is Created, Configured or Unchanged.
	Action   string
	Warnings []string
}

// Put writes one resource. The server says whether it was there before.
func (c *Client) Put(ctx context.Context, d Document) (Outcome, error) {
	path, err := itemPath(d.Kind, d.Mesh, d.Name)
	if err != nil {
		return Outcome{}, err
	}
	q := call{method: http.MethodPut, path: path, body: d.JSON}
	a, err := c.do(ctx, q)
	if err != nil {
		return Outcome{}, err
	}
	done := Outcome{Action: Configured}
	switch a.status {
	case http.StatusCreated:
		done.Action = Created
	case http.StatusOK:
	default:
		return Outcome{}, c.refusal(ctx, q, a)
	}
	var said struct {
		Warnings []string `json:"warnings"`
	}
	if err := json.Unmarshal(a.body, &said); err != nil {
		return Outcome{}, problem.New(problem.Internal, "answer to PUT %s is not JSON: %w", path, err)
	}
	done.Warnings = said.Warnings
	return done, nil
}

// Delete removes one resource; the error's code is NotFound when it is not there.
func (c *Client) Delete(ctx context.Context, k *resource.Kind, mesh, name string) error {
	path, err := itemPath(k, mesh, name)
	if err != nil {
		return err
	}
	q := call{method: http.MethodDelete, path: path}
	a, err := c.do(ctx, q)
	if err != nil {
		return err
	}
	if a.status != http.StatusOK && a.status != http.StatusNoContent {
		return c.refusal(ctx, q, a)
	}
	return nil
}
