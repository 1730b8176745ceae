package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/kumactl/kumactl/internal/client"
	"github.com/kumactl/kumactl/internal/launcher"
	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/render"
	"github.com/kumactl/kumactl/internal/resource"
)

// maxFile is the most that one file, or standard input, may hold, in bytes.
const maxFile = 64 << 20

// filesOptions are what -f and its companions say.
type filesOptions struct {
	files     []string
	recursive bool
	vars      map[string]string
	lenient   bool
	allowHTTP bool
	// validate holds each resource against its kind's rules too, as the control plane will.
	validate bool

	stdin *os.File
	errs  render.Output
}

func (o *filesOptions) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVarP(&o.files, "file", "f", nil, "file, directory, URL, or - for stdin; repeatable")
	flags.BoolVarP(&o.recursive, "recursive", "R", false, "go into the directories of a directory too")
	flags.StringToStringVarP(&o.vars, "var", "v", nil, "values for {{ variables }}: name=value; repeatable")
	flags.BoolVar(&o.lenient, "lenient", false, "leave out unknown fields, and take variables without a value as empty")
	flags.BoolVar(&o.allowHTTP, "allow-http", false, "fetch from http:// URLs of other machines")
	// The error is about a flag that does not exist.
	_ = cmd.MarkFlagFilename("file", "yaml", "yml", "json")
}

// input is one file with its text.
type input struct {
	name string
	text []byte
}

// read brings all that -f names, in that order; a directory's files are sorted.
func (o *filesOptions) read(ctx context.Context) ([]input, error) {
	var inputs []input
	for _, name := range o.files {
		more, err := o.readOne(ctx, name)
		if err != nil {
			return nil, err
		}
		inputs = append(inputs, more...)
	}
	return inputs, nil
}

func (o *filesOptions) readOne(ctx context.Context, name string) ([]input, error) {
	switch {
	case name == "-":
		if term.IsTerminal(int(o.stdin.Fd())) {
			o.errs.Line("%s", o.errs.Faint("reading from the terminal; Ctrl-D ends it"))
		}
		text, err := readAll("stdin", o.stdin)
		return []input{{"stdin", text}}, err
	case strings.HasPrefix(name, "http://"), strings.HasPrefix(name, "https://"):
		text, err := client.Fetch(ctx, name, o.allowHTTP)
		return []input{{name, text}}, err
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, problem.New(problem.Invalid, "%w", err)
	}
	names := []string{name}
	if info.IsDir() {
		if names, err = o.filesIn(name); err != nil {
			return nil, err
		}
	}
	var inputs []input
	for _, name := range names {
		text, err := readFile(name)
		if err != nil {
			return nil, err
		}
		inputs = append(inputs, input{name, text})
	}
	return inputs, nil
}

// filesIn lists the documents of a directory. Links to files are followed, links to directories are not.
func (o *filesOptions) filesIn(dir string) ([]string, error) {
	var names []string
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != dir && !o.recursive:
			return fs.SkipDir
		case !slices.Contains([]string{".yaml", ".yml", ".json"}, strings.ToLower(filepath.Ext(name))):
			return nil
		}
		if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() {
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		return nil, problem.New(problem.Invalid, "%w", err)
	}
	if len(names) == 0 {
		return nil, problem.New(problem.Invalid, "%s holds no .yaml, .yml or .json file", dir).WithHint("-R goes into its directories too")
	}
	slices.Sort(names)
	return names, nil
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, problem.New(problem.Invalid, "%w", err)
	}
	defer f.Close()
	return readAll(name, f)
}

func readAll(name string, from io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(from, maxFile+1))
	if err != nil {
		return nil, problem.New(problem.Invalid, "%s: %w", name, err)
	}
	if len(text) > maxFile {
		return nil, problem.New(problem.TooLarge, "%s has more than %d MiB", name, maxFile>>20)
	}
	return text, nil
}

// expand fills the variables in, when there are any.
func (o *filesOptions) expand(in input) ([]byte, error) {
	if len(o.vars) == 0 {
		return in.text, nil
	}
	text, err := launcher.Expand(string(in.text), o.values(string(in.text)))
	if p, ok := errors.AsType[*problem.Error](err); ok {
		p.Detail = in.name + ": " + p.Detail
	}
	return []byte(text), err
}

// values are the variables; with --lenient all that the text names have one.
func (o *filesOptions) values(text string) map[string]string {
	if !o.lenient {
		return o.vars
	}
	all := map[string]string{}
	for _, after := range strings.Split(text, "{{")[1:] {
		name, _, _ := strings.Cut(after, "}}")
		all[strings.Trim(name, "{& \t")] = ""
	}
	for name, value := range o.vars {
		all[name] = value
	}
	return all
}

// written is one resource of a file.
type written struct {
	*resource.Document
	resource.Decoded
}

// documents reads, expands and decodes all that -f names. What is wrong with any of it is told at once.
func (o *filesOptions) documents(ctx context.Context, kinds []*resource.Kind) ([]written, error) {
	inputs, err := o.read(ctx)
	if err != nil {
		return nil, err
	}
	var all []written
	wrong := &mistakes{}
	for _, in := range inputs {
		text, err := o.expand(in)
		if err != nil {
			return nil, err
		}
		docs, err := resource.Documents(in.name, text)
		if err != nil {
			return nil, withVariablesHint(err, text, o.vars)
		}
		for _, doc := range docs {
			if d, ok := o.decode(kinds, doc, wrong); ok {
				all = append(all, written{doc, d})
			}
		}
	}
	if err := wrong.err(); err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, problem.New(problem.Invalid, "no resource in %s", strings.Join(o.files, ", "))
	}
	return all, nil
}

