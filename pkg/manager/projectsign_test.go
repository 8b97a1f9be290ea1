package manager

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/serial"
	"x509ctl/pkg/store"
)

// change changes the store behind the manager's back.
func (w *world) change(m *Manager, fn func(*store.Tx) error) {
	w.t.Helper()
	db, err := m.database(context.Background())
	if err == nil {
		err = db.Write(context.Background(), fn)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// memberships makes a project with members and returns its authority.
func (w *world) memberships(m *Manager, project string, users ...string) AuthorityID {
	w.t.Helper()
	w.project(m, project)
	w.members(m, project, users...)
	return mustProject(w.t, project)
}

func (w *world) register(m *Manager, project string, names ...string) {
	w.t.Helper()
	results, err := m.AddProjectNames(context.Background(), AddProjectNamesRequest{Project: project, Names: names})
	for _, r := range results {
		if err == nil {
			err = r.Err
		}
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// signFor signs requests for names in an authority.
func (w *world) signFor(m *Manager, id AuthorityID, p profile.Profile, names ...string) []SignResult {
	w.t.Helper()
	req := SignRequest{Authority: id, Profile: p}
	for _, n := range names {
		req.Items = append(req.Items, SignItem{Request: csr(w.t, n)})
	}
	out, err := m.Sign(context.Background(), req)
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// TestSignForProject signs for members and servers, one by one and in batches, and looks
// at chains and records.
func TestSignForProject(t *testing.T) {
	w := newWorld(t)
	m := w.init()
	a, b := w.memberships(m, "Alpha", "alice", "bob"), w.memberships(m, "beta", "carol")
	w.register(m, "alpha", "VPN.alpha.example", "www.alpha.example")
	w.register(m, "beta", "vpn.beta.example")

	for _, tc := range []struct {
		name    string
		id      AuthorityID
		profile profile.Profile
		cns     []string
		err     error // of the last
	}{
		{"a member", a, "", []string{"alice"}, nil},
		{"members", a, profile.Member, []string{"alice", "BOB", "alice"}, nil},
		{"a server", a, profile.Server, []string{"vpn.alpha.example"}, nil},
		{"servers", a, profile.Server, []string{"vpn.alpha.example", "www.alpha.example"}, nil},
		{"a member of another project", a, "", []string{"carol"}, profile.ErrNotMember},
		{"members, one of another project", b, "", []string{"carol", "alice"}, profile.ErrNotMember},
		{"another project's server", a, profile.Server, []string{"vpn.beta.example"}, profile.ErrUnknownName},
		{"servers, one of another project's", b, profile.Server, []string{"vpn.beta.example", "vpn.alpha.example"}, profile.ErrUnknownName},
		{"a member as server", a, profile.Server, []string{"alice"}, profile.ErrUnknownName},
		{"a server as member", a, "", []string{"vpn.alpha.example"}, profile.ErrNotMember},
		{"a node", a, "", []string{"node1.example.com"}, profile.ErrClusterName},
		{"a node as server", a, profile.Server, []string{"node1.example.com"}, profile.ErrClusterName},
		{"the cluster", b, "", []string{"cluster.example.com"}, profile.ErrClusterName},
		{"a member in the cluster", Cluster, "", []string{"alice"}, profile.ErrUnknownName},
	} {
		for i, r := range w.signFor(m, tc.id, tc.profile, tc.cns...) {
			if tc.err != nil && i == len(tc.cns)-1 {
				if !errors.Is(r.Err, tc.err) || fault.KindOf(r.Err) != fault.Denied {
					t.Errorf("%s: %v, want %v", tc.name, r.Err, tc.err)
				}
				continue
			}
			if r.Err != nil {
				t.Errorf("%s: %v", tc.name, r.Err)
				continue
			}
			w.checkProjectCertificate(m, r.Certificate)
		}
	}
}

// checkProjectCertificate looks at one certificate and its record.
func (w *world) checkProjectCertificate(m *Manager, c Certificate) {
	w.t.Helper()
	ctx := context.Background()
	cert, err := x509.ParseCertificate(c.DER)
	if err != nil {
		w.t.Fatal(err)
	}
	chain, err := m.Chain(ctx, c.Authority)
	if err != nil || len(chain) != 2 {
		w.t.Fatalf("a chain of %d, %v", len(chain), err)
	}
	pools := [2]*x509.CertPool{x509.NewCertPool(), x509.NewCertPool()}
	for i, raw := range chain {
		ca, err := x509.ParseCertificate(raw)
		if err != nil {
			w.t.Fatal(err)
		}
		pools[i].AddCert(ca)
	}
	use := x509.ExtKeyUsageClientAuth
	if c.Kind == string(profile.Server) {
		use = x509.ExtKeyUsageServerAuth
	}
	_, err = cert.Verify(x509.VerifyOptions{Intermediates: pools[0], Roots: pools[1], CurrentTime: w.now, KeyUsages: []x509.ExtKeyUsage{use}})
	if err != nil {
		w.t.Errorf("%s: %v", cert.Subject, err)
	}
	if life := cert.NotAfter.Sub(cert.NotBefore); life != profile.DefaultMemberLifetime || c.Holder != c.CommonName || c.Kind != string(profile.Like(cert)) {
		w.t.Errorf("%s lives for %v, is held by %s and recorded as %s", cert.Subject, life, c.Holder, c.Kind)
	}
	have, err := m.Certificate(ctx, c.Authority, c.Serial)
	if err != nil || !bytes.Equal(have.DER, c.DER) {
		w.t.Errorf("certificate %v of %s is not on record: %v", c.Serial, c.Authority, err)
	}
}

// TestIssueForProject issues for a key without a request.
func TestIssueForProject(t *testing.T) {
	w := newWorld(t)
	m := w.init()
	id := w.memberships(m, "alpha", "alice")
	w.register(m, "alpha", "vpn.alpha.example")
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	year := 365 * 24 * time.Hour
	for _, tc := range []struct {
		name string
		req  IssueRequest
		kind fault.Kind
	}{
		{"a member", IssueRequest{Authority: id, Name: "alice"}, ""},
		{"a server", IssueRequest{Authority: id, Profile: profile.Server, Name: "vpn.alpha.example"}, ""},
		{"for a year", IssueRequest{Authority: id, Name: "alice", Lifetime: year}, ""},
		{"for more", IssueRequest{Authority: id, Name: "alice", Lifetime: year + time.Second}, fault.Denied},
		{"nobody", IssueRequest{Authority: id, Name: "mallory"}, fault.Denied},
		{"an exception", IssueRequest{Authority: id, Name: "alice", Allow: []string{"alice"}}, fault.Denied},
		{"a node's profile", IssueRequest{Authority: id, Profile: profile.Node, Name: "node1.example.com"}, fault.Denied},
		{"a decrypt key's", IssueRequest{Authority: id, Profile: profile.Decrypt, Name: "alice"}, fault.Denied},
		{"no profile", IssueRequest{Authority: id, Profile: "root", Name: "alice"}, fault.Denied},
		{"a member's in the cluster", IssueRequest{Authority: Cluster, Profile: profile.Member, Name: "alice"}, fault.Denied},
		{"the root", IssueRequest{Authority: ProjectRoot, Name: "alice"}, fault.Denied},
		{"no project", IssueRequest{Authority: "project:gamma", Name: "alice"}, fault.NotFound},
		{"a path", IssueRequest{Authority: "project:../ca", Name: "alice"}, fault.NotFound},
	} {
		tc.req.SPKI = spki
		r, err := m.Issue(context.Background(), tc.req)
		if tc.kind == "" && err != nil || tc.kind != "" && (err == nil || fault.KindOf(err) != tc.kind) {
			t.Errorf("%s: %v", tc.name, err)
		}
		if err == nil && !slices.Contains([]string{"alice", "vpn.alpha.example"}, r.Certificate.CommonName) {
			t.Errorf("%s: for %s", tc.name, r.Certificate.CommonName)
		}
	}
}

// TestProjectChangedMeanwhile changes members, names and nodes between the two
// transactions of a batch: what is overtaken is refused, and not recorded.
func TestProjectChangedMeanwhile(t *testing.T) {
	for name, tc := range map[string]struct {
		profile profile.Profile
		cns     []string
		change  func(*store.Tx, AuthorityID, time.Time) error
		want    error
	}{
		"a member is removed": {profile.Member, []string{"alice", "bob"}, func(tx *store.Tx, id AuthorityID, _ time.Time) error {
			_, err := tx.RemoveMember(id, "alice")
			return err
		}, profile.ErrNotMember},
		"a name is forgotten": {profile.Server, []string{"vpn.alpha.example", "www.alpha.example"}, func(tx *store.Tx, id AuthorityID, _ time.Time) error {
			_, err := tx.RemoveProjectName(id, "vpn.alpha.example")
			return err
		}, profile.ErrUnknownName},
		"a node gets a name": {profile.Member, []string{"alice", "bob"}, func(tx *store.Tx, _ AuthorityID, now time.Time) error {
			return tx.AddNode(Cluster, Node{Name: "alice", Created: now})
		}, profile.ErrClusterName},
		"the project is deleted": {profile.Member, []string{"alice", "bob"}, func(tx *store.Tx, id AuthorityID, now time.Time) error {
			return tx.DeleteProject(id, "alpha", now)
		}, ErrProjectDeleted},
	} {
		w := newWorld(t)
		m := w.init()
		id := w.memberships(m, "alpha", "alice", "bob")
		w.register(m, "alpha", "vpn.alpha.example", "www.alpha.example")
		req := SignRequest{Authority: id, Profile: tc.profile}
		for _, cn := range tc.cns {
			req.Items = append(req.Items, SignItem{Request: csr(t, cn)})
		}
		other := w.manager()
		w.config.SerialHook = func(context.Context, HookCall) error {
			w.change(other, func(tx *store.Tx) error { return tc.change(tx, id, w.now) })
			return nil
		}
		results, err := w.manager().Sign(context.Background(), req)
		w.config.SerialHook = nil
		if err == nil {
			err = results[0].Err
		}
		if !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
		f := CertificateFilter{Authority: id, Name: tc.cns[0]}
		if err := m.Certificates(context.Background(), f, func(c Certificate) error { return errors.New("it is on record") }); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestProjectFloorDates: a member's certificate may be below the floor for much longer than
// a node's, and is on the list since the floor rose above it.
func TestProjectFloorDates(t *testing.T) {
	w := newWorld(t)
	m := w.init()
	ctx := context.Background()
	id := w.memberships(m, "alpha", "alice")
	begun := w.now
	var numbers []serial.Number
	for range 2 {
		numbers = append(numbers, w.signFor(m, id, "", "alice")[0].Certificate.Serial)
		if _, err := m.SetMinSerial(ctx, SetMinRequest{Authority: id, To: MinNext}); err != nil {
			t.Fatal(err)
		}
		w.now = w.now.Add(30 * 24 * time.Hour)
	}
	var out bytes.Buffer
	if _, err := m.CRL(ctx, CRLRequest{Authority: id, DER: true}, &out); err != nil {
		t.Fatal(err)
	}
	list, err := x509.ParseRevocationList(out.Bytes())
	if err != nil || len(list.RevokedCertificateEntries) != 2 {
		t.Fatalf("%+v, %v", list, err)
	}
	for _, e := range list.RevokedCertificateEntries {
		want := begun
		if e.SerialNumber.Int64() == int64(numbers[1]) {
			want = begun.Add(30 * 24 * time.Hour)
		}
		if !e.RevocationTime.Equal(want) {
			t.Errorf("certificate %v is revoked since %v, want %v", e.SerialNumber, e.RevocationTime, want)
		}
	}
}

// TestReissueProject raises a project's floor and signs anew for its members and servers.
func TestReissueProject(t *testing.T) {
	w := newWorld(t)
	m := w.init()
	id := w.memberships(m, "alpha", "alice", "bob", "gone")
	w.register(m, "alpha", "vpn.alpha.example", "www.alpha.example")
	w.signFor(m, id, profile.Member, "alice", "bob", "gone")
	w.signFor(m, id, profile.Server, "vpn.alpha.example")
	w.change(m, func(tx *store.Tx) error { _, err := tx.RemoveMember(id, "gone"); return err })
	got := map[string]string{}
	err := m.Reissue(context.Background(), ReissueRequest{
		SetMin: SetMinRequest{Authority: id, To: MinNext},
		Begun:  func(ReissueBegun) {},
		Deliver: func(list []Reissued) (bool, error) {
			for _, r := range list {
				got[r.Old.CommonName] = r.Certificate.Kind
				if r.Old.CommonName == "gone" && !errors.Is(r.Err, profile.ErrNotMember) || r.Old.CommonName != "gone" && r.Err != nil {
					t.Errorf("%s: %v", r.Old.CommonName, r.Err)
				}
			}
			return true, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"alice": "member", "bob": "member", "gone": "", "vpn.alpha.example": "server"}
	if !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestAddNodeOfLiveName: a name in a live certificate of a project is no node's, whoever
// lost it meanwhile.
func TestAddNodeOfLiveName(t *testing.T) {
	w := newWorld(t)
	m := w.init()
	ctx := context.Background()
	id := w.memberships(m, "alpha", "alice")
	w.signFor(m, id, "", "alice")
	if _, err := m.RemoveMembers(ctx, RemoveMembersRequest{Project: "alpha", Users: []string{"alice"}, KeepCertificates: true}); err != nil {
		t.Fatal(err)
	}
	var taken *NameTakenError
	add := func(name string, aliases ...string) error {
		_, err := m.AddNode(ctx, AddNodeRequest{Authority: Cluster, Name: name, Aliases: aliases})
		return err
	}
	if err := add("ALICE"); !errors.As(err, &taken) || fault.KindOf(err) != fault.Exists {
		t.Errorf("the name: %v", err)
	}
	if err := add("node3.example.com", "alice"); !errors.As(err, &taken) {
		t.Errorf("as an alias: %v", err)
	}
	if _, err := m.Revoke(ctx, RevokeRequest{Authority: id, Names: []string{"alice"}, Reason: profile.AffiliationChanged}); err != nil {
		t.Fatal(err)
	}
	if err := add("alice"); err != nil {
		t.Errorf("after the revocation: %v", err)
	}
}
