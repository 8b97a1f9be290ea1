package keypair_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/keypair"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// need skips a test whose judge is not installed. In CI that is a failure.
func need(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// signers has a key of each kind, made once.
func signers(t testing.TB) map[string]crypto.Signer {
	t.Helper()
	all, err := allSigners()
	must(t, err)
	return all
}

var allSigners = sync.OnceValues(func() (map[string]crypto.Signer, error) {
	all := map[string]crypto.Signer{}
	var errs []error
	add := func(name string, key crypto.Signer, err error) {
		all[name] = key
		errs = append(errs, err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	add("ed25519", ed, err)
	for name, curve := range map[string]elliptic.Curve{"p256": elliptic.P256(), "p384": elliptic.P384(), "p521": elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		add(name, key, err)
	}
	for name, bits := range map[string]int{"rsa2048": 2048, "rsa3072": 3072} {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		add(name, key, err)
	}
	return all, errors.Join(errs...)
})

// Go's own reader of OpenSSH keys gets the same key out.
func TestEncodeSSH(t *testing.T) {
	for name, key := range signers(t) {
		public, private, err := keypair.EncodeSSH(key)
		must(t, err)
		again, err := ssh.ParseRawPrivateKey(private)
		must(t, err)
		if p, ok := again.(*ed25519.PrivateKey); ok {
			again = *p
		}
		if !again.(interface{ Equal(crypto.PrivateKey) bool }).Equal(key) {
			t.Errorf("%s: another private key was read", name)
		}
		want, comment, options, rest, err := ssh.ParseAuthorizedKey([]byte(public))
		must(t, err)
		if comment != keypair.Comment || len(options) > 0 || len(rest) > 0 || !strings.HasSuffix(public, "\n") {
			t.Errorf("%s: %q", name, public)
		}
		p, err := keypair.Parse("", public)
		must(t, err)
		if p.Type != keypair.SSH || p.SHA256() != ssh.FingerprintSHA256(want) || p.Fingerprint() != ssh.FingerprintLegacyMD5(want) ||
			p.Algorithm != want.Type() || p.Comment != keypair.Comment || p.Keys != 1 || p.Text != public {
			t.Errorf("%s: %+v", name, p)
		}
	}
	_, _, err := keypair.EncodeSSH(nil)
	if fault.KindOf(err) != fault.Malformed {
		t.Errorf("no key: %v", err)
	}
}

// A short secret has leading zero octets, which an mpint doesn't.
func TestEncodeSSHShortSecret(t *testing.T) {
	for _, d := range [][]byte{{1}, {0x80}, {0x7f, 0xff}} {
		key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), append(make([]byte, 32-len(d)), d...))
		must(t, err)
		_, private, err := keypair.EncodeSSH(key)
		must(t, err)
		again, err := ssh.ParseRawPrivateKey(private)
		must(t, err)
		if !again.(*ecdsa.PrivateKey).Equal(key) {
			t.Errorf("%x: another key was read", d)
		}
	}
}

func TestSSHKeygenAgrees(t *testing.T) {
	need(t, "ssh-keygen")
	for name, key := range signers(t) {
		public, private, err := keypair.EncodeSSH(key)
		must(t, err)
		file := filepath.Join(t.TempDir(), "key")
		must(t, os.WriteFile(file, private, 0o600))
		if got := run(t, "ssh-keygen", "-y", "-f", file); got != public {
			t.Errorf("%s: ssh-keygen -y says %q, not %q", name, got, public)
		}
		must(t, os.WriteFile(file+".pub", []byte(public), 0o644))
		p, err := keypair.Parse(keypair.SSH, public)
		must(t, err)
		if md5 := strings.Fields(run(t, "ssh-keygen", "-l", "-E", "md5", "-f", file+".pub"))[1]; md5 != "MD5:"+p.Fingerprint() {
			t.Errorf("%s: ssh-keygen says %s, we %s", name, md5, p.Fingerprint())
		}
		fields := strings.Fields(run(t, "ssh-keygen", "-l", "-E", "sha256", "-f", file+".pub"))
		if fields[0] != itoa(p.Bits) || fields[1] != p.SHA256() {
			t.Errorf("%s: ssh-keygen says %v, we %d %s", name, fields, p.Bits, p.SHA256())
		}
	}
}

// What is accepted is a key to ssh-keygen too, with the same fingerprint, even where
// Nova records another.
func TestSSHKeygenReadsImports(t *testing.T) {
	need(t, "ssh-keygen")
	n := 0
	for _, file := range corpus(t) {
		text, err := os.ReadFile(file)
		must(t, err)
		p, err := keypair.Parse(keypair.SSH, string(text))
		if err != nil || strings.Contains(file, "-cert-") { // of a certificate, ssh-keygen shows the key's
			continue
		}
		said := strings.Fields(run(t, "ssh-keygen", "-l", "-E", "md5", "-f", file))
		if said[1] != "MD5:"+p.Fingerprint() || said[0] != itoa(p.Bits) {
			t.Errorf("%s: ssh-keygen says %v, we %d %s", file, said, p.Bits, p.Fingerprint())
		}
		n++
	}
	if n < 20 {
		t.Errorf("only %d keys were compared", n)
	}
}

func newWinRM(t testing.TB, user string) (*x509.Certificate, string) {
	t.Helper()
	der, err := keypair.NewWinRM(signers(t)["rsa2048"].(*rsa.PrivateKey), user, now)
	must(t, err)
	c, err := x509.ParseCertificate(der)
	must(t, err)
	return c, keypair.EncodeCertificate(der)
}

func TestWinRM(t *testing.T) {
	c, text := newWinRM(t, "alice")
	p, err := keypair.Parse("", text)
	must(t, err)
	if p.Type != keypair.X509 || p.UPN() != "alice@localhost" || !bytes.Equal(p.DER, c.Raw) || p.Bits != 2048 || len(p.Warnings(now)) > 0 {
		t.Errorf("%+v, %v", p, p.Warnings(now))
	}
	if err := c.CheckSignatureFrom(c); err == nil {
		t.Error("it is a CA")
	}
	must(t, c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature))
	if c.SignatureAlgorithm != x509.SHA256WithRSA || c.NotAfter.Sub(c.NotBefore) != keypair.WinRMLifetime || c.NotBefore.After(now) {
		t.Errorf("%v, from %v to %v", c.SignatureAlgorithm, c.NotBefore, c.NotAfter)
	}
	if c.SerialNumber.Sign() <= 0 || c.SerialNumber.BitLen() < 64 || len(c.SubjectKeyId) != 20 {
		t.Errorf("serial number %v, key id %x", c.SerialNumber, c.SubjectKeyId)
	}
	if w := p.Warnings(c.NotAfter.Add(time.Second)); len(w) != 1 || !strings.Contains(w[0], "expired") {
		t.Errorf("when it has expired: %q", w)
	}
}

