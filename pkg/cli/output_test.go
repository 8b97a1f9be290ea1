package cli

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"x509ctl/pkg/fault"
)

// sampleView has a field of every type that views have.
type sampleView struct {
	Serial     int64             `json:"serial"`
	CommonName string            `json:"common_name"`
	Names      []string          `json:"names"`
	Live       bool              `json:"live"`
	NotAfter   timestamp         `json:"not_after"`
	Requester  string            `json:"requester" table:"extra"`
	Nested     map[string]string `json:"nested" table:"-"`
}

var sampleTime = time.Date(2026, 1, 3, 4, 5, 6, 789, time.UTC)

func samples(n int) func(func(sampleView) error) error {
	return func(yield func(sampleView) error) error {
		for i := range n {
			if err := yield(sampleView{Serial: int64(i + 1), CommonName: fmt.Sprintf("node%d", i), NotAfter: at(sampleTime)}); err != nil {
				return err
			}
		}
		return nil
	}
}

func testApp(w io.Writer) *app {
	a := newApp()
	a.stdout, a.stderr = w, io.Discard
	a.now = func() time.Time { return sampleTime.Add(-time.Hour) }
	return a
}

func mustList(t *testing.T, o output, n int) string {
	t.Helper()
	var b strings.Builder
	if err := list(testApp(&b), o, samples(n)); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestListJSON(t *testing.T) {
	if got := mustList(t, output{format: formatJSON}, 0); got != "[]\n" {
		t.Errorf("no results: %q", got)
	}
	want := `[
  {
    "serial": 1,
    "common_name": "node0",
    "names": [],
    "live": false,
    "not_after": "2026-01-03T04:05:06Z",
    "requester": "",
    "nested": null
  }
]
`
	if got := mustList(t, output{format: formatJSON}, 1); got != want {
		t.Errorf("one result: %s, want %s", got, want)
	}
	var parsed []sampleView
	if err := json.Unmarshal([]byte(mustList(t, output{format: formatJSON}, 3)), &parsed); err == nil && len(parsed) != 3 {
		t.Errorf("three results: %v", parsed)
	}
	want = "[\n  {\n    \"requester\": \"\",\n    \"serial\": 1\n  }\n]\n"
	if got := mustList(t, output{format: formatJSON, fields: "requester,serial"}, 1); got != want {
		t.Errorf("two fields: %s", got)
	}
}

func TestListYAML(t *testing.T) {
	if got := mustList(t, output{format: formatYAML}, 0); got != "[]\n" {
		t.Errorf("no results: %q", got)
	}
	var parsed []map[string]any
	if err := yaml.Unmarshal([]byte(mustList(t, output{format: formatYAML}, 3)), &parsed); err != nil || len(parsed) != 3 || parsed[2]["common_name"] != "node2" {
		t.Errorf("three results: %v, %v", parsed, err)
	}
}

// TestYAMLKeepsText reads back what YAML could take for something else.
func TestYAMLKeepsText(t *testing.T) {
	for _, text := range []string{
		"", "yes", "null", "~", "1e3", "0x10", "007", "12:30:45", "a: b", "- a", "#", "&a", "*a", "!x", "%", "@", "`",
		"'", `"`, `\`, "a\nb", "a\n", "\n", " a", "a ", "\t", "a\r\nb", "\x1b[0m", "\u0085", "\u2028", "---", "...", "|", ">", "{", "[", "?", "<<", "2026-01-02",
	} {
		var b bytes.Buffer
		if err := show(testApp(&b), output{format: formatYAML}, sampleView{CommonName: text}); err != nil {
			t.Fatal(err)
		}
		var back map[string]any
		if err := yaml.Unmarshal(b.Bytes(), &back); err != nil || back["common_name"] != text {
			t.Errorf("%q came back as %q, %v, from\n%s", text, back["common_name"], err, &b)
		}
		if bytes.ContainsFunc(bytes.ReplaceAll(b.Bytes(), []byte("\n"), nil), unsafeRune) {
			t.Errorf("%q left control characters: %q", text, &b)
		}
	}
}

func TestYAMLNests(t *testing.T) {
	in := `{"a":{"b":[1,[2,{"c d":"e"}],{}],"n":null},"l":[],"m":[{"x":true,"y":"yes"},{"x":false}]}`
	want := "a:\n  b:\n    - 1\n    - - 2\n      - \"c d\": e\n    - {}\n  \"n\": null\nl: []\nm:\n  - x: true\n    \"y\": \"yes\"\n  - x: false"
	got, err := toYAML([]byte(in), "")
	if err != nil || string(got) != want {
		t.Errorf("%v\n%s", err, got)
	}
	back, err := yaml.YAMLToJSON(got)
	var compact bytes.Buffer
	if err == nil {
		err = json.Compact(&compact, back)
	}
	if err != nil || compact.String() != in {
		t.Errorf("read back: %v\n%s", err, &compact)
	}
}

func TestListCSV(t *testing.T) {
	got := mustList(t, output{format: formatCSV}, 2)
	rows, err := csv.NewReader(strings.NewReader(got)).ReadAll()
	if err != nil || len(rows) != 3 || rows[0][1] != "common_name" || rows[2][4] != "2026-01-03T04:05:06Z" {
		t.Errorf("%q, %v", rows, err)
	}
	if got := mustList(t, output{format: formatCSV}, 0); got != "serial,common_name,names,live,not_after\n" {
		t.Errorf("no results: %q", got)
	}
	if got := mustList(t, output{format: formatCSV, noHeaders: true, fields: "serial"}, 2); got != "1\n2\n" {
		t.Errorf("no headers: %q", got)
	}
}

func TestListTable(t *testing.T) {
	local := sampleTime.Local().Format(time.DateTime)
	want := "SERIAL  COMMON NAME  NAMES  LIVE  NOT AFTER\n" +
		"1       node0        -      no    " + local + " (in 1h)\n"
	if got := mustList(t, output{}, 1); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if got := mustList(t, output{}, 0); got != "SERIAL  COMMON NAME  NAMES  LIVE  NOT AFTER\n" {
		t.Errorf("no results: %q", got)
	}
	if got := mustList(t, output{noHeaders: true}, 0); got != "" {
		t.Errorf("nothing at all: %q", got)
	}
	if got := mustList(t, output{separator: "|", fields: "+requester"}, 1); got != "SERIAL|COMMON NAME|NAMES|LIVE|NOT AFTER|REQUESTER\n1|node0||false|2026-01-03T04:05:06Z|\n" {
		t.Errorf("separator: %q", got)
	}
}

// TestTableGoesOn compares the rows whose widths were measured with those after
// them: one layout, whoever printed it.
func TestTableGoesOn(t *testing.T) {
	lines := strings.Split(strings.TrimSuffix(mustList(t, output{}, 3*measured), "\n"), "\n")
	if len(lines) != 3*measured+1 {
		t.Fatalf("%d lines", len(lines))
	}
	column := strings.Index(lines[0], "NAMES")
	for i, line := range lines[1:] {
		if strings.Index(line, " -  ") != column-1 {
			t.Fatalf("row %d: %q", i, line)
		}
	}
}

func TestTableEscapes(t *testing.T) {
	var b strings.Builder
	evil := sampleView{CommonName: "\x1b]0;title\a", Names: []string{"a\nb"}}
	for _, o := range []output{{}, {separator: ":"}, {format: formatCSV}, {format: formatJSON}} {
		b.Reset()
		if err := list(testApp(&b), o, each([]sampleView{evil}, func(v sampleView) sampleView { return v })); err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(b.String(), "\x1b\a") || strings.Contains(b.String(), "a\nb") {
			t.Errorf("%+v: %q", o, b.String())
		}
		b.Reset()
		if err := show(testApp(&b), o, evil); err != nil || strings.ContainsAny(b.String(), "\x1b\a") {
			t.Errorf("%+v: %q, %v", o, b.String(), err)
		}
	}
}

func TestFields(t *testing.T) {
	for flag, want := range map[string]string{
		"":                     "serial,common_name,names,live,not_after",
		"names":                "names",
		"requester, serial":    "requester,serial",
		"+requester":           "serial,common_name,names,live,not_after,requester",
		"+names,requester":     "serial,common_name,names,live,not_after,requester",
		"serial,serial":        "serial,serial",
		"+requester,requester": "serial,common_name,names,live,not_after,requester",
	} {
		f, err := viewOf[sampleView]().choose(flag)
		if got := strings.Join(f.names(), ","); err != nil || got != want {
			t.Errorf("--fields %q: %s, %v, want %s", flag, got, err, want)
		}
	}
	for _, flag := range []string{"nested", "+", ",", "Serial", "serial,", "-names"} {
		if _, err := viewOf[sampleView]().choose(flag); fault.KindOf(err) != fault.Malformed {
			t.Errorf("--fields %q: %v, want an error", flag, err)
		}
	}
}

// brokenPipe takes n bytes and then nothing.
type brokenPipe struct{ n int }

func (b *brokenPipe) Write(p []byte) (int, error) {
	if b.n -= len(p); b.n < 0 {
		return 0, syscall.EPIPE
	}
	return len(p), nil
}

func TestListStopsWhenNobodyReads(t *testing.T) {
	for _, f := range []format{formatTable, formatJSON, formatYAML, formatCSV} {
		n := 0
		err := list(testApp(&brokenPipe{100_000}), output{format: f}, func(yield func(sampleView) error) error {
			return samples(1_000_000)(func(v sampleView) error { n++; return yield(v) })
		})
		if err != nil || n > 50_000 {
			t.Errorf("%s: %v after %d results", f, err, n)
		}
	}
}

// TestListFailsWhole is about errors that come before the first result.
func TestListFailsWhole(t *testing.T) {
	for _, f := range []format{formatTable, formatJSON, formatYAML, formatCSV} {
		var b strings.Builder
		err := list(testApp(&b), output{format: f}, func(func(sampleView) error) error { return io.ErrUnexpectedEOF })
		if !errors.Is(err, io.ErrUnexpectedEOF) || b.Len() > 0 {
			t.Errorf("%s: %v, and %q was printed", f, err, b.String())
		}
	}
}

// TestListIsFlat prints many results and looks at the heap on the way.
func TestListIsFlat(t *testing.T) {
	for _, f := range []format{formatTable, formatJSON, formatCSV} {
		var low, high uint64
		n := 0
		err := list(testApp(io.Discard), output{format: f}, func(yield func(sampleView) error) error {
			return samples(200_000)(func(v sampleView) error {
				if n++; n%50_000 == 0 {
					var m runtime.MemStats
					runtime.GC()
					runtime.ReadMemStats(&m)
					if low == 0 {
						low = m.HeapAlloc
					}
					high = max(high, m.HeapAlloc)
				}
				return yield(v)
			})
		})
		if err != nil || high > low+1<<20 {
			t.Errorf("%s: %v; the heap grew from %d to %d bytes", f, err, low, high)
		}
	}
}

func BenchmarkListTable(b *testing.B) { benchmarkList(b, output{}) }
func BenchmarkListJSON(b *testing.B)  { benchmarkList(b, output{format: formatJSON}) }
func BenchmarkListCSV(b *testing.B)   { benchmarkList(b, output{format: formatCSV}) }

func benchmarkList(b *testing.B, o output) {
	a := testApp(io.Discard)
	b.ReportAllocs()
	if err := list(a, o, samples(b.N)); err != nil {
		b.Fatal(err)
	}
}
