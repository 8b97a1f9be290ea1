package cli

import (
	"crypto"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"testing"
	"time"

	"github.com/youmark/pkcs8"

	"x509ctl/pkg/profile"
)

// sealed is the PEM of an encrypted key whose parts a test chooses.
func sealed(t testing.TB, kdfOID string, kdf any, cipherOID string, iv, data []byte) []byte {
	t.Helper()
	oid := func(s string) (out asn1.ObjectIdentifier) {
		for n, i := 0, 0; i <= len(s); i++ {
			if i == len(s) || s[i] == '.' {
				out, n = append(out, n), 0
				continue
			}
			n = 10*n + int(s[i]-'0')
		}
		return out
	}
	marshal := func(v any) asn1.RawValue {
		b, err := asn1.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return asn1.RawValue{FullBytes: b}
	}
	scheme := struct{ KDF, Cipher algorithm }{
		algorithm{oid(kdfOID), marshal(kdf)},
		algorithm{oid(cipherOID), marshal(iv)},
	}
	der := marshal(struct {
		Algorithm algorithm
		Data      []byte
	}{algorithm{oid("1.2.840.113549.1.5.13"), marshal(scheme)}, data})
	return pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: der.FullBytes})
}

const (
	testPBKDF2 = "1.2.840.113549.1.5.12"
	testScrypt = "1.3.6.1.4.1.11591.4.11"
	testAES    = "2.16.840.1.101.3.4.1.42"
	test3DES   = "1.2.840.113549.3.7"
)

type pbkdf2Params struct {
	Salt []byte
	N    int
}

type scryptParams struct {
	Salt    []byte
	N, R, P int
}

// TestHostileKeys holds keys that would end the process or keep it busy: each is
// refused at once, and before anybody is asked for a passphrase.
func TestHostileKeys(t *testing.T) {
	cheap := pbkdf2Params{make([]byte, 8), 1}
	for name, data := range map[string][]byte{
		"iv of 3DES with AES":    sealed(t, testPBKDF2, cheap, testAES, make([]byte, 8), make([]byte, 32)),
		"iv of AES with 3DES":    sealed(t, testPBKDF2, cheap, test3DES, make([]byte, 16), make([]byte, 32)),
		"no iv":                  sealed(t, testPBKDF2, cheap, testAES, nil, make([]byte, 32)),
		"no data":                sealed(t, testPBKDF2, cheap, testAES, make([]byte, 16), nil),
		"part of a block":        sealed(t, testPBKDF2, cheap, testAES, make([]byte, 16), make([]byte, 33)),
		"no iterations":          sealed(t, testPBKDF2, pbkdf2Params{nil, 0}, testAES, make([]byte, 16), make([]byte, 32)),
		"iterations for a day":   sealed(t, testPBKDF2, pbkdf2Params{nil, 1 << 40}, testAES, make([]byte, 16), make([]byte, 32)),
		"scrypt of a terabyte":   sealed(t, testScrypt, scryptParams{nil, 1 << 33, 1, 1}, testAES, make([]byte, 16), make([]byte, 32)),
		"scrypt that overflows":  sealed(t, testScrypt, scryptParams{nil, 1 << 20, 1 << 60, 1}, testAES, make([]byte, 16), make([]byte, 32)),
		"scrypt for a day":       sealed(t, testScrypt, scryptParams{nil, 1 << 14, 8, 1 << 29}, testAES, make([]byte, 16), make([]byte, 32)),
		"another cipher":         sealed(t, testPBKDF2, cheap, "1.2.3", make([]byte, 16), make([]byte, 32)),
		"another key derivation": sealed(t, "1.2.3", cheap, testAES, make([]byte, 16), make([]byte, 32)),
		"a key of a megabyte":    pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: make([]byte, 1<<20)}),
	} {
		begin := time.Now()
		_, err := decodeKey(data, func() ([]byte, error) {
			t.Errorf("%s: a passphrase was asked for", name)
			return nil, errors.New("none")
		})
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("%s: took %v", name, took)
		}
	}
}

// TestSealedKeys reads what another implementation wrote, with the costs that it
// and OpenSSL take by default.
func TestSealedKeys(t *testing.T) {
	key, err := profile.GenerateKey(profile.ECDSAP256)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []pkcs8.Opts{
		{Cipher: pkcs8.AES256CBC, KDFOpts: pkcs8.PBKDF2Opts{SaltSize: 16, IterationCount: 2048, HMACHash: crypto.SHA256}},
		{Cipher: pkcs8.AES128CBC, KDFOpts: pkcs8.ScryptOpts{SaltSize: 16, CostParameter: 1 << 14, BlockSize: 8, ParallelizationParameter: 1}},
		{Cipher: pkcs8.TripleDESCBC, KDFOpts: pkcs8.PBKDF2Opts{SaltSize: 8, IterationCount: 1000, HMACHash: crypto.SHA1}},
	} {
		der, err := pkcs8.MarshalPrivateKey(key, []byte("right"), &o)
		if err != nil {
			t.Fatal(err)
		}
		data := pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: der})
		got, err := decodeKey(data, func() ([]byte, error) { return []byte("right"), nil })
		if err != nil || !samePublicKey(got.Public(), key.Public()) {
			t.Errorf("%+v: %v", o, err)
		}
		if _, err = decodeKey(data, func() ([]byte, error) { return []byte("wrong"), nil }); !errors.Is(err, errWrongPassphrase) {
			t.Errorf("%+v with a wrong passphrase: %v", o, err)
		}
	}
}

// FuzzDecodeKey looks for input that ends the process.
func FuzzDecodeKey(f *testing.F) {
	f.Add(sealed(f, testPBKDF2, pbkdf2Params{make([]byte, 8), 1}, testAES, make([]byte, 16), make([]byte, 32)))
	f.Add(sealed(f, testScrypt, scryptParams{nil, 2, 1, 1}, test3DES, make([]byte, 8), make([]byte, 32)))
	f.Add([]byte("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n"))
	f.Fuzz(func(_ *testing.T, data []byte) {
		_, _ = decodeKey(data, func() ([]byte, error) { return []byte("secret"), nil })
		_, _, _ = subjectKey(data)
	})
}
