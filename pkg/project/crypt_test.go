package project_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"strings"
	"sync"
	"testing"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/project"
)

// keys are two keys that tests share: making one takes long.
var keys = sync.OnceValue(func() [2]*rsa.PrivateKey {
	var k [2]*rsa.PrivateKey
	for i := range k {
		var err error
		if k[i], err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			panic(err)
		}
	}
	return k
})

func certOf(key *rsa.PrivateKey) *x509.Certificate {
	return &x509.Certificate{PublicKey: &key.PublicKey}
}

func TestRoundTrip(t *testing.T) {
	key := keys()[0]
	most := project.MaxSecret(&key.PublicKey)
	if most != 256-66 {
		t.Fatalf("at most %d octets", most)
	}
	for _, n := range []int{1, 16, most} {
		secret := bytes.Repeat([]byte{0, 'x'}, n)[:n]
		a, err := project.Encrypt(certOf(key), secret)
		if err != nil {
			t.Fatal(err)
		}
		b, err := project.Encrypt(certOf(key), secret)
		if err != nil || bytes.Equal(a, b) {
			t.Errorf("the same ciphertext twice, %v", err)
		}
		got, err := project.Decrypt(key, a)
		if err != nil || !bytes.Equal(got, secret) {
			t.Errorf("%d octets: got %x, %v", n, got, err)
		}
	}
}

func TestEncryptRefuses(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		cert *x509.Certificate
		n    int
		want string
	}{
		"nothing":  {certOf(keys()[0]), 0, "has 0 octets, and 1 to 190"},
		"too long": {certOf(keys()[0]), 191, "has 191 octets, and 1 to 190"},
		"no RSA":   {&x509.Certificate{PublicKey: &ec.PublicKey, PublicKeyAlgorithm: x509.ECDSA}, 1, "type ECDSA"},
	} {
		_, err := project.Encrypt(tc.cert, make([]byte, tc.n))
		if fault.KindOf(err) != fault.Malformed || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDecryptRefuses changes a ciphertext in every way that somebody could.
func TestDecryptRefuses(t *testing.T) {
	key, other := keys()[0], keys()[1]
	good, err := project.Encrypt(certOf(key), []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	pkcs1, err := rsa.EncryptPKCS1v15(rand.Reader, &key.PublicKey, []byte("secret")) //nolint:staticcheck // what euca2ools did
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		key        *rsa.PrivateKey
		ciphertext []byte
		want       string
	}{
		"empty":        {key, nil, "has 0 octets"},
		"truncated":    {key, good[:255], "has 255 octets, and for this key it has to have 256"},
		"with a rest":  {key, append(bytes.Clone(good), 0), "has 257 octets"},
		"too large":    {key, bytes.Repeat([]byte{0xff}, 256), "larger than the key's modulus"},
		"the modulus":  {key, key.N.Bytes(), "larger than the key's modulus"},
		"zero":         {key, make([]byte, 256), ""},
		"PKCS1":        {key, pkcs1, ""},
		"first bit":    {key, flip(good, 7), ""},
		"a middle bit": {key, flip(good, 1000), ""},
		"last bit":     {key, flip(good, 256*8-1), ""},
	} {
		_, err := project.Decrypt(tc.key, tc.ciphertext)
		if tc.want == "" && !errors.Is(err, project.ErrNotDecrypted) && !strings.Contains(err.Error(), "modulus") ||
			tc.want != "" && (fault.KindOf(err) != fault.Malformed || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// For another key it is too large, or not to be decrypted.
	if _, err := project.Decrypt(other, good); err == nil {
		t.Error("another key decrypts it")
	}
}

// flip returns a copy of b with one bit changed, counted from the most significant.
func flip(b []byte, bit int) []byte {
	b = bytes.Clone(b)
	b[bit/8] ^= 0x80 >> (bit % 8)
	return b
}

// TestPKCS1v15 tells nobody whether a padding was right.
func TestPKCS1v15(t *testing.T) {
	key := keys()[0]
	encrypt := func(secret []byte) []byte {
		c, err := rsa.EncryptPKCS1v15(rand.Reader, &key.PublicKey, secret) //nolint:staticcheck // what euca2ools did
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	decrypt := func(ciphertext []byte, n int) []byte {
		t.Helper()
		got, err := project.DecryptPKCS1v15(key, ciphertext, n)
		if err != nil || len(got) != n {
			t.Fatalf("got %d octets of %d, %v", len(got), n, err)
		}
		return got
	}
	for _, n := range []int{1, 16, 32, 245} {
		secret := bytes.Repeat([]byte{7}, n)
		if got := decrypt(encrypt(secret), n); !bytes.Equal(got, secret) {
			t.Errorf("%d octets: got %x", n, got)
		}
	}
	secret := []byte("0123456789abcdef")
	good := encrypt(secret)
	oaep, err := project.Encrypt(certOf(key), secret)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	for name, c := range map[string][]byte{
		"of another length": encrypt(secret[:15]), "OAEP": oaep, "a bit": flip(good, 1999), "zero": make([]byte, 256), "one": append(make([]byte, 255), 1),
	} {
		got := decrypt(c, 16)
		if bytes.Equal(got, secret) || bytes.Contains(got, secret[:8]) || bytes.Equal(got, make([]byte, 16)) {
			t.Errorf("%s: got %q", name, got)
		}
		if again := decrypt(c, 16); !bytes.Equal(got, again) {
			t.Errorf("%s: %x, and then %x", name, got, again)
		}
		if longer := decrypt(c, 18); bytes.HasPrefix(longer, got) {
			t.Errorf("%s: %x, and with another length %x", name, got, longer)
		}
		if same := seen[string(got)]; same != "" {
			t.Errorf("%s: the same as %s", name, same)
		}
		seen[string(got)] = name
	}
	for _, n := range []int{-1, 0, 246, 1 << 30} {
		if _, err := project.DecryptPKCS1v15(key, good, n); fault.KindOf(err) != fault.Malformed {
			t.Errorf("length %d: %v", n, err)
		}
	}
	for _, c := range [][]byte{nil, good[1:], append([]byte{0}, good...), bytes.Repeat([]byte{0xff}, 256)} {
		if _, err := project.DecryptPKCS1v15(key, c, 16); fault.KindOf(err) != fault.Malformed {
			t.Errorf("%d octets: %v", len(c), err)
		}
	}
}
