package profile

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/serial"
)

// seededKey returns an Ed25519 key that is the same in every run.
func seededKey(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

func mustSubjectKey(tb testing.TB, key crypto.Signer) *SubjectKey {
	tb.Helper()
	k, err := NewSubjectKey(key.Public())
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

// newTestCA makes a CA and returns its certificate.
func newTestCA(tb testing.TB, key crypto.Signer, now time.Time, lifetime time.Duration) *x509.Certificate {
	tb.Helper()
	ca, err := NewCA("cluster.example.com", mustSubjectKey(tb, key), now, lifetime)
	if err != nil {
		tb.Fatal(err)
	}
	tbs, err := ca.TBS(1)
	if err != nil {
		tb.Fatal(err)
	}
	return mustSign(tb, tbs, key)
}

func mustSign(tb testing.TB, tbs *TBS, key crypto.Signer) *x509.Certificate {
	tb.Helper()
	raw, err := Sign(tbs, key)
	if err != nil {
		tb.Fatal(err)
	}
	cert, err := x509.ParseCertificate(raw)
	if err != nil {
		tb.Fatal(err)
	}
	return cert
}

func newTestIssuer(tb testing.TB, key crypto.Signer, now time.Time) *Issuer {
	tb.Helper()
	issuer, err := NewIssuer([]*x509.Certificate{newTestCA(tb, key, now, DefaultCALifetime)})
	if err != nil {
		tb.Fatal(err)
	}
	return issuer
}

// newTestLeaf returns a leaf for node1 with all its names.
func newTestLeaf(tb testing.TB, issuer *Issuer, key crypto.Signer, now time.Time) *Leaf {
	tb.Helper()
	names, err := Policy{Find: testFind}.ApproveName("node1.example.com")
	if err != nil {
		tb.Fatal(err)
	}
	v, err := LeafValidity(Node, now, DefaultLifetime, issuer, false)
	if err != nil {
		tb.Fatal(err)
	}
	leaf, err := NewLeaf(issuer, names, mustSubjectKey(tb, key), v)
	if err != nil {
		tb.Fatal(err)
	}
	return leaf
}

// fixedLeaf is the same in every run, to the bit.
func fixedLeaf(tb testing.TB) *Leaf {
	tb.Helper()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return newTestLeaf(tb, newTestIssuer(tb, seededKey(1), now), seededKey(2), now)
}

func TestLeafFields(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 678, time.FixedZone("somewhere", 3600))
	for _, a := range KeyAlgorithms() {
		key := testKey(t, a)
		caKey := newP256(t)
		issuer := newTestIssuer(t, caKey, now)
		tbs, err := newTestLeaf(t, issuer, key, now).TBS(serial.Max)
		if err != nil {
			t.Fatal(err)
		}
		c := mustSign(t, tbs, caKey)
		ca := issuer.Certificate()
		usage := x509.KeyUsageDigitalSignature
		if strings.HasPrefix(string(a), "rsa") {
			usage |= x509.KeyUsageKeyEncipherment
		}
		k := mustSubjectKey(t, key)
		for _, check := range []struct {
			what string
			ok   bool
		}{
			{"version", c.Version == 3},
			{"serial", c.SerialNumber.Cmp(big.NewInt(1<<63-1)) == 0 && tbs.Serial() == serial.Max},
			{"signature", c.CheckSignatureFrom(ca) == nil && VerifySignature(c.Raw, caKey.Public()) == nil},
			{"issuer", bytes.Equal(c.RawIssuer, ca.RawSubject)},
			{"subject", c.Subject.String() == "CN=node1.example.com"},
			{"notBefore", c.NotBefore.Equal(time.Date(2026, 1, 2, 1, 59, 5, 0, time.UTC))},
			{"lifetime", c.NotAfter.Sub(c.NotBefore) == DefaultLifetime},
			{"key", bytes.Equal(c.RawSubjectPublicKeyInfo, k.SPKI())},
			{"not a CA", c.BasicConstraintsValid && !c.IsCA && c.MaxPathLen == -1},
			{"key usage", c.KeyUsage == usage},
			{"purposes", slices.Equal(c.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth})},
			{"key identifier", bytes.Equal(c.SubjectKeyId, k.id[:]) && len(c.SubjectKeyId) == 20},
			{"issuer's key identifier", bytes.Equal(c.AuthorityKeyId, ca.SubjectKeyId)},
			{"DNS names", slices.Equal(c.DNSNames, []string{"node1.example.com", "Node1"})},
			{"addresses", len(c.IPAddresses) == 2 && c.IPAddresses[0].Equal(net.ParseIP("192.0.2.1")) && len(c.IPAddresses[0]) == 4 && c.IPAddresses[1].Equal(net.ParseIP("2001:db8::1"))},
			{"extensions", len(c.Extensions) == 6},
		} {
			if !check.ok {
				t.Errorf("%s: %s is wrong in\n%s", a, check.what, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
			}
		}
		for _, e := range c.Extensions {
			isCritical := e.Id.Equal([]int{2, 5, 29, 19}) || e.Id.Equal([]int{2, 5, 29, 15})
			if e.Critical != isCritical {
				t.Errorf("%s: extension %v has critical = %v", a, e.Id, e.Critical)
			}
		}
	}
}

// TestSubjectKeyID compares with crypto/x509, which uses the same method.
func TestSubjectKeyID(t *testing.T) {
	key := newP256(t)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, Subject: pkix.Name{CommonName: "x"}}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	if k := mustSubjectKey(t, key); !bytes.Equal(k.id[:], c.SubjectKeyId) {
		t.Errorf("%x, crypto/x509 says %x", k.id, c.SubjectKeyId)
	}
}

