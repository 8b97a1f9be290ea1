package trust_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"

	"x509ctl/pkg/trust"
)

// withConstraints adds name constraints, as crypto/x509 writes them.
func withConstraints(edit func(*template)) func(*template) {
	return func(c *template) {
		c.MaxPathLen, c.MaxPathLenZero, c.PermittedDNSDomainsCritical = -1, false, true
		edit(c)
	}
}

// rawConstraints adds name constraints of the permitted and excluded subtrees.
func rawConstraints(permitted, excluded []byte) func(*template) {
	return func(c *template) {
		c.MaxPathLen, c.MaxPathLenZero = -1, false
		var value []byte
		for i, subtrees := range [][]byte{permitted, excluded} {
			if subtrees != nil {
				value = append(value, append([]byte{0xa0 + byte(i), byte(len(subtrees))}, subtrees...)...)
			}
		}
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{
			Id: asn1.ObjectIdentifier{2, 5, 29, 30}, Critical: true, Value: append([]byte{0x30, byte(len(value))}, value...),
		})
	}
}

// subtree returns a GeneralSubtree of a tag and value.
func subtree(tag byte, value []byte, limits ...byte) []byte {
	base := append([]byte{tag, byte(len(value))}, value...)
	return append([]byte{0x30, byte(len(base) + len(limits))}, append(base, limits...)...)
}

func orgs(names ...string) []byte {
	der, err := asn1.Marshal(pkix.Name{Organization: names}.ToRDNSequence())
	if err != nil {
		panic(err)
	}
	return der
}

func subjectOrg(names ...string) func(*template) {
	return func(c *template) { c.Subject = pkix.Name{Organization: names, CommonName: "x"} }
}

func dnsName(names ...string) func(*template) { return func(c *template) { c.DNSNames = names } }

func mail(addresses ...string) func(*template) {
	return func(c *template) { c.EmailAddresses = addresses }
}

func uri(s string) func(*template) {
	return func(c *template) { c.URIs = []*url.URL{{Scheme: "https", Host: s}} }
}

func address(ips ...string) func(*template) {
	return func(c *template) {
		c.IPAddresses = nil
		for _, s := range ips {
			c.IPAddresses = append(c.IPAddresses, net.ParseIP(s))
		}
	}
}

func network(s string) []*net.IPNet {
	_, n, err := net.ParseCIDR(s)
	if err != nil {
		panic(err)
	}
	return []*net.IPNet{n}
}

