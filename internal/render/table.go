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
	// Rank decides which columns stay on a narrow terminal: those of rank 0 always, then 1, 2, …
	Rank int
	// List cells hold several words, separated by a blank, which go below each other where the line is too short.
	List bool
	// Text cells hold sentences, which are wrapped into the room that the other columns leave.
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

// minText is the least room that a column of sentences is given, in cells.
const minText = 24

// Table writes the table, fitted to the width of the terminal. Columns that had to go are named below it.
func (o Output) Table(t Table) error {
	if len(t.Rows) == 0 {
		_, err := fmt.Fprintln(o.Out, t.Empty)
		return err
	}
	t, hidden := t.fit(o.Width)
	if err := o.draw(t); err != nil {
		return err
	}
	if len(hidden) > 0 {
		_, err := fmt.Fprintln(o.Out, o.Faint("(not shown: "+strings.Join(hidden, ", ")+"; -o wide shows all)"))
		return err
	}
	return nil
}

// fit makes a table no wider than width where that is possible: empty columns go first, then lists are broken and texts wrapped,
// then the columns of the highest rank go. A width of 0 means that nobody measures (a pipe, -o wide).
func (t Table) fit(width int) (Table, []string) {
	if width == 0 {
		return t, nil
	}
	for c := len(t.Columns) - 1; c >= 0; c-- {
		if t.Columns[c].Optional && !slices.ContainsFunc(t.Rows, func(row []string) bool { return row[c] != "" }) {
			t = t.without(c)
		}
	}
	widths := t.widths(false)
	if sum(widths) <= width {
		return t, nil
	}
	t = t.mapped(func(c Column, cell string) string {
		if c.List {
			return strings.ReplaceAll(cell, " ", "\n")
		}
		return cell
	})
	var hidden []string
	for sum(t.widths(true)) > width {
		last := t.leastWanted()
		if last < 0 {
			break
		}
		hidden = append(hidden, strings.ToLower(t.Columns[last].Title))
		t = t.without(last)
	}
	slices.Reverse(hidden)
	return t.wrapped(width), hidden
}

// wrapped gives the room that is left to the columns of sentences.
func (t Table) wrapped(width int) Table {
	least := t.widths(true)
	spare := max(width-sum(least), 0)
	for c, column := range t.Columns {
		if !column.Text {
			continue
		}
		room := least[c] + spare
		t = t.mapped(func(other Column, cell string) string {
			if other == column {
				return wrap(cell, room)
			}
			return cell
		})
		spare = 0
	}
	return t
}

// wrap breaks a text at its blanks so that no line has more cells than room; words longer than that are cut.
func wrap(text string, room int) string {
	var b strings.Builder
	used := 0
	for word := range strings.FieldsSeq(text) {
		for {
			cells := runewidth.StringWidth(word)
			switch {
			case used > 0 && used+1+cells <= room:
				b.WriteString(" ")
				used++
			case used > 0:
				b.WriteString("\n")
				used = 0
			}
			if cells <= room {
				b.WriteString(word)
				used += cells
				break
			}
			head := runewidth.Truncate(word, room, "")
			b.WriteString(head)
			word, used = word[len(head):], room
		}
	}
	return b.String()
}

// widths gives the cells that each column needs; texts need minText at least when they may be wrapped.
func (t Table) widths(wrapping bool) []int {
	widths := make([]int, len(t.Columns))
	for c, column := range t.Columns {
		widest := runewidth.StringWidth(column.Title)
		for _, row := range t.Rows {
			for line := range strings.SplitSeq(row[c], "\n") {
				widest = max(widest, runewidth.StringWidth(line))
			}
		}
		if wrapping && column.Text {
			widest = min(widest, minText)
		}
		widths[c] = widest
	}
	return widths
}

func sum(widths []int) int {
	all := gap * (len(widths) - 1)
	for _, w := range widths {
		all += w
	}
	return all
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

// mapped changes cells without touching the rows that the caller holds.
func (t Table) mapped(change func(Column, string) string) Table {
	rows := make([][]string, len(t.Rows))
	for i, row := range t.Rows {
		row = slices.Clone(row)
		for c := range row {
			row[c] = change(t.Columns[c], row[c])
		}
		rows[i] = row
	}
	t.Rows = rows
	return t
}

func (o Output) draw(t Table) error {
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
	return o.colored(text.String())
}

// colored writes a drawn table without the blanks at the ends of its lines, its heading bold and its states in their colours.
func (o Output) colored(text string) error {
	for i, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		line = strings.TrimRight(line, " ")
		if i == 0 {
			line = o.Bold(line)
		} else {
			line = o.states(line)
		}
		if _, err := io.WriteString(o.Out, line+"\n"); err != nil {
			return err
		}
	}
	return nil
}
