package manager

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/serial"
)

func (h *history) backup() []byte {
	h.t.Helper()
	var b bytes.Buffer
	h.fresh(func(m *Manager) {
		if err := m.Backup(context.Background(), &b); err != nil {
			h.t.Fatal(err)
		}
	})
	return b.Bytes()
}

func (h *history) restore(backup []byte, atLeast serial.Number, keepFloor bool) (Serial, error) {
	h.t.Helper()
	r, err := Restore(context.Background(), h.config, bytes.NewReader(backup), atLeast, keepFloor)
	return r.Serial, err
}

func (h *history) write(name, content string) {
	h.t.Helper()
	if err := os.MkdirAll(h.path("ca"), 0o711); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(h.path("ca", name), []byte(content), 0o644); err != nil {
		h.t.Fatal(err)
	}
}

func TestRestore(t *testing.T) {
	clock := serial.Number(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).UnixMilli() * 1024)
	for _, tc := range []struct {
		name    string
		there   map[string]string // files that a failover or an earlier try left
		atLeast serial.Number
		keep    bool
		next    serial.Number
		floor   serial.Floor
	}{
		{name: "nobody knows", next: clock + 1, floor: serial.Floor(clock + 1)},
		{name: "nobody knows, but all are on record", keep: true, next: clock + 1, floor: 1},
		{name: "somebody knows", atLeast: 500, next: 501, floor: 501},
		{name: "somebody knows less than the backup", atLeast: 2, next: 5, floor: 5},
		{name: "a newer serial file is there", there: map[string]string{"serial": "700\n"}, atLeast: 500, next: 701, floor: 701},
		{name: "an older one", there: map[string]string{"serial": "2\n"}, atLeast: 3, next: 5, floor: 5},
		{name: "a damaged one", there: map[string]string{"serial": "x"}, atLeast: 3, next: 5, floor: 5},
		{name: "a newer floor is there", there: map[string]string{"min-serial": "900\n"}, atLeast: 500, keep: true, next: 900, floor: 900},
		{name: "an older floor", there: map[string]string{"min-serial": "1\n"}, atLeast: 500, keep: true, next: 501, floor: 1},
		{name: "what an unfinished restore left", there: map[string]string{".x509ctl-tmp-0011223344556677": "x", "serial": "4\n"}, atLeast: 4, next: 5, floor: 5},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := newHistory(t)
			h.mustIssue(3) // numbers 2 to 4
			backup := h.backup()
			h.remove(h.dir)
			for name, content := range tc.there {
				h.write(name, content)
			}
			s, err := h.restore(backup, tc.atLeast, tc.keep)
			if err != nil {
				t.Fatal(err)
			}
			if s.Next != tc.next || s.Floor != tc.floor {
				t.Errorf("next %v, floor %v; want %v, %v", s.Next, s.Floor, tc.next, tc.floor)
			}
			if n := h.mustIssue(1); n != tc.next {
				t.Errorf("the next one has number %v, want %v", n, tc.next)
			}
			h.fresh(func(m *Manager) {
				if all := h.records(m); len(all) != 5 { // the CA, three, and the new one
					t.Errorf("%d records", len(all))
				}
			})
			names, err := os.ReadDir(h.path("ca"))
			for _, n := range names {
				if strings.HasPrefix(n.Name(), ".") {
					t.Errorf("%s is left, %v", n.Name(), err)
				}
			}
		})
	}
}

func TestRestoreRefuses(t *testing.T) {
	h := newHistory(t)
	backup := h.backup()
	if _, err := h.restore(backup, 0, false); !errors.Is(err, ErrRestoreOver) {
		t.Errorf("over a CA: %v", err)
	}
	h.mustIssue(1) // it is as it was

	// Another CA's files are there.
	other := newHistory(t)
	other.remove(other.path("x509ctl.db"))
	if _, err := other.restore(backup, 0, false); fault.KindOf(err) != fault.Exists {
		t.Errorf("over another CA's files: %v", err)
	}

	for name, data := range map[string][]byte{
		"nothing":     nil,
		"no archive":  []byte("no archive"),
		"cut":         backup[:len(backup)/2],
		"no end":      backup[:len(backup)-20_000],
		"twice":       twice(t, backup),
		"a stranger":  archive(t, tar.Header{Name: "../evil", Mode: 0o644, Size: 1, Typeflag: tar.TypeReg}),
		"a link":      archive(t, tar.Header{Name: "ca/serial", Linkname: "/etc/passwd", Typeflag: tar.TypeSymlink}),
		"a directory": archive(t, tar.Header{Name: "ca", Mode: 0o755, Typeflag: tar.TypeDir}),
	} {
		w := newWorld(t)
		_, err := Restore(context.Background(), w.config, bytes.NewReader(data), 0, false)
		w.wantKind(name, err, fault.Malformed)
		if _, err := w.manager().Authority(context.Background(), Cluster); !errors.Is(err, ErrNotInitialised) {
			t.Errorf("after %s there is a CA: %v", name, err)
		}
	}
}

// archive is a tar archive of one entry.
func archive(t *testing.T, h tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&h); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, h.Size)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// twice is an archive with every entry of backup twice.
func twice(t *testing.T, backup []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for r := tar.NewReader(bytes.NewReader(backup)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		data, read := io.ReadAll(r)
		if err := errors.Join(err, read); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := w.WriteHeader(h); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(data); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A backup is taken while others sign: whatever it holds, a restore goes on above.
func TestBackupWhileSigning(t *testing.T) {
	h := newHistory(t)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				if _, err := h.issue(1); err != nil {
					t.Error(err)
				}
			}
		}
	}()
	var backups [][]byte
	for range 5 {
		backups = append(backups, h.backup())
	}
	close(stop)
	<-stopped
	last := h.mustIssue(1)
	for _, b := range backups {
		h.remove(h.dir)
		h.now = h.now.Add(time.Second)
		if _, err := h.restore(b, 0, false); err != nil {
			t.Fatal(err)
		}
		h.mustIssue(1)
		h.wantBelowFloor(last)
	}
}

// What a killed backup left is removed by the next one, and what another process works
// on is not.
func TestDeadSnapshotsAreSwept(t *testing.T) {
	h := newHistory(t)
	for _, name := range []string{"1", "2"} {
		if err := os.MkdirAll(h.path(snapshotPrefix+name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(h.path(snapshotPrefix+name, "x509ctl.db"), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	used, err := os.Create(h.path(snapshotPrefix+"2", lockName))
	if err != nil {
		t.Fatal(err)
	}
	defer used.Close()
	if err := syscall.Flock(int(used.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	h.backup()
	left, err := filepath.Glob(h.path(snapshotPrefix + "*"))
	if err != nil || len(left) != 1 || left[0] != h.path(snapshotPrefix+"2") {
		t.Errorf("left are %q, %v", left, err)
	}
}
