package pkcs12_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	gopkcs12 "software.sslmate.com/src/go-pkcs12"
)

// contents is what a program got out of a file.
type contents struct {
	key   crypto.PrivateKey // nil when the program shows only the public half
	pub   crypto.PublicKey
	certs []*x509.Certificate // in no order
}

// A program opens the file "in.p12" in a folder of its own. The password is the
// first line of the file "password": it is on no command line.
type program struct {
	name, product string
	needs         []string // commands
	version       []string // command that tells the version, as its first number with a dot
	open          func(b *bench) (contents, error)
}

var programs = []program{
	{"openssl", "OpenSSL", []string{"openssl"}, []string{"openssl", "version"},
		func(b *bench) (contents, error) { return openssl(b) }},
	{"openssl-legacy", "OpenSSL with -legacy", []string{"openssl"}, []string{"openssl", "version"},
		func(b *bench) (contents, error) { return openssl(b, "-legacy") }},
	{"keytool", "Java", []string{"keytool", "java"}, []string{"java", "-version"}, keytool},
	{"pk12util", "NSS", []string{"pk12util", "certutil"}, []string{"dpkg-query", "-W", "-f", "${Version}", "libnss3-tools"}, pk12util},
	{"certtool", "GnuTLS", []string{"certtool"}, []string{"certtool", "--version"}, certtool},
}

// A bench is a folder to run programs in.
type bench struct {
	t   *testing.T
	dir string
}

// run runs a command with stdin from a file of the folder, "" for none, and no
// terminal to ask at.
func (b *bench) run(stdin, name string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = b.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if stdin != "" {
		cmd.Stdin = bytes.NewReader(b.read(stdin))
	}
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		b.t.Fatalf("%s %q hangs: %s", name, args, out)
	}
	if err != nil {
		return fmt.Errorf("%s %q: %w: %s", name, args, err, out)
	}
	return nil
}

func (b *bench) read(name string) []byte {
	b.t.Helper()
	data, err := os.ReadFile(filepath.Join(b.dir, name))
	if err != nil {
		b.t.Fatal(err)
	}
	return data
}

func (b *bench) write(name string, data []byte) {
	b.t.Helper()
	if err := os.WriteFile(filepath.Join(b.dir, name), data, 0o600); err != nil {
		b.t.Fatal(err)
	}
}

func openssl(b *bench, options ...string) (contents, error) {
	args := append([]string{"pkcs12", "-in", "in.p12", "-passin", "file:password", "-nodes", "-out", "out.pem"}, options...)
	if err := b.run("", "openssl", args...); err != nil {
		return contents{}, err
	}
	return parsePEM(b.read("out.pem"))
}

// keytool copies the entry into a key store of the test's, which takes decrypting
// the key.
func keytool(b *bench) (contents, error) {
	b.write("changeit", []byte("changeit\n"))
	if err := b.run("", "keytool", "-J-XX:TieredStopAtLevel=1", "-J-XX:+UseSerialGC", "-importkeystore", "-noprompt",
		"-srckeystore", "in.p12", "-srcstoretype", "PKCS12", "-srcstorepass:file", "password",
		"-destkeystore", "out.p12", "-deststoretype", "PKCS12", "-deststorepass:file", "changeit"); err != nil {
		return contents{}, err
	}
	key, leaf, chain, err := gopkcs12.DecodeChain(b.read("out.p12"), "changeit")
	return contents{key: key, certs: append(chain, leaf)}, err
}

// pk12util imports into a new data base, whose certificates are listed. The key
// can't be taken out cheaply (600,000 iterations), so it has to sign a request.
func pk12util(b *bench) (contents, error) {
	if err := os.Mkdir(filepath.Join(b.dir, "db"), 0o700); err != nil {
		b.t.Fatal(err)
	}
	if err := b.run("", "certutil", "-N", "-d", "sql:db", "--empty-password"); err != nil {
		b.t.Fatal(err)
	}
	if err := b.run("", "pk12util", "-i", "in.p12", "-d", "sql:db", "-w", "password"); err != nil {
		return contents{}, err
	}
	if err := b.run("", "certutil", "-R", "-k", leafName, "-d", "sql:db", "-s", "CN=x", "-o", "req.der"); err != nil {
		return contents{}, err
	}
	pub, err := b.signedRequest()
	if err != nil {
		return contents{}, err
	}
	c := contents{pub: pub}
	for _, name := range []string{leafName, caName, rootName} {
		if err := b.run("", "certutil", "-L", "-d", "sql:db", "-n", name, "-r", "-o", "cert.der"); err != nil {
			return contents{}, err
		}
		cert, err := x509.ParseCertificate(b.read("cert.der"))
		if err != nil {
			return contents{}, err
		}
		c.certs = append(c.certs, cert)
	}
	return c, nil
}

