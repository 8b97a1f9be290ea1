package cli

import (
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"
)

// measured is how many rows of a table are held back to find the columns' widths.
// The rows after them keep these widths: a longer cell moves the rest of its row,
// which is better than to cut it, and than to hold a million rows in memory.
const measured = 200

// gap stands between two columns.
const gap = "  "

// tablePrinter prints views as a table without lines, for people and grep.
type tablePrinter struct {
	w         io.Writer
	fields    fieldList
	header    bool
	separator string // instead of padding, with the cells of programs
	cell      func(any) string

	held   [][]string // the first rows, until widths are known
	widths []int
}

func newTablePrinter(w io.Writer, f fieldList, o output, now time.Time) *tablePrinter {
	p := &tablePrinter{w: w, fields: f, header: !o.noHeaders, separator: o.separator, cell: humanCell(now)}
	if p.separator != "" {
		p.cell = machineCell
	}
	return p
}

func (p *tablePrinter) print(row reflect.Value) error {
	cells := p.fields.cells(row, p.cell)
	switch {
	case p.separator != "":
		return p.separated(cells)
	case p.widths != nil:
		return p.padded(cells)
	}
	p.held = append(p.held, cells)
	if len(p.held) < measured {
		return nil
	}
	return p.release()
}

func (p *tablePrinter) close() error {
	if p.separator != "" || p.widths != nil {
		return nil
	}
	return p.release()
}

// release prints the rows held back, under the headings.
func (p *tablePrinter) release() error {
	p.widths = make([]int, len(p.fields.shown))
	rows := p.held
	p.held = nil
	if p.header {
		rows = append([][]string{p.fields.titles()}, rows...)
	}
	for _, cells := range rows {
		for i, c := range cells {
			p.widths[i] = max(p.widths[i], utf8.RuneCountInString(c))
		}
	}
	return render(p.w, rows)
}

// separated prints a row with the separator between its cells.
func (p *tablePrinter) separated(cells []string) error {
	if p.header {
		p.header = false
		if err := p.separated(p.fields.titles()); err != nil {
			return err
		}
	}
	_, err := io.WriteString(p.w, strings.Join(cells, p.separator)+"\n")
	return err
}

// padded prints a row in columns of the widths that are known, as render would.
func (p *tablePrinter) padded(cells []string) error {
	var b strings.Builder
	for i, c := range cells {
		b.WriteString(c)
		if i < len(cells)-1 {
			b.WriteString(strings.Repeat(" ", max(0, p.widths[i]-utf8.RuneCountInString(c))))
			b.WriteString(gap)
		}
	}
	_, err := io.WriteString(p.w, b.String()+"\n")
	return err
}

// render prints rows in columns as wide as their widest cells.
func render(w io.Writer, rows [][]string) error {
	if len(rows) == 0 {
		return nil
	}
	cell := tw.CellConfig{
		Formatting: tw.CellFormatting{AutoFormat: tw.Off, AutoWrap: tw.WrapNone},
		Alignment:  tw.CellAlignment{Global: tw.AlignLeft},
		Padding:    tw.CellPadding{Global: tw.Padding{Right: gap, Overwrite: true}},
	}
	t := tablewriter.NewTable(&lineTrimmer{w: w},
		tablewriter.WithRenderer(renderer.NewBlueprint(tw.Rendition{
			Borders:  tw.BorderNone,
			Settings: tw.Settings{Separators: tw.SeparatorsNone, Lines: tw.LinesNone},
		})),
		tablewriter.WithConfig(tablewriter.Config{Row: cell, Behavior: tw.Behavior{TrimSpace: tw.Off}}),
	)
	if err := t.Bulk(rows); err != nil {
		return err
	}
	return t.Render()
}

// lineTrimmer removes the padding after the last column.
type lineTrimmer struct {
	w io.Writer
}

func (l *lineTrimmer) Write(p []byte) (int, error) {
	lines := strings.Split(string(p), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	_, err := io.WriteString(l.w, strings.Join(lines, "\n"))
	return len(p), err
}

// cardPrinter prints one view for people: a line for each field. It needs no table,
// which would cost half of the time that a short command takes.
type cardPrinter struct {
	w      io.Writer
	fields fieldList
	now    time.Time
}

func (p *cardPrinter) print(row reflect.Value) error {
	all := fieldList{shown: p.fields.all}
	width := 0
	for _, f := range all.shown {
		width = max(width, len(f.title))
	}
	for i, c := range all.cells(row, humanCell(p.now)) {
		if _, err := fmt.Fprintf(p.w, "%-*s%s%s\n", width, all.shown[i].title, gap, c); err != nil {
			return err
		}
	}
	return nil
}

func (*cardPrinter) close() error { return nil }
