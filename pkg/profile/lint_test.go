package profile

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"x509ctl/pkg/fault"
)

// A certSpec is a TBSCertificate to be built as wrong as a test wants it.
type certSpec struct {
	version, serial, algorithm, issuer, validity, subject, spki []byte

	between []byte // before the extensions
	exts    map[oid][]byte
}

// lintedLeaf and lintedCA keep all rules. Their keys are Ed25519, so that nothing in
// them is random.
func lintedLeaf(t testing.TB) *certSpec {
	key := mustSubjectKey(t, seededKey(2))
	return &certSpec{
		version: version3, serial: derInteger(300), algorithm: withEd25519.id,
		issuer: commonName("cluster.example.com CA 1"), validity: validityOf("260102030405Z", "260103030405Z"),
		subject: commonName("node1.example.com"), spki: key.spki,
		exts: map[oid][]byte{
			oidBasicConstraints: extension(oidBasicConstraints, critical, []byte(leafConstraints)),
			oidKeyUsage:         extension(oidKeyUsage, critical, []byte{3, 2, 7, 0x80}),
			oidExtendedKeyUsage: extension(oidExtendedKeyUsage, 0, []byte(nodePurposes)),
			oidSubjectKeyID:     extension(oidSubjectKeyID, 0, tlv(tagOctetString, key.id[:])),
			oidAuthorityKeyID:   extension(oidAuthorityKeyID, 0, []byte(authorityKeyID([]byte("issuer")))),
			oidSubjectAltName:   sanOf(dnsName("node1.example.com"), dnsName("node1"), ipName("192.0.2.1"), ipName("2001:db8::1")),
		},
	}
}

func lintedCA(t testing.TB) *certSpec {
	s := lintedLeaf(t)
	key := mustSubjectKey(t, seededKey(2))
	s.subject = commonName("cluster.example.com CA 300")
	s.issuer = s.subject
	s.exts = map[oid][]byte{
		oidBasicConstraints: extension(oidBasicConstraints, critical, []byte(caConstraints)),
		oidKeyUsage:         extension(oidKeyUsage, critical, []byte(caKeyUsage)),
		oidSubjectKeyID:     extension(oidSubjectKeyID, 0, tlv(tagOctetString, key.id[:])),
		oidAuthorityKeyID:   extension(oidAuthorityKeyID, 0, []byte(authorityKeyID(key.id[:]))),
	}
	return s
}

func validityOf(begin, end string) []byte {
	return tlv(tagSequence, tlv(tagUTCTime, []byte(begin)), tlv(tagUTCTime, []byte(end)))
}

// build returns the certificate, with a signature that nobody looks at.
func (s *certSpec) build() []byte {
	var exts [][]byte
	for _, kind := range slices.Sorted(maps.Keys(s.exts)) {
		exts = append(exts, s.exts[kind])
	}
	tbs := tlv(tagSequence, s.version, s.serial, s.algorithm, s.issuer, s.validity, s.subject, s.spki, s.between, extensions(exts...))
	return tlv(tagSequence, tbs, s.algorithm, derBits(nil))
}

// withKey gives s another key, and its identifier.
func (s *certSpec) withKey(t testing.TB, spki []byte) {
	content, _ := readWhole(spki, tagSequence)
	var algorithm der
	if !content.ReadASN1(&algorithm, tagSequence) {
		t.Fatal("no key")
	}
	bits, _ := readBits(&content)
	id := keyIDOf(bits)
	s.spki = spki
	s.exts[oidSubjectKeyID] = extension(oidSubjectKeyID, 0, tlv(tagOctetString, id[:]))
}

// A mutant is a certificate that breaks one rule.
type mutant struct {
	rule   string
	change func(t testing.TB, s *certSpec)
}

// setExtension changes one extension.
func setExtension(kind oid, c criticality, value []byte) func(testing.TB, *certSpec) {
	return func(_ testing.TB, s *certSpec) { s.exts[kind] = extension(kind, c, value) }
}

func without(kind oid) func(testing.TB, *certSpec) {
	return func(_ testing.TB, s *certSpec) { delete(s.exts, kind) }
}

func named(names ...[]byte) func(testing.TB, *certSpec) {
	return func(_ testing.TB, s *certSpec) { s.exts[oidSubjectAltName] = sanOf(names...) }
}

func lasting(begin, end string) func(testing.TB, *certSpec) {
	return func(_ testing.TB, s *certSpec) { s.validity = validityOf(begin, end) }
}

// keyMutants break the rules about keys, in nodes' certificates.
func keyMutants() []mutant {
	return []mutant{
		{"key_kind", func(t testing.TB, s *certSpec) {
			key, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			spki, err := marshalSPKI(&key.PublicKey)
			if err != nil {
				t.Fatal(err)
			}
			s.withKey(t, spki)
		}},
		{"key_form", func(t testing.TB, s *certSpec) {
			n := tlv(tagInteger, bytes.Repeat([]byte{0x7f}, 257))
			id := tlv(tagSequence, tlv(tagOID, []byte(oidRSAKey)), []byte{5, 0})
			s.withKey(t, tlv(tagSequence, id, derBits(tlv(tagSequence, n, derInteger(65537), derInteger(1)))))
			s.exts[oidKeyUsage] = extension(oidKeyUsage, critical, []byte{3, 2, 5, 0xa0})
		}},
	}
}

