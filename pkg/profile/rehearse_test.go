package profile

import (
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"x509ctl/pkg/fault"
)

// TestRehearse announces signatures of another kind than the issuer's key makes, in
// bytes that pass every other check.
func TestRehearse(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for a, other := range map[KeyAlgorithm]signatureAlgorithm{
		ECDSAP256: rsaWithSHA256,
		ECDSAP384: withEd25519,
		Ed25519:   ecdsaWithSHA256,
		RSA2048:   ecdsaWithSHA256,
	} {
		leaf := newTestLeaf(t, newTestIssuer(t, testKey(t, a), now), newP256(t), now)
		if _, err := leaf.TBS(9); err != nil {
			t.Fatal(err)
		}
		issuer := *leaf.issuer
		issuer.algorithm, issuer.rehearsed = other, new(rehearsed)
		leaf.issuer = &issuer
		if err := leaf.CheckTBS(leaf.build(9), 9); err != nil {
			t.Fatalf("%s: the checks alone say %v", a, err)
		}
		for range 2 { // what went wrong is not remembered as rehearsed
			if tbs, err := leaf.TBS(9); tbs != nil || fault.KindOf(err) != fault.Internal {
				t.Errorf("%s: %v", a, err)
			}
		}
		ca, err := NewCA("cluster.example.com", mustSubjectKey(t, testKey(t, a)), now, DefaultCALifetime)
		if err != nil {
			t.Fatal(err)
		}
		ca.algorithm = other
		if tbs, err := ca.TBS(9); tbs != nil || fault.KindOf(err) != fault.Internal {
			t.Errorf("%s: a CA: %v", a, err)
		}
	}
}

// TestRehearseNames looks for names that are not in the certificate.
func TestRehearseNames(t *testing.T) {
	for what, change := range map[string]func(*Leaf){
		"a client finds no name":    func(l *Leaf) { l.names.dnsNames = append(l.names.DNSNames(), "node2.example.com") },
		"a client finds no address": func(l *Leaf) { l.names.addresses = append(l.names.IPAddresses(), netip.MustParseAddr("192.0.2.99")) },
	} {
		leaf := *fixedLeaf(t)
		tbs, err := leaf.TBS(9)
		if err != nil {
			t.Fatal(err)
		}
		leaf.issuer.rehearsed = new(rehearsed)
		change(&leaf)
		if err := leaf.rehearse(tbs); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestRehearseProfiles gives each profile shapes of its own.
func TestRehearseProfiles(t *testing.T) {
	seen := make(map[int]Profile)
	for _, p := range Profiles()[1:] {
		l := projectLeaf(t, p)
		if other, ok := seen[l.shape()/4]; ok || l.shape() < 4 || l.shape() >= len(rehearsed{}) {
			t.Errorf("shape %d of a %s is taken by a %q", l.shape(), p, other)
		}
		seen[l.shape()/4] = p
	}
}

// TestRehearseShapes rehearses each shape once.
func TestRehearseShapes(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	issuer := newTestIssuer(t, newP256(t), now)
	done := func() (shapes string) {
		for i := range issuer.rehearsed {
			if issuer.rehearsed[i].Load() {
				shapes += strconv.Itoa(i)
			}
		}
		return shapes
	}
	for _, step := range []struct {
		key   KeyAlgorithm
		plain bool
		want  string
	}{{Ed25519, false, "2"}, {ECDSAP256, false, "2"}, {RSA2048, true, "12"}, {ECDSAP256, true, "012"}, {RSA2048, false, "0123"}} {
		leaf := newTestLeaf(t, issuer, testKey(t, step.key), now)
		if step.plain {
			leaf.names.addresses = nil
			leaf.tail = leaf.buildTail()
		}
		if _, err := leaf.TBS(9); err != nil {
			t.Fatal(err)
		}
		if got := done(); got != step.want {
			t.Errorf("after %s: shapes %s, want %s", step.key, got, step.want)
		}
	}
}
