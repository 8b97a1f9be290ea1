package profile

import (
	"crypto/x509"
	"testing"
	"time"

	"x509ctl/pkg/fault"
)

func TestNewIssuerRefuses(t *testing.T) {
	good := newTestCA(t, newP256(t), time.Now(), time.Hour)
	with := func(change func(c *x509.Certificate)) []*x509.Certificate {
		c := *good
		change(&c)
		return []*x509.Certificate{&c}
	}
	for _, tc := range []struct {
		name  string
		chain []*x509.Certificate
		kind  fault.Kind
		want  string
	}{
		{"no certificate", nil, fault.Internal, "needs a certificate"},
		{"nil", []*x509.Certificate{nil}, fault.Internal, "needs a certificate"},
		{"nil in the chain", []*x509.Certificate{good, nil}, fault.Internal, "needs a certificate"},
		{"version 1", with(func(c *x509.Certificate) { c.Version = 1 }), fault.Denied, "CA:TRUE"},
		{"no CA", with(func(c *x509.Certificate) { c.IsCA = false }), fault.Denied, "CA:TRUE"},
		{"no basic constraints", with(func(c *x509.Certificate) { c.BasicConstraintsValid = false }), fault.Denied, "CA:TRUE"},
		{"no key usage", with(func(c *x509.Certificate) { c.KeyUsage = 0 }), fault.Denied, "keyCertSign"},
		{"no key identifier", with(func(c *x509.Certificate) { c.SubjectKeyId = nil }), fault.Denied, "subject key identifier"},
		{"long key identifier", with(func(c *x509.Certificate) { c.SubjectKeyId = make([]byte, 65) }), fault.Denied, "subject key identifier"},
		{"empty subject", with(func(c *x509.Certificate) { c.RawSubject = []byte{0x30, 0} }), fault.Denied, "subject is empty"},
		{"broken key", with(func(c *x509.Certificate) { c.RawSubjectPublicKeyInfo = nil }), fault.Denied, "can't sign"},
	} {
		_, err := NewIssuer(tc.chain)
		wantRefusal(t, tc.name, err, tc.kind, tc.want)
	}
}
