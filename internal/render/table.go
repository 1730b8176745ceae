package render

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/mattn/go-runewidth"
	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"
)

// gap is the blank space between two columns, in cells of the terminal.
const gap = 2

// Column is one column of a table.
type Column struct {
	Title string
	// Rank decides which columns stay on a narrow terminal: those of rank 0 always, then 1, 2, …; from 5 on they go before rows
	// get several lines.
	Rank int
	// List cells hold several words, separated by a blank, which go below each other where the line is too short.
	List bool
	// Text cells hold sentences, which go below their row where the line is too short.
	Text bool
	// Optional columns are left out on a terminal when no row has anything in them.
	Optional bool
}

// Table is what a person reads: a line per thing, fitted to the terminal.
type Table struct {
	Columns []Column
	Rows    [][]string
	// Empty is said in place of a table without rows: what there is none of, and how to make one.
	Empty string
}

// minorRank is the rank from which on a column matters less than that each row has one line.
const minorRank = 5

// noteIndent stands before a sentence that had to go below its row.
const noteIndent = "    "

// Table writes the table, fitted to the width of the terminal. Columns that had to go are named below it.
func (o Output) Table(t Table) error {
	if len(t.Rows) == 0 {
		_, err := fmt.Fprintln(o.Out, t.Empty)
		return err
	}
	f := t.fit(o.Width)
	if err := o.draw(f); err != nil {
		return err
	}
	if len(f.hidden) == 0 {
		return nil
	}
	text := "(not shown: " + strings.Join(f.hidden, ", ") + "; -o wide shows all)"
	_, err := fmt.Fprintln(o.Out, o.Faint(wrap(text, o.Width)))
	return err
}

// fitted is a table that fits.
type fitted struct {
	Table
	// below holds the sentences that stand below each row; nil when none had to go there.
	below [][]string
	// hidden names the columns that had to go.
	hidden []string
}

// fit makes a table no wider than width where that is possible: empty columns go first, then sentences go below their rows, then
// the least columns go, then lists are broken, then the columns of the highest rank go. A width of 0 means that nobody measures (a pipe, -o wide).
func (t Table) fit(width int) fitted {
	if width == 0 {
		return fitted{Table: t}
	}
	for c := len(t.Columns) - 1; c >= 0; c-- {
		if t.Columns[c].Optional && !slices.ContainsFunc(t.Rows, func(row []string) bool { return row[c] != "" }) {
			t = t.without(c)
		}
	}
	if t.width() <= width {
		return fitted{Table: t}
	}
	f := fitted{Table: t}
	f.moveSentences(width)
	f.hide(width, minorRank)
	if f.width() > width {
		f.mapLists(func(cell string, _ int) string { return strings.ReplaceAll(cell, " ", "\n") }, width)
		f.hide(width, 1)
		f.mapLists(func(cell string, room int) string { return wrap(cell, room) }, width)
	}
	slices.Reverse(f.hidden)
	return f
}

// hide takes columns of at least a rank away until the table fits.
func (f *fitted) hide(width, rank int) {
	for f.width() > width {
		last := f.leastWanted()
		if last < 0 || f.Columns[last].Rank < rank {
			return
		}
		f.hidden = append(f.hidden, strings.ToLower(f.Columns[last].Title))
		f.Table = f.without(last)
	}
}

// moveSentences takes the columns of sentences out of the table and puts what they say below the rows.
func (f *fitted) moveSentences(width int) {
	for c := len(f.Columns) - 1; c >= 0; c-- {
		if !f.Columns[c].Text {
			continue
		}
		if f.below == nil {
			f.below = make([][]string, len(f.Rows))
		}
		for i, row := range f.Rows {
			if row[c] == "" {
				continue
			}
			for line := range strings.SplitSeq(wrap(row[c], max(width-len(noteIndent), 1)), "\n") {
				f.below[i] = append(f.below[i], noteIndent+line)
			}
		}
		f.Table = f.without(c)
	}
}

