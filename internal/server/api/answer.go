package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/kumactl/kumactl/internal/problem"
)

// failure is the JSON of an error. Details and Causes repeat Detail and Invalid under the names that older clients read.
type failure struct {
	Type    string    `json:"type"`
	Status  int       `json:"status"`
	Title   string    `json:"title"`
	Detail  string    `json:"detail"`
	Invalid []invalid `json:"invalid_parameters,omitempty"`
	Details string    `json:"details"`
	Causes  []cause   `json:"causes,omitempty"`
	Hint    string    `json:"hint,omitempty"`
}

// invalid is one field that is wrong; Field is a path such as `networking.inbound[0].port`, empty for the document as a whole.
type invalid struct {
	Field  string `json:"field"`
	Reason string `json:"reason"`
}

// cause is invalid under its older names.
type cause struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

// statusOf is the one place that maps codes to HTTP.
func statusOf(code problem.Code) int {
	switch code {
	case problem.Invalid:
		return http.StatusBadRequest
	case problem.NotFound:
		return http.StatusNotFound
	case problem.Conflict:
		return http.StatusConflict
	case problem.Unauthenticated:
		return http.StatusUnauthorized
	case problem.Forbidden:
		return http.StatusForbidden
	case problem.NotAllowed:
		return http.StatusMethodNotAllowed
	case problem.TooLarge:
		return http.StatusRequestEntityTooLarge
	case problem.Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// refuse answers with an error. What is our own fault is logged and not told.
func (a *API) refuse(c *call, err error) {
	p, ok := errors.AsType[*problem.Error](err)
	if !ok {
		p = &problem.Error{Cause: err}
	}
	if p.Code == problem.Internal {
		a.o.Logger.Error("request", "method", c.r.Method, "path", c.r.URL.Path, "error", errors.Join(err, p.Cause))
	}
	body := failureOf(p)
	respond(c, body.Status, encode(body))
}

// failureOf fills in what an error does not say itself. What went wrong on our side stays in the log.
func failureOf(p *problem.Error) failure {
	f := failure{Type: "/std-errors", Status: statusOf(p.Code), Title: p.Title, Detail: p.Detail, Hint: p.Hint}
	switch {
	case p.Code == problem.Internal:
		f.Detail, f.Hint = "Internal Server Error", ""
	case f.Detail == "" && p.Code == problem.NotFound:
		f.Detail = "Not found"
	case f.Detail == "" && len(p.Violations) > 0:
		f.Detail = "Resource is not valid"
	}
	if f.Title == "" {
		f.Title = http.StatusText(f.Status)
	}
	f.Details = f.Detail
	for _, v := range p.Violations {
		f.Invalid = append(f.Invalid, invalid{v.Field, v.Message})
		f.Causes = append(f.Causes, cause{v.Field, v.Message})
	}
	return f
}

// encode writes a value as all answers look: indented by one blank, `<`, `>` and `&` as they are, a newline at the end.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	if err := e.Encode(v); err != nil {
		// Only values of this package come here, and they can all be written.
		panic(err)
	}
	return b.Bytes()
}

// indented lays out JSON that is there already.
func indented(raw []byte) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(2 * len(raw))
	if err := json.Indent(&b, raw, "", " "); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

// respond answers with JSON that is laid out already.
func respond(c *call, status int, body []byte) {
	c.Header().Set("Content-Type", mediaJSON)
	write(c, status, body)
}

// respondRaw answers 200 with JSON that is not laid out yet.
func respondRaw(c *call, raw []byte) error {
	body, err := indented(raw)
	if err != nil {
		return err
	}
	respond(c, http.StatusOK, body)
	return nil
}

// plain answers with text: paths, methods and media types that do not exist have no resource to speak about.
func plain(c *call, status int, text string) {
	c.Header().Set("Content-Type", "text/plain; charset=utf-8")
	write(c, status, []byte(text))
}

// write sends all of a body at once, with its length.
func write(c *call, status int, body []byte) {
	c.Header().Set("Content-Length", strconv.Itoa(len(body)))
	c.Header().Set("X-Content-Type-Options", "nosniff")
	c.WriteHeader(status)
	// A client that went away is no news.
	_, _ = c.Write(body)
}
