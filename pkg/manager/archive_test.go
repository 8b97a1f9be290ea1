package manager

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"x509ctl/pkg/fault"
)

// tarOf returns an archive of files, by name and content.
func tarOf(tb testing.TB, files ...string) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		h := &tar.Header{Name: files[i], Mode: 0o777, Size: int64(len(files[i+1])), Typeflag: tar.TypeReg}
		if err := w.WriteHeader(h); err != nil {
			tb.Fatal(err)
		}
		if _, err := io.WriteString(w, files[i+1]); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// sparseTar returns a small archive with a database of a pebibyte, nearly all of it a
// hole, as GNU tar writes it. The writer of the library knows no holes: the names of
// the records are put right afterwards.
func sparseTar(tb testing.TB) []byte {
	tb.Helper()
	data := "1\n1125899906842623\n1\n"
	data += strings.Repeat("\x00", 512-len(data)) + "x"
	b := bytes.NewBuffer(tarOf(tb, "ca/cert.pem", "x", "ca/key.pem", "y"))
	b.Truncate(b.Len() - 1024)
	w := tar.NewWriter(b)
	h := &tar.Header{Name: "GNUSparseFile.0/x509ctl.db", Mode: 0o600, Size: int64(len(data)), Typeflag: tar.TypeReg, PAXRecords: map[string]string{
		"GNU_sparse.major": "1", "GNU_sparse.minor": "0", "GNU_sparse.name": databaseFile, "GNU_sparse.realsize": "1125899906842624",
	}}
	if err := w.WriteHeader(h); err != nil {
		tb.Fatal(err)
	}
	if _, err := io.WriteString(w, data); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return bytes.ReplaceAll(b.Bytes(), []byte("GNU_sparse."), []byte("GNU.sparse."))
}

// TestSparseArchive gives a few kilobytes that would fill any disk.
func TestSparseArchive(t *testing.T) {
	path := filepath.Join(t.TempDir(), databaseFile)
	done := make(chan error)
	go func() {
		_, err := readArchive(bytes.NewReader(sparseTar(t)), path)
		done <- err
	}()
	select {
	case err := <-done:
		if fault.KindOf(err) != fault.Malformed || !strings.Contains(err.Error(), "holes") {
			t.Error(err)
		}
	case <-time.After(3 * time.Second):
		info, err := os.Stat(path)
		t.Fatalf("still going on after three seconds, %v, %v", info.Size(), err)
	}
}

// TestArchivedNames has the names that lead out of a CA's directory.
func TestArchivedNames(t *testing.T) {
	for _, name := range []string{"ca/old/1/key.pem", "ca/old/0123456789abcdef/chain.pem", "ca/next/cert.pem", "ca/serial", settingsFile, databaseFile,
		"project-root/key.pem", "projects/a/cert.pem", "projects/old/old/1/key.pem", "projects/next/next/key.pem"} {
		if _, ok := archived(name); !ok {
			t.Errorf("%s is not archived", name)
		}
	}
	for _, name := range []string{
		"ca/old/../key.pem", "ca/old/key.pem", "ca/old//key.pem", "ca/old/1/../key.pem", "ca/next/serial", "ca/next/1/key.pem", "ca/old/1/x.pem",
		"ca//key.pem", "/ca/key.pem", "old/1/key.pem", "ca", "", "ca/old/X/key.pem", "ca/crl.pem",
		"projects/key.pem", "projects/../ca/key.pem", "projects/../key.pem", "projects/a/../key.pem", "projects/A/key.pem", "projects//key.pem",
		"projects/_a/key.pem", "projects/a", "project-root", "project-root/../key.pem", "projects/a/x509ctl.db",
	} {
		if _, ok := archived(name); ok {
			t.Errorf("%q is archived", name)
		}
	}
}

// FuzzReadArchive reads data as a backup: what comes of it is no larger than it, and has
// only names that a backup has.
func FuzzReadArchive(f *testing.F) {
	good := tarOf(f, "x509ctl.yaml", "wait: 5s\n", "ca/cert.pem", "x", "ca/key.pem", "y", "ca/serial", "7\n", databaseFile, "z")
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add(tarOf(f, "ca/key.pem", "y", "ca/key.pem", "y"))
	f.Add(tarOf(f, "ca/old/1/key.pem", "y", "ca/next/cert.pem", "y", "ca/cert.pem", "x", "ca/key.pem", "y", databaseFile, "z"))
	f.Add(tarOf(f, "../../etc/passwd", "y", databaseFile, "z"))
	f.Add(tarOf(f, databaseFile, "z", "ca/key.pem", "y"))
	f.Add(sparseTar(f))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(dir, databaseFile)
		defer func() { _ = os.Remove(path) }()
		entries, err := readArchive(bytes.NewReader(data), path)
		if err != nil {
			if fault.KindOf(err) != fault.Malformed {
				t.Fatalf("%v is %v", err, fault.KindOf(err))
			}
			return
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		total := info.Size()
		for _, e := range entries {
			most, ok := archived(e.name)
			if total += int64(len(e.data)); !ok || e.mode&^most != 0 {
				t.Fatalf("%q with mode %v", e.name, e.mode)
			}
		}
		if total > int64(len(data)) {
			t.Fatalf("%d bytes come of %d", total, len(data))
		}
	})
}
