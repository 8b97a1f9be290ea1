package profile

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"strings"
	"sync"
	"testing"

	"x509ctl/pkg/fault"
)

// testKeys makes each kind of key once for all tests: RSA is slow.
var testKeys = sync.OnceValues(func() (map[KeyAlgorithm]crypto.Signer, error) {
	keys := make(map[KeyAlgorithm]crypto.Signer)
	for _, a := range KeyAlgorithms() {
		key, err := GenerateKey(a)
		if err != nil {
			return nil, err
		}
		keys[a] = key
	}
	return keys, nil
})

func testKey(tb testing.TB, a KeyAlgorithm) crypto.Signer {
	tb.Helper()
	keys, err := testKeys()
	if err != nil {
		tb.Fatal(err)
	}
	return keys[a]
}

func TestParseKeyAlgorithm(t *testing.T) {
	for in, want := range map[string]KeyAlgorithm{
		"ecdsa-p256": ECDSAP256,
		"ECDSA-P256": ECDSAP256,
		"p256":       ECDSAP256,
		"P-256":      ECDSAP256,
		"p384":       ECDSAP384,
		"Ed25519":    Ed25519,
		"rsa-2048":   RSA2048,
		"rsa2048":    RSA2048,
		"RSA:3072":   RSA3072,
		"rsa_4096":   RSA4096,
	} {
		if got, err := ParseKeyAlgorithm(in); got != want || err != nil {
			t.Errorf("ParseKeyAlgorithm(%q) = %q, %v, want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"", "rsa", "rsa-1024", "rsa-8192", "dsa", "p224", "ecdsa", "25519", "2048", "rsa-2048\x00"} {
		got, err := ParseKeyAlgorithm(in)
		if err == nil || got != "" || fault.KindOf(err) != fault.Malformed {
			t.Errorf("ParseKeyAlgorithm(%q) = %q, %v", in, got, err)
		} else if !strings.Contains(err.Error(), "ecdsa-p256, ecdsa-p384, ed25519, rsa-2048") {
			t.Errorf("%q: %v doesn't say what there is", in, err)
		}
	}
}

func TestGenerateKey(t *testing.T) {
	for _, a := range KeyAlgorithms() {
		key := testKey(t, a)
		ok := false
		switch pub := key.Public().(type) {
		case *ecdsa.PublicKey:
			ok = a == ECDSAP256 && pub.Curve == elliptic.P256() || a == ECDSAP384 && pub.Curve == elliptic.P384()
		case ed25519.PublicKey:
			ok = a == Ed25519
		case *rsa.PublicKey:
			ok = map[KeyAlgorithm]int{RSA2048: 2048, RSA3072: 3072, RSA4096: 4096}[a] == pub.N.BitLen()
		}
		if !ok {
			t.Errorf("%s: got a %T", a, key.Public())
		}
		if err := CheckKey(key.Public()); err != nil {
			t.Errorf("%s: %v", a, err)
		}
	}
	if _, err := GenerateKey("rsa-512"); fault.KindOf(err) != fault.Malformed {
		t.Errorf("unknown algorithm: %v", err)
	}
}

func TestSubjectKey(t *testing.T) {
	for _, a := range KeyAlgorithms() {
		pub := testKey(t, a).Public()
		k, err := NewSubjectKey(pub)
		if err != nil {
			t.Fatalf("%s: %v", a, err)
		}
		want, err := x509.MarshalPKIXPublicKey(pub)
		if err != nil {
			t.Fatal(err)
		}
		if string(k.SPKI()) != string(want) || k.Hash() != sha256.Sum256(want) {
			t.Errorf("%s: SPKI differs", a)
		}
		if eq, ok := k.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !eq.Equal(pub) {
			t.Errorf("%s: Public differs", a)
		}
	}
	if _, err := NewSubjectKey(nil); fault.KindOf(err) != fault.Denied {
		t.Errorf("nil key: %v", err)
	}
}
