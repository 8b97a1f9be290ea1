package main_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" // as Windows names certificates
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// sshd starts a real one on the loopback, which lets the keys in the file authorized
// in, and returns its port.
func sshd(t *testing.T, c *cluster, authorized string) string {
	t.Helper()
	dir := t.TempDir()
	c.ok("keypair-add", "host", "--private-key", filepath.Join(dir, "host")) // a host's key is one like others
	port := freePort(t)
	config := filepath.Join(dir, "sshd_config")
	write(t, config, 0o600, strings.Join([]string{
		"ListenAddress 127.0.0.1", "Port " + port, "HostKey " + filepath.Join(dir, "host"),
		"AuthorizedKeysFile " + authorized, "PidFile none", "StrictModes no", "UsePAM no",
		"AuthenticationMethods publickey", "PermitRootLogin prohibit-password", "",
	}, "\n"))
	if os.Geteuid() == 0 { // where it locks itself up
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	path, err := exec.LookPath("sshd")
	if err != nil {
		path = "/usr/sbin/sshd"
	}
	s := serve(t, nil, nil, path, "-D", "-e", "-f", config)
	until(t, "sshd to listen", func() bool {
		select {
		case <-s.done:
			t.Fatalf("sshd has ended:\n%s", s.text())
		default:
		}
		return strings.Contains(s.text(), "Server listening")
	})
	return port
}

// TestSSHLogin logs in to a real sshd with keys of every kind, and not with one that
// it was not told of.
func TestSSHLogin(t *testing.T) {
	t.Parallel()
	need(t, "ssh")
	if _, err := os.Stat("/usr/sbin/sshd"); err != nil {
		need(t, "sshd")
	}
	c := newCluster(t)
	dir := t.TempDir()
	kinds := []string{"ed25519", "rsa-2048", "rsa-3072", "rsa-4096", "ecdsa-p256", "ecdsa-p384"}
	var authorized strings.Builder
	for _, kind := range kinds {
		c.ok("keypair-add", kind, "--key-algorithm", kind, "--private-key", filepath.Join(dir, kind))
		authorized.WriteString(c.ok("keypair-show", kind, "--public-key"))
	}
	c.ok("keypair-add", "stranger", "--private-key", filepath.Join(dir, "stranger"))
	write(t, filepath.Join(dir, "authorized_keys"), 0o600, authorized.String())
	port := sshd(t, c, filepath.Join(dir, "authorized_keys"))
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range append(kinds, "stranger") {
		said, err := try("", "ssh", "-F", "none", "-p", port, "-i", filepath.Join(dir, kind), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
			"-o", "IdentityAgent=none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
			me.Username+"@127.0.0.1", "echo", "let", "in")
		if in := err == nil && strings.TrimSpace(said) == "let in"; in != (kind != "stranger") {
			t.Errorf("%s: let in: %v: %s, %v", kind, in, said, err)
		}
	}
}

// p12Readers get the key and the one certificate out of a file.
var p12Readers = map[string]func(t *testing.T, p12, password string) error{
	"openssl": func(_ *testing.T, p12, password string) error {
		text, err := try("", "openssl", "pkcs12", "-in", p12, "-passin", "file:"+password, "-noenc")
		return errors.Join(err, count(text, "-----BEGIN PRIVATE KEY", 1), count(text, "-----BEGIN CERTIFICATE", 1))
	},
	"keytool": func(_ *testing.T, p12, password string) error {
		text, err := try("", "keytool", "-J-XX:TieredStopAtLevel=1", "-list", "-v", "-keystore", p12, "-storetype", "PKCS12", "-storepass:file", password)
		return errors.Join(err, count(text, "PrivateKeyEntry", 1), count(text, "Certificate chain length: 1", 1))
	},
	"pk12util": func(t *testing.T, p12, password string) error {
		text, err := try("", "pk12util", "-l", p12, "-w", password)
		return errors.Join(err, count(text, "Key(shrouded):", 1), count(text, "CN=alice", 2)) // subject and issuer
	},
	"certtool": func(t *testing.T, p12, password string) error {
		text, err := try("", "certtool", "--p12-info", "--inder", "--infile", p12, "--password", strings.TrimSpace(read(t, password)))
		return errors.Join(err, count(text, "-----BEGIN ENCRYPTED PRIVATE KEY", 1), count(text, "-----BEGIN CERTIFICATE", 1))
	},
}

// TestKeypairPKCS12 has the file of a keypair opened by the programs that users have.
func TestKeypairPKCS12(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	dir := t.TempDir()
	password := filepath.Join(dir, "password")
	write(t, password, 0o600, "open sesame\n")
	for _, profile := range []string{"modern2023", "windows2016"} {
		p12 := filepath.Join(dir, profile+".p12")
		c.ok("keypair-add", profile, "--keypair-type", "x509", "--user", "alice", "--p12", p12, "--password-file", password, "--p12-profile", profile)
		for name, open := range p12Readers {
			need(t, name)
			if err := open(t, p12, password); err != nil {
				t.Errorf("%s: %s: %v", profile, name, err)
			}
		}
	}
}

// A mapping is how a Windows guest finds an account: by the thumbprint of who issued
// the certificate, and the user principal name in it. cloudbase-init makes one.
type mapping struct {
	roots    *x509.CertPool
	accounts map[string]string // "thumbprint upn" to account
}

// add does what cloudbase-init does with a certificate out of the metadata.
func (m *mapping) add(t *testing.T, certificate, account string) {
	t.Helper()
	block, rest := pem.Decode([]byte(certificate))
	if block == nil || len(rest) > 0 {
		t.Fatalf("not one block of PEM: %q", certificate)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	m.roots.AddCert(c)
	m.accounts[mapped(c)] = account
}

func mapped(c *x509.Certificate) string {
	thumbprint := sha1.Sum(c.Raw) // of a self-signed one, its issuer's
	return hex.EncodeToString(thumbprint[:]) + " " + principalName(c)
}

// principalName finds the otherName 1.3.6.1.4.1.311.20.2.3.
func principalName(c *x509.Certificate) string {
	for _, e := range c.Extensions {
		var names []asn1.RawValue
		if e.Id.String() != "2.5.29.17" {
			continue
		}
		if _, err := asn1.Unmarshal(e.Value, &names); err != nil {
			return ""
		}
		for _, n := range names {
			var id asn1.ObjectIdentifier
			var explicit asn1.RawValue
			var upn string
			rest, err := asn1.Unmarshal(n.Bytes, &id)
			if n.Tag != 0 || err != nil || id.String() != "1.3.6.1.4.1.311.20.2.3" {
				continue
			}
			if _, err := asn1.Unmarshal(rest, &explicit); err == nil {
				if _, err := asn1.Unmarshal(explicit.Bytes, &upn); err == nil {
					return upn
				}
			}
		}
	}
	return ""
}

// serve starts a TLS server that lets in whom it can map to an account, as WinRM does,
// and returns its port.
func (m *mapping) serve(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "guest"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	who := func(s *tls.ConnectionState) (string, error) {
		leaf := s.PeerCertificates[0]
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: m.roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
			return "", err
		}
		account, ok := m.accounts[mapped(leaf)]
		if !ok {
			return "", errors.New("no such account")
		}
		return account, nil
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			account, err := who(r.TLS)
			fmt.Fprintln(w, "hello", account, err)
		}),
		ReadTimeout: patience,
		ErrorLog:    log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{
			Certificates:     []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
			ClientAuth:       tls.RequireAnyClientCert,
			VerifyConnection: func(s tls.ConnectionState) error { _, err := who(&s); return err },
		},
	}
	go func() { _ = server.ServeTLS(listener, "", "") }() // ends with Close
	t.Cleanup(func() { _ = server.Close() })
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	return port
}

