package manager

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/serial"
	"x509ctl/pkg/store"
)

// certs records live certificates of a project's authority, as if it had issued them: of a
// kind, for a holder and with a name.
func (w *world) certs(m *Manager, id AuthorityID, kind, holder string, numbers ...serial.Number) {
	w.t.Helper()
	var all []Certificate
	for _, n := range numbers {
		c := Certificate{
			Authority: id, Serial: n, Kind: kind, State: stateIssued, CommonName: holder, Holder: holder,
			NotBefore: w.now, NotAfter: w.now.Add(90 * 24 * time.Hour), Created: w.now,
			DER: []byte{}, Fingerprint: sha256.Sum256(fmt.Append(nil, id, n)), SPKIHash: sha256.Sum256(fmt.Append(nil, "key", id, n)),
		}
		if kind == kindServer {
			c.Names = []string{holder}
		}
		all = append(all, c)
	}
	w.change(m, func(tx *store.Tx) error { return tx.InsertCertificates(all) })
}

func (w *world) members(m *Manager, project string, users ...string) {
	w.t.Helper()
	results, err := m.AddMembers(context.Background(), AddMembersRequest{Project: project, Users: users})
	for _, r := range results {
		if err == nil {
			err = r.Err
		}
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// revoked returns the numbers on a project's revocation list.
func (w *world) revoked(m *Manager, id AuthorityID) (all []serial.Number) {
	w.t.Helper()
	v, err := m.Verifier(context.Background(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	list, err := v.List()
	if err != nil || list == nil {
		w.t.Fatalf("no revocation list: %v", err)
	}
	for e := range list.Entries {
		all = append(all, serial.Number(e.Serial.Int64()))
	}
	return all
}

// TestRemoveMembers ends a membership: what the member has is revoked, and nothing else.
func TestRemoveMembers(t *testing.T) {
	w := newWorld(t)
	m := w.init()
	ctx := context.Background()
	w.project(m, "t1", "t2")
	t1, t2 := mustProject(t, "t1"), mustProject(t, "t2")
	w.members(m, "t1", "alice", "bob", "web")
	w.members(m, "t2", "alice")
	w.certs(m, t1, kindMember, "alice", 1, 2)
	w.certs(m, t1, kindMember, "bob", 3)
	w.certs(m, t1, kindServer, "web", 4)
	w.certs(m, t2, kindMember, "alice", 1)
	var told []int
	gone, err := m.RemoveMembers(ctx, RemoveMembersRequest{
		Project: "T1", Users: []string{"ALICE", "nobody", "web", "a\x00b"}, Progress: func(n int) { told = append(told, n) },
	})
	if err != nil || len(gone) != 4 {
		t.Fatalf("%+v, %v", gone, err)
	}
	if g := gone[0]; g.Record.User != "alice" || g.Live != 2 || g.Revoked != 2 || len(g.Sample) != 2 || g.Err != nil {
		t.Errorf("alice: %+v", g)
	}
	if fault.KindOf(gone[1].Err) != fault.NotFound || fault.KindOf(gone[3].Err) != fault.Denied {
		t.Errorf("nobody: %v, %v", gone[1].Err, gone[3].Err)
	}
	if g := gone[2]; g.Live != 0 || g.Err != nil {
		t.Errorf("a member with the name of a server took its certificate along: %+v", g)
	}
	if !slices.Equal(told, []int{1, 2, 3, 4}) {
		t.Errorf("progress: %v", told)
	}
	if got := w.revoked(m, t1); !slices.Equal(got, []serial.Number{1, 2}) {
		t.Errorf("on the list: %v", got)
	}
	if got := w.revoked(m, t2); got != nil {
		t.Errorf("on another project's list: %v", got)
	}
	c, err := m.Certificate(ctx, t1, 1)
	if err != nil || c.Reason != profile.AffiliationChanged {
		t.Errorf("revoked because of %v, %v", c.Reason, err)
	}
	// Certificates that are kept stay valid.
	gone, err = m.RemoveMembers(ctx, RemoveMembersRequest{Project: "t1", Users: []string{"bob"}, KeepCertificates: true})
	if err != nil || gone[0].Live != 1 || gone[0].Revoked != 0 {
		t.Errorf("kept: %+v, %v", gone, err)
	}
	if got := w.revoked(m, t1); len(got) != 2 {
		t.Errorf("on the list: %v", got)
	}
}

// TestRemoveProjectNames takes a name away: its certificates are revoked.
func TestRemoveProjectNames(t *testing.T) {
	w := newWorld(t)
	m := w.init()
	ctx := context.Background()
	w.project(m, "t1")
	t1 := mustProject(t, "t1")
	results, err := m.AddProjectNames(ctx, AddProjectNamesRequest{Project: "t1", Names: []string{"Web.example.org", "db.example.org"}})
	if err != nil || results[0].Err != nil || results[1].Err != nil {
		t.Fatal(results, err)
	}
	w.certs(m, t1, kindServer, "Web.example.org", 1)
	w.certs(m, t1, kindServer, "db.example.org", 2)
	w.certs(m, t1, kindMember, "web.example.org", 3)
	gone, err := m.RemoveProjectNames(ctx, RemoveProjectNamesRequest{Project: "t1", Names: []string{"web.EXAMPLE.org", "a b"}})
	if err != nil || gone[0].Revoked != 1 || gone[0].Record.Name != "Web.example.org" || fault.KindOf(gone[1].Err) != fault.Denied {
		t.Fatalf("%+v, %v", gone, err)
	}
	if got := w.revoked(m, t1); !slices.Equal(got, []serial.Number{1}) {
		t.Errorf("on the list: %v", got)
	}
}

// TestNameIsOneSides has nodes and a project race for one name: exactly one gets it.
func TestNameIsOneSides(t *testing.T) {
	w := newWorld(t)
	w.project(w.init(), "t1")
	ctx := context.Background()
	for i := range 8 {
		name := fmt.Sprintf("n%d.example.org", i)
		var wg sync.WaitGroup
		var node, registered, member error
		try := func(err *error, do func(m *Manager) error) {
			m := w.manager()
			wg.Go(func() { *err = do(m) })
		}
		try(&node, func(m *Manager) error {
			_, err := m.AddNode(ctx, AddNodeRequest{Authority: Cluster, Name: name})
			return err
		})
		if i%2 == 0 {
			try(&registered, func(m *Manager) error {
				r, err := m.AddProjectNames(ctx, AddProjectNamesRequest{Project: "t1", Names: []string{name}})
				if err == nil {
					err = r[0].Err
				}
				return err
			})
		} else {
			try(&member, func(m *Manager) error {
				r, err := m.AddMembers(ctx, AddMembersRequest{Project: "t1", Users: []string{name}})
				if err == nil {
					err = r[0].Err
				}
				return err
			})
		}
		wg.Wait()
		if other := cmp.Or(registered, member); (node == nil) == (other == nil) {
			t.Errorf("%s: node %v, project %v", name, node, other)
		}
	}
}

// TestNoneAfterRemoval has one process sign for a member, one by one and in pairs, while
// another removes him: nothing is alive afterwards.
func TestNoneAfterRemoval(t *testing.T) {
	w := newWorld(t)
	m := w.init()
	ctx := context.Background()
	id := w.memberships(m, "alpha", "alice")
	var wg sync.WaitGroup
	begun := make(chan struct{}, 200)
	for k := range 2 {
		signer := w.manager()
		req := SignRequest{Authority: id, Items: []SignItem{{Request: csr(t, "alice")}, {Request: csr(t, "alice")}}[k:]}
		wg.Go(func() {
			for range 100 {
				results, err := signer.Sign(ctx, req)
				begun <- struct{}{}
				if err != nil || results[0].Err != nil {
					if err != nil || !errors.Is(results[0].Err, profile.ErrNotMember) {
						t.Error(results, err)
					}
					return
				}
			}
			t.Error("nobody was removed")
		})
	}
	for range 4 {
		<-begun
	}
	gone, err := m.RemoveMembers(ctx, RemoveMembersRequest{Project: "alpha", Users: []string{"alice"}})
	if err != nil || gone[0].Revoked < 4 {
		t.Errorf("%+v, %v", gone, err)
	}
	wg.Wait()
	f := CertificateFilter{Authority: id, Status: store.Live}
	if err := m.Certificates(ctx, f, func(c Certificate) error { return fmt.Errorf("%v is alive", c.Serial) }); err != nil {
		t.Error(err)
	}
}

// TestWrongProjects gives everything that takes the id of a project what is none: nothing
// comes of it, in the directory or above.
func TestWrongProjects(t *testing.T) {
	w := newWorld(t)
	m := w.init()
	w.project(m, "tenant1")
	before := w.tree()
	ctx := context.Background()
	none := func(Member) error { return nil }
	for _, id := range []string{"", ".", "..", "../ca", "projects/../ca", "/etc", "tenant1/", "tenant1/..", "tenant1\x00", "t\u0435nant1",
		"tenant1\n", " tenant1", strings.Repeat("a", 300), "project:tenant1", "root/", "nobody"} {
		want := fault.Denied
		if id == "nobody" {
			want = fault.NotFound
		}
		for what, do := range map[string]func() error{
			"delete": func() error { _, err := m.DeleteProject(ctx, DeleteProjectRequest{ID: id, Force: true}); return err },
			"revoke": func() error { _, err := m.RevokeCA(ctx, RevokeCARequest{Project: id}); return err },
			"add": func() error {
				_, err := m.AddMembers(ctx, AddMembersRequest{Project: id, Users: []string{"alice"}})
				return err
			},
			"remove": func() error {
				_, err := m.RemoveMembers(ctx, RemoveMembersRequest{Project: id, Users: []string{"alice"}})
				return err
			},
			"name": func() error {
				_, err := m.AddProjectNames(ctx, AddProjectNamesRequest{Project: id, Names: []string{"x.example"}})
				return err
			},
			"members": func() error { return m.Members(ctx, id, none) },
			"show":    func() error { _, err := m.Project(ctx, id); return err },
			"secret":  func() error { _, err := m.EncryptionCertificate(ctx, id); return err },
			"decrypt": func() error { _, err := m.Decrypt(ctx, DecryptRequest{Project: id, Ciphertext: []byte{1}}); return err },
		} {
			w.wantKind(what+" "+id, do(), want)
		}
	}
	if after := w.tree(); !slices.Equal(before, after) {
		t.Errorf("there was %v, and now %v", before, after)
	}
	// Users and names that are none, in a project that there is.
	users, err := m.AddMembers(ctx, AddMembersRequest{Project: "tenant1", Users: []string{"", "..", "../x", "a/b", "a b", "a\x00", "\u0430lice", strings.Repeat("a", 300)}})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range users {
		w.wantKind("a user", r.Err, fault.Denied)
	}
	names, err := m.AddProjectNames(ctx, AddProjectNamesRequest{Project: "tenant1", Names: []string{"", "..", "../x", "*.x", "a\x00", "\u0430.example", "0x7f.1", strings.Repeat("a", 300)}})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range names {
		w.wantKind("a name", r.Err, fault.Denied)
	}
}
