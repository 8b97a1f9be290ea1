package manager

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
)

// A foreigner is a CA that somebody else made.
type foreigner struct {
	t    *testing.T
	cert *x509.Certificate
	key  crypto.Signer
}

// below makes a CA that f has signed, or a root when f is nil; edit changes it.
func (w *world) below(f *foreigner, name string, kind profile.KeyAlgorithm, key crypto.Signer, edit func(*x509.Certificate)) *foreigner {
	w.t.Helper()
	if key == nil {
		var err error
		if key, err = profile.GenerateKey(kind); err != nil {
			w.t.Fatal(err)
		}
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(77), Subject: pkix.Name{CommonName: name}, NotBefore: w.now.Add(-time.Hour), NotAfter: w.now.AddDate(5, 0, 0),
		IsCA: true, BasicConstraintsValid: true, MaxPathLen: -1, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	if edit != nil {
		edit(template)
	}
	parent, signer := template, key
	if f != nil {
		parent, signer = f.cert, f.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		w.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		w.t.Fatal(err)
	}
	return &foreigner{w.t, cert, key}
}

func (f *foreigner) with(above ...*foreigner) *ForeignCA {
	out := &ForeignCA{Chain: []*x509.Certificate{f.cert}, Key: f.key}
	for _, a := range above {
		out.Chain = append(out.Chain, a.cert)
	}
	return out
}

func pathLen(n int) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.MaxPathLen, c.MaxPathLenZero = n, n == 0 }
}

func (w *world) install(m *Manager, step RenewStep, f *ForeignCA) (RenewResult, error) {
	return m.RenewCA(context.Background(), RenewRequest{Authority: Cluster, Step: step, Foreign: f})
}

func TestInstallForeignCA(t *testing.T) {
	w := newWorld(t)
	m := w.init()
	old := w.leaf(m)
	root := w.below(nil, "third root", profile.ECDSAP384, nil, pathLen(2))
	policy := w.below(root, "third policy", profile.RSA2048, nil, pathLen(1))
	ours := w.below(policy, "cluster intermediate", profile.RSA2048, nil, pathLen(0))
	if _, err := w.install(m, RenewAtOnce, ours.with(policy, root)); err != nil {
		t.Fatal(err)
	}
	leaf := w.leaf(m)
	if leaf.Issuer.CommonName != "cluster intermediate" || leaf.SerialNumber.Int64() != 3 {
		t.Errorf("%v by %s", leaf.SerialNumber, leaf.Issuer)
	}
	f := w.files(m)
	w.wantVerdict("ours", f, leaf, true)
	w.wantVerdict("the one before", f, old, true)
	if len(f.bundle.Own()) != 2 || len(f.bundle.Path()) != 2 {
		t.Errorf("%d own, %d above", len(f.bundle.Own()), len(f.bundle.Path()))
	}
	// What the third party signs elsewhere is not a node's.
	elsewhere := w.below(policy, "elsewhere", profile.ECDSAP256, nil, pathLen(0))
	w.wantVerdict("elsewhere", f, w.below(elsewhere, "node1.example.com", profile.ECDSAP256, nil, nil).cert, false)

	// The same key certified again, and then one of our own.
	again := w.below(root, "cluster intermediate", "", ours.key, pathLen(0))
	if _, err := w.install(m, RenewPrepare, again.with(root)); err != nil {
		t.Fatal(err)
	}
	w.renew(m, RenewActivate)
	w.wantVerdict("before it was certified again", w.files(m), leaf, true)
	w.wantVerdict("after", w.files(m), w.leaf(m), true)
	w.renew(m, RenewAtOnce)
	w.wantVerdict("the third party's", w.files(m), leaf, true)
	w.wantVerdict("our own", w.files(m), w.leaf(m), true)
	if _, err := os.Stat(filepath.Join(w.dir, "ca", "chain.pem")); err == nil {
		t.Error("there is a chain above our own")
	}
}