// TestNameConstraints has one root with constraints and one leaf below it.
func TestNameConstraints(t *testing.T) {
	permitDNS := func(d ...string) func(*template) {
		return withConstraints(func(c *template) { c.PermittedDNSDomains = d })
	}
	excludeDNS := func(d ...string) func(*template) {
		return withConstraints(func(c *template) { c.ExcludedDNSDomains = d })
	}
	permitMail := func(d ...string) func(*template) {
		return withConstraints(func(c *template) { c.PermittedEmailAddresses = d })
	}
	permitURI := func(d ...string) func(*template) {
		return withConstraints(func(c *template) { c.PermittedURIDomains = d })
	}
	const ok, no = true, false
	for i, tc := range []struct {
		root, leaf func(*template)
		want       bool
	}{
		{permitDNS("example.com"), dnsName("EXAMPLE.com", "a.b.example.com", "*.example.com"), ok},
		{permitDNS("example.com"), dnsName("badexample.com"), no},
		{permitDNS("example.com"), dnsName("example.com."), no},
		{permitDNS("a.example.com"), dnsName("*.example.com"), no},
		{permitDNS(".example.com"), dnsName("a.example.com"), ok},
		{permitDNS(".example.com"), dnsName("example.com"), no},
		{permitDNS("example.com", "example.org"), dnsName("example.org"), ok},
		{excludeDNS("a.example.com"), dnsName("b.example.com"), ok},
		{excludeDNS("a.example.com"), dnsName("x.a.example.com"), no},
		{excludeDNS("a.example.com"), dnsName("*.example.com"), no},
		{excludeDNS("a.example.com"), dnsName("b*.example.com"), no},
		{excludeDNS("b.a.example.com"), dnsName("*.example.com"), ok},
		{excludeDNS("example.com"), address("192.0.2.1"), no}, // the leaf keeps Node1.example.com
		{excludeDNS("example.org"), dnsName("a..example.com"), no},

		{withConstraints(func(c *template) { c.PermittedIPRanges = network("192.0.2.0/24") }), address("192.0.2.255"), ok},
		{withConstraints(func(c *template) { c.PermittedIPRanges = network("192.0.2.0/24") }), address("192.0.3.0"), no},
		{withConstraints(func(c *template) { c.PermittedIPRanges = network("192.0.2.0/24") }), address("2001:db8::1"), no},
		{withConstraints(func(c *template) { c.ExcludedIPRanges = network("192.0.2.0/24") }), address("2001:db8::1"), ok},
		{withConstraints(func(c *template) { c.ExcludedIPRanges = network("2001:db8::/32") }), address("2001:db8::1"), no},

		{permitMail("user@example.com"), mail("user@EXAMPLE.com"), ok},
		{permitMail("user@example.com"), mail("User@example.com"), no},
		{permitMail("example.com"), mail("user@example.com"), ok},
		{permitMail("example.com"), mail("user@a.example.com"), no},
		{permitMail(".example.com"), mail("user@a.example.com"), ok},
		{permitMail(".example.com"), mail("user@example.com"), no},
		{permitMail("example.com"), mail(`"user"@example.com`), no},
		{permitMail("example.com"), mail("a.b+c'd@example.com"), ok},
		{permitMail("example.com"), mail("]oo@example.com"), no},
		{permitMail("example.com"), mail("a..b@example.com"), no},
		{permitMail("example.com"), mail(".a@example.com"), no},
		{permitMail("example.com"), mail("a.@example.com"), no},
		{permitMail("example.com"), mail("@example.com"), no},
		{permitMail("example.com"), mail("a@b@example.com"), no},
		{permitMail("example.com"), mail("example.com"), no},
		{permitMail("example.com"), subjectMail("user@example.org"), no},
		{permitMail("example.com"), subjectMail("user@example.com"), ok},

		{permitURI("example.com"), uri("example.com:8443"), ok},
		{permitURI("example.com"), uri("a.example.com"), no},
		{permitURI(".example.com"), uri("a.example.com"), ok},
		{permitURI("example.com"), uri("192.0.2.1"), no},
		{permitURI("example.com"), uri(""), no},

		{rawConstraints(subtree(0xa4, orgs("Example", "Unit")), nil), subjectOrg("Unit", "Example"), ok}, // one RDN of two parts
		{rawConstraints(subtree(0xa4, orgs("Example")), nil), subjectOrg("Example", "Unit"), no},
		{rawConstraints(subtree(0xa4, orgs("Example")), nil), subjectOrg("example"), ok},
		{rawConstraints(subtree(0xa4, orgs(" EXAMPLE  Inc ")), nil), subjectOrg("Example Inc"), ok},
		{rawConstraints(subtree(0xa4, orgs("Example")), nil), subjectOrg("Example2"), no},
		{rawConstraints(nil, subtree(0xa4, orgs("Example"))), subjectOrg("EXAMPLE"), no},
		{rawConstraints(nil, subtree(0xa4, orgs("Example"))), subjectOrg("Other"), ok},
		{rawConstraints(nil, subtree(0x88, []byte{42, 3, 4})), dnsName("a"), ok},
		{rawConstraints(subtree(0xa4, swapped(orgs("Aaa", "Bbb"), "Aaa", "Bbb")), nil), subjectOrg("Aaa", "Bbb"), ok}, // no DER, and seen
		{rawConstraints(nil, subtree(0xa4, bytes.Replace(orgs("Aaa"), []byte{0x13, 3}, []byte{0x14, 3}, 1))), subjectOrg("Other"), no},
		{withConstraints(func(c *template) { c.ExcludedIPRanges = network("192.0.2.0/24") }), mapped(192, 0, 2, 1), no},
		{withConstraints(func(c *template) { c.ExcludedIPRanges = network("192.0.2.0/24") }), mapped(192, 0, 3, 1), ok},
		{rawConstraints(subtree(0x82, []byte("example.com")), nil), dnsName("example.com"), ok},
		{rawConstraints(subtree(0x82, []byte("example.com"), 0x80, 1, 1), nil), dnsName("example.com"), no}, // minimum 1
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			root := newCA(t, "Root", nil, tc.root)
			leaf := newLeaf(t, root, func(c *template) { c.IPAddresses = nil }, tc.leaf)
			_, err := trust.ChainCheck{Pool: poolOf(t, []*ca{root}, nil), At: now}.Verify(leaf)
			if tc.want {
				expect(t, err, "", "")
			} else {
				expect(t, err, trust.BadChain, "")
			}
		})
	}
}

