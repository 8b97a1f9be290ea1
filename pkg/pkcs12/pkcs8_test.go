package pkcs12

import (
	"crypto"
	"encoding/asn1"
	"errors"
	"testing"
	"time"

	"github.com/youmark/pkcs8"

	"x509ctl/pkg/fault"
)

// sealed is an encrypted key whose parts a test chooses.
func sealed(t testing.TB, kdfOID string, kdf any, cipherOID string, iv, data []byte) []byte {
	t.Helper()
	type algorithm struct {
		OID        asn1.ObjectIdentifier
		Parameters asn1.RawValue
	}
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
	return der.FullBytes
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
// refused at once, and by Check, so before anybody is asked for a password.
func TestHostileKeys(t *testing.T) {
	cheap := pbkdf2Params{make([]byte, 8), 1}
	iv, data := make([]byte, 16), make([]byte, 32)
	for name, tc := range map[string]struct {
		key  []byte
		kind fault.Kind
	}{
		"nothing":                {nil, fault.Malformed},
		"iv of 3DES with AES":    {sealed(t, testPBKDF2, cheap, testAES, make([]byte, 8), data), fault.Malformed},
		"iv of AES with 3DES":    {sealed(t, testPBKDF2, cheap, test3DES, iv, data), fault.Malformed},
		"no iv":                  {sealed(t, testPBKDF2, cheap, testAES, nil, data), fault.Malformed},
		"no data":                {sealed(t, testPBKDF2, cheap, testAES, iv, nil), fault.Malformed},
		"part of a block":        {sealed(t, testPBKDF2, cheap, testAES, iv, make([]byte, 33)), fault.Malformed},
		"no iterations":          {sealed(t, testPBKDF2, pbkdf2Params{nil, 0}, testAES, iv, data), fault.Malformed},
		"iterations for hours":   {sealed(t, testPBKDF2, pbkdf2Params{nil, 1<<31 - 1}, testAES, iv, data), fault.Denied},
		"iterations for a day":   {sealed(t, testPBKDF2, pbkdf2Params{nil, 1 << 40}, testAES, iv, data), fault.Denied},
		"scrypt of a terabyte":   {sealed(t, testScrypt, scryptParams{nil, 1 << 33, 1, 1}, testAES, iv, data), fault.Denied},
		"scrypt of 512 MiB":      {sealed(t, testScrypt, scryptParams{nil, 1 << 19, 8, 1}, testAES, iv, data), fault.Denied},
		"scrypt that overflows":  {sealed(t, testScrypt, scryptParams{nil, 1 << 20, 1 << 60, 1}, testAES, iv, data), fault.Denied},
		"scrypt for a day":       {sealed(t, testScrypt, scryptParams{nil, 1 << 14, 8, 1 << 29}, testAES, iv, data), fault.Denied},
		"scrypt of no power":     {sealed(t, testScrypt, scryptParams{nil, 1000, 8, 1}, testAES, iv, data), fault.Malformed},
		"another cipher":         {sealed(t, testPBKDF2, cheap, "1.2.3", iv, data), fault.Malformed},
		"another key derivation": {sealed(t, "1.2.3", cheap, testAES, iv, data), fault.Malformed},
		"a megabyte":             {sealed(t, testPBKDF2, cheap, testAES, iv, make([]byte, 1<<20)), fault.Malformed},
	} {
		begin := time.Now()
		k, err := ParseEncryptedPKCS8(tc.key)
		if err == nil {
			if err = k.Check(); err != nil {
				if _, open := k.Open([]byte("secret")); open == nil || open.Error() != err.Error() {
					t.Errorf("%s: Check says %v, Open says %v", name, err, open)
				}
			}
		}
		if err == nil || fault.KindOf(err) != tc.kind {
			t.Errorf("%s: %v, want one of kind %q", name, err, tc.kind)
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("%s: took %v", name, took)
		}
	}
	if k, err := ParseEncryptedPKCS8(sealed(t, testScrypt, scryptParams{nil, 1 << 17, 8, 1}, testAES, iv, data)); err != nil || k.Check() != nil {
		t.Errorf("scrypt of 128 MiB, as is advised for keys: %v", err)
	}
}

// TestSealedKeys reads what another implementation wrote, with the costs that it
// and OpenSSL take by default.
func TestSealedKeys(t *testing.T) {
	key := newContents(t, 0).key.(crypto.Signer)
	for _, o := range []pkcs8.Opts{
		{Cipher: pkcs8.AES256CBC, KDFOpts: pkcs8.PBKDF2Opts{SaltSize: 16, IterationCount: 2048, HMACHash: crypto.SHA256}},
		{Cipher: pkcs8.AES128CBC, KDFOpts: pkcs8.ScryptOpts{SaltSize: 16, CostParameter: 1 << 14, BlockSize: 8, ParallelizationParameter: 1}},
		{Cipher: pkcs8.TripleDESCBC, KDFOpts: pkcs8.PBKDF2Opts{SaltSize: 8, IterationCount: 1000, HMACHash: crypto.SHA1}},
	} {
		der, err := pkcs8.MarshalPrivateKey(key, []byte("right\xff"), &o)
		if err != nil {
			t.Fatal(err)
		}
		k, err := ParseEncryptedPKCS8(der)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := k.Open([]byte("right\xff")); err != nil || !samePublicKey(got.Public(), key.Public()) {
			t.Errorf("%+v: %v", o, err)
		}
		if _, err := k.Open([]byte("wrong")); !errors.Is(err, ErrWrongPassword) {
			t.Errorf("%+v with a wrong password: %v", o, err)
		}
	}
}

// FuzzEncryptedPKCS8 looks for input that ends the process or keeps it busy.
func FuzzEncryptedPKCS8(f *testing.F) {
	f.Add(sealed(f, testPBKDF2, pbkdf2Params{make([]byte, 8), 1}, testAES, make([]byte, 16), make([]byte, 32)))
	f.Add(sealed(f, testScrypt, scryptParams{nil, 2, 1, 1}, test3DES, make([]byte, 8), make([]byte, 32)))
	f.Fuzz(func(t *testing.T, data []byte) {
		k, err := ParseEncryptedPKCS8(data)
		if err == nil && k.Algorithm.work < 1<<16 {
			_, err = k.Open([]byte("secret"))
		}
		if err != nil && fault.KindOf(err) == fault.Internal {
			t.Fatal(err)
		}
	})
}
