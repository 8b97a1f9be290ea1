package profile

import (
	"bytes"
	"crypto/x509"
	"slices"
	"strings"
	"testing"
	"time"

	"x509ctl/pkg/fault"
)

func TestCheckTBSEveryBit(t *testing.T) {
	leaf := fixedLeaf(t)
	good := leaf.build(300)
	if err := leaf.CheckTBS(good, 300); err != nil {
		t.Fatal(err)
	}
	for i := range good {
		for bit := range 8 {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << bit
			if err := leaf.CheckTBS(bad, 300); err == nil || fault.KindOf(err) != fault.Internal {
				t.Errorf("octet %d, bit %d: %v", i, bit, err)
			}
		}
		if err := leaf.CheckTBS(good[:i], 300); err == nil {
			t.Errorf("%d of %d octets pass", i, len(good))
		}
	}
	if err := leaf.CheckTBS(good, 301); err == nil {
		t.Error("another number passes")
	}
	if err := leaf.CheckTBS(append(bytes.Clone(good), 0), 300); err == nil {
		t.Error("an octet after the end passes")
	}
}

// TestCheckTBSBuilderBugs builds what a broken builder might, each time well formed.
func TestCheckTBSBuilderBugs(t *testing.T) {
	leaf := fixedLeaf(t)
	rebuild := func(change func(l *Leaf)) []byte {
		l := *leaf
		change(&l)
		l.tail = l.buildTail()
		return l.build(9)
	}
	otherNames, err := Policy{Find: testFind}.ApproveName("node2.example.com")
	if err != nil {
		t.Fatal(err)
	}
	swapIssuer := func(change func(c *x509.Certificate)) func(l *Leaf) {
		return func(l *Leaf) {
			ca := *l.issuer.chain[0]
			change(&ca)
			issuer := *l.issuer
			issuer.chain = []*x509.Certificate{&ca}
			l.issuer = &issuer
		}
	}
	for name, bad := range map[string][]byte{
		"names":            rebuild(func(l *Leaf) { l.names = otherNames }),
		"one name more":    rebuild(func(l *Leaf) { l.names.dnsNames = append(l.names.DNSNames(), "node3") }),
		"one name less":    rebuild(func(l *Leaf) { l.names.dnsNames = l.names.dnsNames[:1] }),
		"order of names":   rebuild(func(l *Leaf) { l.names.dnsNames = []string{"Node1", "node1.example.com"} }),
		"addresses":        rebuild(func(l *Leaf) { l.names.addresses = nil }),
		"common name":      rebuild(func(l *Leaf) { l.names.commonName = "Node1" }),
		"no common name":   rebuild(func(l *Leaf) { l.names.commonName = "" }),
		"key":              rebuild(func(l *Leaf) { l.key = mustSubjectKey(t, seededKey(3)) }),
		"RSA's key usage":  rebuild(func(l *Leaf) { l.key = &SubjectKey{key: testKey(t, RSA2048).Public(), spki: l.key.spki, id: l.key.id} }),
		"key identifier":   rebuild(func(l *Leaf) { l.key = &SubjectKey{key: l.key.key, spki: l.key.spki} }),
		"notBefore":        rebuild(func(l *Leaf) { l.validity.notBefore = l.validity.notBefore.Add(-time.Second) }),
		"notAfter":         rebuild(func(l *Leaf) { l.validity.notAfter = l.validity.notAfter.Add(time.Second) }),
		"issuer":           rebuild(swapIssuer(func(c *x509.Certificate) { c.RawSubject = commonName("other CA") })),
		"issuer's key":     rebuild(swapIssuer(func(c *x509.Certificate) { c.SubjectKeyId = []byte{1} })),
		"another hash":     rebuild(func(l *Leaf) { i := *l.issuer; i.algorithm = ecdsaWithSHA256; l.issuer = &i }),
		"negative number":  leaf.build(-9),
		"unique ID":        withExtra(leaf, tlv(0x81, []byte{0, 1})),
		"second extension": withExtra(leaf, extensions(extension(oidKeyUsage, critical, []byte{3, 2, 7, 0x80}))),
	} {
		if err := leaf.CheckTBS(bad, 9); err == nil || fault.KindOf(err) != fault.Internal {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// withExtra returns leaf's bytes with a field more before the extensions.
func withExtra(leaf *Leaf, field []byte) []byte {
	l := *leaf
	i := bytes.LastIndex(l.tail, []byte{0xa3, 0x81})
	l.tail = slices.Concat(l.tail[:i], field, l.tail[i:])
	return l.build(9)
}

// TestCheckTBSHoldsThePolicy shows that the rules are checked on the bytes even when
// what was planned breaks them: no constructor makes such values.
func TestCheckTBSHoldsThePolicy(t *testing.T) {
	for name, change := range map[string]func(l *Leaf){
		"168 hours":     func(l *Leaf) { l.validity.notAfter = l.validity.notBefore.Add(MaxLifetime + time.Second) },
		"ends before":   func(l *Leaf) { l.validity.notAfter = l.validity.notBefore.Add(-time.Second) },
		"before the CA": func(l *Leaf) { l.validity.notBefore = l.issuer.notBefore.Add(-time.Second) },
		"outlives the CA": func(l *Leaf) {
			l.validity = Validity{Node, l.issuer.notAfter.Add(-time.Hour), l.issuer.notAfter, false}
		},
		"wildcard":         func(l *Leaf) { l.names.dnsNames = append(l.names.DNSNames(), "*.example.com") },
		"homoglyph":        func(l *Leaf) { l.names.dnsNames = append(l.names.DNSNames(), "n\u043ede1") },
		"101 names":        func(l *Leaf) { l.names.dnsNames = append(l.names.DNSNames(), make101()...) },
		"65 characters":    func(l *Leaf) { l.names.commonName = strings.Repeat("a", 65); l.names.dnsNames[0] = l.names.commonName },
		"common name only": func(l *Leaf) { l.names.dnsNames = l.names.dnsNames[1:] },
	} {
		leaf := *fixedLeaf(t)
		leaf.names.dnsNames = leaf.names.DNSNames()
		change(&leaf)
		leaf.tail = leaf.buildTail()
		if tbs, err := leaf.TBS(9); tbs != nil || err == nil || fault.KindOf(err) != fault.Internal {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func make101() []string {
	names := make([]string, 101)
	for i := range names {
		names[i] = "a" + strings.Repeat("b", i%60)
	}
	return names
}

func FuzzCheckTBS(f *testing.F) {
	leaf := fixedLeaf(f)
	leaves := []*Leaf{leaf}
	for _, p := range []Profile{Member, Server} {
		leaves = append(leaves, projectLeaf(f, p))
	}
	for _, l := range leaves {
		f.Add(l.build(300))
	}
	good := leaf.build(300)
	f.Add(leaf.build(301))
	f.Add([]byte{})
	f.Add(withExtra(leaf, tlv(0x81, []byte{0, 1})))
	for i := 0; i < len(good); i += 40 {
		bad := bytes.Clone(good)
		bad[i] ^= 0x10
		f.Add(bad)
	}
	f.Fuzz(func(t *testing.T, tbs []byte) {
		for _, l := range leaves {
			if err := l.CheckTBS(tbs, 300); (err == nil) != bytes.Equal(tbs, l.build(300)) {
				t.Fatalf("CheckTBS for a %s says %v to\n%x", l.Profile(), err, tbs)
			}
		}
	})
}
