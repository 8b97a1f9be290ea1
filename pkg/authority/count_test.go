package authority

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"x509ctl/pkg/durable"
	"x509ctl/pkg/serial"
)

// The mark is read by the next holder of the lock, and no number in it sinks.
func TestMark(t *testing.T) {
	l, path := newDirectory(t)
	for _, tc := range []struct{ announce, want serial.Mark }{
		{serial.Mark{}, serial.Mark{}},
		{serial.Mark{Reserved: 7}, serial.Mark{Reserved: 7}},
		{serial.Mark{Reserved: serial.Max, Last: 9}, serial.Mark{Reserved: serial.Max, Last: 9}},
		{serial.Mark{Reserved: 8, Last: 10}, serial.Mark{Reserved: serial.Max, Last: 10}},
	} {
		l.Announce(tc.announce)
		if err := l.WriteMark(); err != nil {
			t.Fatal(err)
		}
		if err := l.Unlock(); err != nil {
			t.Fatal(err)
		}
		next, err := l.Directory.Lock(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		s, err := next.Seen("m")
		if err != nil || s.Mark != tc.want {
			t.Errorf("after %+v the mark is %+v, %v; want %+v", tc.announce, s.Mark, err, tc.want)
		}
		if s, err := next.Directory.Seen("m"); err != nil || s.Mark != (serial.Mark{}) {
			t.Errorf("without the lock the mark is %+v, %v", s.Mark, err)
		}
		l.lock = next.lock
	}
	if st, err := os.Stat(filepath.Join(path, "lock")); err != nil || st.Size() != 57 {
		t.Errorf("the lock file: %v, %v", st, err)
	}
}

func TestParseMark(t *testing.T) {
	for in, want := range map[string]serial.Mark{
		"":           {},
		"\n":         {},
		"12":         {},
		"12 3":       {}, // cut
		"12 3\n":     {Reserved: 12, Last: 3},
		"  12   0\n": {Reserved: 12},
		"x 3\n":      {},
		"0 3\n":      {},
		"12 3 4\n":   {},
		"12 3\nrest": {Reserved: 12, Last: 3},
	} {
		if got, _ := parseMark([]byte(in)); got != want {
			t.Errorf("parseMark(%q) = %+v, want %+v", in, got, want)
		}
	}
}

// What one file says counts although the other is damaged, for whoever vouches.
func TestSalvage(t *testing.T) {
	l, path := newDirectory(t)
	for _, tc := range []struct {
		serial, floor string
		want          serial.Seen
	}{
		{"12\n", "x", serial.Seen{Exists: true, Serial: 12}},
		{"", "5\n", serial.Seen{Floor: 5}},
		{"", "", serial.Seen{}},
		{"12\n", string(make([]byte, 5000)), serial.Seen{Exists: true, Serial: 12}},
	} {
		write(t, filepath.Join(path, "serial"), tc.serial, 0o644)
		write(t, filepath.Join(path, "min-serial"), tc.floor, 0o644)
		if _, err := l.Seen("m"); err == nil {
			t.Errorf("%q and %.9q are read", tc.serial, tc.floor)
		}
		got, err := l.Salvage("m")
		got.File = serial.File{}
		tc.want.Unmarked = true
		if err != nil || got != tc.want {
			t.Errorf("of %q and %.9q remains %+v, %v", tc.serial, tc.floor, got, err)
		}
	}
	write(t, filepath.Join(path, "serial"), "12\n", 0o666)
	if err := os.Chmod(filepath.Join(path, "serial"), 0o666); err != nil {
		t.Fatal(err)
	}
	var loose *durable.SecrecyError
	if _, err := l.Salvage("m"); !errors.As(err, &loose) {
		t.Errorf("a serial file that others can write: %v", err)
	}
}
