package manager

import (
	"context"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"x509ctl/pkg/authority"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/serial"
	"x509ctl/pkg/store"
)

// What a killed init left beside the database is removed by the next one.
func TestInitSweeps(t *testing.T) {
	w := newWorld(t)
	if err := os.Mkdir(w.dir, 0o711); err != nil {
		t.Fatal(err)
	}
	leftover := filepath.Join(w.dir, ".x509ctl-tmp-0123456789abcdef")
	theirs := filepath.Join(w.dir, ".somebody-elses")
	for _, name := range []string{leftover, theirs} {
		if err := os.WriteFile(name, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.init()
	if _, err := os.Stat(leftover); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the leftover: %v", err)
	}
	if _, err := os.Stat(theirs); err != nil {
		t.Errorf("another's file: %v", err)
	}
}

// A CA that is there but can't be published is not a CA that is there.
func TestInitIfMissingSaysWhatFailed(t *testing.T) {
	w := newWorld(t)
	if err := w.init().Close(); err != nil {
		t.Fatal(err)
	}
	// The bundle can't be written: something else has its name.
	bundle := filepath.Join(w.dir, "ca", "bundle.pem")
	if err := os.Remove(bundle); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(bundle, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, missing := range []bool{false, true} {
		m := w.manager()
		_, err := m.InitAuthority(context.Background(), InitRequest{Authority: Cluster, Name: "cluster.example.com", IfMissing: missing})
		if err == nil || errors.Is(err, ErrInitialised) {
			t.Errorf("with IfMissing %v: %v", missing, err)
		}
	}
}

// Of many who make the CA at once, one does.
func TestInitAtOnce(t *testing.T) {
	w := newWorld(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	made, there := 0, 0
	for range 8 {
		m := w.manager()
		wg.Go(func() {
			_, err := m.InitAuthority(context.Background(), InitRequest{Authority: Cluster, Name: "cluster.example.com"})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				made++
			case errors.Is(err, ErrInitialised):
				there++
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if made != 1 || there != 7 {
		t.Errorf("%d made a CA, %d found one", made, there)
	}
	if s, err := w.manager().Serial(context.Background(), Cluster); err != nil || s.Last != 1 {
		t.Errorf("the counter is %+v, %v", s, err)
	}
}

// A master failover leaves the public files, and no key.
func TestFailover(t *testing.T) {
	old := newWorld(t)
	if err := old.init().Close(); err != nil {
		t.Fatal(err)
	}
	public, err := os.ReadFile(filepath.Join(old.dir, "ca", "cert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name          string
		serial, floor string // content of the files; none when empty
		cert          bool
		first         serial.Number // of the new CA; 0: refused until somebody recovers
		wantFloor     serial.Floor
	}{
		{"serial and min-serial", "41\n", "7\n", false, 42, 7},
		{"serial alone", "41\n", "", false, 42, 1},
		{"min-serial alone", "", "41\n", false, 41, 41},
		{"min-serial ahead", "41\n", "100\n", false, 100, 100},
		{"with a certificate", "41\n", "7\n", true, 42, 7},
		{"a certificate alone", "", "", true, 1, 1},
		{"serial without newline", "41", "7", false, 42, 7},
		{"serial is damaged", "x\n", "7\n", false, 0, 0},
		{"min-serial is damaged", "41\n", "\x00", false, 0, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			if err := os.MkdirAll(filepath.Join(w.dir, "ca"), 0o711); err != nil {
				t.Fatal(err)
			}
			files := map[string]string{"serial": tc.serial, "min-serial": tc.floor}
			if tc.cert {
				files["cert.pem"] = string(public)
			}
			for name, content := range files {
				if content == "" {
					continue
				}
				if err := os.WriteFile(filepath.Join(w.dir, "ca", name), []byte(content), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			m := w.manager()
			ca, err := m.InitAuthority(context.Background(), InitRequest{Authority: Cluster, Name: "cluster.example.com"})
			if tc.first == 0 {
				var damaged *authority.NumberFileError
				if !errors.As(err, &damaged) {
					t.Fatalf("error %v, want a damaged file", err)
				}
				if _, err := m.RecoverSerial(context.Background(), RecoverRequest{Authority: Cluster, AtLeast: 41}); err != nil {
					t.Fatal(err)
				}
				if ca, err = m.InitAuthority(context.Background(), InitRequest{Authority: Cluster, Name: "cluster.example.com"}); err != nil {
					t.Fatal(err)
				}
				tc.first, tc.wantFloor = 42, 42
			}
			if err != nil {
				t.Fatal(err)
			}
			if ca.CASerial != tc.first.String() || ca.Serial.Floor != tc.wantFloor {
				t.Errorf("the CA has number %s, want %v; min-serial is %v, want %v", ca.CASerial, tc.first, ca.Serial.Floor, tc.wantFloor)
			}
			if string(ca.Certificate) == string(public) {
				t.Error("the old certificate is the CA's")
			}
		})
	}
}

// unpublish undoes the last steps of a publication.
func unpublish(t *testing.T, dir string, names ...string) {
	t.Helper()
	next := filepath.Join(dir, "ca", "next")
	if err := os.MkdirAll(next, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if err := os.Rename(filepath.Join(dir, "ca", name), filepath.Join(next, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// The files of a new CA did not all get to their places: the next call of whatever
// kind finishes that.
func TestCutPublication(t *testing.T) {
	ctx := context.Background()
	for step, names := range map[string][]string{
		"nothing was moved": {"cert.pem", "key.pem"},
		"the key was moved": {"cert.pem"},
		"next/ was left":    {},
	} {
		for call, do := range map[string]func(*Manager) error{
			"sign": func(m *Manager) error {
				out, err := m.Sign(ctx, SignRequest{Authority: Cluster, Items: []SignItem{{Request: csr(t, "node1.example.com")}}})
				if err == nil {
					err = out[0].Err
				}
				return err
			},
			"issue": func(m *Manager) error {
				_, err := m.Issue(ctx, IssueRequest{Authority: Cluster, Name: "node1.example.com", SPKI: spki(t)})
				return err
			},
			"describe": func(m *Manager) error {
				_, err := m.Authority(ctx, Cluster)
				return err
			},
			"init": func(m *Manager) error {
				_, err := m.InitAuthority(ctx, InitRequest{Authority: Cluster, IfMissing: true})
				return err
			},
		} {
			t.Run(step+"/"+call, func(t *testing.T) {
				h := newHistory(t)
				unpublish(t, h.dir, names...)
				h.fresh(func(m *Manager) {
					if err := do(m); err != nil {
						t.Fatal(err)
					}
				})
				h.mustIssue(1)
				for _, name := range []string{"cert.pem", "key.pem", "bundle.pem"} {
					if _, err := os.Stat(h.path("ca", name)); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
}

// Another CA becomes active between the two transactions: what the old one signed
// does not leave.
func TestActiveChangesWhileSigning(t *testing.T) {
	w := newWorld(t)
	other := w.init()
	w.config.SerialHook = func(ctx context.Context, _ HookCall) error {
		db, err := other.database(ctx)
		if err != nil {
			return err
		}
		return db.Write(ctx, func(tx *store.Tx) error {
			row, err := tx.Authority(Cluster)
			if err != nil {
				return err
			}
			row.Active = authority.Fingerprint{1}
			return tx.PutAuthority(row)
		})
	}
	m := w.manager()
	before := len(w.records(other))
	_, err := m.Sign(context.Background(), SignRequest{Authority: Cluster, Items: []SignItem{{Request: csr(t, "node1.example.com")}}})
	if !errors.Is(err, ErrCAChanged) || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("error %v, want that the CA changed", err)
	}
	if after := len(w.records(other)); after != before {
		t.Errorf("%d records became %d", before, after)
	}
	// And nobody signs under a CA whose files are another's.
	w.config.SerialHook = nil
	_, err = w.manager().Issue(context.Background(), IssueRequest{Authority: Cluster, Name: "node1.example.com", SPKI: spki(t)})
	if !errors.Is(err, authority.ErrNotPublished) {
		t.Errorf("error %v, want that the CA is not published", err)
	}
}

// Everything at once, on one Manager and on others: numbers are given once, and what
// was issued when the floor was raised is recorded and not below it.
func TestAllAtOnce(t *testing.T) {
	w := newWorld(t)
	shared := w.init()
	ctx := context.Background()
	var wg sync.WaitGroup
	numbers := make(chan serial.Number, 10_000)
	floors := make(chan serial.Floor, 1000)
	for i := range 6 {
		m := shared
		if i%2 == 0 {
			m = w.manager()
		}
		wg.Go(func() {
			for range 12 {
				var floor serial.Floor
				if v, err := m.Verifier(ctx, Cluster); err != nil {
					t.Error(err)
				} else {
					floor = v.Floor
				}
				r, err := m.Issue(ctx, IssueRequest{Authority: Cluster, Name: "node2.example.com", SPKI: spki(t)})
				if err != nil {
					t.Error(err)
					continue
				}
				if !floor.Accepts(r.Certificate.Serial) {
					t.Errorf("%v was issued after min-serial was %v", r.Certificate.Serial, floor)
				}
				numbers <- r.Certificate.Serial
			}
		})
	}
	wg.Go(func() {
		for range 10 {
			s, err := shared.SetMinSerial(ctx, SetMinRequest{Authority: Cluster, To: MinNext})
			if err != nil {
				t.Error(err)
			}
			floors <- s.After
		}
	})
	wg.Go(func() {
		for range 10 {
			_, add := shared.AddNode(ctx, AddNodeRequest{Authority: Cluster, Name: "node7.example.com"})
			_, remove := shared.RemoveNode(ctx, Cluster, "node7.example.com")
			if err := errors.Join(add, remove); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	close(numbers)
	close(floors)
	seen := map[serial.Number]bool{}
	for n := range numbers {
		if seen[n] {
			t.Errorf("%v was given twice", n)
		}
		seen[n] = true
		c, err := shared.Certificate(ctx, Cluster, n)
		if err != nil {
			t.Errorf("%v: %v", n, err)
			continue
		}
		if cert, err := x509.ParseCertificate(c.DER); err != nil || cert.SerialNumber.Int64() != int64(n) {
			t.Errorf("the record of %v: %v", n, err)
		}
	}
	last := serial.Floor(0)
	for f := range floors {
		if f < last {
			t.Errorf("the floor sank from %v to %v", last, f)
		}
		last = f
	}
}

// TestInitAfterLoss makes a CA where the revocation list of a lost one is left: the new
// CA's takes its place.
func TestInitAfterLoss(t *testing.T) {
	w := newWorld(t)
	w.init()
	for _, name := range []string{databaseFile, databaseFile + "-wal", databaseFile + "-shm", "ca/cert.pem", "ca/key.pem", "ca/bundle.pem"} {
		if err := os.Remove(filepath.Join(w.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	v, err := w.init().Verifier(context.Background(), Cluster)
	if err != nil {
		t.Fatal(err)
	}
	list, err := v.List()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Bundle.Believed(list); err != nil {
		t.Errorf("the list that is published: %v", err)
	}
}
