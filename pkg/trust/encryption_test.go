package trust_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"x509ctl/pkg/trust"
)

func TestVerifyEncryption(t *testing.T) {
	root := newCA(t, "Root", nil, pathLen(1))
	own := newCA(t, "tenant1 CA 2", root)
	pem, err := trust.FormatBundle([]*x509.Certificate{own.cert}, []*x509.Certificate{root.cert})
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := trust.ParseBundle(pem)
	if err != nil {
		t.Fatal(err)
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	leaf := func(public any, by *ca, edit func(*x509.Certificate)) *x509.Certificate {
		template := &x509.Certificate{
			SerialNumber: newLeaf(t, own).SerialNumber, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(4, 0, 0),
			BasicConstraintsValid: true, KeyUsage: x509.KeyUsageKeyEncipherment,
		}
		edit(template)
		return sign(t, template, by, public)
	}
	check := trust.Check{Bundle: bundle, Floor: 42, At: now, Project: "tenant1"}
	for _, tc := range []struct {
		name   string
		leaf   *x509.Certificate
		change func(*trust.Check)
		want   trust.Reason
	}{
		{name: "good, for four years", leaf: leaf(&key.PublicKey, own, func(*x509.Certificate) {})},
		{name: "no RSA", leaf: leaf(newKey(t).Public(), own, func(*x509.Certificate) {}), want: trust.WrongPurpose},
		{name: "to sign", leaf: leaf(&key.PublicKey, own, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }), want: trust.WrongPurpose},
		{name: "of the root", leaf: leaf(&key.PublicKey, root, func(*x509.Certificate) {}), want: trust.WrongIssuer},
		{name: "of another", leaf: leaf(&key.PublicKey, newCA(t, "tenant1 CA 2", nil), func(*x509.Certificate) {}), want: trust.WrongIssuer},
		{name: "a CA's", leaf: leaf(&key.PublicKey, own, func(c *x509.Certificate) { c.IsCA = true }), want: trust.IsCA},
		{name: "below the floor", change: func(c *trust.Check) { c.Floor = 43 }, want: trust.BelowFloor},
		{name: "too early", change: func(c *trust.Check) { c.At = now.Add(-2 * time.Hour) }, want: trust.NotYetValid},
		{name: "too late", change: func(c *trust.Check) { c.At = now.AddDate(4, 0, 1) }, want: trust.Expired},
		{name: "no list", change: func(c *trust.Check) { c.RequireFresh = true }, want: trust.StaleCRL},
	} {
		c := check
		if tc.change != nil {
			tc.change(&c)
		}
		if tc.leaf == nil {
			tc.leaf = leaf(&key.PublicKey, own, func(*x509.Certificate) {})
		}
		err := c.VerifyEncryption(tc.leaf)
		var flaw *trust.VerifyError
		if tc.want == "" && err != nil || tc.want != "" && (!errors.As(err, &flaw) || flaw.Reason != tc.want) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
		if tc.want == "" && c.Verify(tc.leaf) == nil {
			t.Errorf("%s: it is good for TLS", tc.name)
		}
	}
}
