package manager

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"x509ctl/pkg/fault"
)

// files returns the content of all that is below dir, snapshots of the database
// excepted.
func (h *history) files() map[string]string {
	h.t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(h.dir, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && path == h.dir {
			return fs.SkipAll
		}
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		out[path] = string(b)
		return err
	})
	h.must(err)
	return out
}

// edited is a backup with other contents of some of its files. An empty content
// takes the file out.
func edited(t *testing.T, backup []byte, contents map[string]string) []byte {
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
		if content, ok := contents[h.Name]; ok {
			data = []byte(content)
		}
		if len(data) == 0 {
			continue
		}
		h.Size = int64(len(data))
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// content returns one file of a backup.
func content(t *testing.T, backup []byte, name string) string {
	t.Helper()
	for r := tar.NewReader(bytes.NewReader(backup)); ; {
		h, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if h.Name != name {
			continue
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
}

// A backup of another CA raises neither the count nor the floor of the one that is
// there: it changes nothing.
func TestRestoreOfAnotherCAChangesNothing(t *testing.T) {
	other := newHistory(t)
	other.mustIssue(1)
	other.recover(RecoverRequest{})
	backup := other.backup()

	h := newHistory(t)
	h.mustIssue(1)
	own := h.backup()
	h.remove(h.path("x509ctl.db"))
	before := h.files()
	if _, err := h.restore(backup, 0, false); !errors.Is(err, ErrRestoreOver) {
		t.Errorf("over another CA's files: %v", err)
	}
	if !maps.Equal(before, h.files()) {
		t.Error("a restore that was refused changed something")
	}
	if s, err := h.restore(own, 2, true); err != nil || s.Floor != 1 {
		t.Errorf("the own backup: min-serial %v, %v", s.Floor, err)
	}
}

// What would be of no use is refused before anything is written, so that a good
// backup can be restored after it.
func TestRestoreOfWhatDoesNotBelongTogether(t *testing.T) {
	other := newHistory(t)
	theirs := other.backup()
	h := newHistory(t)
	h.mustIssue(1)
	ours := h.backup()
	h.remove(h.dir)
	ca := map[string]string{}
	for _, name := range []string{"ca/cert.pem", "ca/key.pem", "ca/bundle.pem"} {
		ca[name] = content(t, theirs, name)
	}
	for _, tc := range []struct {
		name string
		data []byte
		kind fault.Kind
	}{
		{"another CA's key", edited(t, ours, map[string]string{"ca/key.pem": ca["ca/key.pem"]}), fault.Malformed},
		{"another CA's database", edited(t, ours, ca), fault.Malformed},
		{"a certificate that is none", edited(t, ours, map[string]string{"ca/cert.pem": "x"}), fault.Malformed},
		{"a key that is none", edited(t, ours, map[string]string{"ca/key.pem": "x"}), fault.Malformed},
		{"no numbers left", edited(t, ours, map[string]string{"ca/serial": "9223372036854775807\n"}), fault.Unavailable},
	} {
		_, err := h.restore(tc.data, 0, false)
		h.wantKind(tc.name, err, tc.kind)
		if left := h.files(); len(left) > 0 {
			t.Errorf("%s: %d files are left", tc.name, len(left))
		}
	}
	if _, err := h.restore(theirs, 0, false); err != nil {
		t.Errorf("a good one afterwards: %v", err)
	}
	h.mustIssue(1)
}

// The hint to a lost database is to restore the backup: also after the settings were
// edited, which stay as they are.
func TestRestoreKeepsSettings(t *testing.T) {
	h := newHistory(t)
	h.must(os.WriteFile(h.path(settingsFile), []byte("wait: 20s\n"), 0o644))
	backup := h.backup()
	h.must(os.WriteFile(h.path(settingsFile), []byte("wait: 10s\n"), 0o644))
	h.remove(h.path("x509ctl.db"))
	if _, err := h.restore(backup, 0, false); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(h.path(settingsFile)); string(b) != "wait: 10s\n" {
		t.Errorf("the settings are %q, %v", b, err)
	}
	h.mustIssue(1)
}

// Nobody is asked for the passphrase of a key to restore it.
func TestRestoreOfAnEncryptedKey(t *testing.T) {
	h := &history{newWorld(t), map[string]string{}}
	h.config.Passphrase = func() ([]byte, error) { return []byte("secret"), nil }
	h.fresh(func(m *Manager) {
		req := InitRequest{Authority: Cluster, Name: "cluster.example.com", Passphrase: []byte("secret")}
		_, err := m.InitAuthority(context.Background(), req)
		h.must(err)
	})
	backup := h.backup()
	h.remove(h.dir)
	h.config.Passphrase = nil
	var spread *SpreadError // a list is signed with the key
	if _, err := h.restore(backup, 0, false); !errors.As(err, &spread) || !errors.Is(err, ErrPassphraseNeeded) {
		t.Error(err)
	}
	h.config.Passphrase = func() ([]byte, error) { return []byte("secret"), nil }
	h.fresh(func(m *Manager) {
		_, err := m.Issue(context.Background(), IssueRequest{Authority: Cluster, Name: "cluster.example.com", SPKI: spki(t)})
		h.must(err)
	})
}
