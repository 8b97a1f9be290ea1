package profile

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"x509ctl/pkg/fault"
)

// requestSeeds are requests of every shape that the tables have, and some text.
func requestSeeds(tb testing.TB) [][]byte {
	tb.Helper()
	key := newP256(tb)
	specs := []requestSpec{
		{},
		{attributes: [][]byte{asking(sanOf(dnsName("node1.example.com"), ipName("192.0.2.1"), ipName("2001:db8::1")))}},
		{attributes: [][]byte{asking(sanOf(tlv(0x81, []byte("a@b")), tlv(0x86, []byte("x:y")), tlv(0x88, []byte{0x2a, 3})))}},
		{attributes: [][]byte{asking(sanOf(tlv(0xa0, tlv(tagOID, []byte{0x2a, 3}), tlv(0xa0, tlv(tagUTF8String, []byte("x")))), tlv(0xa4, commonName("y"))))}},
		{attributes: [][]byte{asking(
			extension(oidBasicConstraints, critical, tlv(tagSequence, tlv(tagBoolean, []byte{0xff}), derInteger(3))),
			extension(oidKeyUsage, critical, []byte{3, 3, 7, 0xff, 0x80}),
			extension(oidExtendedKeyUsage, 0, tlv(tagSequence, tlv(tagOID, []byte(oidServerAuth)), tlv(tagOID, []byte{0x2a, 3}))),
			extension(oidSubjectKeyID, 0, tlv(tagOctetString, []byte{1, 2, 3})))}},
		{subject: tlv(tagSequence, rdn(attr("\x55\x04\x0a", 0x1e, "\x00x")), rdn(attr(oidCommonName, 0x13, "node1"), attr(oidCommonName, 0x0c, "node2")))},
	}
	var seeds [][]byte
	for _, s := range specs {
		s.key = key
		seeds = append(seeds, s.build(tb))
	}
	files, err := filepath.Glob("../../testdata/requests/*.csr")
	if err != nil || len(files) == 0 {
		tb.Fatalf("no requests: %v", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		block, _ := pem.Decode(data)
		seeds = append(seeds, data, block.Bytes)
	}
	return append(seeds, pemOf("CERTIFICATE REQUEST", seeds[1]), []byte("-----BEGIN NEW CERTIFICATE REQUEST-----\n-----BEGIN "), nil)
}

// FuzzParseRequest reads data as a file; then, since no fuzzer guesses a signature, as
// a request whose signature is not looked at. Whatever policy then approves,
// crypto/x509 must understand in the same way.
func FuzzParseRequest(f *testing.F) {
	for _, s := range requestSeeds(f) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if r, err := ParseRequest(data); err == nil {
			compareRequest(t, r, r.der)
		} else if kind := fault.KindOf(err); kind != fault.Malformed && kind != fault.Denied {
			t.Fatalf("%v is %v", err, kind)
		}
		s, tbs := der(data), der(nil)
		if !s.ReadASN1(&s, tagSequence) || !s.ReadASN1Element(&tbs, tagSequence) {
			return
		}
		r := &Request{}
		if err := r.parseInfo(tbs); err != nil {
			return
		}
		algorithm, err := algorithmOf(r.key.key)
		if err != nil {
			t.Fatal(err)
		}
		compareRequest(t, r, tlv(tagSequence, tbs, algorithm.id, derBits(nil)))
	})
}

// compareRequest approves all that can be approved at all, and compares.
func compareRequest(t *testing.T, r *Request, raw []byte) {
	t.Helper()
	_, _ = r.Names(), r.Ignored(Approved{})
	var allow []string
	for _, n := range r.names {
		allow = append(allow, n.text)
	}
	compareMember(t, r, raw)
	a, err := Policy{Allow: allow}.ApproveRequest(r)
	if err != nil {
		return
	}
	c, err := x509.ParseCertificateRequest(raw)
	if err != nil {
		return // it minds the encoding of attributes that are not used here
	}
	if c.Subject.CommonName != r.CommonName() || FoldName(c.Subject.CommonName) != FoldName(a.CommonName()) {
		t.Fatalf("common names %q, %q, %q", c.Subject.CommonName, r.CommonName(), a.CommonName())
	}
	if len(c.EmailAddresses)+len(c.URIs) > 0 || !bytes.Equal(c.RawSubjectPublicKeyInfo, r.RawSPKI()) {
		t.Fatalf("approved a request with other names or another key:\n%x", raw)
	}
	contains := func(name string) bool {
		return slices.ContainsFunc(a.DNSNames(), func(s string) bool { return FoldName(s) == FoldName(name) })
	}
	for _, name := range c.DNSNames {
		if !contains(name) {
			t.Fatalf("%q is missing from %q", name, a.Names())
		}
	}
	for _, ip := range c.IPAddresses {
		addr, ok := netip.AddrFromSlice(ip)
		if !ok || !slices.Contains(a.IPAddresses(), addr.Unmap()) {
			t.Fatalf("%v is missing from %q", ip, a.Names())
		}
	}
	if len(a.Names()) > 1+len(c.DNSNames)+len(c.IPAddresses) {
		t.Fatalf("%q are more names than crypto/x509 sees", a.Names())
	}
}

