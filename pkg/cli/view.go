package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"x509ctl/pkg/fault"
)

// A timestamp is a moment in a view: RFC 3339 in UTC, in whole seconds, for
// programs, and local time with the distance from now for people. The zero
// timestamp is no moment: null, or a dash.
type timestamp struct{ time.Time }

// at returns the timestamp of t.
func at(t time.Time) timestamp { return timestamp{t} }

func (t timestamp) text() string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// MarshalJSON writes t as a string, or null for the zero timestamp.
func (t timestamp) MarshalJSON() ([]byte, error) {
	if t.IsZero() {
		return []byte("null"), nil
	}
	return []byte(`"` + t.text() + `"`), nil
}

// A field is one field of a view.
type field struct {
	index int
	name  string // in JSON, YAML, CSV and --fields
	title string // the heading of a table's column
	extra bool   // in lists only when asked for
}

// fieldList are the fields of a view: those to be shown of all it has.
type fieldList struct {
	shown []field
	all   []field
}

// viewOf returns the fields of the view V: a struct of which each field has a JSON
// name. A table's heading is that name in capitals. A field with the tag
// `table:"extra"` is in lists only when --fields asks for it; one with `table:"-"`
// is for programs only.
func viewOf[V any]() fieldList {
	t := reflect.TypeFor[V]()
	var f fieldList
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		tag := t.Field(i).Tag.Get("table")
		if name == "" || name == "-" || tag == "-" {
			continue
		}
		title := strings.ToUpper(strings.ReplaceAll(name, "_", " "))
		f.all = append(f.all, field{i, name, title, tag == "extra"})
	}
	f.shown = slices.DeleteFunc(slices.Clone(f.all), func(f field) bool { return f.extra })
	return f
}

// choose returns f with the fields that the flag --fields names.
func (f fieldList) choose(flag string) (fieldList, error) {
	if flag == "" {
		return f, nil
	}
	list, add := strings.CutPrefix(flag, "+")
	chosen := fieldList{all: f.all}
	if add {
		chosen.shown = slices.Clone(f.shown)
	}
	for name := range strings.SplitSeq(list, ",") {
		i := slices.IndexFunc(f.all, func(f field) bool { return f.name == strings.TrimSpace(name) })
		if i < 0 {
			return f, fault.Errorf(fault.Malformed, "unknown field %q: the fields are %s", name, strings.Join(fieldList{shown: f.all}.names(), ", "))
		}
		if !add || !slices.Contains(chosen.shown, f.all[i]) {
			chosen.shown = append(chosen.shown, f.all[i])
		}
	}
	return chosen, nil
}

func (f fieldList) names() []string {
	names := make([]string, len(f.shown))
	for i, c := range f.shown {
		names[i] = c.name
	}
	return names
}

func (f fieldList) titles() []string {
	titles := make([]string, len(f.shown))
	for i, c := range f.shown {
		titles[i] = c.title
	}
	return titles
}

// cells returns the shown fields of row as text.
func (f fieldList) cells(row reflect.Value, cell func(any) string) []string {
	cells := make([]string, len(f.shown))
	for i, c := range f.shown {
		cells[i] = cell(row.Field(c.index).Interface())
	}
	return cells
}

// json returns row as a JSON object: the whole view, or the fields shown in their
// order.
func (f fieldList) json(row reflect.Value, whole bool) ([]byte, error) {
	if whole {
		return marshal(row.Interface())
	}
	var b bytes.Buffer
	b.WriteByte('{')
	for i, c := range f.shown {
		if i > 0 {
			b.WriteByte(',')
		}
		v, err := marshal(row.Field(c.index).Interface())
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%q:%s", c.name, v)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// marshal is json.Marshal without its escapes for web pages, and with escapes for
// what a terminal would obey (see [escape]), which JSON allows in any string.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	text := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	if !bytes.ContainsFunc(text, unsafeRune) {
		return text, nil
	}
	var safe []byte
	for _, r := range string(text) {
		if r != utf8.RuneError && unsafeRune(r) {
			safe = fmt.Appendf(safe, `\u%04x`, r)
		} else {
			safe = utf8.AppendRune(safe, r)
		}
	}
	return safe, nil
}

// rowOf returns v for a printer: its lists are empty rather than null.
func rowOf[V any](v V) reflect.Value {
	row := reflect.ValueOf(&v).Elem()
	for i := range row.NumField() {
		if f := row.Field(i); f.Kind() == reflect.Slice && f.IsNil() && f.CanSet() {
			f.Set(reflect.MakeSlice(f.Type(), 0, 0))
		}
	}
	return row
}

// machineCell is a field's text for programs: CSV, and tables with a separator.
func machineCell(v any) string {
	switch v := v.(type) {
	case string:
		return escape(v)
	case timestamp:
		return v.text()
	case []string:
		return escape(strings.Join(v, ","))
	}
	return escape(fmt.Sprint(v))
}

// humanCell is a field's text for people, who read it at the moment now.
func humanCell(now time.Time) func(any) string {
	return func(v any) string {
		switch v := v.(type) {
		case bool:
			return map[bool]string{true: "yes", false: "no"}[v]
		case timestamp:
			if v.IsZero() {
				return "-"
			}
			return v.Local().Format(time.DateTime) + " (" + relative(v.Time, now) + ")"
		case []string:
			if len(v) == 0 {
				return "-"
			}
			return escape(strings.Join(v, ", "))
		}
		if s := machineCell(v); s != "" {
			return s
		}
		return "-"
	}
}