// withVariablesHint helps who forgot -v.
func withVariablesHint(err error, text []byte, vars map[string]string) error {
	if p, ok := errors.AsType[*problem.Error](err); ok && len(vars) == 0 && strings.Contains(string(text), "{{") {
		return p.WithHint("-v name=value fills {{ name }} in")
	}
	return err
}

// decode reads one document, and notes what is wrong with it.
func (o *filesOptions) decode(kinds []*resource.Kind, doc *resource.Document, wrong *mistakes) (resource.Decoded, bool) {
	head, err := resource.ReadHead(doc.JSON)
	if err != nil {
		wrong.at(doc, "", "%s", bare(err))
		return resource.Decoded{}, false
	}
	k, message := kindOf(kinds, doc, head)
	if k == nil {
		wrong.at(doc, "type", "%s", message)
		wrong.hint = "`kumactl get` lists the kinds that this version knows"
		return resource.Decoded{}, false
	}
	d, err := k.Decode(doc.JSON)
	if err != nil {
		wrong.add(doc, readable(k, err))
		return d, false
	}
	for _, u := range d.Unknown {
		if o.lenient {
			o.errs.Line("%s %s:%d: %s; left out", o.errs.Careful("Warning:"), doc.File, doc.LineOf(u.Path), u)
			continue
		}
		wrong.add(doc, &problem.Error{Violations: []problem.Violation{u.Violation()}})
		wrong.hint = "`kumactl explain " + argOf(k) + "` lists the fields; --lenient leaves unknown ones out"
	}
	if d.Name == "" {
		wrong.at(doc, "name", "must be set")
	}
	if d.Mesh == "" && k.Scope == resource.InMesh {
		wrong.at(doc, "mesh", "must be set, as in `mesh: default`")
	}
	if !o.validate || len(d.Unknown) > 0 && !o.lenient {
		return d, true
	}
	full := d.Resource.Clone()
	full.Default()
	if violations := full.Validate(); len(violations) > 0 {
		wrong.add(doc, &problem.Error{Violations: violations})
	}
	return d, true
}

// readable says which type a field takes, where the decoder's own words are about letters.
func readable(k *resource.Kind, err error) error {
	form, ok := errors.AsType[*resource.FormError](err)
	if !ok || form.Path == "" {
		return err
	}
	path := []string{k.Arg}
	for step := range strings.SplitSeq(form.Path, ".") {
		name, _, _ := strings.Cut(step, "[")
		path = append(path, name)
	}
	_, field, missing := fieldAt([]*resource.Kind{k}, path)
	if missing != nil {
		return err
	}
	return &problem.Error{Violations: []problem.Violation{{Field: form.Path, Message: "takes " + shapeOf(innermost(field)) + " (" + form.Error() + ")"}}}
}

// kindOf finds the kind of a document, or says why there is none.
func kindOf(kinds []*resource.Kind, doc *resource.Document, head resource.Head) (*resource.Kind, string) {
	var names []string
	for _, k := range kinds {
		if k.Name == head.Type {
			return k, ""
		}
		names = append(names, k.Name)
	}
	switch near := client.Nearest(head.Type, names); {
	case head.Type == "" && strings.Contains(string(doc.JSON), `"apiVersion":`):
		return nil, "is missing: this is a manifest for Kubernetes; here a resource has type, mesh, name and its specification"
	case head.Type == "":
		return nil, "is missing, as in `type: Mesh`"
	case near != "":
		return nil, fmt.Sprintf("there is no kind %q, did you mean %q?", head.Type, near)
	}
	return nil, fmt.Sprintf("there is no kind %q", head.Type)
}

// mistakes gathers what is wrong with a set of documents.
type mistakes struct {
	found []problem.Violation
	hint  string
}

func (m *mistakes) at(doc *resource.Document, field, format string, args ...any) {
	m.add(doc, &problem.Error{Violations: []problem.Violation{{Field: field, Message: fmt.Sprintf(format, args...)}}})
}

// add notes an error about a document, each of its fields with its line.
func (m *mistakes) add(doc *resource.Document, err error) {
	p, ok := errors.AsType[*problem.Error](err)
	if !ok {
		m.at(doc, "", "%s", err)
		return
	}
	violations := slices.Clone(p.Violations)
	if len(violations) == 0 {
		at := problem.Violation{Message: bare(p)}
		if form, ok := errors.AsType[*resource.FormError](err); ok {
			at.Field = form.Path
		}
		violations = append(violations, at)
	}
	doc.Place(violations)
	m.found = append(m.found, violations...)
	if m.hint == "" {
		m.hint = p.Hint
	}
}

func (m *mistakes) err() error {
	if len(m.found) == 0 {
		return nil
	}
	return &problem.Error{Code: problem.Invalid, Detail: "nothing was written, since not all is right", Violations: m.found, Hint: m.hint}
}

// bare is an error's text in one line: what was wrong, or else what was tried.
func bare(err error) string {
	if p, ok := errors.AsType[*problem.Error](err); ok && p.Title != "" && p.Detail != "" {
		return p.Title + " (" + p.Detail + ")"
	}
	return err.Error()
}