// Each wrong input is refused, and nothing changes.
func TestForeignCARefused(t *testing.T) {
	w := newWorld(t)
	m := w.init()
	before, err := m.Authority(context.Background(), Cluster)
	if err != nil {
		t.Fatal(err)
	}
	root := w.below(nil, "third root", profile.ECDSAP256, nil, pathLen(1))
	good := w.below(root, "intermediate", profile.ECDSAP256, nil, pathLen(0))
	other := w.below(root, "other", profile.ECDSAP256, nil, nil)
	edited := func(edit func(*x509.Certificate)) *ForeignCA {
		return w.below(root, "intermediate", profile.ECDSAP256, nil, edit).with(root)
	}
	mail := w.below(nil, "mail root", profile.ECDSAP256, nil, func(c *x509.Certificate) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}
	})
	short := w.below(nil, "short root", profile.ECDSAP256, nil, pathLen(0))
	late := w.below(nil, "late root", profile.ECDSAP256, nil, func(c *x509.Certificate) { c.NotAfter = w.now.Add(-time.Second) })
	for what, tc := range map[string]struct {
		ca   *ForeignCA
		kind fault.Kind
	}{
		"another key":         {&ForeignCA{Chain: good.with(root).Chain, Key: other.key}, fault.Denied},
		"expired":             {edited(func(c *x509.Certificate) { c.NotAfter = w.now.Add(-time.Second) }), fault.Denied},
		"not yet valid":       {edited(func(c *x509.Certificate) { c.NotBefore = w.now.Add(time.Second) }), fault.Denied},
		"not a CA":            {edited(func(c *x509.Certificate) { c.IsCA = false }), fault.Denied},
		"no keyCertSign":      {edited(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }), fault.Denied},
		"no path left":        {w.below(short, "intermediate", profile.ECDSAP256, nil, nil).with(short), fault.Denied},
		"an expired root":     {w.below(late, "intermediate", profile.ECDSAP256, nil, nil).with(late), fault.Denied},
		"no chain":            {good.with(), fault.Denied},
		"wrong order":         {good.with(other, root), fault.Denied},
		"another root":        {good.with(late), fault.Denied},
		"our name excluded":   {edited(func(c *x509.Certificate) { c.ExcludedDNSDomains = []string{"example.com"} }), fault.Denied},
		"others permitted":    {edited(func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"example.org"} }), fault.Denied},
		"an unknown critical": {edited(func(c *x509.Certificate) { c.ExtraExtensions = unknownCritical }), fault.Denied},
		"no EKU of clients":   {edited(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), fault.Denied},
		"any EKU":             {edited(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} }), fault.Denied},
		"an unknown EKU": {edited(func(c *x509.Certificate) {
			c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{{1, 2, 3}}
		}), fault.Denied},
		"a root with an EKU": {w.below(mail, "intermediate", profile.ECDSAP256, nil, nil).with(mail), fault.Denied},
		"policies, at once":  {edited(policyAfter(0)), fault.Denied},
		"policies of leaves": {edited(policyAfter(1)), fault.Denied},
		"another authority's key": {edited(func(c *x509.Certificate) {
			c.AuthorityKeyId, c.ExtraExtensions = nil, []pkix.Extension{{Id: []int{2, 5, 29, 35}, Value: []byte{0x30, 3, 0x80, 1, 9}}}
		}), fault.Denied},
		"our name, not our key": {w.below(root, "cluster.example.com CA 1", profile.ECDSAP256, nil, func(c *x509.Certificate) {
			c.RawSubject = mustParse(t, before.Certificate).RawSubject
		}).with(root), fault.Denied},
	} {
		for _, step := range []RenewStep{RenewAtOnce, RenewPrepare, RenewCompromised} {
			if _, err := w.install(m, step, tc.ca); err == nil || fault.KindOf(err) != tc.kind {
				t.Errorf("%s: %v is %v, want %v", what, err, fault.KindOf(err), tc.kind)
			}
			after, err := m.Authority(context.Background(), Cluster)
			if err != nil || !unchanged(before, after) {
				t.Fatalf("%s: it changed something: %v", what, err)
			}
		}
	}
	if _, err := os.Stat(filepath.Join(w.dir, "ca", "next")); err == nil {
		t.Error("something is left in next/")
	}
	if _, err := w.install(m, RenewAtOnce, good.with(root)); err != nil {
		t.Fatal(err)
	}
	_, err = w.install(m, RenewAtOnce, good.with(root))
	w.wantKind("the same again", err, fault.Exists)
}

