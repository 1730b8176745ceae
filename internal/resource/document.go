package resource

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"

	"github.com/kumactl/kumactl/internal/problem"
)

// Limits on what a document may hold; aliases count each time they are used.
const (
	maxDocumentNodes = 10_000
	maxDocumentDepth = 64
)

// Document is one document of a YAML or JSON stream, as JSON, with the lines of its fields.
type Document struct {
	// File is the name that messages show.
	File string
	// Line is where the document begins, from 1.
	Line int
	JSON []byte

	lines map[string]int
}

// LineOf is the line of the field at a path, or of the nearest field above it that was written.
func (d *Document) LineOf(path string) int {
	for path != "" {
		if line, ok := d.lines[path]; ok {
			return line
		}
		cut := max(lastIndex(path, '.'), lastIndex(path, '['))
		if cut < 0 {
			break
		}
		path = path[:cut]
	}
	return d.Line
}

func lastIndex(s string, c byte) int {
	for i := len(s) - 1; i >= 0; i-- {
		if s[i] == c {
			return i
		}
	}
	return -1
}

// Place fills in where the violations were written.
func (d *Document) Place(violations []problem.Violation) {
	for i := range violations {
		violations[i].File = d.File
		violations[i].Line = d.LineOf(violations[i].Field)
	}
}

// Documents splits a YAML or JSON stream into its documents. Empty documents are left out. Errors are *problem.Error of code
// Invalid with file and line.
func Documents(file string, raw []byte) ([]*Document, error) {
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	var docs []*Document
	for {
		var node yaml.Node
		err := dec.Decode(&node)
		if err == io.EOF {
			return docs, nil
		}
		if err != nil {
			return nil, problem.New(problem.Invalid, "%s: %w", file, err)
		}
		if len(node.Content) == 0 || node.Content[0].Tag == "!!null" {
			continue
		}
		doc := &Document{File: file, Line: node.Content[0].Line, lines: map[string]int{}}
		walk := documentWalk{doc: doc}
		value, err := walk.value(node.Content[0], "", 0)
		if err != nil {
			return nil, problem.New(problem.Invalid, "%s: %w", file, err)
		}
		if doc.JSON, err = json.Marshal(value); err != nil {
			return nil, problem.New(problem.Invalid, "%s:%d: %w", file, doc.Line, err)
		}
		docs = append(docs, doc)
	}
}

// documentWalk turns a tree of YAML nodes into values that encoding/json writes, and notes the line of each path.
type documentWalk struct {
	doc   *Document
	nodes int
}

func (w *documentWalk) value(n *yaml.Node, path string, depth int) (any, error) {
	if w.nodes++; w.nodes > maxDocumentNodes {
		return nil, fmt.Errorf("line %d: more than %d values in one document (aliases count each time)", n.Line, maxDocumentNodes)
	}
	if depth > maxDocumentDepth {
		return nil, fmt.Errorf("line %d: nested deeper than %d levels", n.Line, maxDocumentDepth)
	}
	if path != "" {
		if _, ok := w.doc.lines[path]; !ok {
			w.doc.lines[path] = n.Line
		}
	}
	switch n.Kind {
	case yaml.AliasNode:
		return w.value(n.Alias, path, depth+1)
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for i, c := range n.Content {
			v, err := w.value(c, fmt.Sprintf("%s[%d]", path, i), depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	case yaml.MappingNode:
		return w.mapping(n, path, depth)
	}
	if n.Tag == "!!timestamp" {
		return n.Value, nil
	}
	var v any
	if err := n.Decode(&v); err != nil {
		return nil, fmt.Errorf("line %d: %w", n.Line, err)
	}
	return v, nil
}

func (w *documentWalk) mapping(n *yaml.Node, path string, depth int) (any, error) {
	m := make(map[string]any, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, val := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode {
			return nil, fmt.Errorf("line %d: a key must be a word", key.Line)
		}
		if key.Tag == "!!merge" {
			if err := w.merge(m, val, path, depth); err != nil {
				return nil, err
			}
			continue
		}
		if _, twice := m[key.Value]; twice && !w.merged(n, key.Value) {
			return nil, fmt.Errorf("line %d: key %q is given twice", key.Line, key.Value)
		}
		at := problem.Join(path, key.Value)
		w.doc.lines[at] = key.Line
		v, err := w.value(val, at, depth+1)
		if err != nil {
			return nil, err
		}
		m[key.Value] = v
	}
	return m, nil
}

// merge handles `<<`: what is merged yields to what is written.
func (w *documentWalk) merge(into map[string]any, val *yaml.Node, path string, depth int) error {
	v, err := w.value(val, path, depth+1)
	if err != nil {
		return err
	}
	parts, ok := v.([]any)
	if !ok {
		parts = []any{v}
	}
	for _, p := range parts {
		m, ok := p.(map[string]any)
		if !ok {
			return fmt.Errorf("line %d: << takes a mapping", val.Line)
		}
		for k, inner := range m {
			if _, there := into[k]; !there {
				into[k] = inner
			}
		}
	}
	return nil
}

// merged says whether the mapping has a merge key, so that a key may already be there without being written twice.
func (w *documentWalk) merged(n *yaml.Node, key string) bool {
	count, merge := 0, false
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Tag == "!!merge" {
			merge = true
		} else if n.Content[i].Value == key {
			count++
		}
	}
	return merge && count == 1
}