// TestKeypairMapped logs in to a TLS server that maps certificates to accounts, with
// curl and the PKCS#12 file as it is.
func TestKeypairMapped(t *testing.T) {
	t.Parallel()
	need(t, "curl")
	c := newCluster(t)
	dir := t.TempDir()
	password := filepath.Join(dir, "password")
	write(t, password, 0o600, "sesame\n")
	guest := &mapping{x509.NewCertPool(), map[string]string{}}
	for _, name := range []string{"known", "stranger"} {
		c.ok("keypair-add", name, "--keypair-type", "x509", "--user", "alice", "--p12", filepath.Join(dir, name), "--password-file", password)
	}
	guest.add(t, c.ok("keypair-show", "known", "--user", "alice", "--public-key"), "Administrator")
	port := guest.serve(t)
	for name, want := range map[string]bool{"known": true, "stranger": false} {
		said, err := try("", "curl", "--silent", "--show-error", "--noproxy", "*", "--max-time", "20", "--insecure",
			"--cert-type", "P12", "--cert", filepath.Join(dir, name)+":sesame", "https://127.0.0.1:"+port+"/")
		if in := err == nil && strings.Contains(said, "hello Administrator"); in != want {
			t.Errorf("%s: let in: %v: %s, %v", name, in, said, err)
		}
	}
}

