package authority

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"x509ctl/pkg/durable"
	"x509ctl/pkg/fault"
)

// FuzzDirectory opens a directory in which somebody else has written the files. A
// passphrase is never given, since to try one takes long.
func FuzzDirectory(f *testing.F) {
	cert, key := mint(f, 7)
	other, _ := mint(f, 8)
	plain, err := encodeKey(key, nil)
	if err != nil {
		f.Fatal(err)
	}
	encrypted, err := encodeKey(key, []byte("secret"))
	if err != nil {
		f.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		f.Fatal(err)
	}
	good := encodeCertificates(cert)
	f.Add(good, plain, []byte("7\n"))
	f.Add(good, encrypted, []byte("9223372036854775807\n"))
	f.Add(good, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1}), fmt.Appendf(nil, "%19d %19d\n", 12, 3))
	f.Add(encodeCertificates(other), plain, []byte("0\n"))
	f.Add(good, plain, append(BlockedKey{[32]byte{1}, 7}.line(nil), "x 1\n0123"...))
	f.Add(encodeCertificates(cert, other), plain[:50], []byte(nil))
	state, err := durable.OpenDir(f.TempDir())
	if err != nil {
		f.Fatal(err)
	}
	d, err := MakeDirectory(state, "ca")
	if err != nil {
		f.Fatal(err)
	}
	l, err := d.Lock(context.Background())
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = errors.Join(l.Unlock(), d.Close(), state.Close()) })
	f.Fuzz(func(t *testing.T, cert, key, number []byte) {
		for name, data := range map[string][]byte{certFile: cert, keyFile: key, serialFile: number, floorFile: number, blockFile: number} {
			path := filepath.Join(d.Path(), name)
			_ = os.Remove(path)
			if err := os.WriteFile(path, data, 0o400); err != nil {
				t.Fatal(err)
			}
		}
		a, err := d.Load(nil)
		if err != nil && fault.KindOf(err) == fault.Internal {
			t.Fatalf("%v is internal", err)
		}
		if err == nil && !a.Certificate().PublicKey.(interface{ Equal(crypto.PublicKey) bool }).Equal(a.key.Public()) {
			t.Fatal("the key is another certificate's")
		}
		if seen, err := l.Salvage("m"); err == nil && (seen.Serial < 0 || seen.Exists != (seen.Serial > 0)) {
			t.Fatalf("%q is %+v", number, seen)
		}
		_, err = d.ReadBlocked(func(k BlockedKey) error {
			if again, ok := parseBlocked(bytes.TrimSuffix(k.line(nil), []byte("\n"))); !ok || again != k {
				t.Fatalf("%+v is read as %+v", k, again)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		m, in := parseMark(number)
		if again, where := parseMark(formatMark(m, in)); (again != m || where != in) && m.Reserved != 0 {
			t.Fatalf("%q is %v", number, m)
		}
	})
}
