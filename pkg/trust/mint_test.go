package trust_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"testing"
	"time"

	"x509ctl/pkg/trust"
)

// now is the time of every test.
var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// A ca is a CA certificate and its key.
type ca struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// newCA makes a CA of name below parent, self-signed when parent is nil, in the
// shape of x509ctl's own; edits change the template.
func newCA(t testing.TB, name string, parent *ca, edits ...func(*x509.Certificate)) *ca {
	t.Helper()
	return newCAWithKey(t, name, newKey(t), parent, edits...)
}

func newCAWithKey(t testing.TB, name string, key crypto.Signer, parent *ca, edits ...func(*x509.Certificate)) *ca {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             now.Add(-24 * time.Hour),
		NotAfter:              now.AddDate(5, 0, 0),
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	for _, edit := range edits {
		edit(template)
	}
	if parent == nil {
		parent = &ca{template, key}
	}
	return &ca{sign(t, template, parent, key.Public()), key}
}

// pathLen sets the path length constraint; -1 takes it away.
func pathLen(n int) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.MaxPathLen, c.MaxPathLenZero = n, n == 0 }
}

// newLeaf makes number 42 for node1.example.com, valid from five minutes before
// now for a day; edits change the template.
func newLeaf(t testing.TB, parent *ca, edits ...func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(42),
		Subject:               pkix.Name{CommonName: "node1.example.com"},
		NotBefore:             now.Add(-5 * time.Minute),
		NotAfter:              now.Add(-5*time.Minute + 24*time.Hour),
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:              []string{"Node1.example.com"},
		IPAddresses:           []net.IP{net.IPv4(192, 0, 2, 1), net.ParseIP("2001:db8::1")},
	}
	for _, edit := range edits {
		edit(template)
	}
	return sign(t, template, parent, newKey(t).Public())
}

func sign(t testing.TB, template *x509.Certificate, parent *ca, pub crypto.PublicKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent.cert, pub, parent.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func pemOf(certs ...*x509.Certificate) []byte {
	var buf bytes.Buffer
	for _, c := range certs {
		pem.Encode(&buf, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}) //nolint:errcheck // a buffer takes everything
	}
	return buf.Bytes()
}

func bundleOf(t testing.TB, cas ...*ca) *trust.Bundle {
	t.Helper()
	var certs []*x509.Certificate
	for _, a := range cas {
		certs = append(certs, a.cert)
	}
	b, err := trust.ParseBundle(pemOf(certs...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// keysOfEveryKind returns a new key of each kind that a CA may have.
func keysOfEveryKind(t testing.TB) map[string]crypto.Signer {
	t.Helper()
	keys := map[string]crypto.Signer{}
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		keys[curve.Params().Name] = key
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys["RSA-2048"], keys["Ed25519"] = rsaKey, edKey
	return keys
}
