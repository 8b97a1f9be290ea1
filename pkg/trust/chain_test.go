package trust_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	mathrand "math/rand/v2"
	"testing"
	"time"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/trust"
)

func poolOf(t testing.TB, roots, intermediates []*ca, crls ...*trust.CRL) *trust.Pool {
	t.Helper()
	p, err := trust.NewPool(certsOf(roots), certsOf(intermediates), crls)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestChains has one leaf each below a root and an intermediate.
func TestChains(t *testing.T) {
	rsa1024, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	long := func(c *template) { c.NotAfter = now.AddDate(3, 0, 0) }
	for _, tc := range []struct {
		name         string
		root, middle func(*template)
		leaf         func(*template)
		check        func(*trust.ChainCheck)
		want         trust.Reason
		text         string
	}{
		{name: "as issued"},
		{name: "three years", leaf: long},
		{name: "number 2^100", leaf: func(c *template) { c.SerialNumber = pow2(100, 0) }},
		{name: "expired", check: chainAt(48 * time.Hour), want: trust.Expired, text: "certificate 42 expired"},
		{name: "early", check: chainAt(-time.Hour), want: trust.NotYetValid, text: "not valid before"},
		{name: "intermediate expired", middle: ends(-time.Second), want: trust.BadChain, text: `CA certificate of "CN=Middle" expired`},
		{name: "root expired", root: ends(-time.Second), want: trust.BadChain, text: `CA certificate of "CN=Root" expired`},
		{name: "root not begun", root: begins(time.Second), want: trust.BadChain, text: "not valid before"},
		{name: "no CA", middle: func(c *template) { c.IsCA, c.MaxPathLenZero, c.MaxPathLen = false, false, -1 }, want: trust.BadChain, text: "is not a CA's"},
		{name: "no keyCertSign", middle: func(c *template) { c.KeyUsage = x509.KeyUsageCRLSign }, want: trust.BadChain, text: "keyCertSign"},
		{name: "root without room", root: pathLen(0), want: trust.BadChain, text: "allows 0 CAs below it, and there are 1"},
		{name: "unknown critical", leaf: extension(true, 1, 2, 3), want: trust.UnknownCritical, text: "certificate 42 has a critical extension that is not understood: 1.2.3"},
		{name: "unknown critical above", middle: extension(true, 1, 2, 3), want: trust.UnknownCritical, text: `CA certificate of "CN=Middle"`},
		{name: "policy demanded", middle: demandPolicy, want: trust.BadChain, text: "policies"},

		{name: "client", check: chainPurpose(trust.Client)},
		{name: "mail", check: chainPurpose(trust.Email), want: trust.WrongPurpose, text: "not for mail: it lacks the extended key usage emailProtection"},
		{name: "programs", leaf: usage(x509.ExtKeyUsageCodeSigning), check: chainPurpose(trust.CodeSigning)},
		{name: "no usages", leaf: func(c *template) { c.KeyUsage, c.ExtKeyUsage = 0, nil }, check: chainPurpose(trust.Server)},
		{name: "other key usage", leaf: func(c *template) { c.KeyUsage = x509.KeyUsageCRLSign }, check: chainPurpose(trust.Server), want: trust.WrongPurpose, text: "its key usage allows nothing"},
		{name: "intermediate for clients", middle: usage(x509.ExtKeyUsageClientAuth), check: chainPurpose(trust.Server), want: trust.BadChain, text: "serverAuth"},
		{name: "intermediate for clients, any asked", middle: usage(x509.ExtKeyUsageClientAuth)},

		{name: "name", check: chainName("NODE1.example.com")},
		{name: "wildcard", leaf: dnsName("*.example.com"), check: chainName("node1.example.com")},
		{name: "wildcard for two labels", leaf: dnsName("*.example.com"), check: chainName("a.b.example.com"), want: trust.WrongName},
		{name: "wildcard for none", leaf: dnsName("*.example.com"), check: chainName("example.com"), want: trust.WrongName},
		{name: "wildcard asked for", leaf: dnsName("*.example.com"), check: chainName("*.example.com"), want: trust.WrongName},
		{name: "empty label", leaf: dnsName("*.example.com"), check: chainName(".example.com"), want: trust.WrongName},
		{name: "common name", leaf: func(c *template) { c.DNSNames, c.IPAddresses = nil, nil }, check: chainName("node1.example.com"), want: trust.WrongName, text: "a common name doesn't count"},
		{name: "address", check: chainName("2001:DB8::1")},
		{name: "other address", check: chainName("2001:db8::2"), want: trust.WrongName},
		{name: "mail address", leaf: mail("user@example.com"), check: func(c *trust.ChainCheck) { c.Email = "user@Example.com" }},
		{name: "other mail address", leaf: mail("user@example.com"), check: func(c *trust.ChainCheck) { c.Email = "User@example.com" }, want: trust.WrongName, text: `it is for "user@example.com"`},
		{name: "no mail address", check: func(c *trust.ChainCheck) { c.Email = "user@example.com" }, want: trust.WrongName, text: "no mail address"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			root := newCA(t, "Root", nil, append([]func(*template){pathLen(-1)}, given(tc.root)...)...)
			middle := newCA(t, "Middle", root, given(tc.middle)...)
			leaf := newLeaf(t, middle, given(tc.leaf)...)
			check := trust.ChainCheck{Pool: poolOf(t, []*ca{root}, []*ca{middle}), At: now}
			if tc.check != nil {
				tc.check(&check)
			}
			chain, err := check.Verify(leaf)
			expect(t, err, tc.want, tc.text)
			if err == nil && (len(chain.Certificates) != 3 || chain.Revocation != trust.Unchecked) {
				t.Errorf("%d certificates, %s", len(chain.Certificates), chain.Revocation)
			}
			check.Pool = poolOf(t, []*ca{root}, nil)
			_, err = check.Verify(leaf, middle.cert) // as a server sends them
			expect(t, err, tc.want, tc.text)
		})
	}
	for _, key := range []crypto.Signer{rsa1024, p224} {
		root := newCA(t, "Root", nil)
		template := *newLeaf(t, root)
		leaf := sign(t, &template, root, key.Public())
		_, err := trust.ChainCheck{Pool: poolOf(t, []*ca{root}, nil), At: now}.Verify(leaf)
		expect(t, err, trust.WeakKey, "the")
	}
}