// mutants break rules for every certificate, in any.
func mutants() []mutant {
	set := func(field func(*certSpec) *[]byte, value []byte) func(testing.TB, *certSpec) {
		return func(_ testing.TB, s *certSpec) { *field(s) = value }
	}
	algorithm := func(s *certSpec) *[]byte { return &s.algorithm }
	selfNamed := func(name []byte) func(testing.TB, *certSpec) {
		return func(_ testing.TB, s *certSpec) {
			if bytes.Equal(s.issuer, s.subject) {
				s.issuer = name
			}
			s.subject = name
		}
	}
	return []mutant{
		{"structure", set(func(s *certSpec) *[]byte { return &s.between }, tlv(0x81, []byte{0, 1}))},
		{"signature_algorithm", set(algorithm, tlv(tagSequence, tlv(tagOID, []byte(oidSHA1WithRSA)), []byte{5, 0}))},
		{"signature_algorithm", set(algorithm, tlv(tagSequence, tlv(tagOID, []byte(oidECDSAWithSHA256)), []byte{5, 0}))},
		{"validity_form", set(func(s *certSpec) *[]byte { return &s.validity },
			tlv(tagSequence, tlv(tagUTCTime, []byte("260102030405Z")), tlv(tagGeneralizedTime, []byte("20260103030405Z"))))},
		{"subject", func(t testing.TB, s *certSpec) {
			name := "node1.example.com"
			if bytes.Equal(s.issuer, s.subject) {
				name = "cluster.example.com CA 300"
			}
			selfNamed(tlv(tagSequence, rdn(attr(oidCommonName, 0x13, name))))(t, s)
		}},
		{"basic_constraints", func(_ testing.TB, s *certSpec) {
			value := []byte(leafConstraints)
			if s.exts[oidExtendedKeyUsage] == nil {
				value = []byte(caConstraints)
			}
			s.exts[oidBasicConstraints] = extension(oidBasicConstraints, 0, value)
		}},
		{"key_usage", without(oidKeyUsage)},
		{"authority_key_id", without(oidAuthorityKeyID)},
		{"authority_key_id_form", func(_ testing.TB, s *certSpec) {
			id := []byte("issuer")
			if s.exts[oidExtendedKeyUsage] == nil {
				key, _ := subjectKeyOf(s.spki)
				id = key.id[:]
			}
			s.exts[oidAuthorityKeyID] = extension(oidAuthorityKeyID, 0, tlv(tagSequence, tlv(0x80, id), tlv(0x82, []byte{1})))
		}},
	}
}

// leafMutants break the rules for nodes' certificates, and those for every one that in a
// CA's would break another.
func leafMutants() []mutant {
	many := [][]byte{dnsName("node1.example.com")}
	for _, name := range make101()[:60] {
		many = append(many, dnsName(name), dnsName("x"+name))
	}
	return append(keyMutants(), []mutant{
		{"serial_number", func(_ testing.TB, s *certSpec) { s.serial = derInteger(0) }},
		{"serial_number", func(_ testing.TB, s *certSpec) {
			s.serial = tlv(tagInteger, []byte{1, 2, 3, 4, 5, 6, 7, 8, 9})
		}},
		{"issuer", func(_ testing.TB, s *certSpec) { s.issuer = tlv(tagSequence) }},
		{"validity_order", lasting("260102030405Z", "260102030404Z")},
		{"subject", func(_ testing.TB, s *certSpec) {
			s.subject = tlv(tagSequence, rdn(attr("\x55\x04\x0b", 0x0c, "Unit")), rdn(attr(oidCommonName, 0x0c, "node1.example.com")))
		}},
		{"key_usage", setExtension(oidKeyUsage, 0, []byte{3, 2, 7, 0x80})},
		{"subject_key_id", without(oidSubjectKeyID)},
		{"subject_key_id_method", setExtension(oidSubjectKeyID, 0, tlv(tagOctetString, []byte("issuer")))},
		{"leaf_lifetime", lasting("260102030405Z", "260109030404Z")},
		{"leaf_issuer", func(_ testing.TB, s *certSpec) { s.issuer = s.subject }},
		{"leaf_extensions", setExtension("\x55\x1d\x1f", 0, tlv(tagSequence))},
		{"leaf_basic_constraints", setExtension(oidBasicConstraints, critical, []byte{0x30, 3, 1, 1, 0})},
		{"leaf_key_usage", setExtension(oidKeyUsage, critical, []byte{3, 2, 5, 0xa0})},
		{"leaf_key_usage", setExtension(oidKeyUsage, critical, []byte{3, 2, 2, 0x84})}, // keyCertSign
		{"leaf_extended_key_usage", without(oidExtendedKeyUsage)},
		{"leaf_extended_key_usage", setExtension(oidExtendedKeyUsage, critical, []byte(nodePurposes))},
		{"leaf_extended_key_usage", setExtension(oidExtendedKeyUsage, 0, tlv(tagSequence, tlv(tagOID, []byte(oidServerAuth))))},
		{"names", without(oidSubjectAltName)},
		{"names", setExtension(oidSubjectAltName, critical, tlv(tagSequence, dnsName("node1.example.com")))},
		{"names_kinds", named(dnsName("node1.example.com"), tlv(0x81, []byte("a@b.example")))},
		{"names_kinds", named(dnsName("node1.example.com"), tlv(0xa4, commonName("x")))},
		{"names_number", named(many...)},
		{"names_dns", named(dnsName("node1.example.com"), dnsName("*.example.com"))},
		{"names_dns", named(dnsName("node1.example.com"), dnsName("127.1"))},
		{"names_ip", named(dnsName("node1.example.com"), tlv(0x87, append(bytes.Repeat([]byte{0}, 10), 0xff, 0xff, 192, 0, 2, 1)))},
		{"names_once", named(dnsName("node1.example.com"), dnsName("NODE1.example.com"))},
		{"names_once", named(dnsName("node1.example.com"), ipName("192.0.2.1"), ipName("192.0.2.1"))},
		{"names_common_name", named(dnsName("node1"), dnsName("node1.example.com"))},
	}...)
}

