package main_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// caKeyTypes are all that a CA may have, leafKeyTypes all that a request may have.
var (
	caKeyTypes   = []string{"ecdsa-p256", "ecdsa-p384", "ed25519", "rsa-2048", "rsa-3072", "rsa-4096"}
	leafKeyTypes = append(slices.Clone(caKeyTypes), "ecdsa-p521")
)

// A judge looks at certificates of one CA, as a certificate for the server node1 and
// for a client of that name. What it returns for a CA's file is called for each
// certificate's, and gives its refusal or nil.
type judge struct {
	name     string
	programs []string
	lacks    string // a type of key that it does not know
	of       func(t *testing.T, ca string) func(leaf string) error
}

// NSS 3.87 can't load keys of type Ed25519.
var judges = []judge{
	{name: "openssl", programs: []string{"openssl"}, of: opensslVerify},
	{name: "gnutls", programs: []string{"certtool"}, of: certtoolVerify},
	{name: "nss", programs: []string{"certutil"}, lacks: "ed25519", of: certutilVerify},
	{name: "java", programs: []string{"java", "javac"}, of: javaVerify},
}

func opensslVerify(_ *testing.T, ca string) func(string) error {
	return func(leaf string) error {
		for _, purpose := range []string{"sslserver", "sslclient"} {
			if _, err := try("", "openssl", "verify", "-x509_strict", "-purpose", purpose,
				"-verify_hostname", node1, "-verify_ip", "127.0.0.1", "-CAfile", ca, leaf); err != nil {
				return err
			}
		}
		text, err := try("", "openssl", "x509", "-in", leaf, "-noout", "-purpose")
		if err == nil && !strings.Contains(text, "SSL server CA : No") {
			err = fmt.Errorf("openssl takes it for a CA:\n%s", text)
		}
		return err
	}
}

func certtoolVerify(t *testing.T, ca string) func(string) error {
	return func(leaf string) error {
		for _, purpose := range []string{"1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"} {
			if _, err := try("", "certtool", "--verify", "--load-ca-certificate", ca, "--infile", leaf,
				"--verify-hostname", node1, "--verify-purpose", purpose); err != nil {
				return err
			}
		}
		_, err := try(read(t, leaf)+read(t, ca), "certtool", "--verify-chain")
		return err
	}
}

func certutilVerify(t *testing.T, ca string) func(string) error {
	db := "sql:" + t.TempDir()
	must(t, "certutil", "-N", "-d", db, "--empty-password")
	must(t, "certutil", "-A", "-d", db, "-n", "ca", "-t", "CT,,", "-a", "-i", ca)
	return func(leaf string) error {
		for _, usage := range []string{"V", "C"} {
			if _, err := try("", "certutil", "-V", "-d", db, "-n", leaf, "-a", "-u", usage, "-e"); err != nil {
				return err
			}
		}
		return nil
	}
}

func javaVerify(t *testing.T, ca string) func(string) error {
	return func(leaf string) error {
		_, err := java(t, "verify", ca, leaf)
		return err
	}
}

// TestVerify has every kind of certificate judged: by every kind of CA, for every
// kind of key. What another CA of the same name signed is always refused.
func TestVerify(t *testing.T) {
	t.Parallel()
	need(t, "openssl")
	csrs := newRequests(t)
	_, strangers := signAll(t, "ecdsa-p256", csrs[:1])
	for _, caType := range caKeyTypes {
		t.Run(caType, func(t *testing.T) {
			t.Parallel()
			ca, leaves := signAll(t, caType, csrs)
			for _, j := range judges {
				if j.lacks == caType {
					t.Logf("left out: %s does not know %s", j.name, caType)
					continue
				}
				t.Run(j.name, func(t *testing.T) { j.compare(t, ca, leaves, strangers[0]) })
			}
			found := lint(t, append(leaves, ca)...)
			if want := fmt.Sprintf("checked %d by ", len(leaves)+1); !strings.HasPrefix(found, want) {
				t.Errorf("zlint found:\n%s", found)
			}
		})
	}
}

// newRequests makes a request for node1 with each of leafKeyTypes, in this order.
func newRequests(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	var csrs []string
	for _, keyType := range leafKeyTypes {
		key, csr := filepath.Join(dir, keyType+".key"), filepath.Join(dir, keyType+".csr")
		newKey(t, key, keyType)
		newRequest(t, csr, key, node1, "DNS:"+node1, "IP:127.0.0.1")
		csrs = append(csrs, csr)
	}
	return csrs
}