func TestWinRMRefuses(t *testing.T) {
	key := signers(t)["rsa2048"].(*rsa.PrivateKey)
	for _, user := range []string{"", "a\nb", " a", strings.Repeat("x", 65), "a\x00", "a\xff"} {
		if _, err := keypair.NewWinRM(key, user, now); fault.KindOf(err) != fault.Malformed {
			t.Errorf("%q: %v", user, err)
		}
	}
	if _, err := keypair.NewWinRM(key, strings.Repeat("ü", 64), now); err != nil {
		t.Error(err)
	}
}

// TestWinRMLikeNova compares a certificate with one that Nova's own function makes,
// field by field. What is not compared: keys, serial numbers, and the moment.
func TestWinRMLikeNova(t *testing.T) {
	for _, user := range []string{"alice", "7f3c0a6f5e8a4f0d9b1e2c3d4e5f6a7b"} { // Nova encodes an "ü" twice
		out, ok := runNova(t, "winrm.py", user)
		if !ok {
			t.Skip("python3-nova is not installed")
		}
		block, rest := pem.Decode(out)
		want, err := x509.ParseCertificate(block.Bytes)
		must(t, err)
		got, text := newWinRM(t, user)
		p, err := keypair.Parse(keypair.X509, string(pem.EncodeToMemory(block)))
		must(t, err)
		if said := strings.Fields(string(rest))[1]; p.Fingerprint() != said {
			t.Errorf("fingerprint %s, Nova says %s", p.Fingerprint(), said)
		}
		if !bytes.Equal(got.RawSubject, want.RawSubject) || !bytes.Equal(got.RawIssuer, want.RawIssuer) {
			t.Errorf("subject %x, issuer %x; Nova's is %x", got.RawSubject, got.RawIssuer, want.RawSubject)
		}
		if got.Version != want.Version || got.SignatureAlgorithm != want.SignatureAlgorithm || got.NotAfter.Sub(got.NotBefore) != want.NotAfter.Sub(want.NotBefore) {
			t.Errorf("version %d, %v, valid for %v; Nova's: %d, %v, %v", got.Version, got.SignatureAlgorithm, got.NotAfter.Sub(got.NotBefore),
				want.Version, want.SignatureAlgorithm, want.NotAfter.Sub(want.NotBefore))
		}
		compareExtensions(t, got, want)
		if ours, err := keypair.Parse(keypair.X509, text); err != nil || ours.UPN() != p.UPN() || p.UPN() != user+"@localhost" {
			t.Errorf("UPN %q, Nova's %q (%v)", ours.UPN(), p.UPN(), err)
		}
	}
}

func compareExtensions(t *testing.T, got, want *x509.Certificate) {
	t.Helper()
	values := func(c *x509.Certificate) map[string]string {
		m := map[string]string{}
		for _, e := range c.Extensions {
			v := string(e.Value)
			if e.Id.String() == "2.5.29.14" { // of the key
				v = itoa(len(e.Value))
			}
			m[e.Id.String()] = v + map[bool]string{true: " critical"}[e.Critical]
		}
		return m
	}
	a, b := values(got), values(want)
	for id := range b {
		if a[id] != b[id] {
			t.Errorf("extension %s: %q, Nova's %q", id, a[id], b[id])
		}
	}
	if len(a) != len(b) {
		t.Errorf("%d extensions, Nova has %d", len(a), len(b))
	}
}
