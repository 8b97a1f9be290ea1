package manager

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"x509ctl/pkg/durable"
	"x509ctl/pkg/fault"
)

// copied is a history whose serial file has a copy on what would be another disk.
func copied(t *testing.T) (h *history, path string) {
	h = &history{newWorld(t), map[string]string{}}
	path = filepath.Join(t.TempDir(), "disk", "serial")
	if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	h.config.SerialCopies = []string{path}
	if err := h.init().Close(); err != nil {
		t.Fatal(err)
	}
	return h, path
}

func wantContent(t *testing.T, path, want string) {
	t.Helper()
	if b, err := os.ReadFile(path); err != nil || string(b) != want {
		t.Errorf("%s holds %q, %v; want %q", path, b, err, want)
	}
}

func TestCopiesAreWritten(t *testing.T) {
	h, path := copied(t)
	wantContent(t, path, "1\n")
	last := h.mustIssue(3)
	wantContent(t, path, last.String()+"\n")
}

// All of the directory goes back, as in a snapshot of the machine: the same inodes,
// the same times of birth. Only the other disk knows.
func TestSnapshotOfTheMachine(t *testing.T) {
	for _, with := range []bool{false, true} {
		h, path := copied(t)
		if !with {
			h.config.SerialCopies = nil
		}
		h.mustIssue(2)
		if err := os.Link(h.path("ca", "serial"), h.path("serial.old")); err != nil {
			t.Fatal(err)
		}
		h.copy(h.path("x509ctl.db"), h.path("db.old"))
		h.copy(h.path("ca", "lock"), h.path("lock.old"))
		h.mustIssue(3)
		h.copy(h.path("db.old"), h.path("x509ctl.db"))
		h.copy(h.path("lock.old"), h.path("ca", "lock"))
		if err := os.Rename(h.path("serial.old"), h.path("ca", "serial")); err != nil {
			t.Fatal(err)
		}
		if !with { // this is why copies exist
			h.fresh(func(m *Manager) {
				r, err := m.Issue(context.Background(), IssueRequest{Authority: Cluster, Name: "node1.example.com", SPKI: spki(t)})
				if err != nil || r.Certificate.Serial != 4 {
					t.Errorf("number %v, %v: the test is wrong about snapshots", r.Certificate.Serial, err)
				}
			})
			continue
		}
		_, err := h.issue(1)
		h.wantBack(err)
		h.fresh(func(m *Manager) {
			_, err := m.SetMinSerial(context.Background(), SetMinRequest{Authority: Cluster, To: MinNext})
			h.wantBack(err)
		})
		h.recover(RecoverRequest{AtLeast: 1})
		last := h.mustIssue(1)
		wantContent(t, path, last.String()+"\n")
		h.wantBelowFloor(last - 1)
	}
}

func TestCopyThatCannotBeUsed(t *testing.T) {
	h, path := copied(t)
	var failed *CopyError
	if err := os.WriteFile(path, []byte("garbage"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := h.issue(1); !errors.As(err, &failed) || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("a damaged copy: %v", err)
	}
	h.recover(RecoverRequest{AtLeast: 1})
	last := h.mustIssue(1)
	wantContent(t, path, last.String()+"\n")

	// Its disk is not mounted: that is not a copy to be made.
	if err := os.Rename(filepath.Dir(path), filepath.Dir(path)+".away"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.issue(1); !errors.As(err, &failed) || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("no disk: %v", err)
	}
	if err := os.Rename(filepath.Dir(path)+".away", filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	if n := h.mustIssue(1); n != last+1 {
		t.Errorf("number %v after %v", n, last)
	}
	// A new disk: the copy is made.
	h.remove(path)
	last = h.mustIssue(1)
	wantContent(t, path, last.String()+"\n")
}

// A copy that another user put there says nothing.
func TestCopyOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file away")
	}
	h, path := copied(t)
	h.mustIssue(1)
	h.must(os.WriteFile(path, []byte("9223372036854775000\n"), 0o644))
	h.must(os.Chown(path, 4711, -1))
	var owner *durable.OwnerError
	if _, err := h.issue(1); !errors.As(err, &owner) || owner.Owner != 4711 {
		t.Errorf("%v", err)
	}
	h.fresh(func(m *Manager) {
		if _, err := m.RecoverSerial(context.Background(), RecoverRequest{Authority: Cluster, AtLeast: 1}); !errors.As(err, &owner) {
			t.Errorf("recovering: %v", err)
		}
	})
	h.must(os.Chown(path, 0, -1))
	h.must(os.WriteFile(path, []byte("2\n"), 0o644))
	h.mustIssue(1)
}

// A failover to a machine that has nothing but the copies.
func TestFailoverWithCopies(t *testing.T) {
	h, path := copied(t)
	last := h.mustIssue(4)
	h.remove(h.dir)
	h.init()
	s, err := h.manager().Serial(context.Background(), Cluster)
	if err != nil || s.Last != last+1 {
		t.Errorf("the new CA has number %v, %v; want %v", s.Last, err, last+1)
	}
	wantContent(t, path, (last+1).String()+"\n")
}