// signAll makes a CA and has it sign csrs. It returns the files of the CA's
// certificate and of theirs.
func signAll(t *testing.T, caType string, csrs []string) (string, []string) {
	t.Helper()
	c := newCluster(t, "--key-type", caType)
	out := t.TempDir()
	c.ok(append([]string{"cert", "sign-csr", "--out-dir", out}, csrs...)...)
	var leaves []string
	for _, csr := range csrs {
		name := strings.TrimSuffix(filepath.Base(csr), ".csr") + ".pem"
		leaves = append(leaves, filepath.Join(out, name))
	}
	return c.path("ca", "cert.pem"), leaves
}

// compare has j judge leaves, one for each of leafKeyTypes, and a stranger.
func (j judge) compare(t *testing.T, ca string, leaves []string, stranger string) {
	need(t, j.programs...)
	refusal := j.of(t, ca)
	for i, leaf := range leaves {
		if keyType := leafKeyTypes[i]; j.lacks == keyType {
			t.Logf("left out: %s does not know %s", j.name, keyType)
		} else if err := refusal(leaf); err != nil {
			t.Errorf("certificate for a key of type %s: %v", keyType, err)
		}
	}
	if refusal(stranger) == nil {
		t.Error("a certificate by another CA of that name was accepted")
	}
}

// TestVerifyRefusals shows that the judges look at the name and at what a certificate
// is for, so that their assent means something.
func TestVerifyRefusals(t *testing.T) {
	t.Parallel()
	need(t, "openssl", "certtool", "certutil")
	c := newCluster(t)
	id := c.identity(node1, "ecdsa-p256")
	db := "sql:" + t.TempDir()
	must(t, "certutil", "-N", "-d", db, "--empty-password")
	must(t, "certutil", "-A", "-d", db, "-n", "ca", "-t", "CT,CT,CT", "-a", "-i", id.ca)
	const email = "1.3.6.1.5.5.7.3.4"
	for name, tt := range map[string]struct {
		command []string
		why     string
	}{
		"openssl, another name":  {[]string{"openssl", "verify", "-verify_hostname", node2, "-CAfile", id.ca, id.cert}, "hostname mismatch"},
		"openssl, another use":   {[]string{"openssl", "verify", "-purpose", "smimesign", "-CAfile", id.ca, id.cert}, "certificate purpose"},
		"openssl, as a CA":       {[]string{"openssl", "verify", "-CAfile", id.ca, "-untrusted", id.cert, c.signedBy(id)}, "invalid CA certificate|unable to get local issuer"},
		"certtool, another name": {[]string{"certtool", "--verify", "--load-ca-certificate", id.ca, "--infile", id.cert, "--verify-hostname", node2}, "does not match"},
		"certtool, another use":  {[]string{"certtool", "--verify", "--load-ca-certificate", id.ca, "--infile", id.cert, "--verify-purpose", email}, "purpose"},
		"certutil, e-mail":       {[]string{"certutil", "-V", "-d", db, "-n", id.cert, "-a", "-u", "S", "-e"}, "invalid"},
		"certutil, as an issuer": {[]string{"certutil", "-V", "-d", db, "-n", id.cert, "-a", "-u", "L", "-e"}, "invalid"},
	} {
		_, err := try("", tt.command[0], tt.command[1:]...)
		if err == nil || !regexp.MustCompile("(?i)"+tt.why).MatchString(err.Error()) {
			t.Errorf("%s: %v, want a refusal for %q", name, err, tt.why)
		}
	}
}

// signedBy has openssl use the key of a node's certificate as if it were a CA's.
func (c *cluster) signedBy(id identity) string {
	c.t.Helper()
	dir := c.t.TempDir()
	key, csr, cert := filepath.Join(dir, "key.pem"), filepath.Join(dir, "csr.pem"), filepath.Join(dir, "cert.pem")
	newKey(c.t, key, "ecdsa-p256")
	newRequest(c.t, csr, key, node2)
	must(c.t, "openssl", "x509", "-req", "-in", csr, "-CA", id.cert, "-CAkey", id.key, "-set_serial", "1", "-days", "1", "-out", cert)
	return cert
}

// zlint builds the linter of testdata/zlint, which is a module of its own.
var zlint = sync.OnceValues(func() (string, error) {
	path := filepath.Join(filepath.Dir(program), "zlint")
	build := exec.Command("go", "build", "-o", path, ".")
	build.Dir = filepath.Join("testdata", "zlint")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building testdata/zlint: %w\n%s", err, out)
	}
	return path, nil
})

