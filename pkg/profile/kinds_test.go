package profile

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"os/exec"
	"strings"
	"testing"
	"time"

	"x509ctl/pkg/fault"
)

// lintedMember, lintedServer and lintedDecrypt keep all rules.
func lintedMember(t testing.TB) *certSpec {
	s := lintedLeaf(t)
	s.issuer = subjectName("p_1", "p_1 CA 7")
	s.subject = subjectName("p_1", "alice@example.com")
	s.validity = validityOf("260102030405Z", "270102030405Z")
	s.exts[oidExtendedKeyUsage] = extension(oidExtendedKeyUsage, 0, []byte(memberPurposes))
	delete(s.exts, oidSubjectAltName)
	return s
}

func lintedServer(t testing.TB) *certSpec {
	s := lintedMember(t)
	s.subject = subjectName("p_1", "vpn.example.com")
	s.exts[oidExtendedKeyUsage] = extension(oidExtendedKeyUsage, 0, []byte(serverPurposes))
	s.exts[oidSubjectAltName] = sanOf(dnsName("vpn.example.com"), ipName("192.0.2.1"))
	return s
}

func lintedDecrypt(t testing.TB) *certSpec {
	s := lintedMember(t)
	s.withKey(t, mustSubjectKey(t, testKey(t, RSA3072)).spki)
	s.subject = subjectName("p_1", "p_1 decrypt")
	s.validity = validityOf("260102030405Z", "310102030405Z")
	s.exts[oidKeyUsage] = extension(oidKeyUsage, critical, []byte(decryptKeyUsage))
	s.exts[oidExtendedKeyUsage] = extension(oidExtendedKeyUsage, critical, []byte(decryptPurposes))
	return s
}

func called(organization, common string) func(testing.TB, *certSpec) {
	return func(_ testing.TB, s *certSpec) { s.subject = subjectName(organization, common) }
}

func memberMutants() []mutant {
	return []mutant{
		{"leaf_lifetime", lasting("260102030405Z", "270102030406Z")},
		{"leaf_key_usage", setExtension(oidKeyUsage, critical, []byte(decryptKeyUsage))},
		{"leaf_extended_key_usage", setExtension(oidExtendedKeyUsage, 0, []byte(nodePurposes))},
		{"leaf_organization", called("../ca", "alice")},
		{"names_none", named(dnsName("alice"))},
		{"member_name", called("p_1", "alice smith")},
		{"member_name", called("p_1", "../alice")},
	}
}

func serverMutants() []mutant {
	return []mutant{
		{"leaf_lifetime", lasting("260102030405Z", "270102030406Z")},
		{"leaf_extended_key_usage", setExtension(oidExtendedKeyUsage, critical, []byte(serverPurposes))},
		{"leaf_organization", called("_p", "vpn.example.com")},
		{"names", without(oidSubjectAltName)},
		{"names_dns", named(dnsName("vpn.example.com"), dnsName("*.example.com"))},
	}
}

func decryptMutants() []mutant {
	return []mutant{
		{"leaf_lifetime", func(_ testing.TB, s *certSpec) {
			s.validity = tlv(tagSequence, tlv(tagUTCTime, []byte("260102030405Z")), tlv(tagGeneralizedTime, []byte("20520102030405Z")))
		}},
		{"leaf_key_usage", setExtension(oidKeyUsage, critical, []byte(leafKeyUsageRSA))},
		{"leaf_extended_key_usage", setExtension(oidExtendedKeyUsage, 0, []byte(decryptPurposes))},
		{"leaf_extended_key_usage", setExtension(oidExtendedKeyUsage, critical, []byte("\x30\x13\x06\x07"+string(oidDecrypt)+"\x06\x08"+string(oidClientAuth)))},
		{"leaf_organization", called("_p", "_p decrypt")},
		{"names_none", named(dnsName("p"))},
		{"decrypt_name", called("p_1", "p_1")},
		{"decrypt_key", func(t testing.TB, s *certSpec) { s.withKey(t, mustSubjectKey(t, testKey(t, RSA2048)).spki) }},
	}
}

const leafKeyUsageRSA = "\x03\x02\x05\xa0"

// testProject has members and registered names, among them those of the cluster of
// policy_test.go, which nothing here would let in, and a damaged record.
var testProject = ProjectPolicy{
	Project: "P_1",
	Member: func(key string) (string, bool) {
		user, ok := map[string]string{
			"alice": "alice", "bob@example.com": "Bob@example.com", "node2.example.com": "node2.example.com", "mallory": "alice",
		}[key]
		return user, ok
	},
	Registered: func(key string) (string, bool) {
		name, ok := map[string]string{
			"vpn.example.org": "VPN.example.org", "www.example.org": "www.example.org", "198.51.100.1": "198.51.100.1",
			"node1.example.com": "node1.example.com", "192.0.2.1": "192.0.2.1",
		}[key]
		return name, ok
	},
	Taken: testFind,
}

