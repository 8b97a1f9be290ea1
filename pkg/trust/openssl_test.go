package trust_test

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"x509ctl/pkg/trust"
)

// openssl returns a function that runs openssl in a new directory and reports
// whether it succeeded.
func openssl(t *testing.T) (dir string, run func(args ...string) bool) {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("openssl is not installed")
		}
		t.Skip("openssl is not installed")
	}
	dir = t.TempDir()
	return dir, func(args ...string) bool {
		cmd := exec.Command("openssl", args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		t.Logf("openssl %q: %v\n%s", args, err, out)
		return err == nil
	}
}

func write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestAgainstOpenSSL puts the same questions to openssl verify. It has no floor,
// no bound of lifetimes and other names for what is wrong, so only yes and no are
// compared. One difference is known: to OpenSSL a certificate has expired in the
// second that notAfter names, which RFC 5280, section 4.1.2.5, counts in.
func TestAgainstOpenSSL(t *testing.T) {
	dir, run := openssl(t)
	root, middle, own := chain(t)
	bundle := bundleOf(t, own, middle, root)
	write(t, filepath.Join(dir, "bundle.pem"), pemOf(own.cert, middle.cert, root.cert))
	verdicts := map[bool]int{}
	for _, tc := range []struct {
		name string
		leaf []func(*template)
		at   time.Duration

		stricter bool // openssl refuses what is accepted here
	}{
		{name: "plain"},
		{name: "first second", at: -5 * time.Minute},
		{name: "before", at: -5*time.Minute - time.Second},
		{name: "last second but one", at: 24*time.Hour - 5*time.Minute - time.Second},
		{name: "last second", at: 24*time.Hour - 5*time.Minute, stricter: true},
		{name: "after", at: 24*time.Hour - 5*time.Minute + time.Second},
		{name: "unknown critical", leaf: []func(*template){extension(true, 1, 2, 3)}},
		{name: "unknown", leaf: []func(*template){extension(false, 1, 2, 3)}},
		{name: "clients only", leaf: []func(*template){usage(x509.ExtKeyUsageClientAuth)}},
		{name: "servers only", leaf: []func(*template){usage(x509.ExtKeyUsageServerAuth)}},
	} {
		leaf := newLeaf(t, own, tc.leaf...)
		write(t, filepath.Join(dir, "leaf.pem"), pemOf(leaf))
		when := now.Add(tc.at)
		for purpose, name := range map[trust.Purpose]string{trust.Client: "sslclient", trust.Server: "sslserver"} {
			theirs := run("verify", "-x509_strict", "-CAfile", "bundle.pem", "-purpose", name,
				"-attime", strconv.FormatInt(when.Unix(), 10), "leaf.pem")
			ours := trust.Check{Bundle: bundle, At: when, Purpose: purpose}.Verify(leaf)
			if theirs != (ours == nil && !tc.stricter) || tc.stricter && ours != nil {
				t.Errorf("%s, %s: openssl says %v, and here: %v", tc.name, purpose, theirs, ours)
			}
			verdicts[theirs]++
		}
	}
	if verdicts[true] < 5 || verdicts[false] < 5 {
		t.Errorf("verdicts %v: the comparison tells nothing", verdicts)
	}
}

// TestMadeByOpenSSL judges what crypto/x509 can't make: a leaf signed by SHA-1,
// and one of version 1.
func TestMadeByOpenSSL(t *testing.T) {
	dir, run := openssl(t)
	root := newCA(t, "cluster CA 1", nil, begins(-time.Hour), func(c *template) { c.NotAfter = time.Now().AddDate(1, 0, 0) })
	der, err := x509.MarshalPKCS8PrivateKey(root.key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "ca.pem"), pemOf(root.cert))
	write(t, filepath.Join(dir, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	write(t, filepath.Join(dir, "ext"), []byte("basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n"+
		"extendedKeyUsage=serverAuth,clientAuth\nsubjectAltName=DNS:node1\n"))
	run("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "leaf.key", "-subj", "/CN=node1", "-out", "req.pem")
	for _, tc := range []struct {
		name string
		args []string
		want trust.Reason
		text string
	}{
		{"SHA-256", []string{"-extfile", "ext"}, "", ""},
		{"SHA-1", []string{"-extfile", "ext", "-sha1"}, trust.BadSignature, "ECDSA-SHA1"},
		{"version 1", nil, trust.BadVersion, "version 1"},
	} {
		args := append([]string{"x509", "-req", "-in", "req.pem", "-CA", "ca.pem", "-CAkey", "key.pem",
			"-set_serial", "42", "-days", "1", "-out", "leaf.pem"}, tc.args...)
		if !run(args...) {
			t.Fatalf("%s: openssl made none", tc.name)
		}
		data, err := os.ReadFile(filepath.Join(dir, "leaf.pem"))
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := trust.ParseCertificate(data)
		if err != nil {
			t.Fatal(err)
		}
		t.Log(tc.name)
		expect(t, trust.Check{Bundle: bundleOf(t, root), At: time.Now(), Name: "node1"}.Verify(leaf), tc.want, tc.text)
	}
}