// TestKeypairRace has two processes add the same name, with the same file and with one
// each. One wins, the other is told that the name or the file is taken, and what is on
// disk is the winner's.
func TestKeypairRace(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	dir := t.TempDir()
	for round := range 20 {
		name := fmt.Sprint("round ", round)
		files := []string{filepath.Join(dir, fmt.Sprint(round, "a")), filepath.Join(dir, fmt.Sprint(round, "b"))}
		if round%2 == 0 {
			files[1] = files[0]
		}
		results := make(chan result)
		for _, file := range files {
			go func() { results <- c.call("keypair-add", name, "--private-key", file, "-o", "json") }()
		}
		one, other := <-results, <-results
		if one.status != 0 {
			one, other = other, one
		}
		if one.status != 0 || other.status != 4 {
			t.Fatalf("%s: %+v, %+v", name, one, other)
		}
		made := parse[struct {
			File string `json:"private_key"`
		}](t, one.stdout).File
		public := filepath.Join(dir, "public")
		write(t, public, 0o600, c.ok("keypair-show", name, "--public-key"))
		if got := must(t, "ssh-keygen", "-y", "-f", made); got != read(t, public) {
			t.Errorf("%s: the file has another key than the record", name)
		}
		for _, file := range files {
			if _, err := os.Stat(file); (err == nil) != (file == made) {
				t.Errorf("%s: %s: %v", name, file, err)
			}
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".*")); err != nil || len(left) > 0 {
		t.Errorf("left over: %q, %v", left, err)
	}
}

// TestKeypairSecrets looks for the private halves of keypairs where they must not be:
// in the directory, in lists and the audit trail, and in the errors of those who try
// to import one.
func TestKeypairSecrets(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	hidden := secrets{}
	c.ok("keypair-add", "ed25519", "--private-key", at("ed25519"))
	key, err := ssh.ParseRawPrivateKey([]byte(read(t, at("ed25519"))))
	if err != nil {
		t.Fatal(err)
	}
	hidden.add("seed", string(key.(*ed25519.PrivateKey).Seed()))
	c.ok("keypair-add", "rsa", "--key-algorithm", "rsa-2048", "--private-key", at("rsa"))
	c.ok("keypair-add", "x509", "--keypair-type", "x509", "--private-key", at("x509"))
	for _, name := range []string{"rsa", "x509"} {
		key, err := ssh.ParseRawPrivateKey([]byte(read(t, at(name))))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range key.(*rsa.PrivateKey).Primes {
			hidden.add(name, string(p.Bytes()))
		}
	}
	p12 := parse[struct {
		Password string `json:"p12_password"`
	}](t, c.ok("keypair-add", "p12", "--keypair-type", "x509", "--p12", at("p12"), "-o", "json"))
	hidden.add("password", p12.Password)

	printed := c.ok("audit", "-o", "json") + c.ok("keypair-list", "-o", "json") + c.ok("keypair-show", "x509", "-o", "json")
	for _, file := range []string{"ed25519", "rsa", "x509", "p12"} {
		printed += c.fails(2, "keypair-add", "stolen", "--pub-key", at(file))
	}
	if hidden.in(t, "what was printed", []byte(printed)) > 0 {
		t.Error("secrets are printed")
	}
	files := 0
	err = filepath.WalkDir(c.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		if hidden.in(t, path, []byte(read(t, path))) > 0 {
			t.Errorf("%s holds secrets", path)
		}
		return nil
	})
	if err != nil || files < 5 {
		t.Errorf("%d files: %v", files, err)
	}
	if hidden.in(t, "a key", []byte(decodePEM(t, read(t, at("x509")))+decodePEM(t, read(t, at("ed25519"))))) < 2 {
		t.Error("the search finds nothing")
	}
}

func decodePEM(t *testing.T, text string) string {
	t.Helper()
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		t.Fatal("no PEM")
	}
	return string(block.Bytes)
}