// projectIssuer returns the issuer of P_1, whose CA has a key of its own.
func projectIssuer(tb testing.TB, project string, now time.Time) (*Issuer, crypto.Signer, []*x509.Certificate) {
	tb.Helper()
	rootKey, key := seededKey(8), seededKey(9)
	r, err := NewProjectRoot("cluster.example.com", mustSubjectKey(tb, rootKey), now, DefaultProjectRootLifetime)
	if err != nil {
		tb.Fatal(err)
	}
	tbs, err := r.TBS(1)
	if err != nil {
		tb.Fatal(err)
	}
	chain := []*x509.Certificate{nil, mustSign(tb, tbs, rootKey)}
	root, err := NewIssuer(chain[1:])
	if err != nil {
		tb.Fatal(err)
	}
	c, err := NewProjectCA(project, root, mustSubjectKey(tb, key), now, DefaultCALifetime)
	if err != nil {
		tb.Fatal(err)
	}
	if tbs, err = c.TBS(2); err != nil {
		tb.Fatal(err)
	}
	chain[0] = mustSign(tb, tbs, rootKey)
	issuer, err := NewProjectIssuer(strings.ToLower(project), chain) // as its directory is called
	if err != nil {
		tb.Fatal(err)
	}
	return issuer, key, chain
}

