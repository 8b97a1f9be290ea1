package manager

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"x509ctl/pkg/authority"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/project"
	"x509ctl/pkg/serial"
)

// encryptionCert returns the certificate that secrets for a project are encrypted to.
func encryptionCert(t *testing.T, m *Manager, id string) *x509.Certificate {
	t.Helper()
	der, err := m.EncryptionCertificate(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func encryptTo(t *testing.T, cert *x509.Certificate, secret string) []byte {
	t.Helper()
	c, err := project.Encrypt(cert, []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// audited returns the audit table as one text.
func audited(t *testing.T, m *Manager) string {
	t.Helper()
	var b strings.Builder
	err := m.Audit(context.Background(), AuditFilter{}, func(e AuditEntry) error {
		_, err := b.WriteString(e.Who + " " + e.Action + " " + e.Object + " " + e.Outcome + " " + e.Detail + "\n")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestDecrypt encrypts and decrypts for one of two projects, and looks at what is left of
// that.
func TestDecrypt(t *testing.T) {
	w := newWorld(t)
	m := w.init()
	w.project(m, "Tenant_1", "t2")
	ctx := context.Background()
	in := func(name string) string { return filepath.Join(w.dir, "projects", "tenant_1", name) }

	_, err := m.Decrypt(ctx, DecryptRequest{Project: "tenant_1", Ciphertext: make([]byte, 384)})
	if !errors.Is(err, ErrNoDecryptKey) {
		t.Errorf("before there is a key: %v", err)
	}
	if _, err := os.Stat(in("decrypt-key.pem")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a key was made with the project, or to decrypt: %v", err)
	}
	_, err = m.EncryptionCertificate(ctx, "nobody")
	w.wantKind("no project", err, fault.NotFound)

	cert := encryptionCert(t, m, "TENANT_1")
	ca, err := m.Authority(ctx, mustProject(t, "tenant_1"))
	if err != nil {
		t.Fatal(err)
	}
	root, err := x509.ParseCertificate(ca.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	key, ok := cert.PublicKey.(*rsa.PublicKey)
	switch {
	case !ok || key.N.BitLen() != 3072:
		t.Errorf("the key is %T", cert.PublicKey)
	case bytes.Equal(cert.RawSubjectPublicKeyInfo, root.RawSubjectPublicKeyInfo):
		t.Error("the key is the CA's")
	case cert.CheckSignatureFrom(root) != nil || !cert.NotAfter.Equal(ca.NotAfter.Add(-time.Second)):
		t.Errorf("it is not of the CA, or does not live as long: %v, %v", cert.Issuer, cert.NotAfter)
	case CheckRecorded(ctx, m, mustProject(t, "tenant_1"), cert) != nil:
		t.Error("it is not on record")
	}
	for name, mode := range map[string]fs.FileMode{"decrypt-key.pem": 0o400, "decrypt-cert.pem": 0o644} {
		if st, err := os.Stat(in(name)); err != nil || st.Mode() != mode {
			t.Errorf("%s: %v, %v", name, st, err)
		}
	}

	const secret = "open sesame, and nobody else"
	c := encryptTo(t, cert, secret)
	got, err := m.Decrypt(ctx, DecryptRequest{Project: "tenant_1", Ciphertext: c})
	if err != nil || string(got) != secret {
		t.Errorf("got %q, %v", got, err)
	}
	old, err := rsa.EncryptPKCS1v15(rand.Reader, key, []byte(secret)) //nolint:staticcheck // what euca2ools did
	if err != nil {
		t.Fatal(err)
	}
	got, err = m.Decrypt(ctx, DecryptRequest{Project: "tenant_1", Ciphertext: old, Length: len(secret)})
	if err != nil || string(got) != secret {
		t.Errorf("got %q, %v", got, err)
	}
	_, err = m.Decrypt(ctx, DecryptRequest{Project: "tenant_1", Ciphertext: old})
	if !errors.Is(err, ErrNotDecrypted) {
		t.Errorf("the other padding: %v", err)
	}
	// The key of another project.
	encryptionCert(t, m, "t2")
	if got, err := m.Decrypt(ctx, DecryptRequest{Project: "t2", Ciphertext: c}); err == nil {
		t.Errorf("another project decrypts it: %q", got)
	}
	log := audited(t, m)
	for _, want := range []string{
		"tester decrypt Tenant_1 done OAEP, ciphertext with SHA-256 ",
		"tester decrypt Tenant_1 done PKCS #1 v1.5, 28 octets, ciphertext",
		"tester decrypt Tenant_1 refused OAEP", "tester decrypt t2 refused OAEP", "tester decrypt-key Tenant_1 done",
	} {
		if !strings.Contains(log, want) {
			t.Errorf("there is no %q in\n%s", want, log)
		}
	}
	w.nowhere(secret)

	// Encrypting needs public files only.
	public := New(w.config)
	defer public.Close()
	for _, name := range []string{"x509ctl.db", "x509ctl.db-wal", "x509ctl.db-shm", "projects/tenant_1/key.pem", "projects/tenant_1/decrypt-key.pem", "projects/tenant_1/lock"} {
		if err := os.Rename(filepath.Join(w.dir, name), filepath.Join(t.TempDir(), "x")); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	if again := encryptionCert(t, public, "tenant_1"); !again.Equal(cert) {
		t.Error("another certificate the second time")
	}
}

// nowhere wants no file of the directory to hold a text.
func (w *world) nowhere(text string) {
	w.t.Helper()
	err := filepath.WalkDir(w.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte(text)) {
			w.t.Errorf("%s holds it", path)
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// TestDecryptCertificateAgain loses files and trust, and goes on with the same key.
func TestDecryptCertificateAgain(t *testing.T) {
	w := newWorld(t)
	m := w.init()
	w.project(m, "tenant1")
	ctx := context.Background()
	id := mustProject(t, "tenant1")
	in := func(name string) string { return filepath.Join(w.dir, "projects", "tenant1", name) }
	first := encryptionCert(t, m, "tenant1")
	c := encryptTo(t, first, "secret")
	same := func(what string, number int64) {
		t.Helper()
		cert := encryptionCert(t, w.manager(), "tenant1")
		if !bytes.Equal(cert.RawSubjectPublicKeyInfo, first.RawSubjectPublicKeyInfo) || cert.SerialNumber.Int64() != number {
			t.Errorf("%s: certificate %v, want %d with the same key", what, cert.SerialNumber, number)
		}
		if got, err := w.manager().Decrypt(ctx, DecryptRequest{Project: "tenant1", Ciphertext: c}); err != nil || string(got) != "secret" {
			t.Errorf("%s: %q, %v", what, got, err)
		}
	}
	// Killed between the record and the file.
	if err := os.Remove(in("decrypt-cert.pem")); err != nil {
		t.Fatal(err)
	}
	same("recorded and not published", 1)

	if _, err := m.SetMinSerial(ctx, SetMinRequest{Authority: id, To: MinNext}); err != nil {
		t.Fatal(err)
	}
	same("below the floor", 2)
	if _, err := m.Revoke(ctx, RevokeRequest{Authority: id, Serials: []serial.Number{2}, Reason: profile.CessationOfOperation}); err != nil {
		t.Fatal(err)
	}
	same("revoked", 3)

	// A key that is compromised decrypts what was encrypted to it, and gets nothing new.
	if _, err := m.Revoke(ctx, RevokeRequest{Authority: id, Serials: []serial.Number{3}, Reason: profile.KeyCompromise}); err != nil {
		t.Fatal(err)
	}
	if _, err := m.EncryptionCertificate(ctx, "tenant1"); !errors.Is(err, ErrKeyBlocked) {
		t.Errorf("compromised: %v", err)
	}
	if got, err := m.Decrypt(ctx, DecryptRequest{Project: "tenant1", Ciphertext: c}); err != nil || string(got) != "secret" {
		t.Errorf("compromised: %q, %v", got, err)
	}
	if err := os.Remove(in("decrypt-key.pem")); err != nil {
		t.Fatal(err)
	}
	if _, err := m.EncryptionCertificate(ctx, "tenant1"); !errors.Is(err, ErrDecryptKeyLost) {
		t.Errorf("lost: %v", err)
	}
	if err := os.Remove(in("decrypt-cert.pem")); err != nil {
		t.Fatal(err)
	}
	if again := encryptionCert(t, m, "tenant1"); bytes.Equal(again.RawSubjectPublicKeyInfo, first.RawSubjectPublicKeyInfo) {
		t.Error("the key that was lost is back")
	}
}

// TestDecryptKeyAtOnce has several processes want the first certificate.
func TestDecryptKeyAtOnce(t *testing.T) {
	w := newWorld(t)
	w.project(w.init(), "tenant1")
	certs := make([]*x509.Certificate, 3)
	var wg sync.WaitGroup
	for i := range certs {
		m := w.manager()
		wg.Go(func() {
			der, err := m.EncryptionCertificate(context.Background(), "tenant1")
			if err == nil {
				certs[i], err = x509.ParseCertificate(der)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	last := encryptionCert(t, w.manager(), "tenant1")
	for _, c := range certs {
		if c == nil || !bytes.Equal(c.RawSubjectPublicKeyInfo, last.RawSubjectPublicKeyInfo) {
			t.Error("two keys")
		}
	}
	live := 0
	f := CertificateFilter{Authority: mustProject(t, "tenant1"), Status: "live", At: w.now}
	if err := w.manager().Certificates(context.Background(), f, func(Certificate) error { live++; return nil }); err != nil || live != 1 {
		t.Errorf("%d live certificates, %v", live, err)
	}
}

// TestDecryptKeyEncrypted keeps the key as safe as the CA's.
func TestDecryptKeyEncrypted(t *testing.T) {
	w := newWorld(t)
	w.config.Passphrase = func() ([]byte, error) { return []byte("open sesame"), nil }
	m := w.manager()
	ctx := context.Background()
	if _, err := m.InitAuthority(ctx, InitRequest{Authority: Cluster, Name: "cluster.example.com", Passphrase: []byte("open sesame")}); err != nil {
		t.Fatal(err)
	}
	w.project(m, "tenant1")
	c := encryptTo(t, encryptionCert(t, m, "tenant1"), "secret")
	path := filepath.Join(w.dir, "projects", "tenant1", "decrypt-key.pem")
	if data, err := os.ReadFile(path); err != nil || !bytes.Contains(data, []byte("BEGIN ENCRYPTED PRIVATE KEY")) {
		t.Errorf("not encrypted: %v", err)
	}
	if got, err := m.Decrypt(ctx, DecryptRequest{Project: "tenant1", Ciphertext: c}); err != nil || string(got) != "secret" {
		t.Errorf("%q, %v", got, err)
	}
	for phrase, want := range map[string]error{"": ErrPassphraseNeeded, "wrong": ErrWrongPassphrase} {
		w.config.Passphrase = func() ([]byte, error) { return []byte(phrase), nil }
		if _, err := w.manager().Decrypt(ctx, DecryptRequest{Project: "tenant1", Ciphertext: c}); !errors.Is(err, want) {
			t.Errorf("%q: %v", phrase, err)
		}
		// Who encrypts needs none.
		encryptionCert(t, w.manager(), "tenant1")
	}
}

// TestDecryptBackup brings key and certificate back, and refuses another key.
func TestDecryptBackup(t *testing.T) {
	w := newWorld(t)
	m := w.init()
	w.project(m, "tenant1")
	c := encryptTo(t, encryptionCert(t, m, "tenant1"), "secret")
	ctx := context.Background()
	var b bytes.Buffer
	if err := m.Backup(ctx, &b); err != nil {
		t.Fatal(err)
	}
	other := newWorld(t)
	if _, err := Restore(ctx, other.config, bytes.NewReader(b.Bytes()), 0, true); err != nil {
		t.Fatal(err)
	}
	if got, err := other.manager().Decrypt(ctx, DecryptRequest{Project: "tenant1", Ciphertext: c}); err != nil || string(got) != "secret" {
		t.Errorf("%q, %v", got, err)
	}
	st, err := os.Stat(filepath.Join(other.dir, "projects", "tenant1", authority.DecryptKeyName))
	if err != nil || st.Mode() != 0o400 {
		t.Errorf("%v, %v", st, err)
	}
	// A key beside another's certificate.
	path := filepath.Join(w.dir, "projects", "tenant1", authority.DecryptKeyName)
	ca, err := os.ReadFile(filepath.Join(w.dir, "projects", "tenant1", authority.KeyName))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, ca, 0o400), os.Chmod(path, 0o400)); err != nil {
		t.Fatal(err)
	}
	b.Reset()
	if err := m.Backup(ctx, &b); err != nil {
		t.Fatal(err)
	}
	_, err = Restore(ctx, newWorld(t).config, bytes.NewReader(b.Bytes()), 0, true)
	w.wantKind("another key", err, fault.Malformed)
}