// compareMember approves whoever asks as a member, and compares: crypto/x509 must see one
// user, and no other name.
func compareMember(t *testing.T, r *Request, raw []byte) {
	t.Helper()
	anybody := ProjectPolicy{Project: "p", Member: func(key string) (string, bool) { return key, true }}
	a, err := anybody.ApproveMemberRequest(r)
	if err != nil {
		return
	}
	_ = r.Ignored(a)
	c, err := x509.ParseCertificateRequest(raw)
	if err != nil {
		return
	}
	if FoldName(c.Subject.CommonName) != a.CommonName() || len(a.Names())+len(c.DNSNames)+len(c.IPAddresses)+len(c.EmailAddresses)+len(c.URIs) > 0 {
		t.Fatalf("approved for %q, with %q:\n%x", a.CommonName(), a.Names(), raw)
	}
}

// certificateSeeds are certificates made here, and the mutants that break a rule.
func certificateSeeds(f *testing.F) [][]byte {
	f.Helper()
	var seeds [][]byte
	for _, m := range append(mutants(), leafMutants()...) {
		s := lintedLeaf(f)
		m.change(f, s)
		seeds = append(seeds, s.build())
	}
	for _, m := range append(mutants(), caMutants()...) {
		s := lintedCA(f)
		m.change(f, s)
		seeds = append(seeds, s.build())
	}
	for _, make := range []func(testing.TB) *certSpec{lintedLeaf, lintedCA, lintedMember, lintedServer, lintedDecrypt} {
		seeds = append(seeds, make(f).build())
	}
	for i, mutants := range [][]mutant{memberMutants(), serverMutants(), decryptMutants()} {
		for _, m := range mutants {
			s := []func(testing.TB) *certSpec{lintedMember, lintedServer, lintedDecrypt}[i](f)
			m.change(f, s)
			seeds = append(seeds, s.build())
		}
	}
	return seeds
}

// FuzzLint lints whatever crypto/x509 can read. Of what keeps all rules for a leaf
// crypto/x509 must not have another opinion.
func FuzzLint(f *testing.F) {
	for _, s := range certificateSeeds(f) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		findings, err := Lint(data)
		if err != nil {
			if fault.KindOf(err) != fault.Malformed {
				t.Fatalf("%v is %v", err, fault.KindOf(err))
			}
			return
		}
		c, err := x509.ParseCertificate(data)
		if err != nil {
			t.Fatal(err)
		}
		if len(findings) > 0 || c.IsCA {
			return
		}
		p := Like(c)
		if c.Version != 3 || len(c.UnhandledCriticalExtensions)+len(c.EmailAddresses)+len(c.URIs) > 0 || c.NotAfter.Sub(c.NotBefore) > p.MaxLifetime() {
			t.Fatalf("keeps all rules of a %s: %+v", p, c)
		}
		if p == Member || p == Decrypt {
			if len(c.DNSNames)+len(c.IPAddresses) > 0 || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth) {
				t.Fatalf("keeps all rules of a %s: %+v", p, c)
			}
			return
		}
		for _, name := range append(slices.Clone(c.DNSNames), c.Subject.CommonName) {
			if err := c.VerifyHostname(name); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// FuzzParseSPKI looks for keys that are read in more than one encoding.
func FuzzParseSPKI(f *testing.F) {
	for _, s := range requestSeeds(f) {
		if r, err := ParseRequest(s); err == nil {
			f.Add(r.RawSPKI())
		}
	}
	f.Add(mustSubjectKey(f, seededKey(1)).SPKI())
	f.Fuzz(func(t *testing.T, data []byte) {
		key, err := subjectKeyOf(data)
		if err != nil {
			if kind := fault.KindOf(err); kind != fault.Malformed && kind != fault.Denied {
				t.Fatalf("%v is %v", err, kind)
			}
			return
		}
		again, err := x509.MarshalPKIXPublicKey(key.Public())
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%x is read, and written as %x, %v", data, again, err)
		}
	})
}
