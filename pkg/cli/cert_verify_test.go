package cli

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"testing"
)

// TestVerifyMany judges more files than are worked on together: all of them, in
// order, and the exit status is that of the first failure, not of the first that was
// found.
func TestVerifyMany(t *testing.T) {
	const n = 3*batchChunk + 1
	w := newWorkshop(t, 0)
	w.must("cert", "issue", "node1.example.com", "--key", w.path("node1.key"), "--cert", w.path("node1.pem"))
	good, err := os.ReadFile(w.path("node1.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(w.path("certs"), 0o755); err != nil {
		t.Fatal(err)
	}
	ca := w.path("ca/ca/cert.pem")
	others := map[int]string{2 * batchChunk: "notes", 2*batchChunk + 1: ca, n - 1: "notes"}
	files := make([]string, n)
	for i := range n {
		files[i] = w.path(fmt.Sprintf("certs/%05d.pem", i))
		data := good
		switch others[i] {
		case "notes":
			data = []byte("These are notes.")
		case ca:
			if data, err = os.ReadFile(ca); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(files[i], data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{files, {w.path("certs")}} {
		var out bytes.Buffer
		args = append([]string{"cert", "verify", "-o", "csv", "--no-headers", "--fields", "file,verdict"}, args...)
		if status, stderr := w.run(context.Background(), &out, args...); status != exitUsage {
			t.Errorf("exit status %d\n%s", status, stderr)
		}
		rows, err := csv.NewReader(&out).ReadAll()
		if err != nil || len(rows) != n {
			t.Fatalf("%d rows of %d, %v", len(rows), n, err)
		}
		for i, row := range rows {
			want := map[string]string{"": "valid", "notes": "unknown", ca: "invalid"}[others[i]]
			if row[0] != files[i] || row[1] != want {
				t.Errorf("row %d is %v, want %s of %s", i, row, want, files[i])
			}
		}
	}
	args := append([]string{"cert", "verify"}, files[2*batchChunk+1:]...)
	if status, stderr := w.run(context.Background(), &bytes.Buffer{}, args...); status != exitInvalid {
		t.Errorf("the first failure is one that is not valid, the exit status %d\n%s", status, stderr)
	}
}
