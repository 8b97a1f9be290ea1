package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// toYAML returns a JSON value as YAML, behind each newline indent. The library that
// reads YAML here does not keep all text when it writes: it drops carriage returns
// and final newlines.
func toYAML(value []byte, indent string) ([]byte, error) {
	var w bytes.Buffer
	var list []json.RawMessage
	switch value = bytes.TrimSpace(value); {
	case len(value) > 2 && value[0] == '[':
		if err := json.Unmarshal(value, &list); err != nil {
			return nil, err
		}
		for i, item := range list {
			b, err := toYAML(item, indent+"  ")
			if err != nil {
				return nil, err
			}
			if i > 0 {
				w.WriteString("\n" + indent)
			}
			w.WriteString("- ")
			w.Write(b)
		}
		return w.Bytes(), nil
	case len(value) > 2 && value[0] == '{':
		return objectToYAML(value, indent)
	case value[0] == '"':
		return stringToYAML(value)
	}
	return value, nil // a number, true, false, null, {} and [] are the same in both
}

// objectToYAML is toYAML for an object, whose members keep their order.
func objectToYAML(value []byte, indent string) ([]byte, error) {
	var w bytes.Buffer
	d := json.NewDecoder(bytes.NewReader(value))
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	for first := true; d.More(); first = false {
		key, err := d.Token()
		if err != nil {
			return nil, err
		}
		var member json.RawMessage
		if err := d.Decode(&member); err != nil {
			return nil, err
		}
		b, err := toYAML(member, indent+"  ")
		if err != nil {
			return nil, err
		}
		if !first {
			w.WriteString("\n" + indent)
		}
		// A collection with something in it begins on a line of its own.
		gap := " "
		if len(member) > 2 && (member[0] == '[' || member[0] == '{') {
			gap = "\n" + indent + "  "
		}
		name, err := json.Marshal(key)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&w, "%s:%s%s", plainOrQuoted(fmt.Sprint(key), name), gap, b)
	}
	return w.Bytes(), nil
}

// stringToYAML leaves the quotes of a JSON string away where nobody could take it
// for something else. With them it is a string in YAML, too.
func stringToYAML(value []byte) ([]byte, error) {
	var s string
	if err := json.Unmarshal(value, &s); err != nil {
		return nil, err
	}
	return plainOrQuoted(s, value), nil
}

// plainOrQuoted returns s if it is a plain word, and else quoted.
func plainOrQuoted(s string, quoted []byte) []byte {
	reserved := []string{"true", "false", "yes", "no", "on", "off", "null", "y", "n"}
	plain := s != "" && !slices.Contains(reserved, strings.ToLower(s)) && !strings.ContainsFunc(s, func(r rune) bool {
		return !letter(r) && !('0' <= r && r <= '9') && !strings.ContainsRune("_-./", r)
	})
	if plain && letter(rune(s[0])) {
		return []byte(s)
	}
	return quoted
}

func letter(r rune) bool { return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' }
