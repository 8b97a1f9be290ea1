package manager

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/serial"
	"x509ctl/pkg/store"
	"x509ctl/pkg/trust"
)

// verdict has a verifier of a project judge a certificate, by the published files alone.
func (w *world) verdict(m *Manager, c Certificate) error {
	w.t.Helper()
	v, err := m.Verifier(context.Background(), c.Authority)
	if err != nil {
		w.t.Fatal(err)
	}
	list, err := v.List()
	if err != nil {
		w.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(c.DER)
	if err != nil {
		w.t.Fatal(err)
	}
	check := v.Check(w.now)
	check.CRL, check.Purpose = list, trust.Client
	return check.Verify(leaf)
}

// wantRevoked wants a refusal because of a revocation, which says so in these words.
func wantRevoked(t *testing.T, what string, err error, words string) {
	t.Helper()
	var v *trust.VerifyError
	if !errors.As(err, &v) || v.Reason != trust.Revoked || !strings.Contains(v.Error(), words) {
		t.Errorf("%s: %v, want one that is revoked: %s", what, err, words)
	}
}

// TestDeleteProject refuses while there are live certificates, and with force revokes them.
func TestDeleteProject(t *testing.T) {
	w := newWorld(t)
	m := w.init()
	ctx := context.Background()
	a, b := w.memberships(m, "Alpha", "alice", "bob"), w.memberships(m, "beta", "carol")
	w.register(m, "alpha", "vpn.alpha.example")
	if _, err := m.EncryptionCertificate(ctx, "alpha"); err != nil {
		t.Fatal(err)
	}
	alice := w.signFor(m, a, profile.Member, "alice")[0].Certificate
	w.signFor(m, a, profile.Server, "vpn.alpha.example")
	carol := w.signFor(m, b, profile.Member, "carol")[0].Certificate

	var live *LiveError
	_, err := m.DeleteProject(ctx, DeleteProjectRequest{ID: "ALPHA"})
	if !errors.As(err, &live) || live.Live != 2 || fault.KindOf(err) != fault.Denied ||
		err.Error() != "project Alpha has live certificates: 2 alice, 3 vpn.alpha.example" {
		t.Errorf("with live certificates: %v", err)
	}
	if err := w.verdict(m, alice); err != nil {
		t.Errorf("a refused deletion changed something: %v", err)
	}
	gone, err := m.DeleteProject(ctx, DeleteProjectRequest{ID: "ALPHA", Force: true})
	if err != nil || gone.Revoked != 2 || gone.Project.ID != "Alpha" {
		t.Fatalf("forced: %+v, %v", gone, err)
	}
	wantRevoked(t, "the deleted project's", w.verdict(m, alice), "CN=Alpha CA 2,O=Alpha")
	if err := w.verdict(m, carol); err != nil {
		t.Errorf("another project's: %v", err)
	}
	if got := len(w.revoked(m, a)); got != 3 {
		t.Errorf("%d on the last list", got)
	}
	w.checkDeleted(m, a)
	// Its list and bundle can be had, and its id can't.
	if _, err := m.CRL(ctx, CRLRequest{Authority: a}, new(bytes.Buffer)); err != nil {
		t.Error(err)
	}
	for _, ifMissing := range []bool{false, true} {
		_, err = m.CreateProject(ctx, CreateProjectRequest{ID: "aLPHA", IfMissing: ifMissing})
		if !errors.Is(err, ErrProjectDeleted) {
			t.Errorf("its id: %v", err)
		}
	}
	if _, err := m.DeleteProject(ctx, DeleteProjectRequest{ID: "alpha"}); !errors.Is(err, ErrProjectDeleted) {
		t.Errorf("deleting again: %v", err)
	}
	if _, err := m.DeleteProject(ctx, DeleteProjectRequest{ID: "gamma", Force: true}); !errors.Is(err, ErrNoProject) {
		t.Errorf("deleting none: %v", err)
	}
	if _, err := m.AddNode(ctx, AddNodeRequest{Authority: Cluster, Name: "vpn.alpha.example"}); err != nil {
		t.Errorf("its name is not free: %v", err)
	}
}

// checkDeleted wants everything refused that would give a deleted project something.
func (w *world) checkDeleted(m *Manager, id AuthorityID) {
	w.t.Helper()
	ctx, project := context.Background(), ProjectOf(id)
	for what, do := range map[string]func() error{
		"a certificate": func() error {
			_, err := m.Issue(ctx, IssueRequest{Authority: id, Name: "bob", SPKI: spki(w.t)})
			return err
		},
		"certificates": func() error {
			_, err := m.Sign(ctx, SignRequest{Authority: id, Items: []SignItem{{Request: csr(w.t, "alice")}, {Request: csr(w.t, "bob")}}})
			return err
		},
		"a decrypt certificate": func() error { _, err := m.EncryptionCertificate(ctx, project); return err },
		"another CA": func() error {
			_, err := m.RenewCA(ctx, RenewRequest{Authority: id, Step: RenewCompromised})
			return err
		},
		"a member": func() error {
			_, err := m.AddMembers(ctx, AddMembersRequest{Project: project, Users: []string{"dave"}})
			return err
		},
		"a name": func() error {
			_, err := m.AddProjectNames(ctx, AddProjectNamesRequest{Project: project, Names: []string{"x.example"}})
			return err
		},
		"a removal": func() error {
			_, err := m.RemoveMembers(ctx, RemoveMembersRequest{Project: project, Users: []string{"alice"}})
			return err
		},
	} {
		if err := do(); !errors.Is(err, ErrProjectDeleted) {
			w.t.Errorf("%s: %v", what, err)
		}
	}
}

// TestDeleteProjectCut has a deletion stop after its transaction: the same again goes on.
func TestDeleteProjectCut(t *testing.T) {
	w := newWorld(t)
	m := w.init()
	ctx := context.Background()
	id := w.memberships(m, "alpha", "alice")
	alice := w.signFor(m, id, profile.Member, "alice")[0].Certificate
	if _, err := m.markDeleted(ctx, id, DeleteProjectRequest{ID: "alpha", Force: true}); err != nil {
		t.Fatal(err)
	}
	w.checkDeleted(m, id)
	gone, err := w.manager().DeleteProject(ctx, DeleteProjectRequest{ID: "alpha"})
	if err != nil || gone.Revoked != 1 {
		t.Errorf("%+v, %v", gone, err)
	}
	wantRevoked(t, "it", w.verdict(m, alice), "")
	// One whose CA was never made is only recorded.
	w.change(m, func(tx *store.Tx) error { return tx.AddProject(Project{ID: "cut", Created: w.now}) })
	if gone, err := m.DeleteProject(ctx, DeleteProjectRequest{ID: "cut"}); err != nil || gone.Project.Deleted.IsZero() {
		t.Errorf("%+v, %v", gone, err)
	}
	if _, err := m.DeleteProject(ctx, DeleteProjectRequest{ID: "cut"}); !errors.Is(err, ErrProjectDeleted) {
		t.Error(err)
	}
	if _, err := m.CreateProject(ctx, CreateProjectRequest{ID: "cut"}); !errors.Is(err, ErrProjectDeleted) {
		t.Error(err)
	}
}

// TestRevokeCA revokes the CA of one project: verifiers refuse its certificates by the
// published file, nothing more is signed, and others go on.
func TestRevokeCA(t *testing.T) {
	w := newWorld(t)
	m := w.init()
	ctx := context.Background()
	a, b := w.memberships(m, "alpha", "alice"), w.memberships(m, "beta", "carol")
	alice := w.signFor(m, a, profile.Member, "alice")[0].Certificate
	carol := w.signFor(m, b, profile.Member, "carol")[0].Certificate
	if err := w.verdict(m, alice); err != nil {
		t.Fatal(err)
	}
	other := w.manager() // which knows everything of before
	w.signFor(other, a, profile.Member, "alice", "alice")
	for _, ca := range []string{"1", "3", "2x"} { // the root's own, another project's, none
		if _, err := m.RevokeCA(ctx, RevokeCARequest{Project: "alpha", CA: ca}); fault.KindOf(err) != fault.NotFound {
			t.Errorf("CA %s: %v", ca, err)
		}
	}
	out, err := m.RevokeCA(ctx, RevokeCARequest{Project: "ALPHA", CA: "2", Reason: profile.KeyCompromise})
	if err != nil || len(out.Revoked) != 1 || out.Revoked[0].Serial != serial.Number(2) {
		t.Fatalf("%+v, %v", out, err)
	}
	wantRevoked(t, "below the revoked CA", w.verdict(m, alice), "the CA certificate of")
	if err := w.verdict(m, carol); err != nil {
		t.Errorf("another project's: %v", err)
	}
	for _, m := range []*Manager{m, other} {
		for _, n := range [][]string{{"alice"}, {"alice", "alice"}} {
			req := SignRequest{Authority: a}
			for _, cn := range n {
				req.Items = append(req.Items, SignItem{Request: csr(t, cn)})
			}
			if _, err := m.Sign(ctx, req); !errors.Is(err, ErrCARevoked) {
				t.Errorf("signing %d: %v", len(n), err)
			}
		}
	}
	out, err = m.RevokeCA(ctx, RevokeCARequest{Project: "alpha", Reason: profile.KeyCompromise})
	if err != nil || len(out.Revoked) != 0 || out.Already != 1 {
		t.Errorf("again: %+v, %v", out, err)
	}
	if _, err := m.RevokeCA(ctx, RevokeCARequest{Project: "gamma"}); !errors.Is(err, ErrNoProject) {
		t.Errorf("none: %v", err)
	}
}

// TestRevokedCAReplaced replaces a CA that was revoked: the new one signs, and what the
// old one signed stays refused.
func TestRevokedCAReplaced(t *testing.T) {
	w := newWorld(t)
	m := w.init()
	ctx := context.Background()
	id := w.memberships(m, "alpha", "alice")
	old := w.signFor(m, id, profile.Member, "alice")[0].Certificate
	if _, err := m.RevokeCA(ctx, RevokeCARequest{Project: "alpha"}); err != nil {
		t.Fatal(err)
	}
	if _, err := m.RenewCA(ctx, RenewRequest{Authority: id, Step: RenewAtOnce}); err != nil {
		t.Fatal(err)
	}
	fresh := w.signFor(w.manager(), id, profile.Member, "alice")[0].Certificate
	if err := w.verdict(m, fresh); err != nil {
		t.Error(err)
	}
	wantRevoked(t, "the old CA's", w.verdict(m, old), "the CA certificate of")
	// Revoking the one of that number, again, leaves the new one alone.
	if out, err := m.RevokeCA(ctx, RevokeCARequest{Project: "alpha", CA: "2"}); err != nil || out.Already != 1 || len(out.Revoked) != 0 {
		t.Errorf("%+v, %v", out, err)
	}
	if err := w.verdict(m, fresh); err != nil {
		t.Error(err)
	}
}

// TestRevokeCACut has a process killed before the project's file has the root's list: the
// next one that works on the project sees to it.
func TestRevokeCACut(t *testing.T) {
	w := newWorld(t)
	m := w.init()
	ctx := context.Background()
	id := w.memberships(m, "alpha", "alice")
	alice := w.signFor(m, id, profile.Member, "alice")[0].Certificate
	before, err := os.ReadFile(filepath.Join(w.dir, "projects/alpha/crl.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.RevokeCA(ctx, RevokeCARequest{Project: "alpha"}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.dir, "projects/alpha/crl.pem"), before, 0o644); err != nil {
		t.Fatal(err)
	}
	w.change(m, func(tx *store.Tx) error { return tx.Touch(id) })
	if err := w.verdict(m, alice); err != nil {
		t.Fatal(err)
	}
	r, err := m.Check(ctx, CheckRequest{Authority: id})
	if err != nil || len(r.Findings) != 2 || r.Findings[0].Check != "project" || r.Findings[1].Check != "crl" {
		t.Errorf("check says %+v, %v", r, err)
	}
	if _, err := m.Check(ctx, CheckRequest{Authority: id, Repair: true}); err != nil {
		t.Fatal(err)
	}
	wantRevoked(t, "after repair", w.verdict(m, alice), "the CA certificate of")
}
