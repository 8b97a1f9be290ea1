package authority

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"x509ctl/pkg/durable"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/pkcs12"
	"x509ctl/pkg/serial"
)

// newDirectory makes an empty authority's directory and locks it.
func newDirectory(t *testing.T) (*Locked, string) {
	t.Helper()
	path := t.TempDir()
	state, err := durable.OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	d, err := MakeDirectory(state, "ca")
	if err != nil {
		t.Fatal(err)
	}
	l, err := d.Lock(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(l.Unlock(), d.Close(), state.Close()) })
	return l, filepath.Join(path, "ca")
}

// mint makes a self-signed CA certificate and its key.
func mint(t testing.TB, number int64) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(number), Subject: pkix.Name{CommonName: "test CA"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// tree lists the files below dir with their modes.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		info, err := e.Info()
		out = append(out, rel+" "+info.Mode().String())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func write(t *testing.T, path, content string, mode fs.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

// TestPublishAfterACut starts a publication from every state that a killed process
// can have left, and wants the same end of each.
func TestPublishAfterACut(t *testing.T) {
	old, oldKey := mint(t, 7)
	cert, key := mint(t, 42)
	active, trusted := sha256.Sum256(cert.Raw), encodeCertificates(cert)
	oldPEM, err := encodeKey(oldKey, nil)
	if err != nil {
		t.Fatal(err)
	}
	keyPEM, err := encodeKey(key, nil)
	if err != nil {
		t.Fatal(err)
	}
	published := []string{"bundle.pem -rw-r--r--", "cert.pem -rw-r--r--", "key.pem -r--------", "lock -rw-------", "min-serial -rw-r--r--"}
	replaced := append([]string{"old drwx------", "old/7 drwx------", "old/7/cert.pem -rw-r--r--"}, published...)
	withKey := append([]string{"old/7/key.pem -r--------"}, replaced...)

	rename := func(t *testing.T, dir string, moves ...string) {
		t.Helper()
		for _, m := range moves {
			from, to, _ := strings.Cut(m, " ")
			if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(to)), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, tc := range []struct {
		name     string
		old, key bool     // a CA certificate, and its key, were there before
		moves    []string // what the killed process had done
		want     []string
	}{
		{"nothing done", false, false, nil, published},
		{"key moved", false, false, []string{"next/key.pem key.pem"}, published},
		{"both moved", false, false, []string{"next/key.pem key.pem", "next/cert.pem cert.pem"}, published},
		{"certificate of a failover", true, false, nil, replaced},
		{"failover, old moved", true, false, []string{"cert.pem old/7/cert.pem"}, replaced},
		{"failover, key moved", true, false, []string{"cert.pem old/7/cert.pem", "next/key.pem key.pem"}, replaced},
		{"replacement", true, true, nil, withKey},
		{"replacement, old key moved", true, true, []string{"key.pem old/7/key.pem"}, withKey},
		{"replacement, old moved", true, true, []string{"key.pem old/7/key.pem", "cert.pem old/7/cert.pem"}, withKey},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l, dir := newDirectory(t)
			if tc.old {
				write(t, filepath.Join(dir, certFile), string(encodeCertificates(old)), 0o644)
			}
			if tc.key {
				write(t, filepath.Join(dir, keyFile), string(oldPEM), 0o400)
			}
			if err := l.writeNext(keyPEM, cert); err != nil {
				t.Fatal(err)
			}
			rename(t, dir, tc.moves...)
			alive, trusted := Alive{Active: active}, trusted
			if tc.key {
				alive.Old = []Fingerprint{sha256.Sum256(old.Raw)}
				trusted = encodeCertificates(cert, old)
			}
			for range 2 { // the second time there is nothing to do
				if err := l.Publish(alive, 9); err != nil {
					t.Fatal(err)
				}
				got, want := tree(t, dir), slices.Clone(tc.want)
				slices.Sort(got)
				slices.Sort(want)
				if !slices.Equal(got, want) {
					t.Fatalf("left:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
			}
			if got, _ := os.ReadFile(filepath.Join(dir, keyFile)); string(got) != string(keyPEM) {
				t.Error("key.pem is not the new key")
			}
			if got, _ := l.Bundle(); string(got) != string(trusted) {
				t.Errorf("bundle.pem holds %s", got)
			}
			if got, err := l.Floor(); got != 9 || err != nil {
				t.Errorf("min-serial is %v, %v", got, err)
			}
			if ok, err := l.Published(active); !ok || err != nil {
				t.Errorf("Published = %v, %v", ok, err)
			}
		})
	}
}

func TestPublishOfALostCA(t *testing.T) {
	l, dir := newDirectory(t)
	cert, key := mint(t, 7)
	data, err := encodeKey(key, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.writeNext(data, cert); err != nil {
		t.Fatal(err)
	}
	before := tree(t, dir)
	if err := l.Publish(Alive{Active: Fingerprint{1}}, 9); !errors.Is(err, ErrNotPublished) {
		t.Errorf("another CA is active: %v", err)
	}
	if after := tree(t, dir); !slices.Equal(before, after) {
		t.Errorf("it changed something: %q, then %q", before, after)
	}
}

func TestSeen(t *testing.T) {
	l, dir := newDirectory(t)
	if s, err := l.Seen("m"); err != nil || s != (serial.Seen{Unmarked: true}) {
		t.Errorf("an empty directory: %+v, %v", s, err)
	}
	file, err := l.WriteSerial(41, "m")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.WriteFloor(3); err != nil {
		t.Fatal(err)
	}
	want := serial.Seen{Exists: true, Serial: 41, File: file, Floor: 3, Unmarked: true}
	if s, err := l.Seen("m"); err != nil || s != want || file.Inode == 0 {
		t.Errorf("Seen = %+v, %v; want %+v", s, err, want)
	}
	for _, content := range []string{"", "x", "-1\n", "1\n2\n", strings.Repeat("9", 100)} {
		write(t, filepath.Join(dir, serialFile), content, 0o644)
		if _, err := l.Seen("m"); err == nil {
			t.Errorf("a serial file with %.20q was read", content)
		}
	}
	write(t, filepath.Join(dir, serialFile), "", 0o644)
	var damaged *NumberFileError
	if _, err := l.Seen("m"); !errors.As(err, &damaged) || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("an empty serial file: %v", err)
	}
}

// absurdKey is encrypted with 2^31-1 iterations.
const absurdKey = `-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHuMFkGCSqGSIb3DQEFDTBMMCsGCSqGSIb3DQEFDDAeBAjLUwHuIxr8uAIEf////zAMBggqhkiG
9w0CCQUAMB0GCWCGSAFlAwQBKgQQIcS0FjMO1MAtbMiSXCubXgSBkAPVlhzy1I37I4/dZzIhz2vY
DvxZTyu9x7UfOxO1suxFXXd6B6CgfzVXxvGuckogs6IWU6GaAC1wTLKFS/iurxsTl3r4fXoCLxD0
DfJOnBH1ekA+mQejVFBU8MLrQi66M1LZKP930L6lCa8ZJmxXPqmeGleicFtbMPwmPogoj1adsC+c
NnJlS4o76McvA1lu1g==
-----END ENCRYPTED PRIVATE KEY-----
`

func TestKeys(t *testing.T) {
	_, key := mint(t, 1)
	plain, err := encodeKey(key, nil)
	if err != nil {
		t.Fatal(err)
	}
	locked, err := encodeKey(key, []byte("open sesame"))
	if err != nil {
		t.Fatal(err)
	}
	phrase := func(s string) Passphrase { return func() ([]byte, error) { return []byte(s), nil } }
	if got, encrypted, err := decodeKey(plain, nil); err != nil || encrypted || !key.Equal(got) {
		t.Errorf("plain: %v", err)
	}
	if got, encrypted, err := decodeKey(locked, phrase("open sesame")); err != nil || !encrypted || !key.Equal(got) {
		t.Errorf("encrypted: %v", err)
	}
	for _, tc := range []struct {
		name string
		pass Passphrase
		want error
	}{
		{"nobody to ask", nil, ErrPassphraseNeeded},
		{"none", phrase(""), ErrPassphraseNeeded},
		{"wrong", phrase("close sesame"), ErrWrongPassphrase},
	} {
		if _, _, err := decodeKey(locked, tc.pass); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
	}
	if _, _, err := decodeKey([]byte(absurdKey), func() ([]byte, error) {
		t.Error("a passphrase was asked for")
		return []byte("secret"), nil
	}); !errors.Is(err, pkcs12.ErrTooMuchWork) {
		t.Errorf("2^31-1 iterations: %v", err)
	}
	for name, data := range map[string]string{
		"empty": "", "text": "secret", "two": string(plain) + string(plain),
		"a certificate": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
		"cut":           string(plain[:len(plain)/2]),
	} {
		_, _, err := decodeKey([]byte(data), nil)
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLoadRefusesLooseKeys(t *testing.T) {
	l, dir := newDirectory(t)
	cert, key := mint(t, 1)
	data, err := encodeKey(key, nil)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, certFile), string(encodeCertificates(cert)), 0o644)
	write(t, filepath.Join(dir, keyFile), string(data), 0o600)
	if err := os.Chmod(filepath.Join(dir, keyFile), 0o640); err != nil {
		t.Fatal(err)
	}
	var secrecy *durable.SecrecyError
	if _, err := l.Load(nil); !errors.As(err, &secrecy) {
		t.Errorf("a key that the group may read: %v", err)
	}
	other, _ := mint(t, 2)
	write(t, filepath.Join(dir, certFile), string(encodeCertificates(other)), 0o644)
	if err := os.Chmod(filepath.Join(dir, keyFile), 0o400); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Load(nil); !errors.Is(err, ErrKeyMismatch) {
		t.Errorf("another certificate's key: %v", err)
	}
}

// Somebody is extracting an archive into the directory.
func TestLoadOfDamagedFiles(t *testing.T) {
	cert, key := mint(t, 1)
	keyPEM, err := encodeKey(key, nil)
	if err != nil {
		t.Fatal(err)
	}
	certPEM := encodeCertificates(cert)
	for _, name := range []string{certFile, chainFile, keyFile} {
		whole, mode := certPEM, os.FileMode(0o644)
		if name == keyFile {
			whole, mode = keyPEM, 0o400
		}
		for what, data := range map[string][]byte{"empty": nil, "cut": whole[:len(whole)/2], "zeros": make([]byte, 100)} {
			l, dir := newDirectory(t)
			write(t, filepath.Join(dir, certFile), string(certPEM), 0o644)
			write(t, filepath.Join(dir, keyFile), string(keyPEM), 0o400)
			if err := os.Remove(filepath.Join(dir, name)); err != nil && name != chainFile {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, name), string(data), mode)
			_, err := l.Load(nil)
			var damaged *DamagedError
			if !errors.As(err, &damaged) || filepath.Base(damaged.Path) != name || fault.KindOf(err) != fault.Unavailable {
				t.Errorf("%s %s: %v", name, what, err)
			}
		}
	}
}
