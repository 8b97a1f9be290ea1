package manager

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"x509ctl/pkg/durable"
)

// TestCheckOwner is for root alone, who can give files away.
func TestCheckOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to give a file to another user")
	}
	h := newHistory(t)
	h.must(os.Chown(h.path("ca/min-serial"), 12345, -1))
	if found, _ := h.check(CheckRequest{Repair: true}); strings.Join(found, ", ") != "error files ca/min-serial" {
		t.Errorf("found %q", found)
	}
}

// TestCheckLocked doesn't wait for ever, and takes nobody's work for leftovers.
func TestCheckLocked(t *testing.T) {
	h := newHistory(t)
	h.config.Wait = 50 * time.Millisecond
	f, err := os.Open(h.path("ca/lock"))
	h.must(err)
	defer f.Close()
	h.must(syscall.Flock(int(f.Fd()), syscall.LOCK_EX))
	h.put("ca/.x509ctl-tmp-1", "x")
	if found, _ := h.check(CheckRequest{Repair: true}); strings.Join(found, ", ") != "warning lock ca/lock" {
		t.Errorf("found %q", found)
	}
}

// TestCheckEncryptedKey has a key that can't be matched, which is no error, or can.
func TestCheckEncryptedKey(t *testing.T) {
	h := &history{newWorld(t), map[string]string{}}
	h.fresh(func(m *Manager) {
		_, err := m.InitAuthority(context.Background(), InitRequest{Authority: Cluster, Name: "cluster.example.com", Passphrase: []byte("open sesame")})
		h.must(err)
	})
	for phrase, want := range map[string]string{"": "note key ca/key.pem", "open sesame": "", "wrong": "error key ca/key.pem"} {
		h.config.Passphrase = func() ([]byte, error) { return []byte(phrase), nil }
		if found, _ := h.check(CheckRequest{}); strings.Join(found, ", ") != want {
			t.Errorf("with %q, found %q", phrase, found)
		}
	}
}

func TestCheckSpace(t *testing.T) {
	for _, c := range []struct {
		space durable.Space
		want  Severity
	}{
		{durable.Space{Bytes: 1 << 30, Files: 1000, Counted: true}, ""},
		{durable.Space{Bytes: 1 << 30}, ""},
		{durable.Space{Bytes: littleRoom - 1}, SeverityWarning},
		{durable.Space{Bytes: 1 << 30, Files: fewFiles - 1, Counted: true}, SeverityWarning},
		{durable.Space{Bytes: 1 << 30, Counted: true}, SeverityError},
		{durable.Space{Bytes: noRoom - 1}, SeverityError},
		{durable.Space{Bytes: 1 << 30, Network: "NFS"}, SeverityError},
	} {
		e := &examination{m: New(Config{Dir: "/d"}), blamed: map[string]struct{}{}}
		e.judgeSpace(c.space)
		got := Severity("")
		if len(e.report.Findings) == 1 {
			got = e.report.Findings[0].Severity
		}
		if got != c.want {
			t.Errorf("%+v: %q, want %q", c.space, got, c.want)
		}
	}
}

// TestCheckNothing has nothing to check.
func TestCheckNothing(t *testing.T) {
	w := newWorld(t)
	_, err := w.manager().Check(context.Background(), CheckRequest{Authority: Cluster})
	if !errors.Is(err, ErrNotInitialised) {
		t.Error(err)
	}
	if err := os.MkdirAll(filepath.Join(w.dir, "ca"), 0o711); err != nil {
		t.Fatal(err)
	}
	_, err = w.manager().Check(context.Background(), CheckRequest{Authority: Cluster})
	if !errors.Is(err, ErrNotInitialised) {
		t.Errorf("an empty directory: %v", err)
	}
}

// TestRepairIsRecorded looks for what Repair did in the audit trail.
func TestRepairIsRecorded(t *testing.T) {
	h := newHistory(t)
	h.mode("ca/key.pem", 0o444)
	key, err := os.ReadFile(h.path("ca/key.pem"))
	h.must(err)
	h.check(CheckRequest{Repair: true})
	if after, err := os.ReadFile(h.path("ca/key.pem")); err != nil || !bytes.Equal(key, after) {
		t.Errorf("the key changed, %v", err)
	}
	var entries []AuditEntry
	h.fresh(func(m *Manager) {
		h.must(m.Audit(context.Background(), AuditFilter{Action: "repair"}, func(e AuditEntry) error { entries = append(entries, e); return nil }))
	})
	if len(entries) != 1 || entries[0].Object != h.path("ca/key.pem") || entries[0].Who != "tester" {
		t.Errorf("recorded: %+v", entries)
	}
}
