package durable

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"x509ctl/pkg/fault"
)

func TestCreateAll(t *testing.T) {
	d, path := open(t)
	for name, content := range map[string]string{"f007": "mine", "f300": "mine"} {
		if err := os.WriteFile(filepath.Join(path, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("elsewhere", filepath.Join(path, "f008")); err != nil {
		t.Fatal(err)
	}
	files := make([]File, 2*manyOpen+3)
	for i := range files {
		files[i] = File{fmt.Sprintf("f%03d", i), []byte(fmt.Sprint("content ", i))}
	}
	files[9].Name = "../evil"
	files[11] = files[10]
	for i, err := range d.CreateAll(0o640, files) {
		what := fmt.Sprintf("file %d, %s", i, files[i].Name)
		switch i {
		case 7, 8, 11, 300:
			wantKind(t, what, err, fault.Exists)
		case 9:
			wantKind(t, what, err, fault.Malformed)
		default:
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			b, st, err := d.ReadFile(files[i].Name, 100, Public)
			if err != nil || string(b) != string(files[i].Data) || st.Mode.Perm() != 0o640 {
				t.Fatalf("%s: %q %v, %v", what, b, st.Mode, err)
			}
		}
	}
	if b, _ := os.ReadFile(filepath.Join(path, "f300")); string(b) != "mine" {
		t.Errorf("a file that existed was changed: %q", b)
	}
	if _, err := os.Lstat(filepath.Join(path, "elsewhere")); err == nil {
		t.Error("a symbolic link was followed")
	}
	names, err := os.ReadDir(path)
	if err != nil || len(names) != len(files)-2 { // "../evil" and the twin are missing
		t.Errorf("%d names in the directory, %v", len(names), err)
	}
}

// TestCreateSomeEach is createSome where syncs can't be joined.
func TestCreateSomeEach(t *testing.T) {
	d, path := open(t)
	files := []File{{"a", []byte("one")}, {"b", nil}, {"a", []byte("two")}}
	errs := make([]error, 3)
	d.createSome(0o600, files, errs, false)
	if errs[0] != nil || errs[1] != nil {
		t.Errorf("errors %v", errs)
	}
	wantKind(t, "a name twice", errs[2], fault.Exists)
	wantNames(t, path, "a", "b")
}
