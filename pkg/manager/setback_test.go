package manager

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"x509ctl/pkg/authority"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/serial"
)

// A history is every certificate that ever left a world, whatever became of its
// directory since.
type history struct {
	*world
	issued map[string]string // SHA-256 by issuer and number
}

func newHistory(t *testing.T) *history {
	h := &history{newWorld(t), map[string]string{}}
	if err := h.init().Close(); err != nil {
		t.Fatal(err)
	}
	return h
}

// fresh returns a manager as the next process has it: nothing is held open.
func (h *history) fresh(do func(*Manager)) {
	h.t.Helper()
	m := New(h.config)
	do(m)
	if err := m.Close(); err != nil {
		h.t.Error(err)
	}
}

// issue issues n certificates, which may be refused as one, and holds each against
// all others that ever left.
func (h *history) issue(n int) (last serial.Number, err error) {
	h.t.Helper()
	h.fresh(func(m *Manager) {
		for range n {
			var r SignResult
			r, err = m.Issue(context.Background(), IssueRequest{Authority: Cluster, Name: "node1.example.com", SPKI: spki(h.t)})
			if err != nil {
				return
			}
			last = r.Certificate.Serial
			key := string(r.Certificate.CA[:]) + last.String()
			if _, twice := h.issued[key]; twice {
				h.t.Errorf("number %v was given twice", last)
			}
			h.issued[key] = string(r.Certificate.Fingerprint[:])
		}
	})
	return last, err
}

func (h *history) mustIssue(n int) serial.Number {
	h.t.Helper()
	last, err := h.issue(n)
	if err != nil {
		h.t.Fatal(err)
	}
	return last
}

func (h *history) recover(req RecoverRequest) Serial {
	h.t.Helper()
	var out Serial
	req.Authority = Cluster
	h.fresh(func(m *Manager) {
		var err error
		if out, err = m.RecoverSerial(context.Background(), req); err != nil {
			h.t.Fatal(err)
		}
	})
	return out
}

func (h *history) path(elem ...string) string {
	return filepath.Join(append([]string{h.dir}, elem...)...)
}

// copy copies files or directories with all that a copy can keep.
func (h *history) copy(from, to string) {
	h.t.Helper()
	if out, err := exec.Command("cp", "-a", "-T", from, to).CombinedOutput(); err != nil {
		h.t.Fatalf("copying: %v\n%s", err, out)
	}
}

func (h *history) remove(path string) {
	h.t.Helper()
	if err := os.RemoveAll(path); err != nil {
		h.t.Fatal(err)
	}
}

func (h *history) wantBack(err error) {
	h.t.Helper()
	var back *serial.WentBackError
	if !errors.As(err, &back) {
		h.t.Errorf("error %v, want that the counter went back", err)
	}
}

// wantBelowFloor checks that what was issued up to last is either recorded or
// revoked by the floor.
func (h *history) wantBelowFloor(last serial.Number) {
	h.t.Helper()
	h.fresh(func(m *Manager) {
		v, err := m.Verifier(context.Background(), Cluster)
		if err != nil {
			h.t.Fatal(err)
		}
		for n := serial.Number(1); n <= last; n++ {
			_, err := m.Certificate(context.Background(), Cluster, n)
			if fault.KindOf(err) == fault.NotFound && v.Floor.Accepts(n) {
				h.t.Errorf("certificate %v is in no inventory and above min-serial %v", n, v.Floor)
			}
		}
	})
}

// What the database forgot can't be revoked, nor counted by "set-min next": so an
// older one is refused, until the floor has passed whatever it may have forgotten.
func TestDatabaseSetBack(t *testing.T) {
	h := newHistory(t)
	h.mustIssue(3)
	h.copy(h.path("x509ctl.db"), h.path("older"))
	last := h.mustIssue(3)
	h.copy(h.path("older"), h.path("x509ctl.db"))

	_, err := h.issue(1)
	h.wantBack(err)
	h.fresh(func(m *Manager) {
		_, err := m.SetMinSerial(context.Background(), SetMinRequest{Authority: Cluster, To: MinNext})
		h.wantBack(err)
	})
	h.recover(RecoverRequest{AtLeast: 1})
	h.mustIssue(2)
	h.wantBelowFloor(last)
}

// Nor does it help to take the mark away: without one, a file ahead of the database may
// be all that is left of what was issued.
func TestDatabaseSetBackWithoutTheLock(t *testing.T) {
	h := newHistory(t)
	h.mustIssue(3)
	h.copy(h.path("x509ctl.db"), h.path("older"))
	last := h.mustIssue(3)
	h.copy(h.path("older"), h.path("x509ctl.db"))
	h.remove(h.path("ca", "lock"))
	for range 2 {
		_, err := h.issue(1)
		h.wantBack(err)
	}
	h.recover(RecoverRequest{AtLeast: 1})
	h.mustIssue(2)
	h.wantBelowFloor(last)
}

