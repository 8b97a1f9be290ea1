package manager

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/trust"
)

// A tenancy is a world with the projects p and q, and the member alice in both.
type tenancy struct {
	*world
	m    *Manager
	p, q AuthorityID
}

func newTenancy(t *testing.T) *tenancy {
	w := newWorld(t)
	m := w.init()
	return &tenancy{w, m, w.memberships(m, "p", "alice"), w.memberships(m, "q", "alice")}
}

func (w *tenancy) renewOf(id AuthorityID, step RenewStep, f *ForeignCA) RenewResult {
	w.t.Helper()
	out, err := w.m.RenewCA(context.Background(), RenewRequest{Authority: id, Step: step, Foreign: f})
	if err != nil {
		w.t.Fatalf("%s, %s: %v", id, step, err)
	}
	return out
}

func (w *tenancy) refuses(id AuthorityID, step RenewStep, f *ForeignCA) error {
	w.t.Helper()
	before, err := w.m.Authority(context.Background(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	_, failed := w.m.RenewCA(context.Background(), RenewRequest{Authority: id, Step: step, Foreign: f})
	after, err := w.m.Authority(context.Background(), id)
	if err != nil || failed == nil || !unchanged(before, after) {
		w.t.Errorf("%s, %s: %v, and then %v", id, step, failed, err)
	}
	return failed
}

// leafOf issues a certificate for alice and returns it with the chain above.
func (w *tenancy) leafOf(id AuthorityID) []*x509.Certificate {
	w.t.Helper()
	r, err := w.m.Issue(context.Background(), IssueRequest{Authority: id, Name: "alice", SPKI: spki(w.t), Lifetime: 24 * time.Hour})
	if err != nil {
		w.t.Fatal(err)
	}
	above, err := w.m.Chain(context.Background(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	chain := []*x509.Certificate{mustParse(w.t, r.Certificate.DER)}
	for _, der := range above {
		chain = append(chain, mustParse(w.t, der))
	}
	return chain
}

// judge says whether a leaf is good to those who have the authority's files, and to those
// who know its root alone.
func (w *tenancy) judge(what string, id AuthorityID, chain []*x509.Certificate, good bool) {
	w.t.Helper()
	v, err := w.m.Verifier(context.Background(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	list, err := v.List()
	if err != nil {
		w.t.Fatal(err)
	}
	err = trust.Check{Bundle: v.Bundle, CRL: list, At: w.now, RequireFresh: true, Purpose: trust.Client}.Verify(chain[0])
	if (err == nil) != good {
		w.t.Errorf("%s: %v", what, err)
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(chain[len(chain)-1])
	for _, c := range chain[1 : len(chain)-1] {
		between.AddCert(c)
	}
	_, err = chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: w.now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		w.t.Errorf("%s: by its root: %v", what, err)
	}
}

// caNumbers are the numbers of the CAs that the root has issued, but for its own.
func (w *tenancy) caNumbers() (numbers []int64) {
	w.t.Helper()
	err := w.m.Certificates(context.Background(), CertificateFilter{Authority: ProjectRoot}, func(c Certificate) error {
		if c.Holder != c.CommonName {
			numbers = append(numbers, int64(c.Serial))
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return numbers
}

// A project's CA is replaced in three steps: nobody is refused, the root knows all.
func TestRenewProject(t *testing.T) {
	w := newTenancy(t)
	ctx := context.Background()
	old, other := w.leafOf(w.p), w.leafOf(w.q)
	if _, err := w.m.EncryptionCertificate(ctx, "p"); err != nil {
		t.Fatal(err)
	}
	w.renewOf(w.p, RenewPrepare, nil)
	w.judge("prepared", w.p, old, true)
	out := w.renewOf(w.p, RenewActivate, nil)
	if out.After.Subject != "CN=p CA 4,O=p" || out.After.Issuer != "CN=cluster.example.com projects CA 1,O=Projects" {
		t.Errorf("%s by %s", out.After.Subject, out.After.Issuer)
	}
	leaf := w.leafOf(w.p)
	if leaf[0].SerialNumber.Cmp(old[0].SerialNumber) <= 0 || leaf[0].Issuer.String() != out.After.Subject {
		t.Errorf("number %v by %s", leaf[0].SerialNumber, leaf[0].Issuer)
	}
	w.judge("the old one", w.p, old, true)
	w.judge("the new one", w.p, leaf, true)
	w.judge("another project's", w.q, other, true)
	if got := w.caNumbers(); !slices.Equal(got, []int64{2, 3, 4}) {
		t.Errorf("the root has issued %v", got)
	}
	if err := CheckRecorded(ctx, w.m, ProjectRoot, leaf[1]); err != nil {
		t.Error(err)
	}
	// Alice's certificate keeps the old one, and the decrypt key's does not.
	var inUse *InUseError
	if err := w.refuses(w.p, RenewRetire, nil); !errors.As(err, &inUse) || inUse.CA.Live != 1 || !slices.Equal(inUse.CA.Holders, []string{"alice"}) {
		t.Errorf("retired: %v", err)
	}
	decrypt, err := w.m.EncryptionCertificate(ctx, "p")
	if err != nil || mustParse(t, decrypt).CheckSignatureFrom(leaf[1]) != nil {
		t.Errorf("the decrypt certificate: %v", err)
	}
	if _, err := w.m.Revoke(ctx, RevokeRequest{Authority: w.p, Names: []string{"alice"}, Reason: profile.Superseded}); err != nil {
		t.Fatal(err)
	}
	w.renewOf(w.p, RenewRetire, nil)
	w.judge("after it is retired", w.p, w.leafOf(w.p), true)
	w.wantFindings(w.m)
}

// The CA that was stolen, and the one that was prepared beside it, are on the root's list.
func TestRenewProjectCompromised(t *testing.T) {
	w := newTenancy(t)
	old := w.leafOf(w.p)
	w.renewOf(w.p, RenewPrepare, nil)
	w.renewOf(w.p, RenewCompromised, nil)
	if got := w.revoked(w.m, ProjectRoot); fmt.Sprint(got) != "[2 4]" {
		t.Errorf("the root has revoked %v", got)
	}
	v, err := w.m.Verifier(context.Background(), ProjectRoot)
	if err != nil {
		t.Fatal(err)
	}
	list, err := v.List()
	if err != nil {
		t.Fatal(err)
	}
	if e, listed := list.Find(old[1].SerialNumber); !listed || e.Reason != string(profile.KeyCompromise) {
		t.Errorf("the root's list: %v, %v", e, listed)
	}
	w.judge("the old one", w.p, old, false)
	w.judge("the new one", w.p, w.leafOf(w.p), true)
	w.judge("another project's", w.q, w.leafOf(w.q), true)
	w.wantFindings(w.m)
}

// While the serial hook runs for the root's number, another process replaces the project's
// CA, or the root: the first gives up, and nothing of it is left.
func TestRenewProjectMeanwhile(t *testing.T) {
	for _, what := range []string{"the project", "the root"} {
		w := newTenancy(t)
		id := w.p
		if what == "the root" {
			id = ProjectRoot
		}
		w.config.SerialHook = func(context.Context, HookCall) error {
			w.config.SerialHook = nil
			w.m = w.manager()
			w.renewOf(id, RenewAtOnce, nil)
			return nil
		}
		_, err := w.manager().RenewCA(context.Background(), RenewRequest{Authority: w.p, Step: RenewAtOnce})
		if !errors.Is(err, ErrCAChanged) {
			t.Errorf("%s meanwhile: %v", what, err)
		}
		w.judge(what, w.p, w.leafOf(w.p), true)
		w.wantFindings(w.m)
		w.renewOf(w.p, RenewAtOnce, nil)
		w.judge(what, w.p, w.leafOf(w.p), true)
	}
}

// The root is replaced, and retired when every project has a CA of the new one.
func TestRenewProjectRoot(t *testing.T) {
	w := newTenancy(t)
	old := w.leafOf(w.p)
	out := w.renewOf(ProjectRoot, RenewAtOnce, nil)
	if out.After.Subject != "CN=cluster.example.com projects CA 4,O=Projects" || out.After.NotAfter.Sub(w.now) < profile.DefaultCALifetime {
		t.Errorf("%s until %v", out.After.Subject, out.After.NotAfter)
	}
	w.judge("a leaf of before", w.p, old, true)
	var inUse *InUseError
	for _, id := range []AuthorityID{w.p, w.q} {
		err := w.refuses(ProjectRoot, RenewRetire, nil)
		if !errors.As(err, &inUse) || !slices.Contains(inUse.CA.Holders, ProjectOf(id)) {
			t.Errorf("retired before %s: %v", id, err)
		}
		if a, err := w.m.Authority(context.Background(), ProjectRoot); err != nil || a.Replaced[0].Live != inUse.CA.Live {
			t.Errorf("it is said to have %d live ones: %v", a.Replaced[0].Live, err)
		}
		w.renewOf(id, RenewAtOnce, nil)
		if got := w.leafOf(id); got[2].Subject.String() != out.After.Subject {
			t.Errorf("%s: below %s", id, got[2].Subject)
		}
	}
	// The old CAs of the projects are trusted still.
	if err := w.refuses(ProjectRoot, RenewRetire, nil); !errors.As(err, &inUse) || inUse.CA.Live != 2 {
		t.Errorf("retired before the CA of the old leaf: %v", err)
	}
	w.now = w.now.Add(100 * 24 * time.Hour)
	for _, id := range []AuthorityID{w.p, w.q} {
		w.renewOf(id, RenewRetire, nil)
	}
	w.renewOf(ProjectRoot, RenewRetire, nil)
	w.judge("a project that is new", w.memberships(w.m, "r", "alice"), w.leafOf("project:r"), true)
}

// The root's key is stolen: with its successor the bundles of projects are rid of it, one by one.
func TestRenewProjectRootCompromised(t *testing.T) {
	w := newTenancy(t)
	old, err := w.m.Authority(context.Background(), ProjectRoot)
	if err != nil {
		t.Fatal(err)
	}
	w.renewOf(ProjectRoot, RenewCompromised, nil)
	w.wantFindings(w.m, "error project", "error project")
	for _, id := range []AuthorityID{w.p, w.q} {
		w.renewOf(id, RenewCompromised, nil)
		v, err := w.m.Verifier(context.Background(), id)
		if err != nil {
			t.Fatal(err)
		}
		if path := v.Bundle.Path(); len(path) != 1 || path[0].Equal(mustParse(t, old.Certificate)) {
			t.Errorf("%s: in its bundle is %s", id, path[0].Subject)
		}
		w.judge("the new one", id, w.leafOf(id), true)
	}
	w.wantFindings(w.m)
}

// A third party's root is above projects, or an intermediate is a project's CA, and none of
// it is above the cluster.
func TestForeignProjectCAs(t *testing.T) {
	w := newTenancy(t)
	root := w.below(nil, "third root", profile.ECDSAP256, nil, nil)
	short := w.below(root, "short", profile.ECDSAP256, nil, pathLen(0))
	ours := w.below(root, "tenants", profile.RSA2048, nil, pathLen(1))
	w.wantKind("no room for projects", w.refuses(ProjectRoot, RenewAtOnce, short.with(root)), fault.Denied)
	w.renewOf(ProjectRoot, RenewAtOnce, ours.with(root))
	w.renewOf(w.p, RenewAtOnce, nil)
	leaf := w.leafOf(w.p)
	if len(leaf) != 4 || leaf[2].Subject.String() != "CN=tenants" {
		t.Errorf("%d certificates, below %s", len(leaf), leaf[2].Subject)
	}
	w.judge("below a third party's", w.p, leaf, true)
	w.renewOf(w.q, RenewAtOnce, w.below(root, "q of theirs", profile.ECDSAP256, nil, pathLen(0)).with(root))
	leaf = w.leafOf(w.q)
	if leaf[1].Subject.String() != "CN=q of theirs" {
		t.Errorf("issued by %s", leaf[1].Subject)
	}
	w.judge("a third party's intermediate", w.q, leaf, true)
	if _, err := w.m.RevokeCA(context.Background(), RevokeCARequest{Project: "q"}); !errors.Is(err, ErrNotOfRoot) {
		t.Errorf("a third party's CA is revoked here: %v", err)
	}
	w.wantFindings(w.m)

	// The cluster gets none that is above projects, in any way, and the other way round.
	elsewhere := w.below(nil, "another root", profile.ECDSAP256, nil, nil)
	again := w.below(nil, "third root again", "", root.key, nil) // the same key
	named := w.below(nil, "third root", profile.ECDSAP256, nil, nil)
	var shared *SharedIssuerError
	for what, f := range map[string]*ForeignCA{
		"the root":      w.below(root, "cluster", profile.ECDSAP256, nil, pathLen(0)).with(root),
		"its key":       w.below(again, "cluster", profile.ECDSAP256, nil, pathLen(0)).with(again),
		"its name":      w.below(named, "cluster", profile.ECDSAP256, nil, pathLen(0)).with(named),
		"a project's":   w.below(elsewhere, "q of theirs", profile.ECDSAP256, nil, nil).with(elsewhere),
		"the root's CA": w.below(elsewhere, "tenants", profile.ECDSAP256, nil, nil).with(elsewhere),
	} {
		if err := w.refuses(Cluster, RenewAtOnce, f); !errors.As(err, &shared) {
			t.Errorf("%s: %v", what, err)
		}
	}
	w.renewOf(Cluster, RenewAtOnce, w.below(elsewhere, "cluster", profile.ECDSAP256, nil, pathLen(0)).with(elsewhere))
	for _, id := range []AuthorityID{ProjectRoot, w.p} {
		err := w.refuses(id, RenewAtOnce, w.below(elsewhere, "another", profile.ECDSAP256, nil, nil).with(elsewhere))
		if !errors.As(err, &shared) || shared.With != Cluster {
			t.Errorf("%s below the cluster's: %v", id, err)
		}
	}
}

// A project's CA and the root are requested of a third party, by names of their own.
func TestRequestProjectCA(t *testing.T) {
	w := newTenancy(t)
	ctx := context.Background()
	third := w.below(nil, "third", profile.ECDSAP256, nil, nil)
	w.requestAndInstall(ctx, w.p, "CN=p CA 4,O=p", third)
	w.requestAndInstall(ctx, ProjectRoot, "CN=cluster.example.com projects CA 5,O=Projects", third)
	w.renewOf(w.q, RenewAtOnce, nil)
	w.judge("a project below", w.q, w.leafOf(w.q), true)
	w.judge("a project's own", w.p, w.leafOf(w.p), true)
	_, err := w.m.RequestCA(ctx, CARequestRequest{Authority: "project:none"})
	w.wantKind("no project", err, fault.NotFound)
}

func (w *tenancy) requestAndInstall(ctx context.Context, id AuthorityID, subject string, third *foreigner) {
	w.t.Helper()
	request, err := w.m.RequestCA(ctx, CARequestRequest{Authority: id})
	if err != nil || request.Subject != subject {
		w.t.Fatalf("%s: %q, %v", id, request.Subject, err)
	}
	edit := pathLen(0)
	if id == ProjectRoot {
		edit = pathLen(1)
	}
	out := w.renewOf(id, RenewAtOnce, third.answer(w.world, request, edit))
	if out.After.Subject != subject || out.After.Request != "" {
		w.t.Errorf("%s: %+v", id, out.After)
	}
}
