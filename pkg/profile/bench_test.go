package profile

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"testing"
	"time"
)

// BenchmarkTBS is building the bytes to be signed, reading them back and checking them.
func BenchmarkTBS(b *testing.B) {
	now := time.Now()
	for _, a := range []KeyAlgorithm{ECDSAP256, RSA2048, Ed25519} {
		b.Run(string(a), func(b *testing.B) {
			leaf := newTestLeaf(b, newTestIssuer(b, newP256(b), now), testKey(b, a), now)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := leaf.TBS(12345); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkIssue compares all that turns a checked key and names into a certificate
// with crypto/x509's way, which verifies its own signature.
func BenchmarkIssue(b *testing.B) {
	now := time.Now()
	for _, a := range []KeyAlgorithm{ECDSAP256, RSA2048, Ed25519} {
		caKey := testKey(b, a)
		issuer := newTestIssuer(b, caKey, now)
		subject := newP256(b)
		b.Run(string(a)+"/x509ctl", func(b *testing.B) {
			plan := newTestLeaf(b, issuer, subject, now)
			b.ReportAllocs()
			for b.Loop() {
				leaf, err := NewLeaf(issuer, plan.names, plan.key, plan.validity)
				if err != nil {
					b.Fatal(err)
				}
				tbs, err := leaf.TBS(12345)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := Sign(tbs, caKey); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(string(a)+"/crypto-x509", func(b *testing.B) { benchmarkCreate(b, issuer.Certificate(), caKey, subject.Public()) })
	}
}

func benchmarkCreate(b *testing.B, ca *x509.Certificate, caKey crypto.Signer, subject crypto.PublicKey) {
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(12345),
		Subject:               pkix.Name{CommonName: "node1.example.com"},
		NotBefore:             now,
		NotAfter:              now.Add(DefaultLifetime),
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		SubjectKeyId:          make([]byte, 20),
		DNSNames:              []string{"node1.example.com", "Node1"},
		IPAddresses:           []net.IP{net.IPv4(192, 0, 2, 1), net.ParseIP("2001:db8::1")},
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := x509.CreateCertificate(rand.Reader, template, ca, subject, caKey); err != nil {
			b.Fatal(err)
		}
	}
}

// goRequest makes a request with crypto/x509.
func goRequest(tb testing.TB, key crypto.Signer, template *x509.CertificateRequest) []byte {
	tb.Helper()
	raw, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		tb.Fatal(err)
	}
	return raw
}

func benchmarkRequests(b *testing.B) map[string][]byte {
	b.Helper()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		b.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	template := &x509.CertificateRequest{
		Subject:     pkix.Name{CommonName: "node1.example.com"},
		DNSNames:    []string{"node1.example.com", "node1"},
		IPAddresses: []net.IP{net.IPv4(192, 0, 2, 1)},
	}
	return map[string][]byte{
		"p256":    goRequest(b, newP256(b), template),
		"rsa2048": goRequest(b, rsaKey, template),
		"ed25519": goRequest(b, edKey, template),
	}
}

// BenchmarkParseRequest compares with what crypto/x509 takes for parsing and
// verifying alone.
func BenchmarkParseRequest(b *testing.B) {
	for name, raw := range benchmarkRequests(b) {
		b.Run(name+"/x509ctl", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParseRequest(raw); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/crypto-x509", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r, err := x509.ParseCertificateRequest(raw)
				if err != nil {
					b.Fatal(err)
				}
				if err := r.CheckSignature(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
