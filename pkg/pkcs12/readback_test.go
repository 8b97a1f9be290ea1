package pkcs12

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"strings"
	"testing"
	"time"

	gopkcs12 "software.sslmate.com/src/go-pkcs12"
)

func newContents(t testing.TB, chain int) contents {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := contents{key: key}
	for i := range chain + 1 {
		template := &x509.Certificate{SerialNumber: big.NewInt(int64(i) + 1), Subject: pkix.Name{CommonName: "x"}, NotAfter: time.Now()}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		if c.leaf == nil {
			c.leaf = cert
		} else {
			c.chain = append(c.chain, cert)
		}
	}
	return c
}

// TestReadBack hands readBack files that an encoder gone wrong could have written:
// the first one is right, each of the others in one thing is not.
func TestReadBack(t *testing.T) {
	c, other := newContents(t, 2), newContents(t, 1)
	a, _ := algorithmsOf(Modern2023)
	encode := func(e *gopkcs12.Encoder, c contents, password string) []byte {
		t.Helper()
		data, err := e.Encode(c.key, c.leaf, c.chain, password)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	modern := gopkcs12.Modern2023
	for _, tc := range []struct {
		name     string
		data     []byte
		password string
		want     string
	}{
		{"right", encode(modern, c, "secret"), "secret", ""},
		{"empty password", encode(modern, c, ""), "", ""},
		{"another password", encode(modern, c, "Secret"), "secret", "password"},
		{"empty instead of a password", encode(modern, c, ""), "secret", "password"},
		{"neither MAC nor encryption", encode(gopkcs12.Passwordless, c, ""), "", "MAC"},
		{"another MAC", encode(gopkcs12.Modern2026, c, "secret"), "secret", "the MAC is by 1.2.840.113549.1.5.14"},
		{"another profile", encode(gopkcs12.LegacyDES, c, "secret"), "secret", "the MAC is by 1.3.14.3.2.26"},
		{"another key", encode(modern, contents{other.key, c.leaf, c.chain}, "secret"), "secret", "the key is another"},
		{"another certificate", encode(modern, contents{c.key, other.leaf, c.chain}, "secret"), "secret", "certificate 1 is another"},
		{"no chain", encode(modern, contents{c.key, c.leaf, nil}, "secret"), "secret", "another length"},
		{"chain upside down", encode(modern, contents{c.key, c.leaf, []*x509.Certificate{c.chain[1], c.chain[0]}}, "secret"), "secret", "certificate 2 is another"},
		{"cut", encode(modern, c, "secret")[:500], "secret", "asn1"},
		{"one octet more", append(encode(modern, c, "secret"), 0), "secret", "trailing"},
		{"nothing", nil, "secret", "asn1"},
	} {
		err := readBack(a, tc.data, c, tc.password)
		switch {
		case tc.want == "" && err != nil:
			t.Errorf("%s: %v", tc.name, err)
		case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
	}
}

// TestStructure mixes up the legacy profiles, which have the same MAC.
func TestStructure(t *testing.T) {
	c := newContents(t, 0)
	for _, p := range []Profile{LegacyDES, LegacyRC2} {
		data, err := encode(p, c.key, c.leaf, nil, "secret")
		if err != nil {
			t.Fatal(err)
		}
		for _, as := range []Profile{LegacyDES, LegacyRC2} {
			a, _ := algorithmsOf(as)
			if err := a.checkStructure(data); (err == nil) != (p == as) {
				t.Errorf("%s passes for %s: %v", p, as, err)
			}
		}
	}
	for _, change := range []func(*algorithms){
		func(a *algorithms) { a.mac = oidData }, func(a *algorithms) { a.certs = oidData }, func(a *algorithms) { a.key = oidData },
	} {
		a, _ := algorithmsOf(Modern2023)
		data, err := encode(Modern2023, c.key, c.leaf, nil, "secret")
		if err != nil {
			t.Fatal(err)
		}
		change(&a)
		if err := a.checkStructure(data); err == nil {
			t.Error("another algorithm passes")
		}
	}
	data, err := gopkcs12.LegacyDES.EncodeTrustStore([]*x509.Certificate{c.leaf}, "secret")
	if err != nil {
		t.Fatal(err)
	}
	a, _ := algorithmsOf(LegacyDES)
	if err := a.checkStructure(data); err == nil || !strings.Contains(err.Error(), "one with the key") {
		t.Errorf("a file without a key: %v", err)
	}
}
