package manager

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"x509ctl/pkg/fault"
)

// cut replaces the CA of an authority, and leaves its files as a process that was killed at
// the publication does, before the certificate of the old one was moved or after.
func (w *tenancy) cut(id AuthorityID, after bool) {
	w.t.Helper()
	old := w.renewOf(id, RenewAtOnce, nil).Before.CASerial
	d, err := w.m.directory(id)
	if err != nil {
		w.t.Fatal(err)
	}
	dir := d.Path()
	next, away := filepath.Join(dir, "next"), filepath.Join(dir, "old", old)
	if err := os.Mkdir(next, 0o700); err != nil {
		w.t.Fatal(err)
	}
	moves := [][2]string{{filepath.Join(dir, "key.pem"), next}, {filepath.Join(dir, "cert.pem"), next}}
	if _, err := os.Stat(filepath.Join(dir, "chain.pem")); err == nil {
		moves = append(moves, [2]string{filepath.Join(dir, "chain.pem"), next})
		if !after {
			moves = append(moves, [2]string{filepath.Join(away, "chain.pem"), dir})
		}
	}
	if !after {
		moves = append(moves, [2]string{filepath.Join(away, "cert.pem"), dir})
	}
	for _, move := range moves {
		if err := os.Rename(move[0], filepath.Join(move[1], filepath.Base(move[0]))); err != nil {
			w.t.Fatal(err)
		}
	}
}

// TestPublicationCut: whoever comes first after a process that was killed while it published
// a CA, of his own authority or of one above, finishes that.
func TestPublicationCut(t *testing.T) {
	ctx := context.Background()
	issue := func(id AuthorityID, name string) func(m *Manager) error {
		return func(m *Manager) error {
			_, err := m.Issue(ctx, IssueRequest{Authority: id, Name: name, SPKI: spki(t)})
			return err
		}
	}
	id := mustProject(t, "p")
	for what, tc := range map[string]struct {
		cut   AuthorityID
		after bool // the certificate of the old one was moved
		do    func(*Manager) error
	}{
		"a node's certificate":   {Cluster, false, issue(Cluster, "node1.example.com")},
		"a project":              {Cluster, false, func(m *Manager) error { _, err := m.CreateProject(ctx, CreateProjectRequest{ID: "new"}); return err }},
		"a member's certificate": {id, false, issue(id, "alice")},
		"a decrypt key":          {id, true, func(m *Manager) error { _, err := m.EncryptionCertificate(ctx, "p"); return err }},
		"a project, by the root": {ProjectRoot, true, func(m *Manager) error { _, err := m.CreateProject(ctx, CreateProjectRequest{ID: "new"}); return err }},
		"a project's CA": {ProjectRoot, false, func(m *Manager) error {
			_, err := m.RenewCA(ctx, RenewRequest{Authority: id, Step: RenewCompromised})
			return err
		}},
		"a request for a CA": {ProjectRoot, true, func(m *Manager) error { _, err := m.RequestCA(ctx, CARequestRequest{Authority: id}); return err }},
	} {
		w := newTenancy(t)
		w.cut(tc.cut, tc.after)
		if err := tc.do(w.manager()); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		w.wantFindings(w.manager())
	}
}

// TestPublicationCutDecrypt: a decrypt certificate of the CA before stays good until the
// publication is finished.
func TestPublicationCutDecrypt(t *testing.T) {
	ctx := context.Background()
	w := newTenancy(t)
	if _, err := w.m.EncryptionCertificate(ctx, "p"); err != nil {
		t.Fatal(err)
	}
	w.cut(w.p, true)
	if _, err := w.manager().EncryptionCertificate(ctx, "p"); err != nil {
		t.Error(err)
	}
}

// TestKeyLostForGood: a key that no publication brings back is missing still.
func TestKeyLostForGood(t *testing.T) {
	w := newTenancy(t)
	if err := os.Remove(filepath.Join(w.dir, "ca", "key.pem")); err != nil {
		t.Fatal(err)
	}
	_, err := w.manager().Issue(context.Background(), IssueRequest{Authority: Cluster, Name: "node1.example.com", SPKI: spki(t)})
	w.wantKind("without a key", err, fault.Unavailable)
}

// TestManyReplacedCAs: the lists of CAs that nobody retires can be read still, with those of the
// root in the same file.
func TestManyReplacedCAs(t *testing.T) {
	w := newTenancy(t)
	for range 9 {
		w.renewOf(ProjectRoot, RenewAtOnce, nil)
		w.renewOf(w.p, RenewAtOnce, nil)
	}
	w.judge("after many renewals", w.p, w.leafOf(w.p), true)
	w.project(w.m, "another")
}
