package trust_test

import (
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"x509ctl/pkg/trust"
)

// project makes a root and two CAs below it, numbers 5 and 6, as projects have them.
func project(t *testing.T) (root, own, other *ca) {
	t.Helper()
	root = newCA(t, "projects CA 1", nil, pathLen(1))
	number := func(n int64) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.SerialNumber = big.NewInt(n) }
	}
	return root, newCA(t, "tenant CA 5", root, number(5)), newCA(t, "other CA 6", root, number(6))
}

// TestRevokedCA has lists of the root beside the authority's own, in one file. openssl is
// given the same.
func TestRevokedCA(t *testing.T) {
	root, own, other := project(t)
	namesake, _, _ := project(t)
	leaf := newLeaf(t, own)
	mine := newCRLBytes(t, own, listed(1))
	dir, run := openssl(t)
	write(t, filepath.Join(dir, "bundle.pem"), pemOf(own.cert, root.cert))
	write(t, filepath.Join(dir, "leaf.pem"), pemOf(leaf))
	for name, tc := range map[string]struct {
		lists  [][]byte
		fresh  bool
		reason trust.Reason
		none   bool // openssl wants a list of each CA
	}{
		"not revoked":             {lists: [][]byte{mine, newCRLBytes(t, root, listed(6))}, fresh: true},
		"revoked":                 {lists: [][]byte{mine, newCRLBytes(t, root, listed(5, 6))}, reason: trust.Revoked},
		"revoked, in front":       {lists: [][]byte{newCRLBytes(t, root, listed(5)), mine}, reason: trust.Revoked},
		"revoked by the latest":   {lists: [][]byte{mine, newCRLBytes(t, root, listed(), updates(-2*time.Hour, time.Hour)), newCRLBytes(t, root, listed(5), numbered(8))}, reason: trust.Revoked},
		"by an old list":          {lists: [][]byte{mine, newCRLBytes(t, root, listed(5), updates(-240*time.Hour, -72*time.Hour))}, reason: trust.Revoked},
		"an old list":             {lists: [][]byte{mine, newCRLBytes(t, root, listed(), updates(-240*time.Hour, -72*time.Hour))}, none: true},
		"a fresh one is wanted":   {lists: [][]byte{mine, newCRLBytes(t, root, listed(), updates(-240*time.Hour, -72*time.Hour))}, fresh: true, reason: trust.StaleCRL},
		"no list of the root":     {lists: [][]byte{mine}, fresh: true, none: true},
		"only that of the root":   {lists: [][]byte{newCRLBytes(t, root, listed(6))}, reason: trust.BadCRL},
		"another root's":          {lists: [][]byte{mine, newCRLBytes(t, other, listed(5))}, none: true},
		"a forged one":            {lists: [][]byte{mine, newCRLBytes(t, &ca{root.cert, namesake.key}, listed())}, reason: trust.BadCRL},
		"number 5 of its own":     {lists: [][]byte{newCRLBytes(t, own, listed(5)), newCRLBytes(t, root, listed())}},
		"the leaf's, at the root": {lists: [][]byte{mine, newCRLBytes(t, root, listed(42))}},
	} {
		t.Run(name, func(t *testing.T) {
			c := trust.Check{Bundle: bundleOf(t, own, root), CRL: fileOf(t, tc.lists...), At: now, RequireFresh: tc.fresh}
			expect(t, c.Verify(leaf), tc.reason, "")
			if tc.none {
				return
			}
			var data []byte
			for _, der := range tc.lists {
				data = append(data, pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})...)
			}
			write(t, filepath.Join(dir, "crl.pem"), data)
			if ok := run("verify", "-crl_check_all", "-attime", "1767323045", "-CAfile", "bundle.pem", "-CRLfile", "crl.pem", "leaf.pem"); ok != (tc.reason == "") {
				t.Errorf("openssl says %v", ok)
			}
		})
	}
}

// TestSourceFollowsRevokedCA: a program that runs hears of it with the next crl.pem, in
// whatever order the lists are.
func TestSourceFollowsRevokedCA(t *testing.T) {
	root, own, _ := project(t)
	leaf := newLeaf(t, own)
	dir := t.TempDir()
	put := func(name string, data []byte) {
		t.Helper()
		temporary := filepath.Join(dir, "temporary")
		write(t, temporary, data)
		if err := os.Rename(temporary, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	lists := func(all ...[]byte) (data []byte) {
		for _, der := range all {
			data = append(data, pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})...)
		}
		return data
	}
	put("bundle.pem", pemOf(own.cert, root.cert))
	put("min-serial", []byte("1\n"))
	put("crl.pem", lists(newCRLBytes(t, root, listed()), newCRLBytes(t, own, listed())))
	s, err := trust.OpenSource(trust.DirFiles(dir), trust.SourceOptions{Now: func() time.Time { return now }, Interval: -1})
	if err != nil {
		t.Fatal(err)
	}
	verdict := func() error {
		t.Helper()
		c, err := s.Check()
		if err != nil {
			t.Fatal(err)
		}
		return c.Verify(leaf)
	}
	expect(t, verdict(), "", "")
	put("crl.pem", lists(newCRLBytes(t, root, listed(5), numbered(8)), newCRLBytes(t, own, listed())))
	expect(t, verdict(), trust.Revoked, "the CA certificate of")
}
