package pkcs12_test

import (
	"crypto/x509"
	"strings"
	"testing"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/pkcs12"
)

// TestTrustStore reads what every profile packs; ca_bundle.txtar has keytool list it.
func TestTrustStore(t *testing.T) {
	id := identities()["ecdsa-p256"]
	cas := append([]*x509.Certificate{id.leaf}, id.chain...)
	for _, p := range pkcs12.Profiles() {
		data, err := pkcs12.EncodeTrustStore(p, cas, ordinary)
		if err != nil {
			t.Fatal(err)
		}
		f, err := pkcs12.Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		c, err := f.Open(ordinary)
		if err != nil || len(c.Certificates) != len(cas) || len(c.Keys) != 0 {
			t.Fatalf("%s: %+v, %v", p, c, err)
		}
		names := map[string]bool{}
		for _, c := range c.Certificates {
			names[c.Bag.Name] = true
			if !c.Bag.Trusted || !strings.HasPrefix(c.Bag.Name, c.Subject.CommonName) {
				t.Errorf("%s: %q, trusted: %v", p, c.Bag.Name, c.Bag.Trusted)
			}
		}
		if len(names) != len(cas) {
			t.Errorf("%s: names %v", p, names)
		}
	}
}

func TestTrustStoreRefuses(t *testing.T) {
	ca := identities()["ecdsa-p256"].chain
	for what, tc := range map[string]struct {
		profile  pkcs12.Profile
		cas      []*x509.Certificate
		password string
		kind     fault.Kind
	}{
		"no certificate": {pkcs12.Modern2023, nil, ordinary, fault.Malformed},
		"no profile":     {"x", ca, ordinary, fault.Malformed},
		"no password":    {pkcs12.Modern2023, ca, "", fault.Denied},
	} {
		if _, err := pkcs12.EncodeTrustStore(tc.profile, tc.cas, tc.password); err == nil || fault.KindOf(err) != tc.kind {
			t.Errorf("%s: %v", what, err)
		}
	}
}
