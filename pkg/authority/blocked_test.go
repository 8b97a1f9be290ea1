package authority

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/serial"
)

func TestBlockedKeys(t *testing.T) {
	l, dir := newDirectory(t)
	read := func(what string, want []BlockedKey, wantDamaged int) {
		t.Helper()
		var got []BlockedKey
		damaged, err := l.ReadBlocked(func(k BlockedKey) error { got = append(got, k); return nil })
		if err != nil || damaged != wantDamaged || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %d damaged, %v; want %v", what, got, damaged, err, want)
		}
	}
	read("no file", nil, 0)
	_, err := l.AppendBlocked([]BlockedKey{{}})
	if fault.KindOf(err) != fault.NotFound {
		t.Errorf("appending to no file: %v", err)
	}
	first, second, third := BlockedKey{[32]byte{1}, 7}, BlockedKey{[32]byte{31: 0xff}, serial.Max}, BlockedKey{[32]byte{3}, 9}
	was, err := l.WriteBlocked(func(yield func(BlockedKey) error) error {
		if err := yield(first); err != nil {
			return err
		}
		return yield(second)
	})
	if err != nil {
		t.Fatal(err)
	}
	read("written", []BlockedKey{first, second}, 0)
	now, err := l.AppendBlocked([]BlockedKey{third})
	if err != nil || now == was || now.Inode != was.Inode {
		t.Errorf("appended: %+v was %+v, %v", now, was, err)
	}
	if st, err := l.StatBlocked(); err != nil || st != now {
		t.Errorf("it is %+v, and was said to be %+v, %v", st, now, err)
	}
	read("appended", []BlockedKey{first, second, third}, 0)

	path := filepath.Join(dir, "blocked-keys")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	line := strings.Repeat("0a", 32)
	for what, tc := range map[string]struct {
		text    string
		damaged int
	}{
		"cut":          {line + " 12", 0}, // whoever wrote it did not come to its end
		"nothing":      {"\n", 1},
		"no number":    {line + "\n" + line + " \n" + line + " 0\n" + line + " -1\n" + line + " 1 1\n", 5},
		"another hash": {line[1:] + " 1\n" + line + "0 1\n" + "x" + line[1:] + " 1\n", 3},
		"a long line":  {strings.Repeat("0", 100_000) + "\n", 2},
	} {
		if err := os.WriteFile(path, append([]byte(tc.text + "\n")[:len(tc.text)], b...), 0o644); err != nil {
			t.Fatal(err)
		}
		if what == "cut" {
			if err := os.WriteFile(path, append(slices.Clone(b), tc.text...), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		read(what, []BlockedKey{first, second, third}, tc.damaged)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := l.ReadBlocked(func(BlockedKey) error { return nil }); fault.KindOf(err) != fault.Denied {
		t.Errorf("others can write it: %v", err)
	}
}

// The file is bounded in what is read and what is written.
func TestBlockedKeysBounds(t *testing.T) {
	l, dir := newDirectory(t)
	if err := os.WriteFile(filepath.Join(dir, "blocked-keys"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(dir, "blocked-keys"), blockedLimit+1); err != nil { // with a hole
		t.Fatal(err)
	}
	if _, err := l.ReadBlocked(func(BlockedKey) error { return nil }); fault.KindOf(err) != fault.Malformed {
		t.Errorf("read: %v", err)
	}
	if _, err := l.AppendBlocked([]BlockedKey{{}}); err == nil || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("appended: %v", err)
	}
}