// swapped exchanges two texts of the same length.
func swapped(b []byte, x, y string) []byte {
	return []byte(strings.NewReplacer(x, y, y, x).Replace(string(b)))
}

// mapped is an IPv4 address as one of IPv6.
func mapped(v4 ...byte) func(*template) {
	return func(c *template) {
		c.DNSNames = nil
		value := append([]byte{0x30, 18, 0x87, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, v4...)
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: value}}
	}
}

func subjectMail(s string) func(*template) {
	return func(c *template) {
		c.Subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, Value: s}}
	}
}

// FuzzConstraints puts any octets into the name constraints of a root and the
// names of a leaf. What is accepted here, crypto/x509 accepts too, unless it
// doesn't know the constraints' forms.
func FuzzConstraints(f *testing.F) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	cases, _ := limboCases(f)
	seeds := 0
	for _, c := range cases {
		if !strings.Contains(c.ID, "::nc::") || len(c.Roots) == 0 {
			continue
		}
		for _, s := range append(c.Roots, c.Intermediates...) {
			ca, err := trust.ParseCertificate([]byte(s))
			leaf, err2 := trust.ParseCertificate([]byte(c.Leaf))
			if err != nil || err2 != nil {
				continue
			}
			if nc := valueOf(ca, 30); nc != nil && len(nc) < 2000 {
				f.Add(nc, valueOf(leaf, 17))
				seeds++
			}
		}
	}
	if seeds < 20 {
		f.Fatalf("%d seeds", seeds)
	}
	f.Fuzz(func(t *testing.T, constraints, names []byte) {
		root, err := tryCA(key, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 30}, Critical: true, Value: constraints})
		if err != nil {
			return
		}
		leaf, err := tryLeaf(root, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: names})
		if err != nil {
			return
		}
		pool, err := trust.NewPool([]*x509.Certificate{root.cert}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, got := trust.ChainCheck{Pool: pool, At: now}.Verify(leaf)
		opts := x509.VerifyOptions{Roots: x509.NewCertPool(), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
		opts.Roots.AddCert(root.cert)
		_, want := leaf.Verify(opts)
		if got == nil && want != nil && len(root.cert.UnhandledCriticalExtensions) == 0 && !isAboutOther(root.cert, want) {
			t.Errorf("accepted; crypto/x509: %v", want)
		}
	})
}

// isAboutOther reports whether crypto/x509 complains of the shape of a name that ca
// doesn't constrain.
func isAboutOther(ca *x509.Certificate, err error) bool {
	for form, n := range map[string]int{
		"dnsName":    len(ca.PermittedDNSDomains) + len(ca.ExcludedDNSDomains),
		"rfc822Name": len(ca.PermittedEmailAddresses) + len(ca.ExcludedEmailAddresses),
		"URI":        len(ca.PermittedURIDomains) + len(ca.ExcludedURIDomains),
	} {
		if strings.Contains(err.Error(), "cannot parse "+form) || strings.Contains(err.Error(), form+" with empty host") {
			return n == 0
		}
	}
	return false
}

func valueOf(cert *x509.Certificate, last int) []byte {
	for _, e := range cert.Extensions {
		if e.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, last}) {
			return e.Value
		}
	}
	return nil
}

func tryCA(key *ecdsa.PrivateKey, ext pkix.Extension) (*ca, error) {
	template := &x509.Certificate{SerialNumber: pow2(0, 0), Subject: pkix.Name{CommonName: "Root"}, NotBefore: now, NotAfter: now,
		BasicConstraintsValid: true, IsCA: true, ExtraExtensions: []pkix.Extension{ext}}
	cert, err := trySign(template, &ca{template, key}, key)
	return &ca{cert, key}, err
}

func tryLeaf(parent *ca, ext pkix.Extension) (*x509.Certificate, error) {
	template := &x509.Certificate{SerialNumber: pow2(0, 1), Subject: pkix.Name{CommonName: "node1"}, NotBefore: now, NotAfter: now,
		ExtraExtensions: []pkix.Extension{ext}}
	return trySign(template, parent, parent.key.(*ecdsa.PrivateKey))
}

func trySign(template *x509.Certificate, parent *ca, key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent.cert, key.Public(), parent.key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}
