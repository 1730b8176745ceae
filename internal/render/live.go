package render

import (
	"bytes"
	"fmt"
	"strings"
)

// Live is a text that is drawn again in the same place of a terminal. Where there is no terminal it is written anew, after an
// empty line, each time that it differs.
type Live struct {
	out   Output
	lines int
	last  string
}

// NewLive makes an empty one.
func NewLive(out Output) *Live { return &Live{out: out} }

// Draw shows what write writes, as far as it fits on the terminal.
func (l *Live) Draw(write func(Output) error) error {
	var b bytes.Buffer
	to := l.out.measured()
	to.Out = &b
	if err := write(to); err != nil {
		return err
	}
	text := b.String()
	if text == l.last && to.Width == l.out.Width {
		return nil
	}
	first := l.last == ""
	l.last, l.out.Width = text, to.Width
	if to.Height == 0 {
		if !first {
			text = "\n" + text
		}
		_, err := fmt.Fprint(l.out.Out, text)
		return err
	}
	lines := strings.SplitAfter(strings.TrimSuffix(text, "\n"), "\n")
	if room := to.Height - 1; len(lines) > room {
		more := len(lines) - room + 1
		lines = append(lines[:room-1:room-1], l.out.Faint(fmt.Sprintf("(%d more lines than this terminal has room for)", more)))
	}
	back := ""
	if l.lines > 0 {
		back = fmt.Sprintf("\x1b[%dA", l.lines)
	}
	l.lines = len(lines)
	_, err := fmt.Fprintf(l.out.Out, "%s\r\x1b[J%s\n", back, strings.Join(lines, ""))
	return err
}