// policyAfter makes a CA demand a policy after so many more certificates.
func policyAfter(n byte) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: []int{2, 5, 29, 36}, Critical: true, Value: []byte{0x30, 3, 0x80, 1, n}}}
	}
}

// What a third party restricts, and leaves room for us.
func TestForeignCAThatRestricts(t *testing.T) {
	w := newWorld(t)
	m := w.init()
	root := w.below(nil, "third root", profile.ECDSAP256, nil, policyAfter(3))
	for what, edit := range map[string]func(*x509.Certificate){
		"TLS only": func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
		},
		"policies further down": policyAfter(2),
		"a policy": func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: []int{2, 5, 29, 32}, Critical: true, Value: []byte{0x30, 6, 0x30, 4, 6, 2, 0x2a, 3}}}
		},
	} {
		if _, err := w.install(m, RenewAtOnce, w.below(root, what, profile.ECDSAP256, nil, edit).with(root)); err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		leaf := w.leaf(m)
		w.wantVerdict(what, w.files(m), leaf, true)
		roots, between := x509.NewCertPool(), x509.NewCertPool()
		roots.AddCert(root.cert)
		for _, c := range w.files(m).bundle.Own() {
			between.AddCert(c)
		}
		for _, use := range []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth} {
			o := x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: w.now, KeyUsages: []x509.ExtKeyUsage{use}}
			if _, err := leaf.Verify(o); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
}

var unknownCritical = []pkix.Extension{{Id: []int{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}}

// A leaf whose names a CA above excludes is refused, and spends no number; others of
// the same call are not.
func TestNamesThatAForeignCAExcludes(t *testing.T) {
	w := newWorld(t)
	m := w.init()
	root := w.below(nil, "third root", profile.ECDSAP256, nil, func(c *x509.Certificate) {
		c.PermittedDNSDomainsCritical, c.ExcludedDNSDomains = true, []string{"node2.example.com"}
	})
	if _, err := w.install(m, RenewAtOnce, w.below(root, "intermediate", profile.ECDSAP256, nil, pathLen(0)).with(root)); err != nil {
		t.Fatal(err)
	}
	w.wantKind("alone", w.sign(m, "node2.example.com")[0].Err, fault.Denied)
	both := w.sign(m, "node2.example.com", "node1.example.com")
	w.wantKind("with another", both[0].Err, fault.Denied)
	if both[1].Err != nil || both[1].Certificate.Serial != 2 {
		t.Errorf("the other is number %v: %v", both[1].Certificate.Serial, both[1].Err)
	}
	w.wantVerdict("the other", w.files(m), mustParse(t, both[1].Certificate.DER), true)
}

// A root that was a CA here can't stand above its successor: it would be taken for one
// of ours, or for none. That is found before anything is changed.
func TestForeignRootAndItsIntermediate(t *testing.T) {
	w := newWorld(t)
	m := w.init()
	root := w.below(nil, "root", profile.ECDSAP256, nil, nil)
	if _, err := w.install(m, RenewAtOnce, root.with()); err != nil {
		t.Fatal(err)
	}
	leaf := w.leaf(m)
	below := w.below(root, "intermediate", profile.ECDSAP256, nil, pathLen(0))
	for _, step := range []RenewStep{RenewAtOnce, RenewPrepare} {
		_, err := w.install(m, step, below.with(root))
		w.wantKind(string(step), err, fault.Denied)
		w.setMin(m, 1)
		w.wantVerdict("after "+string(step), w.files(m), leaf, true)
		w.wantVerdict("after "+string(step), w.files(m), w.leaf(m), true)
	}
	if _, err := os.Stat(filepath.Join(w.dir, "ca", "next")); err == nil {
		t.Error("something is left in next/")
	}
	if _, err := w.install(m, RenewCompromised, below.with(root)); err != nil { // then it is above only
		t.Fatal(err)
	}
	w.wantVerdict("under the root", w.files(m), w.leaf(m), true)
}

func mustParse(t *testing.T, der []byte) *x509.Certificate {
	t.Helper()
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
