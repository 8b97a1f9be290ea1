package cli

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"syscall"

	"github.com/spf13/cobra"
)

// The values of --output.
const (
	formatTable format = "table"
	formatJSON  format = "json"
	formatYAML  format = "yaml"
	formatCSV   format = "csv"
)

// format is how a result is printed. The zero format is formatTable.
type format string

var errFormat = errors.New("one of table, json, yaml and csv is wanted")

func (f *format) String() string {
	if *f == "" {
		return string(formatTable)
	}
	return string(*f)
}

// Set is the flag's.
func (f *format) Set(s string) error {
	switch format(s) {
	case formatTable, formatJSON, formatYAML, formatCSV:
		*f = format(s)
		return nil
	}
	return errFormat
}

// Type is the placeholder in help and man pages.
func (*format) Type() string { return "FORMAT" }

// output is what the user wants of the result's form.
type output struct {
	format    format
	fields    string // "a,b" or "+a,b"; empty: the usual ones
	noHeaders bool
	separator string // empty: columns
}

// addOutputFlag adds --output, for a command that prints one result with [show].
func addOutputFlag(cmd *cobra.Command, o *output) {
	cmd.Flags().VarP(&o.format, "output", "o", "print as table, json, yaml or csv")
	completeWords(cmd, "output", "table", "json", "yaml", "csv")
}

// addListFlags adds --output and the flags of tables, for a command that prints
// many results with [list].
func addListFlags(cmd *cobra.Command, o *output) {
	addOutputFlag(cmd, o)
	f := cmd.Flags()
	f.StringVar(&o.fields, "fields", "", "print these `FIELDS`, separated by commas; after a +, beside the usual ones")
	f.BoolVar(&o.noHeaders, "no-headers", false, "leave the headings away")
	f.StringVar(&o.separator, "separator", "", "separate columns by `TEXT`, without padding")
}

// addYesFlag adds --yes, for a command that destroys something: see [app.confirm].
func addYesFlag(cmd *cobra.Command, yes *bool) {
	cmd.Flags().BoolVar(yes, "yes", false, "do it without a question")
}

// completeWords lets the shell complete a flag's value.
func completeWords(cmd *cobra.Command, flag string, words ...string) {
	// The error is that of a flag that doesn't exist, which a test would see.
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
}

// A rowPrinter prints one view after the other.
type rowPrinter interface {
	print(row reflect.Value) error
	close() error // prints what is left, and what comes after the last one
}

// show prints one result. V is a view: a struct as [viewOf] describes it.
func show[V any](a *app, o output, v V) error {
	f := viewOf[V]()
	var w bytes.Buffer
	var p rowPrinter
	switch o.format {
	case formatJSON:
		p = &jsonPrinter{w: &w, fields: f, whole: true, single: true}
	case formatYAML:
		p = &yamlPrinter{w: &w, fields: f, whole: true, single: true}
	case formatCSV:
		p = newCSVPrinter(&w, f, o)
	default:
		p = &cardPrinter{w: &w, fields: f, now: a.now()}
	}
	if err := errors.Join(p.print(rowOf(v)), p.close()); err != nil {
		return fmt.Errorf("printing the result: %w", err)
	}
	if _, err := a.stdout.Write(w.Bytes()); err != nil {
		return fmt.Errorf("writing the output: %w", err)
	}
	return nil
}

// list prints the results that each hands to yield, one by one, in flat memory. A
// reader that has seen enough ends the listing, which is no error.
func list[V any](a *app, o output, each func(yield func(V) error) error) error {
	f, err := viewOf[V]().choose(o.fields)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(a.stdout, 1<<15)
	var p rowPrinter
	switch o.format {
	case formatJSON:
		p = &jsonPrinter{w: w, fields: f, whole: o.fields == ""}
	case formatYAML:
		p = &yamlPrinter{w: w, fields: f, whole: o.fields == ""}
	case formatCSV:
		p = newCSVPrinter(w, f, o)
	default:
		p = newTablePrinter(w, f, o, a.now())
	}
	n := 0
	err = each(func(v V) error {
		if n++; n == measured {
			a.catchSignals()
		}
		return p.print(rowOf(v))
	})
	if err == nil {
		err = p.close()
	}
	err = errors.Join(err, w.Flush())
	if errors.Is(err, syscall.EPIPE) {
		return nil
	}
	return err
}

// each hands the views of a list in memory to [list].
func each[T, V any](items []T, view func(T) V) func(yield func(V) error) error {
	return func(yield func(V) error) error {
		for _, item := range items {
			if err := yield(view(item)); err != nil {
				return err
			}
		}
		return nil
	}
}

// jsonPrinter prints views as JSON, indented by two spaces: a list of objects, or
// one object. Nothing is printed before the first object is there, so an error that
// comes first leaves no half of a list.
type jsonPrinter struct {
	w      io.Writer
	fields fieldList
	whole  bool // the whole view, not only the fields chosen
	single bool // one object, no list
	n      int
}

func (p *jsonPrinter) print(row reflect.Value) error {
	b, err := p.fields.json(row, p.whole)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	prefix := ""
	if !p.single {
		prefix = "  "
		out.WriteString(map[bool]string{true: "[\n  ", false: ",\n  "}[p.n == 0])
	}
	if err := json.Indent(&out, b, prefix, "  "); err != nil {
		return err
	}
	p.n++
	_, err = p.w.Write(out.Bytes())
	return err
}

func (p *jsonPrinter) close() error {
	end := "\n"
	switch {
	case p.single:
	case p.n == 0:
		end = "[]\n"
	default:
		end = "\n]\n"
	}
	_, err := io.WriteString(p.w, end)
	return err
}

// yamlPrinter prints views as YAML, with the names and values of their JSON.
type yamlPrinter struct {
	w      io.Writer
	fields fieldList
	whole  bool
	single bool
	n      int
}

func (p *yamlPrinter) print(row reflect.Value) error {
	b, err := p.fields.json(row, p.whole)
	if err != nil {
		return err
	}
	start, indent := "- ", "  "
	if p.single {
		start, indent = "", ""
	}
	b, err = toYAML(b, indent)
	if err != nil {
		return err
	}
	p.n++
	_, err = fmt.Fprintf(p.w, "%s%s\n", start, b)
	return err
}

func (p *yamlPrinter) close() error {
	if p.single || p.n > 0 {
		return nil
	}
	_, err := io.WriteString(p.w, "[]\n")
	return err
}

// csvPrinter prints views as CSV (RFC 4180, lines end in a newline alone), under a
// line of field names.
type csvPrinter struct {
	w      *csv.Writer
	fields fieldList
	header bool
}

func newCSVPrinter(w io.Writer, f fieldList, o output) *csvPrinter {
	return &csvPrinter{csv.NewWriter(w), f, !o.noHeaders}
}

func (p *csvPrinter) print(row reflect.Value) error {
	if err := p.head(); err != nil {
		return err
	}
	return p.w.Write(p.fields.cells(row, machineCell))
}

func (p *csvPrinter) head() error {
	if !p.header {
		return nil
	}
	p.header = false
	return p.w.Write(p.fields.names())
}

func (p *csvPrinter) close() error {
	err := p.head()
	p.w.Flush()
	return errors.Join(err, p.w.Error())
}