// TestOpenSSLVerify has openssl judge certificates of every kind of key, signed by
// CAs of every kind of key.
func TestOpenSSLVerify(t *testing.T) {
	needOpenSSL(t)
	now := time.Now()
	dir := t.TempDir()
	for _, a := range KeyAlgorithms() {
		t.Run(string(a), func(t *testing.T) {
			key := testKey(t, a)
			issuer := newTestIssuer(t, key, now)
			tbs, err := newTestLeaf(t, issuer, key, now).TBS(2)
			if err != nil {
				t.Fatal(err)
			}
			writeFile(t, dir, "ca.pem", pemOf("CERTIFICATE", issuer.Certificate().Raw))
			writeFile(t, dir, "leaf.pem", pemOf("CERTIFICATE", mustSign(t, tbs, key).Raw))
			for _, purpose := range []string{"sslserver", "sslclient"} {
				openssl(t, dir, "verify", "-x509_strict", "-purpose", purpose, "-CAfile", "ca.pem", "-verify_hostname", "node1", "leaf.pem")
			}
			openssl(t, dir, "verify", "-x509_strict", "-CAfile", "ca.pem", "-verify_ip", "2001:db8::1", "leaf.pem")
			openssl(t, dir, "verify", "-x509_strict", "-CAfile", "ca.pem", "ca.pem")
			text := openssl(t, dir, "x509", "-in", "leaf.pem", "-noout", "-text")
			if !strings.Contains(text, "CA:FALSE") || !strings.Contains(text, "Issuer: CN = cluster.example.com CA 1\n") {
				t.Errorf("openssl reads\n%s", text)
			}
		})
	}
}