// demandPolicy adds policy constraints with requireExplicitPolicy 0.
func demandPolicy(c *template) {
	c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 36}, Critical: true, Value: []byte{0x30, 3, 0x80, 1, 0}}}
}

func given(edit func(*template)) []func(*template) {
	if edit == nil {
		return nil
	}
	return []func(*template){edit}
}

func chainAt(d time.Duration) func(*trust.ChainCheck) {
	return func(c *trust.ChainCheck) { c.At = now.Add(d) }
}

func chainPurpose(p trust.Purpose) func(*trust.ChainCheck) {
	return func(c *trust.ChainCheck) { c.Purpose = p }
}

func chainName(s string) func(*trust.ChainCheck) { return func(c *trust.ChainCheck) { c.Name = s } }

// TestWhoSigned has leaves that don't lead to the root.
func TestWhoSigned(t *testing.T) {
	root, stranger, namesake := newCA(t, "Root", nil), newCA(t, "Other", nil), newCA(t, "Root", nil)
	double := newCA(t, "Root", nil, func(c *template) { c.SubjectKeyId = root.cert.SubjectKeyId })
	lost := newCA(t, "Lost", newCA(t, "Above", nil, pathLen(-1)))
	self := newCA(t, "node1", nil)
	check := trust.ChainCheck{Pool: poolOf(t, []*ca{root}, []*ca{lost, stranger}), At: now}
	for _, tc := range []struct {
		leaf *x509.Certificate
		want trust.Reason
		text string
	}{
		{newLeaf(t, root), "", ""},
		{newLeaf(t, newCA(t, "Nobody", nil)), trust.WrongIssuer, `"CN=Nobody", whose certificate is neither`},
		{newLeaf(t, stranger), trust.BadChain, `"CN=Other", the issuer of "CN=Other", is missing, or is no root`},
		{newLeaf(t, lost), trust.BadChain, `"CN=Above", the issuer of "CN=Lost", is missing`},
		{newLeaf(t, namesake), trust.WrongIssuer, "another CA of the name"},
		{newLeaf(t, double), trust.BadSignature, "changed or forged"},
		{self.cert, trust.WrongIssuer, `issued by itself, "CN=node1", and is none of the roots`},
		{root.cert, "", ""}, // trusted by itself
	} {
		_, err := check.Verify(tc.leaf)
		expect(t, err, tc.want, tc.text)
	}
}

