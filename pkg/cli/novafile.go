package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"x509ctl/pkg/fault"
)

// A novaRow is one keypair out of Nova: a row of its table key_pairs, or an item of
// its API.
type novaRow struct {
	user, name, typ, fingerprint, publicKey string
	created                                 time.Time
}

// parseNova reads what Nova's operators have: the table as CSV (RFC 4180) or as "mysql
// --batch" prints it, under a line of column names, or JSON of the API or the openstack
// client. Rows that Nova has deleted are left out.
// Errors: [fault.Malformed], naming the line or item.
func parseNova(data []byte) ([]novaRow, error) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	trimmed := bytes.TrimSpace(data)
	switch {
	case !utf8.Valid(data):
		return nil, fault.New(fault.Malformed, "it is not UTF-8")
	case len(trimmed) == 0:
		return nil, fault.New(fault.Malformed, "it is empty")
	case trimmed[0] == '[' || trimmed[0] == '{':
		return parseNovaJSON(data)
	}
	header, _, _ := bytes.Cut(trimmed, []byte("\n"))
	if bytes.ContainsRune(header, '\t') {
		return parseNovaTable(splitBatch(string(data)))
	}
	records, err := splitCSV(string(data))
	if err != nil {
		return nil, err
	}
	return parseNovaTable(records)
}

// looksLikeText refuses a file for the beginning of it.
func looksLikeText(head []byte) error {
	if bytes.IndexByte(head, 0) >= 0 {
		return fault.New(fault.Malformed, "it is not UTF-8")
	}
	return nil
}

// maxNovaField bounds a field of the table, in bytes: twice what the column for public
// keys holds, of which each may be a quotation mark that is doubled.
const maxNovaField = 2 << 16

var errLongField = fault.Errorf(fault.Malformed, "a field has more than %d bytes", maxNovaField)

// column is a column's name as all sources spell it: "Public Key" is public_key.
func column(name string) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimSpace(name)), " ", "_")
}

// newNovaRow reads the fields of a row. ok is false for one that Nova has deleted.
func newNovaRow(field func(names ...string) string) (row novaRow, ok bool) {
	row = novaRow{
		user: field("user_id", "user"), name: field("name"), typ: field("type", "key_type"),
		fingerprint: field("fingerprint"), publicKey: field("public_key"),
	}
	for _, layout := range []string{"2006-01-02 15:04:05", "2006-01-02T15:04:05", time.RFC3339} { // each takes fractions
		if at, err := time.Parse(layout, field("created_at")); err == nil {
			row.created = at
			break
		}
	}
	deleted := strings.ToLower(field("deleted"))
	return row, deleted == "" || deleted == "0" || deleted == "false" || deleted == "f"
}

