// Package render writes all that people read: tables, YAML, JSON, lists of names, and messages, with colours for a person only.
//
// In come resources and plain rows; out goes text to a writer that knows its width.
package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
	"sigs.k8s.io/yaml"

	"github.com/kumactl/kumactl/internal/problem"
)

// Format is what `-o` takes.
type Format string

// The formats.
const (
	FormatTable Format = "table"
	FormatWide  Format = "wide"
	FormatYAML  Format = "yaml"
	FormatJSON  Format = "json"
	FormatName  Format = "name"
)

// Formats lists them for help and completion.
func Formats() []string {
	return []string{string(FormatTable), string(FormatWide), string(FormatYAML), string(FormatJSON), string(FormatName)}
}

// Check refuses a word that is no format.
func (f Format) Check() error {
	for _, known := range Formats() {
		if string(f) == known {
			return nil
		}
	}
	return problem.New(problem.Invalid, "unknown output format %q", string(f)).WithHint("-o takes %s", strings.Join(Formats(), ", "))
}

// Output is where text goes, and how much of it fits on a line.
type Output struct {
	Out io.Writer
	// Width in cells; 0 when no terminal is there, or nobody wants lines to fit.
	Width int
	// Height in lines; 0 when no terminal is there.
	Height int
	// Color is set for a person at a terminal who did not refuse it.
	Color bool
}

// ForFile looks at a file and the environment (NO_COLOR, TERM, COLUMNS) and says how to write to it.
func ForFile(f *os.File, environ func(string) string) Output {
	o := Output{Out: f}
	if !term.IsTerminal(int(f.Fd())) {
		return o
	}
	o = o.measured()
	o.Color = environ("NO_COLOR") == "" && environ("TERM") != "dumb"
	return o
}

// measured looks again how large the terminal is.
func (o Output) measured() Output {
	f, ok := o.Out.(*os.File)
	if !ok {
		return o
	}
	if width, height, err := term.GetSize(int(f.Fd())); err == nil {
		o.Width, o.Height = width, height
	}
	return o
}

// JSON writes compact or indented JSON as JSON indented by two.
func (o Output) JSON(raw []byte) error {
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", "  "); err != nil {
		return fmt.Errorf("answer is not JSON: %w", err)
	}
	_, err := fmt.Fprintln(o.Out, strings.TrimRight(b.String(), "\n"))
	return err
}

// YAML writes JSON as YAML.
func (o Output) YAML(raw []byte) error {
	text, err := yaml.JSONToYAML(raw)
	if err != nil {
		return fmt.Errorf("answer is not JSON: %w", err)
	}
	_, err = o.Out.Write(text)
	return err
}

// Line writes one line.
func (o Output) Line(format string, args ...any) {
	fmt.Fprintf(o.Out, format+"\n", args...)
}

// Bold, Faint, Good, Bad and Careful colour a text for a person.
func (o Output) Bold(s string) string { return o.paint("1", s) }

// Faint is for what matters less.
func (o Output) Faint(s string) string { return o.paint("2", s) }

// Good is for what is as it should be.
func (o Output) Good(s string) string { return o.paint("32", s) }

// Bad is for what is broken.
func (o Output) Bad(s string) string { return o.paint("31", s) }

// Careful is for what a person should look at.
func (o Output) Careful(s string) string { return o.paint("33", s) }

func (o Output) paint(code, s string) string {
	if !o.Color || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// states colours the words for the state of a proxy in a line of a table.
func (o Output) states(line string) string {
	if !o.Color {
		return line
	}
	for word, paint := range map[string]func(string) string{
		" Online": o.Good, " Offline": o.Bad, " Partially degraded": o.Careful,
	} {
		line = strings.Replace(line, word, " "+paint(word[1:]), 1)
	}
	return line
}

// Problem writes an error as a person wants it: what is wrong, each field on a line of its own, and what to do next.
func (o Output) Problem(err error, p *problem.Error) {
	if p == nil {
		o.Line("%s %s", o.Bad("Error:"), err)
		return
	}
	o.Line("%s %s", o.Bad("Error:"), headline(err, p))
	for _, v := range p.Violations {
		o.Line("* %s", v)
	}
	if p.Hint != "" {
		o.Hint("%s", p.Hint)
	}
}

// Hint writes what to do next.
func (o Output) Hint(format string, args ...any) {
	o.Line("%s %s", o.Careful("Hint:"), fmt.Sprintf(format, args...))
}

// headline is the error's text without the violations that follow below it, with what wraps it kept in front.
func headline(err error, p *problem.Error) string {
	bare := *p
	bare.Violations = nil
	text := strings.TrimSuffix(err.Error(), p.Error())
	if p.Title != "" && p.Detail != "" {
		return text + p.Title + " (" + strings.TrimSpace(p.Detail) + ")"
	}
	return text + bare.Error()
}
