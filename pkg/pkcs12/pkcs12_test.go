package pkcs12_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gopkcs12 "software.sslmate.com/src/go-pkcs12"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/pkcs12"
)

const leafName, caName, rootName = "node1.example.com", "cluster CA 7", "Third Party Root"

// An identity is a key with its certificate and two above.
type identity struct {
	key   crypto.Signer
	leaf  *x509.Certificate
	chain []*x509.Certificate
}

var keyKinds = []string{"rsa-2048", "ecdsa-p256", "ecdsa-p384", "ed25519"}

// identities returns an identity for each kind of key, made once.
var identities = sync.OnceValue(func() map[string]identity {
	ids := map[string]identity{}
	for _, kind := range keyKinds {
		ids[kind] = newIdentity(newKey(kind))
	}
	return ids
})

func newKey(kind string) crypto.Signer {
	switch kind {
	case "rsa-2048":
		return must(rsa.GenerateKey(rand.Reader, 2048))
	case "ecdsa-p256":
		return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	case "ecdsa-p384":
		return must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return must(key, err)
}

func newIdentity(key crypto.Signer) identity {
	rootKey, caKey := newKey("ecdsa-p256"), newKey("ecdsa-p256")
	root := certify(1, rootName, nil, rootKey.Public(), rootKey)
	ca := certify(7, caName, root, caKey.Public(), rootKey)
	return identity{key, certify(42, leafName, ca, key.Public(), caKey), []*x509.Certificate{ca, root}}
}

// certify makes a certificate; a nil parent means a self-signed one.
func certify(serial int64, name string, parent *x509.Certificate, pub crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		BasicConstraintsValid: true, IsCA: name != leafName,
	}
	if parent == nil {
		parent = template
	}
	return must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, template, parent, pub, key))))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestEncode packs every kind of key by every profile, with and without a chain.
func TestEncode(t *testing.T) {
	for _, p := range pkcs12.Profiles() {
		for kind, id := range identities() {
			for _, chain := range [][]*x509.Certificate{nil, id.chain} {
				data, err := pkcs12.Encode(p, id.key, id.leaf, chain, ordinary)
				if err != nil {
					t.Fatalf("%s, %s: %v", p, kind, err)
				}
				key, leaf, got, err := gopkcs12.DecodeChain(data, ordinary)
				if err != nil || !key.(interface{ Equal(crypto.PrivateKey) bool }).Equal(id.key) ||
					!leaf.Equal(id.leaf) || !slices.EqualFunc(got, chain, (*x509.Certificate).Equal) {
					t.Errorf("%s, %s: something else came out: %v", p, kind, err)
				}
				if _, _, _, err := gopkcs12.DecodeChain(data, ordinary+"x"); !errors.Is(err, gopkcs12.ErrIncorrectPassword) {
					t.Errorf("%s, %s: with another password: %v", p, kind, err)
				}
			}
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	id, other := identities()["ecdsa-p256"], identities()["rsa-2048"]
	for name, tc := range map[string]struct {
		profile  pkcs12.Profile
		key      crypto.PrivateKey
		password string
		want     fault.Kind
		text     string
	}{
		"no profile":      {"", id.key, "x", fault.Malformed, "profile"},
		"unknown profile": {"modern2099", id.key, "x", fault.Malformed, `"modern2099"`},
		"another key":     {pkcs12.Modern2023, newKey("ecdsa-p256"), "x", fault.Invalid, "not the certificate's"},
		"another kind":    {pkcs12.Modern2023, other.key, "x", fault.Invalid, "not the certificate's"},
		"no key":          {pkcs12.Modern2023, nil, "x", fault.Malformed, "<nil>"},
		"a public key":    {pkcs12.Modern2023, id.key.Public(), "x", fault.Malformed, "*ecdsa.PublicKey"},
		"a key elsewhere": {pkcs12.Modern2023, struct{ crypto.Signer }{id.key}, "x", fault.Malformed, "can't be put"},
		"no password":     {pkcs12.Modern2023, id.key, "", fault.Denied, "empty"},
	} {
		data, err := pkcs12.Encode(tc.profile, tc.key, id.leaf, id.chain, tc.password)
		if data != nil || fault.KindOf(err) != tc.want || !strings.Contains(err.Error(), tc.text) {
			t.Errorf("%s: %v of kind %q", name, err, fault.KindOf(err))
		}
	}
}

func TestCheckPassword(t *testing.T) {
	for _, ok := range []string{"x", " ", ordinary, "~", strings.Repeat("x", 1023)} {
		if err := pkcs12.CheckPassword(ok); err != nil {
			t.Errorf("%.20q: %v", ok, err)
		}
	}
	for _, bad := range []string{"", "line\n", "tab\t", "\x7f", "\x00", "ä", "\xe4", strings.Repeat("x", 1024)} {
		err := pkcs12.CheckPassword(bad)
		if fault.KindOf(err) != fault.Denied {
			t.Errorf("%.20q: %v", bad, err)
		}
		if err != nil && bad != "" && strings.Contains(err.Error(), bad) {
			t.Errorf("the error tells the password: %v", err)
		}
	}
}

func TestGeneratePassword(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		p := pkcs12.GeneratePassword()
		if strings.Trim(p, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != "" || len(p) < 26 || seen[p] {
			t.Errorf("%q", p)
		}
		if err := pkcs12.CheckPassword(p); err != nil {
			t.Error(err)
		}
		seen[p] = true
	}
}

func TestParseProfile(t *testing.T) {
	for s, want := range map[string]pkcs12.Profile{
		"": pkcs12.Modern2023, "modern2023": pkcs12.Modern2023, "Modern2026": pkcs12.Modern2026,
		"LEGACY-DES": pkcs12.LegacyDES, "windows2016": pkcs12.LegacyDES, "Windows2016": pkcs12.LegacyDES, "legacy-rc2": pkcs12.LegacyRC2,
	} {
		if p, err := pkcs12.ParseProfile(s); err != nil || p != want {
			t.Errorf("%q: %q, %v", s, p, err)
		}
	}
	for _, s := range []string{"modern", "legacy", " modern2023", "modern2023\n", strings.Repeat("x", 1000)} {
		_, err := pkcs12.ParseProfile(s)
		if fault.KindOf(err) != fault.Malformed || len(err.Error()) > 200 || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.20q: %v", s, err)
		}
	}
}