// TestPathAround finds the one good chain of several.
func TestPathAround(t *testing.T) {
	root := newCA(t, "Root", nil, pathLen(-1))
	middle := newCA(t, "Middle", root)
	old := newCAWithKey(t, "Middle", middle.key, root, ends(-time.Hour))
	cross := newCAWithKey(t, "Root", root.key, newCA(t, "Gone", nil, pathLen(-1)), pathLen(-1))
	leaf := newLeaf(t, middle)
	for _, sent := range [][]*x509.Certificate{{old.cert, cross.cert, middle.cert}, {middle.cert, cross.cert, old.cert}} {
		chain, err := trust.ChainCheck{Pool: poolOf(t, []*ca{root}, nil), At: now}.Verify(leaf, sent...)
		if err != nil || len(chain.Certificates) != 3 || !chain.Certificates[2].Equal(root.cert) {
			t.Error(chain, err)
		}
	}
}

// TestWork bounds chains, signatures and steps.
func TestWork(t *testing.T) {
	root := newCA(t, "CA", nil, pathLen(-1))
	chain := []*ca{root}
	for i := range 11 {
		chain = append(chain, newCA(t, fmt.Sprint("CA ", i), chain[i], pathLen(-1)))
	}
	check := trust.ChainCheck{Pool: poolOf(t, chain[:1], chain[1:]), At: now}
	_, err := check.Verify(newLeaf(t, chain[10]))
	expect(t, err, "", "") // 12 certificates
	_, err = check.Verify(newLeaf(t, chain[11]))
	expect(t, err, trust.TooComplex, "longer than 12")

	var many []*ca
	for range 101 {
		many = append(many, newCA(t, "CA", nil, pathLen(-1), func(c *template) { c.SubjectKeyId = []byte{1} }))
	}
	check.Pool = poolOf(t, many, nil)
	_, err = check.Verify(newLeaf(t, newCA(t, "CA", nil, func(c *template) { c.SubjectKeyId = []byte{1} })))
	expect(t, err, trust.TooComplex, "100 signatures")
}