// A directory is copied while it is in use: the database first, the serial file after
// one more number was taken. Then the original goes on, and the copy must not.
func TestCopyOfTwoMoments(t *testing.T) {
	h := newHistory(t)
	h.mustIssue(3)
	original, copied := h.dir, filepath.Join(t.TempDir(), "copy")
	if out, err := exec.Command("cp", "-a", original, copied).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	h.mustIssue(1)
	h.copy(filepath.Join(original, "ca", "serial"), filepath.Join(copied, "ca", "serial"))
	h.mustIssue(5)
	h.dir, h.config.Dir = copied, copied
	_, err := h.issue(1)
	h.wantBack(err)
	h.recover(RecoverRequest{Authority: Cluster})
	h.mustIssue(2)
}

// The lock file alone may be lost: the next one gets its mark before the serial file
// goes ahead of the database, so a process that dies then still stops nobody.
func TestLockLost(t *testing.T) {
	h := newHistory(t)
	last := h.mustIssue(2)
	h.remove(h.path("ca", "lock"))
	h.config.SerialCopies = []string{"/proc/self/serial"} // which can't be made, after the file was
	if _, err := h.issue(1); err == nil {
		t.Fatal("a certificate was issued without the copy")
	}
	h.config.SerialCopies = nil
	if n := h.mustIssue(1); n != last+2 {
		t.Errorf("number %v after %v", n, last)
	}
}

// The database is copied between the two transactions of a batch: the counter of
// the copy is current, its inventory is not.
func TestDatabaseSetBackToBetweenTheTransactions(t *testing.T) {
	h := newHistory(t)
	h.mustIssue(1)
	h.config.SerialHook = func(context.Context, HookCall) error {
		var snapshot error
		h.fresh(func(m *Manager) {
			db, err := m.database(context.Background())
			if err == nil {
				err = db.Snapshot(context.Background(), h.path("older"))
			}
			snapshot = err
		})
		return snapshot
	}
	last := h.mustIssue(1)
	h.config.SerialHook = nil
	h.remove(h.path("x509ctl.db"))
	h.copy(h.path("older"), h.path("x509ctl.db"))

	_, err := h.issue(1)
	h.wantBack(err)
	h.recover(RecoverRequest{AtLeast: 1})
	h.mustIssue(2)
	h.wantBelowFloor(last)
}

// A process that dies between the file and the commit stops nobody.
func TestCutBeforeTheCommit(t *testing.T) {
	h := newHistory(t)
	last := h.mustIssue(2)
	h.fresh(func(m *Manager) {
		l, err := m.lock(context.Background(), Cluster)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.WriteSerial(last+7, "m1"); err != nil {
			t.Fatal(err)
		}
		if err := l.Unlock(); err != nil {
			t.Fatal(err)
		}
	})
	if n := h.mustIssue(1); n != last+8 {
		t.Errorf("number %v after a file that said %v", n, last+7)
	}
}

// A hard link keeps the inode and the time of birth that the row remembers.
func TestBothSetBackToTheSameInode(t *testing.T) {
	h := newHistory(t)
	h.mustIssue(2)
	if err := os.Link(h.path("ca", "serial"), h.path("serial.old")); err != nil {
		t.Fatal(err)
	}
	h.copy(h.path("x509ctl.db"), h.path("older"))
	h.mustIssue(4)
	h.copy(h.path("older"), h.path("x509ctl.db"))
	if err := os.Rename(h.path("serial.old"), h.path("ca", "serial")); err != nil {
		t.Fatal(err)
	}
	_, err := h.issue(1)
	h.wantBack(err)
	h.recover(RecoverRequest{AtLeast: 1})
	h.mustIssue(2)
}

// All of the directory is put back, and more than once: what was used since the
// first time is not known in it either.
func TestDirectoryRestoredTwice(t *testing.T) {
	h := newHistory(t)
	h.mustIssue(2)
	saved := filepath.Join(t.TempDir(), "saved")
	h.copy(h.dir, saved)
	for range 3 {
		h.mustIssue(3)
		h.remove(h.dir)
		h.copy(saved, h.dir)
		_, err := h.issue(1)
		h.wantBack(err)
		h.now = h.now.Add(1e9)
		s := h.recover(RecoverRequest{})
		if s.Floor <= serial.Floor(serial.Jump) {
			t.Errorf("the floor is %v after a jump", s.Floor)
		}
	}
	h.mustIssue(1)
}

