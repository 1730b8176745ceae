// Package problem holds the ways in which a request can be wrong, in words for the person who made it.
//
// In come facts from whoever found the fault (a decoder, a validator, the store); out goes one *Error, which the HTTP API
// turns into a status and the command line into an exit code. The package knows no transport.
package problem

import (
	"errors"
	"fmt"
	"strings"
)

// Code says what kind of wrong it is. Transports map it in exactly one place each.
type Code int

// The codes. The zero value means that the fault is ours (a bug, a full disk), not the caller's.
const (
	Internal Code = iota
	// Invalid: the request can never succeed as it is.
	Invalid
	// NotFound: the thing that the request is about is not there.
	NotFound
	// Conflict: somebody else changed it first, or it is in use.
	Conflict
	// Unauthenticated: the credential is missing or wrong.
	Unauthenticated
	// Forbidden: the credential is right and not enough.
	Forbidden
	// NotAllowed: this operation does not exist for this thing (read-only kinds and servers).
	NotAllowed
	// TooLarge: the request is over a limit.
	TooLarge
	// Unavailable: it may succeed later (disk full, store closed, server down).
	Unavailable
)

// Violation is one field that is wrong. Field is a path such as `to[1].default.idleTimeout`, or a path from the root of the resource.
type Violation struct {
	Field   string
	Message string
	// File and Line (from 1) say where a person wrote it; empty and 0 when it did not come from a file.
	File string
	Line int
}

// String is `file:line: field: message` with the parts that are known.
func (v Violation) String() string {
	var b strings.Builder
	if v.File != "" {
		b.WriteString(v.File)
		b.WriteString(":")
	}
	if v.Line > 0 {
		fmt.Fprintf(&b, "%d:", v.Line)
	}
	if b.Len() > 0 {
		b.WriteString(" ")
	}
	if v.Field != "" {
		b.WriteString(v.Field + ": ")
	}
	b.WriteString(v.Message)
	return b.String()
}

// Error is a request that went wrong. Title says what was tried, Detail what was wrong, Hint what to type next.
type Error struct {
	Code       Code
	Title      string
	Detail     string
	Violations []Violation
	// Hint is a command or setting that a person can paste; may be empty.
	Hint string
	// Cause is the error below, for errors.Is; its text is not repeated in Error().
	Cause error
}

// Error is one line: title, detail and violations.
func (e *Error) Error() string {
	parts := make([]string, 0, 2+len(e.Violations))
	for _, s := range []string{e.Title, e.Detail} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	for _, v := range e.Violations {
		parts = append(parts, v.String())
	}
	return strings.Join(parts, ": ")
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// New makes an error with a code and a detail.
func New(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Detail: err.Error(), Cause: errors.Unwrap(err)}
}

// WithHint returns the same error with what to type next.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// CodeOf finds the code of the first *Error in the chain; Internal when there is none.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return Internal
}

// Violations collects what is wrong with one resource, in the order found.
type Violations []Violation

// Add notes one violation at a path.
func (v *Violations) Add(field, format string, args ...any) {
	*v = append(*v, Violation{Field: field, Message: fmt.Sprintf(format, args...)})
}

// AddAll notes the violations of a part, each below the given path.
func (v *Violations) AddAll(at string, part Violations) {
	for _, p := range part {
		p.Field = Join(at, p.Field)
		*v = append(*v, p)
	}
}

// Join puts two field paths together: `a` and `b` give `a.b`, `a` and `[0]` give `a[0]`.
func Join(at, field string) string {
	switch {
	case at == "":
		return field
	case field == "":
		return at
	case strings.HasPrefix(field, "["):
		return at + field
	}
	return at + "." + field
}
