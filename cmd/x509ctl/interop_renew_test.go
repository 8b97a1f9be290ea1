package main_test

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestRenewalSeenByOthers goes through the phases of a renewal, and has openssl,
// GnuTLS, NSS, Java and Go judge certificates of both CAs with the bundle of each.
func TestRenewalSeenByOthers(t *testing.T) {
	t.Parallel()
	need(t, "openssl", "certtool", "certutil", "java", "javac")
	c := newCluster(t)
	dir := t.TempDir()
	bundle := func(phase string) string {
		path := filepath.Join(dir, phase+".pem")
		c.ok("ca", "bundle", "--out", path)
		return path
	}
	issue := func(name string) string {
		path := filepath.Join(dir, name+".crt")
		c.ok("cert", "issue", node1, "--cert", path, "--key", filepath.Join(dir, name+".key"))
		return path
	}
	older, before := issue("older"), bundle("before")
	c.ok("ca", "renew-crypto", "--prepare", "--yes")
	prepared := bundle("prepared")
	meanwhile := issue("meanwhile")
	c.ok("ca", "renew-crypto", "--activate", "--yes")
	activated := bundle("activated")
	newer := issue("newer")
	c.fails(5, "ca", "renew-crypto", "--retire", "--yes")
	c.ok("serial", "set-min", "last")
	c.ok("ca", "renew-crypto", "--retire", "--yes")
	retired := bundle("retired")
	last := issue("last")

	all := append([]judge{{name: "go", of: goVerify}}, judges...)
	for _, j := range all {
		t.Run(j.name, func(t *testing.T) {
			for _, phase := range []struct {
				bundle    string
				good, bad []string
			}{
				{before, []string{older, meanwhile}, []string{newer, last}}, // as --activate says
				{prepared, []string{older, meanwhile, newer, last}, nil},
				{activated, []string{older, meanwhile, newer, last}, nil},
				{retired, []string{newer, last}, []string{older, meanwhile}},
			} {
				ask := j.trusting(t, phase.bundle)
				for _, leaf := range phase.good {
					if err := ask(leaf); err != nil {
						t.Errorf("with %s, %s: %v", filepath.Base(phase.bundle), filepath.Base(leaf), err)
					}
				}
				for _, leaf := range phase.bad {
					if ask(leaf) == nil {
						t.Errorf("with %s, %s is accepted", filepath.Base(phase.bundle), filepath.Base(leaf))
					}
				}
			}
		})
	}
}

// trusting has the judge trust all certificates of a bundle. certutil takes the first of
// a file only, so it gets one file for each, and accepts what it accepts with one.
// certtool is not asked about a chain, which a bundle is not.
func (j judge) trusting(t *testing.T, bundle string) func(string) error {
	t.Helper()
	switch j.name {
	case "gnutls":
		return func(leaf string) error {
			_, err := try("", "certtool", "--verify", "--load-ca-certificate", bundle, "--infile", leaf, "--verify-hostname", node1)
			return err
		}
	case "nss":
		return j.trustingEach(t, bundle)
	}
	return j.of(t, bundle)
}

func (j judge) trustingEach(t *testing.T, bundle string) func(string) error {
	t.Helper()
	var each []func(string) error
	for rest := []byte(read(t, bundle)); ; {
		block, after := pem.Decode(rest)
		if block == nil {
			break
		}
		rest = after
		path := filepath.Join(t.TempDir(), "ca.pem")
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		each = append(each, j.of(t, path))
	}
	return func(leaf string) error {
		var errs []error
		for _, ask := range each {
			err := ask(leaf)
			if err == nil {
				return nil
			}
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	}
}

func goVerify(t *testing.T, bundle string) func(string) error {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(read(t, bundle))) {
		t.Fatalf("no certificate in %s", bundle)
	}
	return func(leaf string) error {
		block, _ := pem.Decode([]byte(read(t, leaf)))
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return err
		}
		_, err = cert.Verify(x509.VerifyOptions{Roots: roots, DNSName: node1, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
		return err
	}
}