func TestBackupRestoredTwice(t *testing.T) {
	h := newHistory(t)
	h.mustIssue(2)
	var backup bytes.Buffer
	h.fresh(func(m *Manager) {
		if err := m.Backup(context.Background(), &backup); err != nil {
			t.Fatal(err)
		}
	})
	for range 3 {
		last := h.mustIssue(3)
		h.remove(h.dir)
		h.now = h.now.Add(1e9)
		s, err := Restore(context.Background(), h.config, bytes.NewReader(backup.Bytes()), 0, false)
		if err != nil {
			t.Fatal(err)
		}
		if s.Floor.Accepts(last) {
			t.Errorf("min-serial %v after a restore, and %v was issued before", s.Floor, last)
		}
	}
	h.mustIssue(1)
}

// SQLite would take the log that a lost database left for the restored one's.
func TestRestoreBesideAnotherLog(t *testing.T) {
	h := newHistory(t)
	h.mustIssue(2)
	var backup bytes.Buffer
	h.fresh(func(m *Manager) {
		if err := m.Backup(context.Background(), &backup); err != nil {
			t.Fatal(err)
		}
	})
	var last serial.Number
	h.fresh(func(*Manager) { // keeps the database open, so that the log stays
		m := New(h.config)
		if _, err := m.Serial(context.Background(), Cluster); err != nil {
			t.Fatal(err)
		}
		last = h.mustIssue(3)
		h.copy(h.path("x509ctl.db-wal"), h.path("log"))
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	})
	h.remove(h.path("x509ctl.db"))
	if err := os.Rename(h.path("log"), h.path("x509ctl.db-wal")); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(context.Background(), h.config, bytes.NewReader(backup.Bytes()), 0, false); err != nil {
		t.Fatal(err)
	}
	if next := h.mustIssue(2); next <= last+serial.Jump {
		t.Errorf("the number after a restore is %v", next)
	}
	h.wantBelowFloor(last)
}

// Neither the database nor the serial file knows what the CA signed.
func TestAdoptAfterAllWasLost(t *testing.T) {
	for name, lose := range map[string]func(h *history){
		"the database":                     func(*history) {},
		"the serial file too":              func(h *history) { h.remove(h.path("ca", "serial")) },
		"the serial file, to an older one": func(h *history) { h.copy(h.path("serial.older"), h.path("ca", "serial")) },
		"all but certificate and key": func(h *history) {
			for _, name := range []string{"serial", "min-serial", "lock", "bundle.pem"} {
				h.remove(h.path("ca", name))
			}
		},
		"and the serial file is older, and no lock": func(h *history) {
			h.copy(h.path("serial.older"), h.path("ca", "serial"))
			h.remove(h.path("ca", "lock"))
		},
		"and the serial file is damaged": func(h *history) {
			if err := os.WriteFile(h.path("ca", "serial"), nil, 0o644); err != nil {
				h.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHistory(t)
			h.mustIssue(1)
			h.copy(h.path("ca", "serial"), h.path("serial.older"))
			for range 3 {
				last := h.mustIssue(3)
				h.remove(h.path("x509ctl.db"))
				lose(h)
				_, err := h.issue(1)
				if !errors.Is(err, ErrNoDatabase) {
					t.Fatalf("without a database: %v", err)
				}
				h.now = h.now.Add(1e9)
				h.fresh(func(m *Manager) {
					ctx := context.Background()
					ca, err := m.InitAuthority(ctx, InitRequest{Authority: Cluster, Name: "cluster.example.com", Adopt: true})
					if err != nil {
						t.Fatal(err)
					}
					if ca.Serial.Floor.Accepts(last) {
						t.Errorf("min-serial %v accepts %v, which nobody knows any more", ca.Serial.Floor, last)
					}
					if _, err := m.AddNode(ctx, AddNodeRequest{Authority: Cluster, Name: "node1.example.com"}); err != nil {
						t.Fatal(err)
					}
				})
			}
			h.mustIssue(1)
		})
	}
}

// A number that is damaged is not guessed; what the other file says still counts.
func TestDamagedNumberFiles(t *testing.T) {
	for _, name := range []string{"serial", "min-serial"} {
		for what, content := range map[string]string{"empty": "", "garbage": "x\n", "zeros": "\x00\x00\x00", "hex": "0A\n"} {
			t.Run(name+" "+what, func(t *testing.T) {
				h := newHistory(t)
				h.mustIssue(2)
				h.copy(h.path("x509ctl.db"), h.path("older"))
				last := h.mustIssue(3)
				if name == "min-serial" { // the other record is the file's alone
					h.copy(h.path("older"), h.path("x509ctl.db"))
				}
				if err := os.WriteFile(h.path("ca", name), []byte(content), 0o644); err != nil {
					t.Fatal(err)
				}
				_, err := h.issue(1)
				var damaged *authority.NumberFileError
				if !errors.As(err, &damaged) || fault.KindOf(err) != fault.Unavailable {
					t.Errorf("error %v, want a damaged file", err)
				}
				h.recover(RecoverRequest{AtLeast: 3})
				h.mustIssue(1)
				h.wantBelowFloor(last)
			})
		}
	}
}
