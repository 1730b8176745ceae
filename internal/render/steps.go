package render

import "fmt"

// Steps shows work that is done step by step: on a terminal the step that goes on, and a line for each that is over.
type Steps struct {
	out  Output
	open bool
}

// NewSteps begins without a step.
func NewSteps(out Output) *Steps { return &Steps{out: out} }

// Begin shows a step that takes a while. Only a terminal shows it; the line is overwritten by End.
func (s *Steps) Begin(name, detail string) {
	if s.out.Width == 0 {
		return
	}
	fmt.Fprintf(s.out.Out, "\r\x1b[K… %s  %s", name, s.out.Faint(detail))
	s.open = true
}

// End shows how a step ended.
func (s *Steps) End(name, detail, how string) {
	if s.open {
		fmt.Fprint(s.out.Out, "\r\x1b[K")
		s.open = false
	}
	s.out.Line("%s %-22s %-9s  %s", s.out.Good("✓"), name, how, s.out.Faint(detail))
}

// Broken leaves the line of a step that went wrong, so that the error stands below it.
func (s *Steps) Broken() {
	if s.open {
		fmt.Fprintf(s.out.Out, "\r%s\n", s.out.Bad("✗"))
		s.open = false
	}
}
