package cli

import (
	"bufio"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"syscall"
	"unicode/utf8"
)

// printTrees prints what each yields for people: a heading and a line for each field
// that has a value, with what a field is made of below it, indented.
func (a *app) printTrees(each func(yield func(inspectView) error) error) error {
	w := bufio.NewWriterSize(a.stdout, 1<<15)
	t := &treePrinter{w: w, cell: humanCell(a.now())}
	first := true
	err := each(func(v inspectView) error {
		if !first {
			t.line("", "")
		}
		first = false
		t.item(v)
		return t.err
	})
	err = errors.Join(err, w.Flush())
	if errors.Is(err, syscall.EPIPE) {
		return nil
	}
	return err
}

type treePrinter struct {
	w    *bufio.Writer
	cell func(any) string
	err  error
}

func (t *treePrinter) line(indent, text string) {
	if _, err := t.w.WriteString(indent + text + "\n"); t.err == nil {
		t.err = err
	}
}

// item prints one thing.
func (t *treePrinter) item(v inspectView) {
	where := v.Format
	if v.Format == "PEM" {
		where = fmt.Sprintf("PEM, block %d", v.Block)
	}
	if where != "" {
		where = " (" + where + ")"
	}
	t.line("", escape(inputName(v.File))+": "+escape(v.Kind)+where)
	for _, w := range v.Warnings {
		t.line("  ", "WARNING: "+escape(w))
	}
	if v.Error != "" {
		t.line("  ", "ERROR: "+escape(v.Error))
	}
	row := reflect.ValueOf(v)
	described := false
	for i := range row.NumField() {
		if f := row.Field(i); f.Kind() == reflect.Pointer && !f.IsNil() {
			t.fields("  ", f.Elem())
			described = true
		}
	}
	if !described && v.Error == "" {
		t.line("  ", escape(v.Summary))
	}
}

// fields prints the fields of a view that have a value, those with one line first.
func (t *treePrinter) fields(indent string, row reflect.Value) {
	var titles, cells []string
	var nested []int
	width := 0
	for i := range row.NumField() {
		f, title := row.Field(i), titleOf(row.Type().Field(i))
		switch {
		case isNested(f.Type()):
			nested = append(nested, i)
			continue
		case f.IsZero() && f.Kind() != reflect.Bool:
			continue
		}
		cell := t.cell(f.Interface())
		if cell == "-" {
			continue
		}
		titles, cells, width = append(titles, title), append(cells, cell), max(width, utf8.RuneCountInString(title))
	}
	for i := range titles {
		t.line(indent, fmt.Sprintf("%-*s%s%s", width, titles[i], gap, cells[i]))
	}
	for _, i := range nested {
		t.nested(indent, titleOf(row.Type().Field(i)), row.Field(i))
	}
}

// nested prints a field that is made of others.
func (t *treePrinter) nested(indent, title string, f reflect.Value) {
	switch {
	case f.Kind() == reflect.Pointer && f.IsNil():
	case f.Kind() == reflect.Pointer:
		t.line(indent, title)
		t.fields(indent+"  ", f.Elem())
	case f.Kind() == reflect.Struct: // embedded
		t.fields(indent, f)
	default:
		for i := range f.Len() {
			t.line(indent, fmt.Sprintf("%s %d", strings.TrimSuffix(title, "S"), i+1))
			t.fields(indent+"  ", f.Index(i))
		}
	}
}

func titleOf(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return strings.ToUpper(strings.ReplaceAll(name, "_", " "))
}

// isNested says whether a field is made of others, rather than one cell.
func isNested(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer:
		return t != reflect.TypeFor[*encryptionView]()
	case reflect.Slice:
		return t.Elem().Kind() == reflect.Struct
	case reflect.Struct:
		return t != reflect.TypeFor[timestamp]()
	}
	return false
}