// parseNovaTable reads records, of which the first has the names of the columns.
func parseNovaTable(records [][]string) ([]novaRow, error) {
	columns := map[string]int{}
	for i, name := range records[0] {
		columns[column(name)] = i
	}
	for _, name := range []string{"name", "public_key"} {
		if _, ok := columns[name]; !ok {
			return nil, fault.Errorf(fault.Malformed, "its first line names no column %q", name)
		}
	}
	var rows []novaRow
	for n, r := range records[1:] {
		if len(r) != len(records[0]) {
			return nil, fault.Errorf(fault.Malformed, "record %d has %d columns, not %d", n+1, len(r), len(records[0]))
		}
		row, ok := newNovaRow(func(names ...string) string {
			for _, name := range names {
				if i, ok := columns[name]; ok && r[i] != "NULL" && r[i] != `\N` {
					return r[i]
				}
			}
			return ""
		})
		if ok {
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// splitCSV splits records and fields. Unlike encoding/csv, it leaves the ends of lines
// in a quoted field alone: public keys are kept to the octet.
func splitCSV(text string) (records [][]string, err error) {
	var record []string
	for more := false; text != "" || more; {
		if rest, empty := cutLine(text); empty && len(record) == 0 {
			text = rest
			continue
		}
		var field string
		if field, text, err = cutField(text); err != nil {
			return nil, fmt.Errorf("record %d: %w", len(records), err)
		}
		record = append(record, field)
		if text, more = strings.CutPrefix(text, ","); more {
			continue
		}
		rest, ended := cutLine(text)
		if !ended && text != "" {
			return nil, fault.Errorf(fault.Malformed, "record %d: after a field there is neither comma nor end of line", len(records))
		}
		text = rest
		records, record = append(records, record), nil
	}
	if len(records) == 0 {
		return nil, fault.New(fault.Malformed, "there is no record in it")
	}
	return records, nil
}

// cutLine cuts the end of a line off the front of text.
func cutLine(text string) (rest string, ok bool) {
	if rest, ok = strings.CutPrefix(text, "\r\n"); ok {
		return rest, true
	}
	return strings.CutPrefix(text, "\n")
}

// cutField splits the first field from text, and takes its quotation marks away.
func cutField(text string) (field, rest string, err error) {
	if !strings.HasPrefix(text, `"`) {
		end := strings.IndexAny(text, ",\r\n")
		if end < 0 {
			end = len(text)
		}
		if end > maxNovaField {
			return "", "", errLongField
		}
		return text[:end], text[end:], nil
	}
	var b strings.Builder
	for rest = text; strings.HasPrefix(rest, `"`); {
		inside, after, ok := strings.Cut(rest[1:], `"`)
		if !ok {
			return "", "", fault.New(fault.Malformed, "a quotation mark is not closed")
		}
		if len(rest) < len(text) {
			b.WriteByte('"') // two of them stand for one
		}
		if b.Len()+len(inside) > maxNovaField {
			return "", "", errLongField
		}
		b.WriteString(inside)
		rest = after
	}
	return b.String(), rest, nil
}

// splitBatch splits what "mysql --batch" prints: tabs between columns, and what would
// be one, or a newline, escaped.
func splitBatch(text string) (records [][]string) {
	escapes := strings.NewReplacer(`\n`, "\n", `\t`, "\t", `\0`, "\x00", `\\`, `\`)
	for line := range strings.Lines(text) {
		if line = strings.TrimRight(line, "\r\n"); line == "" {
			continue
		}
		record := strings.Split(line, "\t")
		for i, f := range record {
			if f != `\N` {
				record[i] = escapes.Replace(f)
			}
		}
		records = append(records, record)
	}
	return records
}

// parseNovaJSON reads one or more values: objects, lists of them, and the API's
// {"keypairs": [{"keypair": …}]}.
func parseNovaJSON(data []byte) ([]novaRow, error) {
	var rows []novaRow
	d := json.NewDecoder(bytes.NewReader(data))
	for d.More() {
		var value any
		if err := d.Decode(&value); err != nil {
			return nil, fault.Errorf(fault.Malformed, "its JSON can't be read: %w", err)
		}
		if err := appendJSON(&rows, value, 5); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// appendJSON adds the keypairs in value, which may be depth levels deep.
func appendJSON(rows *[]novaRow, value any, depth int) error {
	list, isList := value.([]any)
	object, isObject := value.(map[string]any)
	switch {
	case depth == 0:
	case isList:
		for _, item := range list {
			if err := appendJSON(rows, item, depth-1); err != nil {
				return err
			}
		}
		return nil
	case isObject && object["keypairs"] != nil:
		return appendJSON(rows, object["keypairs"], depth-1)
	case isObject && object["keypair"] != nil:
		return appendJSON(rows, object["keypair"], depth-1)
	case isObject:
		return appendObject(rows, object)
	}
	return fault.Errorf(fault.Malformed, "item %d is no keypair", len(*rows)+1)
}

func appendObject(rows *[]novaRow, object map[string]any) error {
	fields := map[string]string{}
	for key, value := range object {
		switch value.(type) {
		case string, bool, float64:
			fields[column(key)] = fmt.Sprint(value)
		}
	}
	if fields["name"] == "" {
		return fault.Errorf(fault.Malformed, "item %d has no name", len(*rows)+1)
	}
	row, ok := newNovaRow(func(names ...string) string {
		for _, name := range names {
			if f := fields[name]; f != "" {
				return f
			}
		}
		return ""
	})
	if ok {
		*rows = append(*rows, row)
	}
	return nil
}
