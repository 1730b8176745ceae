package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
)

// Limits on what one document may hold, beside the limit on the body's bytes. They are those of documents that the command
// line reads.
const (
	maxNodes = 10_000
	maxDepth = 64
)

const processing = "Could not process a resource" // wire: the peer's title for documents that are wrong

// readBody reads all of a request's body.
func (a *API) readBody(c *call) ([]byte, error) {
	tooLarge := &problem.Error{
		Code: problem.TooLarge, Title: processing, Detail: fmt.Sprintf("the body has more than %d bytes", a.o.BodyLimit),
		Hint: "send fewer resources at once; the limit is apiServer.bodyLimitBytes (KUMA_API_SERVER_BODY_LIMIT_BYTES)",
	}
	if c.r.ContentLength > a.o.BodyLimit {
		return nil, tooLarge
	}
	raw, err := io.ReadAll(http.MaxBytesReader(c, c.r.Body, a.o.BodyLimit))
	if _, over := errors.AsType[*http.MaxBytesError](err); over {
		return nil, tooLarge
	}
	if err != nil {
		return nil, &problem.Error{Code: problem.Invalid, Title: "Bad Request", Detail: "the body did not arrive whole", Cause: err}
	}
	return raw, nil
}

// document is a body that was read as one resource. Twice are the paths of keys that were given several times; the last counts.
type document struct {
	resource.Decoded
	twice []string
}

// warnings tell of the keys that were given several times. Fields that the kind does not have are told by admission.
func (d document) warnings() []string {
	var texts []string
	for _, path := range d.twice {
		texts = append(texts, path+": "+givenTwice)
	}
	return texts
}

// givenTwice is a warning and not an error: encoding/json takes such documents, and so do the peers.
const givenTwice = "given more than once, the last one counts"

// violations are what strict reading refuses.
func (d document) violations() (v problem.Violations) {
	for _, u := range d.Unknown {
		v = append(v, u.Violation())
	}
	for _, path := range d.twice {
		v.Add(path, "given more than once")
	}
	return v
}

// decode reads one document, with what it drops.
func decode(k *resource.Kind, raw []byte) (document, error) {
	twice, err := examine(raw)
	if err != nil {
		return document{}, malformed(k, err)
	}
	if !k.Nested && bytes.Equal(bytes.TrimSpace(raw), []byte("null")) {
		raw = []byte("{}")
	}
	if len(twice) > 0 {
		if raw, err = lastOfEach(raw); err != nil {
			return document{}, malformed(k, err)
		}
	}
	d, err := k.Decode(raw)
	if err != nil {
		return document{}, malformed(k, err)
	}
	return document{d, twice}, nil
}

// malformed says that a body is no document of the kind. Violations that the decoder found pass as they are.
func malformed(k *resource.Kind, err error) error {
	text := err.Error()
	if p, ok := errors.AsType[*problem.Error](err); ok {
		if len(p.Violations) > 0 {
			return titled(processing, err)
		}
		text = p.Detail
	}
	return &problem.Error{
		Code: problem.Invalid, Title: "Bad Request", Cause: err,
		Detail: fmt.Sprintf("invalid %s object: %q", k.Name, text), // wire: old clients show it
	}
}

// examine looks through JSON before anything is made of it: one value, not nested too deep, not too many parts. It returns the
// paths of keys that are given more than once.
func examine(raw []byte) (twice []string, err error) {
	// The texts of syntax errors are those of json.Unmarshal, which looks at all of the input first.
	var whole json.RawMessage
	if err := json.Unmarshal(raw, &whole); err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var w walk
	for {
		token, err := dec.Token()
		if err == io.EOF {
			return w.twice, nil
		}
		if err != nil {
			return nil, err
		}
		if err := w.take(token); err != nil {
			return nil, err
		}
	}
}

// walk follows the tokens of a JSON text.
type walk struct {
	open  []level
	nodes int
	twice []string
}

// level is an object or list that is not closed yet.
type level struct {
	// keys seen so far; nil for a list.
	keys map[string]bool
	// key of the value that comes next in an object; valueNext says that there is one.
	key       string
	valueNext bool
	// index of the next element of a list.
	index int
}

// take looks at the next token: a key, the begin or end of an object or list, or a simple value.
func (w *walk) take(token json.Token) error {
	if d, ok := token.(json.Delim); ok && (d == '}' || d == ']') {
		w.open = w.open[:len(w.open)-1]
		w.next()
		return nil
	}
	if top := w.top(); top != nil && top.keys != nil && !top.valueNext {
		top.key, _ = token.(string)
		if top.keys[top.key] {
			w.twice = append(w.twice, w.path())
		}
		top.keys[top.key], top.valueNext = true, true
		return nil
	}
	if w.nodes++; w.nodes > maxNodes {
		return fmt.Errorf("more than %d values in one document", maxNodes)
	}
	d, ok := token.(json.Delim)
	if !ok {
		w.next()
		return nil
	}
	if len(w.open) == maxDepth {
		return fmt.Errorf("%s: nested deeper than %d levels", w.path(), maxDepth)
	}
	if d == '{' {
		w.open = append(w.open, level{keys: map[string]bool{}})
	} else {
		w.open = append(w.open, level{})
	}
	return nil
}

func (w *walk) top() *level {
	if len(w.open) == 0 {
		return nil
	}
	return &w.open[len(w.open)-1]
}

// next says that a value is over.
func (w *walk) next() {
	if top := w.top(); top != nil {
		top.valueNext = false
		top.index++
	}
}

// path is where the walk is, in the form of field paths: `networking.inbound[0].port`.
func (w *walk) path() string {
	path := ""
	for _, l := range w.open {
		if l.keys == nil {
			path = problem.Join(path, fmt.Sprintf("[%d]", l.index))
		} else {
			path = problem.Join(path, l.key)
		}
	}
	return path
}

// lastOfEach writes JSON anew, with the last value of each key.
func lastOfEach(raw []byte) ([]byte, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	return json.Marshal(v)
}