// certtool shows the certificates in the clear and the key as it is in the file,
// which a second call decrypts. It takes an empty line for no password, and has an
// option for an empty one; with that it decrypts some keys only in order to use
// them, so there a request is signed.
func certtool(b *bench) (contents, error) {
	stdin, option := "password", "--text" // which is the default
	if string(b.read("password")) == "\n" {
		stdin, option = "", "--empty-password"
	}
	if err := b.run(stdin, "certtool", option, "--inder", "--p12-info", "--infile", "in.p12", "--outfile", "out.pem"); err != nil {
		return contents{}, err
	}
	_, key, found := bytes.Cut(b.read("out.pem"), []byte("-----BEGIN ENCRYPTED"))
	if !found {
		return contents{}, errors.New("no encrypted key")
	}
	b.write("key.pem", append([]byte("-----BEGIN ENCRYPTED"), key...))
	if err := b.run(stdin, "certtool", option, "--key-info", "--pkcs8", "--infile", "key.pem", "--outfile", "plain.pem"); err != nil {
		return contents{}, err
	}
	c, err := parsePEM(append(b.read("out.pem"), b.read("plain.pem")...))
	if err != nil || c.key != nil {
		return c, err
	}
	b.write("template", []byte("cn = x\n"))
	if err := b.run(stdin, "certtool", option, "--generate-request", "--template", "template",
		"--load-privkey", "key.pem", "--pkcs8", "--outder", "--outfile", "req.der"); err != nil {
		return contents{}, err
	}
	c.pub, err = b.signedRequest()
	return c, err
}

// signedRequest returns the key that signed req.der.
func (b *bench) signedRequest() (crypto.PublicKey, error) {
	req, err := x509.ParseCertificateRequest(b.read("req.der"))
	if err == nil {
		err = req.CheckSignature()
	}
	if err != nil {
		return nil, err
	}
	return req.PublicKey, nil
}

// parsePEM reads what programs print: certificates and one key in the clear.
func parsePEM(data []byte) (contents, error) {
	var c contents
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		var err error
		switch block.Type {
		case "CERTIFICATE":
			var cert *x509.Certificate
			cert, err = x509.ParseCertificate(block.Bytes)
			c.certs = append(c.certs, cert)
		case "PRIVATE KEY":
			c.key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			c.key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			c.key, err = parseBareEC(block.Bytes)
		}
		if err != nil {
			return contents{}, err
		}
	}
	return c, nil
}

// parseBareEC reads a key of RFC 5915 from which certtool left the curve out.
func parseBareEC(der []byte) (*ecdsa.PrivateKey, error) {
	var key struct {
		Version int
		Private []byte
		Public  asn1.BitString `asn1:"optional,explicit,tag:1"`
	}
	if _, err := asn1.Unmarshal(der, &key); err != nil {
		return nil, err
	}
	curve := elliptic.P256()
	if len(key.Private) == 48 {
		curve = elliptic.P384()
	}
	return ecdsa.ParseRawPrivateKey(curve, key.Private)
}

var versionNumber = regexp.MustCompile(`[0-9]+(\.[0-9]+)?`)

// installedVersion returns the version of p as far as its second number, or "" when
// a command of its is missing, which fails the test under CI.
func installedVersion(t *testing.T, p program) string {
	t.Helper()
	for _, command := range append(p.needs, p.version[0]) {
		if _, err := exec.LookPath(command); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatalf("%s is not installed", command)
			}
			t.Logf("%s is not installed, so %s is not tried", command, p.product)
			return ""
		}
	}
	out, err := exec.Command(p.version[0], p.version[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v: %s", p.version, err, out)
	}
	text := string(out)
	if _, after, found := strings.Cut(text, ":"); found && p.name == "pk12util" {
		text = after // Debian's epoch
	}
	return versionNumber.FindString(text)
}