// TestAdoptedIssuer signs under a CA made by openssl, whose subject is encoded its
// own way and has to come back byte for byte.
func TestAdoptedIssuer(t *testing.T) {
	dir := t.TempDir()
	openssl(t, dir, "req", "-x509", "-new", "-nodes", "-newkey", "rsa:2048", "-keyout", "key.pem", "-out", "ca.pem", "-days", "30",
		"-subj", "/C=DE/O=Example/CN=old CA", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
	block, _ := pem.Decode(readFile(t, dir, "ca.pem"))
	ca, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	block, _ = pem.Decode(readFile(t, dir, "key.pem"))
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := NewIssuer([]*x509.Certificate{ca})
	if err != nil {
		t.Fatal(err)
	}
	tbs, err := newTestLeaf(t, issuer, newP256(t), time.Now()).TBS(7)
	if err != nil {
		t.Fatal(err)
	}
	cert := mustSign(t, tbs, key.(crypto.Signer))
	if !bytes.Equal(cert.RawIssuer, ca.RawSubject) {
		t.Errorf("issuer %x, CA's subject %x", cert.RawIssuer, ca.RawSubject)
	}
	writeFile(t, dir, "leaf.pem", pemOf("CERTIFICATE", cert.Raw))
	openssl(t, dir, "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", "ca.pem", "leaf.pem")
}

func TestNewLeafRefuses(t *testing.T) {
	leaf := fixedLeaf(t)
	for name, make := range map[string]func() (*Leaf, error){
		"nil issuer":    func() (*Leaf, error) { return NewLeaf(nil, leaf.names, leaf.key, leaf.validity) },
		"zero issuer":   func() (*Leaf, error) { return NewLeaf(&Issuer{}, leaf.names, leaf.key, leaf.validity) },
		"zero names":    func() (*Leaf, error) { return NewLeaf(leaf.issuer, Approved{}, leaf.key, leaf.validity) },
		"nil key":       func() (*Leaf, error) { return NewLeaf(leaf.issuer, leaf.names, nil, leaf.validity) },
		"zero key":      func() (*Leaf, error) { return NewLeaf(leaf.issuer, leaf.names, &SubjectKey{}, leaf.validity) },
		"zero validity": func() (*Leaf, error) { return NewLeaf(leaf.issuer, leaf.names, leaf.key, Validity{}) },
	} {
		if l, err := make(); l != nil || err == nil || fault.KindOf(err) != fault.Internal {
			t.Errorf("%s: %v, %v", name, l, err)
		}
	}
	for _, n := range []serial.Number{0, -1, -1 << 63} {
		if tbs, err := leaf.TBS(n); tbs != nil || err == nil {
			t.Errorf("number %d: %v", n, err)
		}
	}
}

func TestSign(t *testing.T) {
	key := newP256(t)
	now := time.Now()
	leaf := newTestLeaf(t, newTestIssuer(t, key, now), newP256(t), now)
	tbs, err := leaf.TBS(5)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Sign(tbs, newP256(t)); fault.KindOf(err) != fault.Denied {
		t.Errorf("another key: %v", err)
	}
	cert := mustSign(t, tbs, key)
	if !bytes.Equal(cert.RawTBSCertificate, tbs.Bytes()) {
		t.Error("signed other bytes")
	}
	if _, err := Sign(tbs, key); err == nil || !strings.Contains(err.Error(), "certificate 5 was signed before") {
		t.Errorf("second time: %v", err)
	}
	for name, bad := range map[string]*TBS{"nil": nil, "zero": {}} {
		if _, err := Sign(bad, key); err == nil {
			t.Errorf("%s: signed", name)
		}
	}
	if _, err := Sign(tbs, nil); err == nil {
		t.Error("signed without a key")
	}

	// A key that breaks spends the certificate.
	tbs, err = leaf.TBS(6)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Sign(tbs, brokenSigner{key}); err == nil || !errors.Is(err, errBroken) {
		t.Errorf("broken key: %v", err)
	}
	if _, err := Sign(tbs, key); err == nil {
		t.Error("signed after a failure")
	}

	if err := VerifySignature(cert.Raw, leaf.key.Public()); fault.KindOf(err) != fault.Invalid {
		t.Errorf("verified with another key: %v", err)
	}
	changed := bytes.Clone(cert.Raw)
	changed[len(changed)-1] ^= 1
	if err := VerifySignature(changed, key.Public()); fault.KindOf(err) != fault.Invalid {
		t.Errorf("verified a changed signature: %v", err)
	}
	if err := VerifySignature([]byte("x"), key.Public()); fault.KindOf(err) != fault.Malformed {
		t.Errorf("verified what is no certificate: %v", err)
	}
}

var errBroken = errors.New("the token was pulled out")

type brokenSigner struct{ crypto.Signer }

func (brokenSigner) Sign(_ io.Reader, _ []byte, _ crypto.SignerOpts) ([]byte, error) {
	return nil, errBroken
}
