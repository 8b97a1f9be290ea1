package cli

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/csv"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"x509ctl/pkg/manager"
)

// A workshop is a directory with a CA, a node and requests for it.
type workshop struct {
	t   *testing.T
	dir string // holds ca, req and out
}

// newWorkshop makes n requests in the directory req.
func newWorkshop(t *testing.T, n int) workshop {
	t.Helper()
	w := workshop{t: t, dir: t.TempDir()}
	w.must("ca", "init", "--cluster-name", "cluster1.example.com")
	var aliases []string
	for i := range 30 {
		aliases = append(aliases, fmt.Sprintf("alias%d", i))
	}
	w.must("node", "add", "node1.example.com", "--alias", strings.Join(aliases, ","))
	for _, sub := range []string{"req", "out"} {
		if err := os.Mkdir(w.path(sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		template := &x509.CertificateRequest{Subject: pkix.Name{CommonName: aliases[i%len(aliases)]}}
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
		if err != nil {
			t.Fatal(err)
		}
		text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
		if err := os.WriteFile(w.path(fmt.Sprintf("req/%05d.csr", i)), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func (w workshop) path(name string) string { return filepath.Join(w.dir, name) }

// run runs one command line.
func (w workshop) run(ctx context.Context, stdout io.Writer, args ...string) (status int, stderr string) {
	w.t.Helper()
	a := newApp()
	var errs bytes.Buffer
	a.stdout, a.stderr = stdout, &errs
	a.lookupEnv = func(string) (string, bool) { return "", false }
	a.isTerminal = func(any) bool { return false }
	status = a.main(ctx, append([]string{"--dir", w.path("ca")}, args...))
	return status, errs.String()
}

// must is run for what has to succeed, and returns what was printed.
func (w workshop) must(args ...string) string {
	w.t.Helper()
	var out bytes.Buffer
	if status, stderr := w.run(context.Background(), &out, args...); status != exitOK {
		w.t.Fatalf("%s: exit status %d\n%s", strings.Join(args, " "), status, stderr)
	}
	return out.String()
}

// outputs returns how many files the directory out has.
func (w workshop) outputs() int {
	w.t.Helper()
	files, err := os.ReadDir(w.path("out"))
	if err != nil && !os.IsNotExist(err) {
		w.t.Fatal(err)
	}
	return len(files)
}

// recorded returns how many certificates are on record.
func (w workshop) recorded() int {
	return strings.Count(w.must("cert", "list", "-o", "csv", "--no-headers", "--fields", "serial"), "\n")
}

// statuses counts the statuses in a report as CSV.
func statuses(t *testing.T, report string) map[string]int {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(report)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	n := map[string]int{}
	for _, row := range rows[1:] {
		n[row[1]]++
	}
	return n
}

// A trap is a writer that does something when the first bytes arrive.
type trap struct {
	bytes.Buffer
	spring func()
	sprung atomic.Bool
}

func (t *trap) Write(p []byte) (int, error) {
	if t.sprung.CompareAndSwap(false, true) {
		t.spring()
	}
	return t.Buffer.Write(p)
}

// A busyService has a lock that others never release.
type busyService struct{ manager.Service }

func (busyService) Sign(ctx context.Context, _ manager.SignRequest) ([]manager.SignResult, error) {
	<-ctx.Done()
	return nil, fmt.Errorf("waiting: %w", ctx.Err())
}

// TestBatchInterruptedWaiting is told in the user's words why nothing came of it.
func TestBatchInterruptedWaiting(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errInterrupted)
	b := &signBatch{app: newApp(), svc: busyService{}, grace: time.Millisecond}
	item := &signItem{}
	b.sign(ctx, []*signItem{item})
	if item.err == nil || item.err.Error() != "interrupted" || exitStatus(item.err) != exitInterrupted {
		t.Errorf("%v", item.err)
	}
}

// TestBatchInterrupted stops a batch at its first results. What was begun is
// finished, everything on record has its file, and a second run does the rest.
func TestBatchInterrupted(t *testing.T) {
	const n = 6*batchChunk + 7
	w := newWorkshop(t, n)
	ctx, cancel := context.WithCancelCause(context.Background())
	out := &trap{spring: func() { cancel(errInterrupted) }}
	status, stderr := w.run(ctx, out, "cert", "sign-csr", w.path("req"), "--out-dir", w.path("out"), "-o", "csv")
	if status != exitInterrupted || !strings.Contains(stderr, "note: stopped after ") || !strings.Contains(stderr, "error: interrupted") {
		t.Errorf("exit status %d\n%s", status, stderr)
	}
	done := w.outputs()
	if done < batchChunk || done >= n {
		t.Errorf("%d files after an interruption", done)
	}
	if recorded := w.recorded(); recorded != done {
		t.Errorf("%d certificates on record, %d in files", recorded, done)
	}
	report := w.must("cert", "sign-csr", w.path("req"), "--out-dir", w.path("out"), "-o", "csv")
	if got := statuses(t, report); got["skipped"] != done || got["signed"] != n-done {
		t.Errorf("the second run: %v, after %d", got, done)
	}
	if w.outputs() != n || w.recorded() != n {
		t.Errorf("%d files, %d on record", w.outputs(), w.recorded())
	}
}

// TestBatchDiskFull fills the disk. The batch stops soon, no file is left that is not
// whole, and what is on record by then is exported by the next run rather than signed
// again.
func TestBatchDiskFull(t *testing.T) {
	const n = 6 * batchChunk
	w := newWorkshop(t, n)
	w.mount("out", "size=1m")
	var report bytes.Buffer
	status, stderr := w.run(context.Background(), &report, "cert", "sign-csr", w.path("req"), "--out-dir", w.path("out"), "-o", "csv")
	if status != exitFailure || !strings.Contains(stderr, "note: stopped after ") || !strings.Contains(stderr, "no space left on device") {
		t.Errorf("exit status %d\n%s", status, stderr)
	}
	recorded, written := w.recorded(), w.outputs()
	if recorded < batchChunk || recorded > (batchAhead+1)*batchChunk {
		t.Errorf("%d certificates on record", recorded)
	}
	if got := statuses(t, report.String()); got["signed"] != written || got["failed"] == 0 {
		t.Errorf("the report has %v, and there are %d files", got, written)
	}
	if written > 0 {
		w.must("cert", "verify", w.path("out"))
	}
	w.mount("out", "remount,size=100m")
	report.Reset()
	if status, stderr = w.run(context.Background(), &report, "cert", "sign-csr", w.path("req"), "--out-dir", w.path("out"), "-o", "csv"); status != exitOK {
		t.Fatal(stderr)
	}
	if got := statuses(t, report.String()); got["skipped"] != written || got["exported"] != recorded-written || got["signed"] != n-recorded {
		t.Errorf("the second run: %v, after %d on record and %d written", got, recorded, written)
	}
	if w.outputs() != n || w.recorded() != n {
		t.Errorf("%d files, %d on record", w.outputs(), w.recorded())
	}
}

// mount puts a file system in memory over a directory, or changes the one there.
func (w workshop) mount(name, options string) {
	w.t.Helper()
	var flags uintptr
	if rest, ok := strings.CutPrefix(options, "remount,"); ok {
		flags, options = unix.MS_REMOUNT, rest
	}
	err := unix.Mount("tmpfs", w.path(name), "tmpfs", flags, options)
	if errors.Is(err, unix.EPERM) {
		w.t.Skip("only root can mount a file system")
	}
	if err != nil {
		w.t.Fatal(err)
	}
	if flags == 0 {
		w.t.Cleanup(func() { _ = unix.Unmount(w.path(name), 0) })
	}
}

// TestBatchOrder signs chunks at once and wants their certificates in the order of
// the requests, on stdout and in one file.
func TestBatchOrder(t *testing.T) {
	const n = 3*batchChunk + 1
	w := newWorkshop(t, n)
	if err := os.WriteFile(w.path("req/00700.csr"), []byte("not a request"), 0o644); err != nil {
		t.Fatal(err)
	}
	var stdout bytes.Buffer
	status, stderr := w.run(context.Background(), &stdout, "cert", "sign-csr", w.path("req"))
	if status != exitUsage || strings.Count(stderr, "error: signing ") != 1 {
		t.Errorf("exit status %d\n%s", status, stderr)
	}
	w.wantInOrder(stdout.Bytes(), n, 700)
	if _, stderr = w.run(context.Background(), io.Discard, "cert", "sign-csr", w.path("req"), "--out", w.path("all.pem")); !strings.Contains(stderr, "1 of 1501 requests failed") {
		t.Error(stderr)
	}
	data, err := os.ReadFile(w.path("all.pem"))
	if err != nil {
		t.Fatal(err)
	}
	w.wantInOrder(data, n, 700)
}

// wantInOrder compares the keys of certificates with those of the requests.
func (w workshop) wantInOrder(certs []byte, n, without int) {
	w.t.Helper()
	for i := range n {
		if i == without {
			continue
		}
		text, err := os.ReadFile(w.path(fmt.Sprintf("req/%05d.csr", i)))
		if err != nil {
			w.t.Fatal(err)
		}
		_, want, err := subjectKey(text)
		if err != nil {
			w.t.Fatal(err)
		}
		var block *pem.Block
		if block, certs = pem.Decode(certs); block == nil {
			w.t.Fatalf("no certificate for request %d", i)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			w.t.Fatal(err)
		}
		if !samePublicKey(cert.PublicKey, want) {
			w.t.Fatalf("certificate %d is for another key", i)
		}
	}
	if block, _ := pem.Decode(certs); block != nil {
		w.t.Error("there are more certificates than requests")
	}
}

// TestBatchBrokenStream writes to a reader that goes away: the batch stops rather
// than sign what nobody gets.
func TestBatchBrokenStream(t *testing.T) {
	const n = 6 * batchChunk
	w := newWorkshop(t, n)
	status, stderr := w.run(context.Background(), brokenWriter{}, "cert", "sign-csr", w.path("req"))
	if status != exitFailure || !strings.Contains(stderr, "error: writing certificate ") {
		t.Errorf("exit status %d\n%.300s", status, stderr)
	}
	if recorded := w.recorded(); recorded > (batchAhead+2)*batchChunk {
		t.Errorf("%d certificates on record", recorded)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("nobody listens") }

// TestBatchUnreadReport has a reader who sees enough of the report: the requests are
// signed all the same.
func TestBatchUnreadReport(t *testing.T) {
	const n = 2 * batchChunk
	w := newWorkshop(t, n)
	status, stderr := w.run(context.Background(), brokenWriter{}, "cert", "sign-csr", w.path("req"), "--out-dir", w.path("out"), "-o", "csv")
	if status != exitFailure || w.outputs() != n {
		t.Errorf("exit status %d, %d of %d signed\n%s", status, w.outputs(), n, stderr)
	}
}