// caMutants break the rules for CAs.
func caMutants() []mutant {
	return []mutant{
		{"ca_lifetime", lasting("260102030405Z", "260102040404Z")},
		{"ca_lifetime", func(_ testing.TB, s *certSpec) {
			s.validity = tlv(tagSequence, tlv(tagUTCTime, []byte("260102030405Z")), tlv(tagGeneralizedTime, []byte("20520102030405Z")))
		}},
		{"ca_issuer", func(_ testing.TB, s *certSpec) { s.issuer = commonName("root") }},
		{"ca_name", func(_ testing.TB, s *certSpec) { s.serial = derInteger(301) }},
		{"ca_extensions", setExtension(oidExtendedKeyUsage, 0, []byte(nodePurposes))},
		{"ca_basic_constraints", setExtension(oidBasicConstraints, critical, tlv(tagSequence, tlv(tagBoolean, []byte{0xff}), derInteger(1)))},
		{"ca_key_usage", setExtension(oidKeyUsage, critical, []byte{3, 2, 2, 0x84})},
		{"ca_key_id", setExtension(oidAuthorityKeyID, 0, []byte(authorityKeyID([]byte("issuer"))))},
	}
}

// TestLint breaks every rule by a certificate that keeps all the others.
func TestLint(t *testing.T) {
	for _, tc := range []struct {
		what    string
		make    func(testing.TB) *certSpec
		mutants []mutant
		rules   []rule // each of which a mutant breaks
	}{
		{"a node's", lintedLeaf, append(mutants(), leafMutants()...), slices.Concat(allRules, nodeRules)},
		{"a CA's", lintedCA, append(mutants(), caMutants()...), caRules},
		{"the project root's", lintedProjectRoot, projectRootMutants(), projectRootRules[len(projectRootRules)-2:]},
		{"a project's", lintedProjectCA, projectCAMutants(), projectCARules[len(projectCARules)-3:]},
		{"a member's", lintedMember, memberMutants(), memberRules[len(leafRules):]},
		{"a server's", lintedServer, serverMutants(), slices.Concat(projectRules, serverRules[len(serverRules)-2:])},
		{"a decrypt key's", lintedDecrypt, decryptMutants(), decryptRules[len(leafRules):]},
	} {
		broken := make(map[string]bool)
		if findings, err := Lint(tc.make(t).build()); err != nil || len(findings) > 0 {
			t.Fatalf("%s breaks %v, %v", tc.what, findings, err)
		}
		for i, m := range tc.mutants {
			s := tc.make(t)
			m.change(t, s)
			findings, err := Lint(s.build())
			if err != nil || len(findings) != 1 || findings[0].Rule != m.rule {
				t.Errorf("%s, mutant %d breaks %v (%v), want only %s", tc.what, i, findings, err, m.rule)
			}
			broken[m.rule] = true
		}
		for _, r := range tc.rules {
			if !broken[r.Rule] {
				t.Errorf("no certificate like %s breaks %s", tc.what, r.Rule)
			}
			if r.Source == "" || r.What == "" || strings.Contains(r.Rule, " ") {
				t.Errorf("%q has no source, or says nothing", r.Rule)
			}
		}
	}
}

// TestLintIssued lints what is made here, and what was never a certificate.
func TestLintIssued(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, a := range KeyAlgorithms() {
		caKey := testKey(t, a)
		issuer := newTestIssuer(t, caKey, now)
		tbs, err := newTestLeaf(t, issuer, caKey, now).TBS(7)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []*x509.Certificate{issuer.Certificate(), mustSign(t, tbs, caKey)} {
			if findings, err := Lint(c.Raw); err != nil || len(findings) > 0 {
				t.Errorf("%s, %s: %v, %v", a, c.Subject, findings, err)
			}
		}
	}
	if _, err := Lint([]byte("x")); fault.KindOf(err) != fault.Malformed {
		t.Errorf("a text: %v", err)
	}
}
