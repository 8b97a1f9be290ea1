package manager

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/serial"
)

// A thief has the keys of two certificates, the second of which an older database does
// not know.
type thief struct {
	*history
	keys   [2][]byte
	backup []byte
}

// issueFor issues a certificate for a key and returns its number.
func (h *history) issueFor(m *Manager, key []byte) (serial.Number, error) {
	r, err := m.Issue(context.Background(), IssueRequest{Authority: Cluster, Name: "node1.example.com", SPKI: key})
	return r.Certificate.Serial, err
}

func newThief(t *testing.T) *thief {
	h := &thief{history: newHistory(t)}
	h.keys = [2][]byte{spki(t), spki(t)}
	h.steal(0)
	h.backup = h.history.backup()
	h.copy(h.path(databaseFile), h.path("older"))
	h.steal(1)
	h.now = h.now.Add(30 * 24 * time.Hour) // no list has them any more
	h.fresh(func(m *Manager) {
		if _, err := m.CRL(context.Background(), CRLRequest{Authority: Cluster}, new(bytes.Buffer)); err != nil {
			t.Fatal(err)
		}
	})
	return h
}

// steal issues a certificate for a key; the second time, both are revoked.
func (h *thief) steal(i int) {
	h.t.Helper()
	h.fresh(func(m *Manager) {
		n, err := h.issueFor(m, h.keys[i])
		h.must(err)
		if i == 1 {
			h.revoke(m, RevokeRequest{Serials: []serial.Number{2, n}, Reason: profile.KeyCompromise})
		}
	})
}

// file is what the file of blocked keys has to hold, in any order.
func (h *thief) wantFile(what string) {
	h.t.Helper()
	b, err := os.ReadFile(h.path("ca", "blocked-keys"))
	h.must(err)
	lines := 0
	for i, key := range h.keys {
		if bytes.Contains(b, fmt.Appendf(nil, "%x %d\n", sha256.Sum256(key), i+2)) {
			lines++
		}
	}
	if st, err := os.Stat(h.path("ca", "blocked-keys")); err != nil || st.Mode().Perm() != 0o644 {
		h.t.Errorf("%s: the file: %v, %v", what, st.Mode(), err)
	}
	if lines != 2 || bytes.Count(b, []byte("\n")) != 2 {
		h.t.Errorf("%s: the file holds %q", what, b)
	}
}

// wantStolen wants that no way leads to a certificate for the keys.
func (h *thief) wantStolen(what string) {
	h.t.Helper()
	h.fresh(func(m *Manager) {
		for i, key := range h.keys {
			_, err := h.issueFor(m, key)
			if !errors.Is(err, ErrKeyBlocked) {
				h.t.Errorf("%s: key %d: %v", what, i, err)
			}
		}
		if _, err := h.issueFor(m, spki(h.t)); err != nil {
			h.t.Errorf("%s: another key: %v", what, err)
		}
	})
	h.wantFile(what)
	h.wantFindingsOf("blocked-keys")
}

// wantFindingsOf wants none of a check.
func (h *history) wantFindingsOf(check string) {
	h.t.Helper()
	_, report := h.check(CheckRequest{})
	for _, f := range report.Findings {
		if f.Check == check {
			h.t.Errorf("%s: %v", f.Path, f.Err)
		}
	}
}

// A key that was revoked for compromise stays blocked when an older database comes back
// after its certificate was forgotten, in each way.
func TestBlockedKeysOutliveTheDatabase(t *testing.T) {
	for name, back := range map[string]func(*thief){
		"nothing": func(*thief) {},
		"restore": func(h *thief) {
			h.remove(h.path(databaseFile))
			_, err := h.restore(h.backup, 0, false)
			h.must(err)
		},
		"recover": func(h *thief) {
			h.copy(h.path("older"), h.path(databaseFile))
			h.recover(RecoverRequest{KeepFloor: true})
		},
		"adopt": func(h *thief) {
			h.remove(h.path(databaseFile))
			h.fresh(func(m *Manager) {
				_, err := m.InitAuthority(context.Background(), InitRequest{Authority: Cluster, Name: "cluster.example.com", Adopt: true})
				h.must(err)
				_, err = m.AddNode(context.Background(), AddNodeRequest{Authority: Cluster, Name: "node1.example.com"})
				h.must(err)
			})
		},
		"unnoticed": func(h *thief) { // no number was given since
			h.sql("DELETE FROM blocked_keys WHERE serial <> 0", "UPDATE authorities SET blocked_size = 0")
		},
		"the file": func(h *thief) { h.remove(h.path("ca", "blocked-keys")) },
		"a torn file": func(h *thief) {
			f, err := os.OpenFile(h.path("ca", "blocked-keys"), os.O_WRONLY|os.O_APPEND, 0)
			h.must(err)
			_, err = f.WriteString("0123456789abcdef")
			h.must(errors.Join(err, f.Close()))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newThief(t)
			h.wantFile("at first")
			back(h)
			h.wantStolen(name)
		})
	}
}