// lint returns what zlint has to say of the certificates in files. It is nothing but
// how many there were, when they are good.
func lint(t *testing.T, files ...string) string {
	t.Helper()
	path, err := zlint()
	if err != nil {
		t.Fatal(err)
	}
	var pem strings.Builder
	for _, file := range files {
		pem.WriteString(read(t, file))
	}
	out, err := try(pem.String(), path)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestLintFinds shows that the linter is awake.
func TestLintFinds(t *testing.T) {
	t.Parallel()
	need(t, "openssl")
	dir := t.TempDir()
	key, cert := filepath.Join(dir, "key.pem"), filepath.Join(dir, "cert.pem")
	newKey(t, key, "ecdsa-p256")
	must(t, "openssl", "req", "-x509", "-key", key, "-subj", "/CN="+node1, "-days", "1", "-out", cert, "-set_serial", "0",
		"-addext", "keyUsage=digitalSignature,keyCertSign")
	found := lint(t, cert)
	for _, rule := range []string{"e_serial_number_not_positive", "w_ext_key_usage_not_critical"} {
		if !strings.Contains(found, rule) {
			t.Errorf("zlint did not report %s in:\n%s", rule, found)
		}
	}
}

// TestLongestLifetime asks for the longest validity that is under a week, and for a
// second more. Both of its ends count (RFC 5280, section 4.1.2.5), so the one is
// 604,798 s between the two dates.
func TestLongestLifetime(t *testing.T) {
	t.Parallel()
	need(t, "openssl")
	c := newCluster(t)
	dir := t.TempDir()
	key, csr := filepath.Join(dir, "key.pem"), filepath.Join(dir, "csr.pem")
	newKey(t, key, "ecdsa-p256")
	newRequest(t, csr, key, node1)
	for _, longest := range []string{"167h59m58s", "604798s"} {
		cert := filepath.Join(dir, longest+".pem")
		c.ok("cert", "sign-csr", csr, "--lifetime", longest, "--out", cert)
		if got := validity(t, cert); got != 604_798*time.Second {
			t.Errorf("--lifetime %s gives a certificate for %v", longest, got)
		}
		c.ok("cert", "verify", cert)
	}
	before := c.ok("serial", "show", "-o", "json")
	for _, longer := range []string{"167h59m59s", "604799s", "168h", "7d", "87600h"} {
		cert := filepath.Join(dir, longer+".pem")
		stderr := c.fails(5, "cert", "sign-csr", csr, "--lifetime", longer, "--out", cert)
		if !strings.Contains(stderr, "hint: ") || !strings.Contains(stderr, "--lifetime") {
			t.Errorf("--lifetime %s: no hint in %s", longer, stderr)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, longer+"*")); left != nil {
			t.Errorf("--lifetime %s left %v", longer, left)
		}
	}
	if after := c.ok("serial", "show", "-o", "json"); after != before {
		t.Errorf("refusals spent serial numbers: %s, before %s", after, before)
	}
}

// TestVerifyLifetime has "cert verify" judge two certificates that openssl made with
// the CA's key, exactly alike but for six days and seven.
func TestVerifyLifetime(t *testing.T) {
	t.Parallel()
	need(t, "openssl")
	c := newCluster(t)
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	newKey(t, at("key.pem"), "ecdsa-p256")
	newRequest(t, at("csr.pem"), at("key.pem"), node1)
	write(t, at("extensions"), 0o600, `basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = DNS:`+node1+"\n")
	for days, status := range map[string]int{"6": 0, "7": 6} {
		must(t, "openssl", "x509", "-req", "-in", at("csr.pem"), "-CA", c.path("ca", "cert.pem"), "-CAkey", c.path("ca", "key.pem"),
			"-set_serial", "1000", "-days", days, "-extfile", at("extensions"), "-out", at(days+".pem"))
		c.fails(status, "cert", "verify", at(days+".pem"), "--name", node1)
	}
}

// validity returns the time between a certificate's two dates, as openssl reads them.
func validity(t *testing.T, cert string) time.Duration {
	t.Helper()
	out := must(t, "openssl", "x509", "-in", cert, "-noout", "-dates", "-dateopt", "iso_8601")
	dates := regexp.MustCompile(`=(.*Z)`).FindAllStringSubmatch(out, -1)
	if len(dates) != 2 {
		t.Fatalf("no two dates in %s", out)
	}
	var ends [2]time.Time
	for i, date := range dates {
		at, err := time.Parse("2006-01-02 15:04:05Z", date[1])
		if err != nil {
			t.Fatal(err)
		}
		ends[i] = at
	}
	return ends[1].Sub(ends[0])
}