// mapLists writes the lists anew, each in the room that the other columns leave for it.
func (f *fitted) mapLists(change func(cell string, room int) string, width int) {
	for c, column := range f.Columns {
		if !column.List {
			continue
		}
		room := max(width-f.width()+f.columnWidth(c), 1)
		rows := make([][]string, len(f.Rows))
		for i, row := range f.Rows {
			rows[i] = slices.Clone(row)
			rows[i][c] = change(row[c], room)
		}
		f.Rows = rows
	}
}

// wrap breaks a text at its blanks so that no line has more cells than room; words longer than that are cut. A room of 0 is endless.
func wrap(text string, room int) string {
	if room == 0 {
		return text
	}
	var b strings.Builder
	used := 0
	for word := range strings.FieldsSeq(text) {
		cells := runewidth.StringWidth(word)
		switch {
		case used > 0 && used+1+cells <= room:
			b.WriteString(" ")
			used++
		case used > 0:
			b.WriteString("\n")
			used = 0
		}
		for cells > room {
			head := runewidth.Truncate(word, room, "")
			if head == "" {
				break
			}
			b.WriteString(head + "\n")
			word = word[len(head):]
			cells = runewidth.StringWidth(word)
		}
		b.WriteString(word)
		used += cells
	}
	return b.String()
}

// width is how many cells the widest line of the table takes.
func (t Table) width() int {
	all := gap * (len(t.Columns) - 1)
	for c := range t.Columns {
		all += t.columnWidth(c)
	}
	return all
}

func (t Table) columnWidth(c int) int {
	widest := runewidth.StringWidth(t.Columns[c].Title)
	for _, row := range t.Rows {
		for line := range strings.SplitSeq(row[c], "\n") {
			widest = max(widest, runewidth.StringWidth(line))
		}
	}
	return widest
}

func (t Table) leastWanted() int {
	at := -1
	for c, column := range t.Columns {
		if column.Rank > 0 && (at < 0 || column.Rank >= t.Columns[at].Rank) {
			at = c
		}
	}
	return at
}

func (t Table) without(c int) Table {
	t.Columns = slices.Delete(slices.Clone(t.Columns), c, c+1)
	rows := make([][]string, len(t.Rows))
	for i, row := range t.Rows {
		rows[i] = slices.Delete(slices.Clone(row), c, c+1)
	}
	t.Rows = rows
	return t
}

func (o Output) draw(f fitted) error {
	t := f.Table
	none := tw.Padding{Left: tw.Empty, Right: strings.Repeat(" ", gap), Overwrite: true}
	var text strings.Builder
	table := tablewriter.NewTable(&text,
		tablewriter.WithRenderer(renderer.NewBlueprint(tw.Rendition{
			Borders:  tw.BorderNone,
			Settings: tw.Settings{Separators: tw.SeparatorsNone, Lines: tw.LinesNone},
		})),
		tablewriter.WithHeaderAlignment(tw.AlignLeft),
		tablewriter.WithRowAlignment(tw.AlignLeft),
		tablewriter.WithHeaderAutoFormat(tw.Off),
		tablewriter.WithHeaderAutoWrap(tw.WrapNone),
		tablewriter.WithRowAutoWrap(tw.WrapNone),
		tablewriter.WithPadding(none),
	)
	titles := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		titles[i] = c.Title
	}
	table.Header(titles)
	if err := table.Bulk(t.Rows); err != nil {
		return err
	}
	if err := table.Render(); err != nil {
		return err
	}
	return o.colored(text.String(), f)
}

// colored writes a drawn table without the blanks at the ends of its lines, its heading bold, its states in their colours, and what
// stands below each row.
func (o Output) colored(text string, f fitted) error {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	var b strings.Builder
	b.WriteString(o.Bold(strings.TrimRight(lines[0], " ")) + "\n")
	lines = lines[1:]
	for i, row := range f.Rows {
		height := 1
		for _, cell := range row {
			height = max(height, strings.Count(cell, "\n")+1)
		}
		for _, line := range lines[:min(height, len(lines))] {
			b.WriteString(o.states(strings.TrimRight(line, " ")) + "\n")
		}
		lines = lines[min(height, len(lines)):]
		if f.below != nil {
			for _, line := range f.below[i] {
				b.WriteString(o.Careful(line) + "\n")
			}
		}
	}
	_, err := io.WriteString(o.Out, b.String())
	return err
}