func approvedFor(tb testing.TB, p Profile) Approved {
	tb.Helper()
	var a Approved
	var err error
	switch p {
	case Node:
		a, err = Policy{Find: testFind}.ApproveName("node1.example.com")
	case Member:
		a, err = testProject.ApproveMember("alice")
	case Server:
		a, err = testProject.ApproveServer("vpn.example.org")
	case Decrypt:
		a, err = ApproveDecrypt("P_1")
	}
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

// leafOf returns a leaf of a profile with its default lifetime.
func leafOf(tb testing.TB, issuer *Issuer, p Profile, key crypto.Signer, now time.Time) (*Leaf, error) {
	tb.Helper()
	v, err := LeafValidity(p, now, p.DefaultLifetime(), issuer, true)
	if err != nil {
		tb.Fatal(err)
	}
	return NewLeaf(issuer, approvedFor(tb, p), mustSubjectKey(tb, key), v)
}

// projectLeaf returns a leaf of P_1 that is the same in every run, but for a decrypt
// certificate's key.
func projectLeaf(tb testing.TB, p Profile) *Leaf {
	tb.Helper()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	issuer, _, _ := projectIssuer(tb, "P_1", now)
	key := crypto.Signer(seededKey(2))
	if p == Decrypt {
		key = testKey(tb, RSA3072)
	}
	l, err := leafOf(tb, issuer, p, key, now)
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

// TestProfiles makes a certificate of each profile of a project, with keys of every kind,
// and has crypto/x509, openssl and the rules judge it for every purpose.
func TestProfiles(t *testing.T) {
	now := time.Now()
	dir := t.TempDir()
	issuer, caKey, chain := projectIssuer(t, "P_1", now)
	writeFile(t, dir, "root.pem", pemOf("CERTIFICATE", chain[1].Raw))
	writeFile(t, dir, "ca.pem", pemOf("CERTIFICATE", chain[0].Raw))
	for _, tc := range []struct {
		profile        Profile
		subject        string
		names          int
		lifetime       time.Duration
		usage          x509.KeyUsage // with an elliptic key
		server, client bool
	}{
		{Member, "CN=alice,O=P_1", 0, 90 * 24 * time.Hour, x509.KeyUsageDigitalSignature, false, true},
		{Server, "CN=VPN.example.org,O=P_1", 1, 90 * 24 * time.Hour, x509.KeyUsageDigitalSignature, true, false},
		{Decrypt, "CN=P_1 decrypt,O=P_1", 0, chain[0].NotAfter.Sub(chain[0].NotBefore) - time.Second, x509.KeyUsageKeyEncipherment, false, false},
	} {
		for _, a := range KeyAlgorithms() {
			key := testKey(t, a)
			leaf, err := leafOf(t, issuer, tc.profile, key, now)
			if tc.profile == Decrypt && !canDecrypt(key.Public()) {
				if fault.KindOf(err) != fault.Denied {
					t.Errorf("%s with a key of %s: %v", tc.profile, a, err)
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			tbs, err := leaf.TBS(7)
			if err != nil {
				t.Fatal(err)
			}
			c := mustSign(t, tbs, caKey)
			usage := tc.usage
			if isRSA(key.Public()) {
				usage |= x509.KeyUsageKeyEncipherment
			}
			switch {
			case c.Subject.String() != tc.subject || Like(c) != tc.profile || leaf.Profile() != tc.profile:
				t.Errorf("%s: %s is like a %s", tc.profile, c.Subject, Like(c))
			case len(c.DNSNames)+len(c.IPAddresses) != tc.names:
				t.Errorf("%s has the names %v, %v", tc.profile, c.DNSNames, c.IPAddresses)
			case c.NotAfter.Sub(c.NotBefore) != tc.lifetime:
				t.Errorf("%s lives for %v, want %v", tc.profile, c.NotAfter.Sub(c.NotBefore), tc.lifetime)
			case c.KeyUsage != usage || c.IsCA || !c.BasicConstraintsValid:
				t.Errorf("%s has the key usage %b, CA is %v", tc.profile, c.KeyUsage, c.IsCA)
			}
			if findings, err := Lint(c.Raw); err != nil || len(findings) > 0 {
				t.Errorf("%s: %v, %v", tc.profile, findings, err)
			}
			checkPurposes(t, dir, chain, c, map[string]bool{"sslserver": tc.server, "sslclient": tc.client})
		}
	}
}

// checkPurposes has crypto/x509 and openssl say whether c is good for TLS.
func checkPurposes(t *testing.T, dir string, chain []*x509.Certificate, c *x509.Certificate, want map[string]bool) {
	t.Helper()
	needOpenSSL(t)
	roots, above := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(chain[1])
	above.AddCert(chain[0])
	writeFile(t, dir, "leaf.pem", pemOf("CERTIFICATE", c.Raw))
	for purpose, good := range want {
		usage := x509.ExtKeyUsageServerAuth
		if purpose == "sslclient" {
			usage = x509.ExtKeyUsageClientAuth
		}
		_, err := c.Verify(x509.VerifyOptions{Roots: roots, Intermediates: above, KeyUsages: []x509.ExtKeyUsage{usage}})
		if (err == nil) != good {
			t.Errorf("%s: crypto/x509 says to %s: %v", c.Subject, purpose, err)
		}
		cmd := exec.Command("openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile", "root.pem", "-untrusted", "ca.pem", "leaf.pem")
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); (err == nil) != good {
			t.Errorf("%s: openssl says to %s: %v\n%s", c.Subject, purpose, err, out)
		}
	}
	if Like(c) != Decrypt { // for any purpose at all
		openssl(t, dir, "verify", "-x509_strict", "-CAfile", "root.pem", "-untrusted", "ca.pem", "leaf.pem")
	}
}

// TestDecryptPurpose compares with encoding/asn1.
func TestDecryptPurpose(t *testing.T) {
	want, err := asn1.Marshal([]asn1.ObjectIdentifier{{2, 25, 2094153072, 2}})
	if err != nil || !bytes.Equal(want, []byte(decryptPurposes)) {
		t.Errorf("%x, want %x (%v)", decryptPurposes, want, err)
	}
}

// TestNewLeafKeepsApart: what was approved for one authority, or one profile, can't be
// signed as anything else.
func TestNewLeafKeepsApart(t *testing.T) {
	now := time.Now()
	cluster := newTestIssuer(t, newP256(t), now)
	project, _, _ := projectIssuer(t, "P_1", now)
	other, _, _ := projectIssuer(t, "P_2", now)
	key := mustSubjectKey(t, testKey(t, RSA3072))
	for _, p := range Profiles() {
		for name, issuer := range map[string]*Issuer{"the cluster": cluster, "P_1": project, "P_2": other} {
			for _, q := range Profiles() {
				v, err := LeafValidity(q, now, time.Hour, issuer, false)
				if err != nil {
					t.Fatal(err)
				}
				good := p == q && (p == Node && issuer == cluster || p != Node && issuer == project)
				_, err = NewLeaf(issuer, approvedFor(t, p), key, v)
				if good != (err == nil) || err != nil && fault.KindOf(err) != fault.Denied && p == q {
					t.Errorf("a %s of P_1 with the validity of a %s, signed by %s: %v", p, q, name, err)
				}
			}
		}
	}
	if _, err := NewProjectIssuer("../ca", []*x509.Certificate{cluster.Certificate()}); fault.KindOf(err) != fault.Denied {
		t.Errorf("a path as project: %v", err)
	}
	if _, err := NewProjectIssuer("p", nil); err == nil {
		t.Error("an issuer without a certificate")
	}
}

// TestProfileLifetimes: the longest lifetime is allowed itself.
func TestProfileLifetimes(t *testing.T) {
	now := time.Now()
	issuer, _, _ := projectIssuer(t, "P_1", now)
	for p, most := range map[Profile]time.Duration{Node: 604798 * time.Second, Member: 8760 * time.Hour, Server: 8760 * time.Hour} {
		if _, err := LeafValidity(p, now, most, issuer, false); err != nil || p.MaxLifetime() != most {
			t.Errorf("%s: %v, at most %v", p, err, p.MaxLifetime())
		}
		if _, err := LeafValidity(p, now, most+time.Second, issuer, true); fault.KindOf(err) != fault.Denied {
			t.Errorf("%s, a second more: %v", p, err)
		}
	}
	none := Profile("nodes")
	if _, err := LeafValidity(none, now, time.Hour, issuer, false); err == nil || none.DefaultLifetime() != 0 || none.OfProject() {
		t.Errorf("a validity of no profile: %v", err)
	}
}