// A database of an earlier version has keys and no file, which is written with the next.
func TestBlockedKeysOfAnEarlierVersion(t *testing.T) {
	h := newThief(t)
	h.remove(h.path("ca", "blocked-keys"))
	h.sql("UPDATE authorities SET blocked_inode = 0, blocked_birth = 0, blocked_size = 0")
	h.fresh(func(m *Manager) {
		n, err := h.issueFor(m, spki(t))
		h.must(err)
		h.revoke(m, RevokeRequest{Serials: []serial.Number{n}, Reason: profile.KeyCompromise})
	})
	if b, err := os.ReadFile(h.path("ca", "blocked-keys")); err != nil || bytes.Count(b, []byte("\n")) != 3 {
		t.Errorf("the file holds %q, %v", b, err)
	}
}

// A backup has the keys, and a restore into an empty directory writes the file anew.
func TestBlockedKeysAreRestored(t *testing.T) {
	h := newThief(t)
	h.backup = h.history.backup()
	h.remove(h.dir)
	if _, err := h.restore(h.backup, 0, false); err != nil {
		t.Fatal(err)
	}
	h.wantFile("restored")
	h.wantStolen("restored")
}

// Whoever is to sign with a file that lost a key is refused, alone and in a batch, until
// what can be read is kept.
func TestBlockedKeysDamaged(t *testing.T) {
	h := newThief(t)
	b, err := os.ReadFile(h.path("ca", "blocked-keys"))
	h.must(err)
	h.must(os.WriteFile(h.path("ca", "blocked-keys"), append([]byte("\x00\x00\n"), b...), 0o644))
	h.sql("DELETE FROM blocked_keys WHERE serial <> 0")
	h.fresh(func(m *Manager) {
		var damaged *BlockedFileError
		if _, err := h.issueFor(m, spki(t)); !errors.As(err, &damaged) || damaged.Damaged != 1 {
			t.Errorf("one: %v", err)
		}
		_, err := m.Sign(context.Background(), SignRequest{Authority: Cluster, Items: []SignItem{
			{Request: csr(t, "node1.example.com")}, {Request: csr(t, "node1.example.com")},
		}})
		h.wantKind("a batch", err, fault.Unavailable)
		if _, err := m.Check(context.Background(), CheckRequest{Authority: Cluster, Repair: true}); err != nil {
			t.Fatal(err)
		}
	})
	h.wantStolen("repaired")
}

// Each authority has its own: a key that is blocked in one project is not in another.
func TestBlockedKeysOfAProject(t *testing.T) {
	w := newTenancy(t)
	ctx := context.Background()
	stolen := spki(t)
	issue := func(id AuthorityID) error {
		_, err := w.m.Issue(ctx, IssueRequest{Authority: id, Name: "alice", SPKI: stolen})
		return err
	}
	if err := issue(w.p); err != nil {
		t.Fatal(err)
	}
	if _, err := w.m.Revoke(ctx, RevokeRequest{Authority: w.p, Serials: []serial.Number{1}, Reason: profile.KeyCompromise}); err != nil {
		t.Fatal(err)
	}
	h := &history{world: w.world}
	h.sql("DELETE FROM blocked_keys WHERE serial = 1", "UPDATE authorities SET blocked_size = 0")
	if err := issue(w.p); !errors.Is(err, ErrKeyBlocked) {
		t.Errorf("in its project: %v", err)
	}
	if err := issue(w.q); err != nil {
		t.Errorf("in another: %v", err)
	}
	b, err := os.ReadFile(h.path("projects", "p", "blocked-keys"))
	if want := fmt.Sprintf("%x 1\n", sha256.Sum256(stolen)); err != nil || string(b) != want {
		t.Errorf("the file holds %q, %v; want %q", b, err, want)
	}
	h.wantFindingsOf("blocked-keys")
}