// TestSteps bounds what is tried without a signature.
func TestSteps(t *testing.T) {
	root := newCA(t, "CA", nil)
	sent := make([]*x509.Certificate, 0, 100)
	var many []*x509.Certificate
	for i := range 1001 {
		cert := newCAWithKey(t, "CA", root.key, nil, ends(-time.Second), func(c *template) { c.SerialNumber = pow2(20, int64(i)) }).cert
		if i < 100 {
			sent = append(sent, cert)
		} else {
			many = append(many, cert)
		}
	}
	pool, err := trust.NewPool([]*x509.Certificate{newCA(t, "Root", nil).cert}, many, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = trust.ChainCheck{Pool: pool, At: now}.Verify(newLeaf(t, root), sent...)
	expect(t, err, trust.TooComplex, "after 1000 certificates")
}

// TestSHA1 refuses a signature that crypto/x509 would take.
func TestSHA1(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	root := newCAWithKey(t, "Root", key, nil)
	leaf := newLeaf(t, root, func(c *template) { c.SignatureAlgorithm = x509.SHA1WithRSA })
	_, err = trust.ChainCheck{Pool: poolOf(t, []*ca{root}, nil), At: now}.Verify(leaf)
	expect(t, err, trust.BadSignature, "SHA1-RSA, which is not accepted")
	double := newCRL(t, root, listed(), func(l *crlTemplate) { l.SignatureAlgorithm = x509.SHA1WithRSA })
	_, err = trust.ChainCheck{Pool: poolOf(t, []*ca{root}, nil, double), At: now}.Verify(newLeaf(t, root))
	expect(t, err, trust.BadCRL, "algorithm is not accepted")
}

// TestChainRevocation asks lists about a leaf and about the CA above it.
func TestChainRevocation(t *testing.T) {
	root := newCA(t, "Root", nil, pathLen(-1))
	middle := newCA(t, "Middle", root, func(c *template) { c.SerialNumber = pow2(100, 0) })
	double := newCA(t, "Middle", nil, func(c *template) { c.SubjectKeyId = middle.cert.SubjectKeyId })
	leaf := newLeaf(t, middle)
	stale := updates(-2*time.Hour, -time.Hour)
	above, none := newCRL(t, root, listed()), listed()
	for _, tc := range []struct {
		name  string
		crls  []*trust.CRL
		fresh bool
		want  trust.Reason
		known trust.Revocation
		asked int // lists
		text  string
	}{
		{name: "none", known: trust.Unchecked},
		{name: "none, and required", fresh: true, want: trust.StaleCRL, text: "certificate 42 is revoked is not known: there is no revocation list of its issuer"},
		{name: "leaf's only", crls: []*trust.CRL{newCRL(t, middle, none)}, known: trust.Unchecked, asked: 1},
		{name: "leaf's only, and required", crls: []*trust.CRL{newCRL(t, middle, none)}, fresh: true, want: trust.StaleCRL, text: `CA certificate of "CN=Middle"`},
		{name: "both", crls: []*trust.CRL{newCRL(t, middle, none), above}, fresh: true, known: trust.FreshCRL, asked: 2},
		{name: "one is old", crls: []*trust.CRL{newCRL(t, middle, none, stale), above}, known: trust.OldCRL, asked: 2},
		{name: "one is old, and required", crls: []*trust.CRL{newCRL(t, middle, none, stale), above}, fresh: true, want: trust.StaleCRL, text: "was to be replaced"},
		{name: "an old and a new one", crls: []*trust.CRL{newCRL(t, middle, none, stale), newCRL(t, middle, none), above}, fresh: true, known: trust.FreshCRL, asked: 3},
		{name: "listed", crls: []*trust.CRL{newCRL(t, middle)}, want: trust.Revoked, text: "certificate 42 is revoked since"},
		{name: "listed on an old one", crls: []*trust.CRL{newCRL(t, middle, none), newCRL(t, middle, stale)}, want: trust.Revoked},
		{name: "listed by another", crls: []*trust.CRL{newCRL(t, root)}, known: trust.Unchecked, asked: 1},
		{name: "the CA is listed", want: trust.Revoked, text: `CA certificate of "CN=Middle" is revoked`, crls: []*trust.CRL{newCRL(t, root, func(l *crlTemplate) {
			l.RevokedCertificateEntries[0].SerialNumber = pow2(100, 0)
		})}},
		{name: "forged", crls: []*trust.CRL{newCRL(t, double, none)}, want: trust.BadCRL, text: "changed or forged"},
		{name: "a namesake's", crls: []*trust.CRL{newCRL(t, newCA(t, "Middle", nil), none)}, known: trust.Unchecked},
	} {
		t.Run(tc.name, func(t *testing.T) {
			check := trust.ChainCheck{Pool: poolOf(t, []*ca{root}, []*ca{middle}, tc.crls...), At: now, RequireFresh: tc.fresh}
			chain, err := check.Verify(leaf)
			expect(t, err, tc.want, tc.text)
			if err == nil && (chain.Revocation != tc.known || len(chain.CRLs) != tc.asked) {
				t.Errorf("%s by %d lists, want %s by %d", chain.Revocation, len(chain.CRLs), tc.known, tc.asked)
			}
		})
	}
}

// TestIncompleteChainCheck asks questions that must not be answered with yes.
func TestIncompleteChainCheck(t *testing.T) {
	root := newCA(t, "Root", nil)
	leaf, pool := newLeaf(t, root), poolOf(t, []*ca{root}, nil)
	for what, check := range map[string]trust.ChainCheck{
		"no pool":         {At: now},
		"empty pool":      {At: now, Pool: new(trust.Pool)},
		"no time":         {Pool: pool},
		"unknown purpose": {Pool: pool, At: now, Purpose: "x"},
	} {
		if _, err := check.Verify(leaf); fault.KindOf(err) != fault.Malformed {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := (trust.ChainCheck{Pool: pool, At: now}).Verify(leaf, make([]*x509.Certificate, 101)...); fault.KindOf(err) != fault.Malformed {
		t.Error(err)
	}
	for what, err := range map[string]error{
		"no root":      second(trust.NewPool(nil, []*x509.Certificate{root.cert}, nil)),
		"missing list": second(trust.NewPool([]*x509.Certificate{root.cert}, nil, []*trust.CRL{nil})),
		"many":         second(trust.NewPool(make([]*x509.Certificate, 1001), nil, nil)),
	} {
		if fault.KindOf(err) != fault.Malformed {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// TestChainsLikeGo makes authorities that signed each other at random, and
// compares with crypto/x509, which has to find a chain exactly when one is found
// here. There are no self-issued certificates, about which the two differ.
func TestChainsLikeGo(t *testing.T) {
	const seed1, seed2 = 11, 47
	random := mathrand.New(mathrand.NewPCG(seed1, seed2))
	accepted := 0
	for range 60 {
		var cas []*ca
		for i := range 6 {
			var parent *ca
			if i > 0 && random.IntN(4) > 0 {
				parent = cas[random.IntN(i)]
			}
			name := fmt.Sprint("CA ", i)
			if parent != nil && random.IntN(5) == 0 {
				name = cas[random.IntN(i)].cert.Subject.CommonName // a namesake
			}
			if parent != nil && name == parent.cert.Subject.CommonName {
				name += "'"
			}
			cas = append(cas, newCA(t, name, parent, randomEdits(random)))
		}
		leaf := newLeaf(t, cas[5], randomEdits(random))
		roots, intermediates := cas[:1], cas[1:]
		opts := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: now}
		for _, a := range roots {
			opts.Roots.AddCert(a.cert)
		}
		for _, a := range intermediates {
			opts.Intermediates.AddCert(a.cert)
		}
		_, want := leaf.Verify(opts)
		chain, err := trust.ChainCheck{Pool: poolOf(t, roots, intermediates), At: now, Purpose: trust.Server}.Verify(leaf)
		if (err == nil) != (want == nil) {
			t.Errorf("%v; crypto/x509: %v", err, want)
		}
		if err == nil {
			accepted++
			if !bytes.Equal(chain.Certificates[0].Raw, leaf.Raw) {
				t.Error("not the leaf's chain")
			}
		}
	}
	if accepted < 6 {
		t.Errorf("%d of 60 accepted: too few to say anything", accepted)
	}
}

// randomEdits breaks a certificate in one way or, mostly, not.
func randomEdits(random *mathrand.Rand) func(*template) {
	edits := []func(*template){
		ends(-time.Second), begins(time.Second), pathLen(0), pathLen(1), pathLen(2),
		func(c *template) { c.KeyUsage = x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature },
		usage(x509.ExtKeyUsageClientAuth), usage(x509.ExtKeyUsageAny), extension(true, 1, 2, 3),
		withConstraints(func(c *template) { c.PermittedDNSDomains = []string{"example.com"} }),
		withConstraints(func(c *template) { c.ExcludedDNSDomains = []string{"node1.example.com"} }),
	}
	n := random.IntN(4 * len(edits))
	return func(c *template) {
		if c.IsCA {
			pathLen(-1)(c)
		}
		if n < len(edits) && (c.IsCA || c.MaxPathLen == 0 && n != 2 && n != 3 && n != 4 && n < 9) {
			edits[n](c)
		}
	}
}
