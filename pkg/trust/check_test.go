package trust_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/trust"
)

type template = x509.Certificate

// verdictTests holds, for each reason, certificates just inside and just outside.
var verdictTests = []struct {
	name  string
	leaf  func(*template)
	check func(*trust.Check)
	want  trust.Reason // "" for valid
	text  string       // what the sentence has to say
}{
	{name: "as issued"},

	{name: "CA", leaf: func(c *template) { c.IsCA = true }, want: trust.IsCA, text: "certificate 42 is a CA's"},
	{name: "keyCertSign", leaf: func(c *template) { c.KeyUsage |= x509.KeyUsageCertSign }, want: trust.IsCA, text: "keyCertSign"},
	{name: "no basic constraints", leaf: func(c *template) { c.BasicConstraintsValid = false }, want: trust.IsCA, text: "no basic constraints"},

	{name: "number 2^63-1", leaf: func(c *template) { c.SerialNumber = pow2(63, -1) }},
	{name: "number 2^63", leaf: func(c *template) { c.SerialNumber = pow2(63, 0) }, want: trust.BadSerial, text: "9223372036854775808"},
	{name: "number 2^64+42", leaf: func(c *template) { c.SerialNumber = pow2(64, 42) }, want: trust.BadSerial, text: "18446744073709551658"},

	{name: "unknown extension", leaf: extension(false, 1, 2, 3)},
	{name: "unknown critical extension", leaf: extension(true, 1, 2, 3), want: trust.UnknownCritical, text: "1.2.3"},
	{name: "critical extension of CAs", leaf: extension(true, 2, 5, 29, 36), want: trust.UnknownCritical, text: "2.5.29.36"},

	{name: "604,798 s", leaf: lifetime(604798)},
	{name: "604,799 s", leaf: lifetime(604799), want: trust.BadLifetime, text: "604799 s, from 2026-01-02T02:59:05Z to 2026-01-09T02:59:04Z; at most 604798 s"},
	{name: "a century", leaf: lifetime(100 * 365 * 86400), want: trust.BadLifetime},
	{name: "ends before it begins", leaf: lifetime(-1), want: trust.BadLifetime, text: "before it begins"},
	{name: "one second", leaf: lifetime(0), check: at(-5 * time.Minute)},

	{name: "first second", check: at(-5 * time.Minute)},
	{name: "before the first second", check: at(-5*time.Minute - time.Second), want: trust.NotYetValid,
		text: "certificate 42 is not valid before 2026-01-02T02:59:05Z; the time is 2026-01-02T02:59:04Z"},
	{name: "just before the first second", check: at(-5*time.Minute - time.Nanosecond), want: trust.NotYetValid},
	{name: "last second", check: at(24*time.Hour - 5*time.Minute)},
	{name: "end of the last second", check: at(24*time.Hour - 5*time.Minute + time.Second - time.Nanosecond)},
	{name: "after the last second", check: at(24*time.Hour - 5*time.Minute + time.Second), want: trust.Expired,
		text: "certificate 42 expired on 2026-01-03T02:59:05Z; the time is 2026-01-03T02:59:06Z"},
	{name: "another time zone", check: func(c *trust.Check) { c.At = now.In(time.FixedZone("", -11*3600)) }},

	{name: "floor 42", check: func(c *trust.Check) { c.Floor = 42 }},
	{name: "floor 43", check: func(c *trust.Check) { c.Floor = 43 }, want: trust.BelowFloor,
		text: "certificate 42 is revoked: min-serial is 43, and all numbers below are"},

	{name: "client", check: purpose(trust.Client)},
	{name: "server", check: purpose(trust.Server)},
	{name: "client, for servers only", leaf: usage(x509.ExtKeyUsageServerAuth), check: purpose(trust.Client), want: trust.WrongPurpose, text: "clientAuth"},
	{name: "server, for clients only", leaf: usage(x509.ExtKeyUsageClientAuth), check: purpose(trust.Server), want: trust.WrongPurpose, text: "serverAuth"},
	{name: "client, for clients only", leaf: usage(x509.ExtKeyUsageClientAuth), check: purpose(trust.Client)},
	{name: "both, for clients only", leaf: usage(x509.ExtKeyUsageClientAuth), want: trust.WrongPurpose, text: "serverAuth"},
	{name: "any usage", leaf: usage(x509.ExtKeyUsageAny), want: trust.WrongPurpose},
	{name: "no extended usage", leaf: usage(), want: trust.WrongPurpose},
	{name: "no usage", leaf: func(c *template) { c.KeyUsage = 0 }, want: trust.WrongPurpose, text: "digitalSignature"},
	{name: "other usage", leaf: func(c *template) { c.KeyUsage = x509.KeyUsageKeyEncipherment }, want: trust.WrongPurpose},

	{name: "DNS name", check: name("node1.example.com")},
	{name: "DNS name in capitals", check: name("NODE1.EXAMPLE.COM")},
	{name: "other DNS name", check: name("node2.example.com"), want: trust.WrongName,
		text: `certificate 42 is not for "node2.example.com": it is for "Node1.example.com", "192.0.2.1", "2001:db8::1"`},
	{name: "DNS name with a dot", check: name("node1.example.com."), want: trust.WrongName},
	{name: "part of a DNS name", check: name("example.com"), want: trust.WrongName},
	{name: "Kelvin sign is no k", leaf: dnsNames("k.example.com"), check: name("\u212a.example.com"), want: trust.WrongName},
	{name: "wildcard is literal", leaf: dnsNames("*.example.com"), check: name("node1.example.com"), want: trust.WrongName},
	{name: "common name is no name", leaf: dnsNames("other.example.com"), check: name("node1.example.com"), want: trust.WrongName},
	{name: "no names", leaf: func(c *template) { c.DNSNames, c.IPAddresses = nil, nil }, check: name("node1.example.com"), want: trust.WrongName, text: "no name at all"},
	{name: "many names", leaf: dnsNames("a", "b", "c", "d", "e", "f"), check: name("g"), want: trust.WrongName, text: "and others"},
	{name: "no names asked for", leaf: func(c *template) { c.DNSNames, c.IPAddresses = nil, nil }},
	{name: "IPv4", check: name("192.0.2.1")},
	{name: "other IPv4", check: name("192.0.2.2"), want: trust.WrongName},
	{name: "IPv4 in IPv6", check: name("::ffff:192.0.2.1"), want: trust.WrongName},
	{name: "IPv6", check: name("2001:db8::1")},
	{name: "IPv6 in full", check: name("2001:0DB8:0:0:0:0:0:1")},
	{name: "IPv6 with a zone", check: name("2001:db8::1%eth0"), want: trust.WrongName},
	{name: "address as a DNS name", leaf: func(c *template) { c.DNSNames, c.IPAddresses = []string{"192.0.2.1"}, nil }, check: name("192.0.2.1"), want: trust.WrongName},

	{name: "mail address", leaf: mail("Node1@Example.com"), check: email("Node1@example.COM")},
	{name: "mail address of another case", leaf: mail("Node1@example.com"), check: email("node1@example.com"), want: trust.WrongName},
	{name: "another mail address", leaf: mail("a@example.com"), check: email("b@example.com"), want: trust.WrongName, text: `it is for "a@example.com"`},
	{name: "mail address with a Kelvin sign", leaf: mail("a@k.example.com"), check: email("a@\u212a.example.com"), want: trust.WrongName},
	{name: "no mail address", check: email("a@example.com"), want: trust.WrongName, text: "it is for no mail address"},

	{name: "pinned number", check: func(c *trust.Check) { c.Serial = 42 }},
	{name: "other pinned number", check: func(c *trust.Check) { c.Serial = 41 }, want: trust.WrongPin, text: "certificate 42 is not the one asked for, which has the number 41"},
	{name: "other pinned fingerprint", check: func(c *trust.Check) { c.Fingerprint = make([]byte, 32) }, want: trust.WrongPin, text: strings.Repeat("0", 64)},

	// The first reason that applies is told.
	{name: "expired and below the floor", leaf: lifetime(1), check: func(c *trust.Check) { c.Floor = 43 }, want: trust.Expired},
	{name: "below the floor and not for the name", check: func(c *trust.Check) { c.Floor, c.Name = 43, "x" }, want: trust.BelowFloor},
}

func pow2(n uint, plus int64) *big.Int {
	return new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), n), big.NewInt(plus))
}

func extension(critical bool, oid ...int) func(*template) {
	return func(c *template) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier(oid), Critical: critical, Value: []byte{0x30, 0}}}
	}
}

func lifetime(seconds int) func(*template) {
	return func(c *template) { c.NotAfter = c.NotBefore.Add(time.Duration(seconds) * time.Second) }
}

func usage(u ...x509.ExtKeyUsage) func(*template) {
	return func(c *template) { c.ExtKeyUsage = u }
}

func dnsNames(names ...string) func(*template) {
	return func(c *template) { c.DNSNames = names }
}

func at(d time.Duration) func(*trust.Check) { return func(c *trust.Check) { c.At = now.Add(d) } }

func purpose(p trust.Purpose) func(*trust.Check) { return func(c *trust.Check) { c.Purpose = p } }

func name(s string) func(*trust.Check) { return func(c *trust.Check) { c.Name = s } }

func email(s string) func(*trust.Check) { return func(c *trust.Check) { c.Email = s } }

func TestVerdicts(t *testing.T) {
	root := newCA(t, "cluster CA 1", nil)
	bundle := bundleOf(t, root)
	seen := map[trust.Reason]bool{}
	for _, tc := range verdictTests {
		t.Run(tc.name, func(t *testing.T) {
			var edits []func(*template)
			if tc.leaf != nil {
				edits = append(edits, tc.leaf)
			}
			leaf := newLeaf(t, root, edits...)
			check := trust.Check{Bundle: bundle, At: now}
			if tc.check != nil {
				tc.check(&check)
			}
			err := check.Verify(leaf)
			expect(t, err, tc.want, tc.text)
			seen[tc.want] = true
			if err == nil {
				agreesWithGo(t, check, root, leaf)
			}
		})
	}
	// These depend on more than the leaf, and have their own tests.
	for _, r := range trust.Reasons() {
		if !seen[r] && !slices.Contains([]trust.Reason{trust.WrongIssuer, trust.BadSignature, trust.BadVersion, trust.BadChain,
			trust.TooComplex, trust.WeakKey, trust.BadCRL, trust.Revoked, trust.StaleCRL, trust.NotRecorded}, r) {
			t.Errorf("no test for %q", r)
		}
	}
}

// expect compares an answer with the reason and the text wanted.
func expect(t *testing.T, err error, want trust.Reason, text string) {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Errorf("refused: %v", err)
		}
		return
	}
	var v *trust.VerifyError
	switch {
	case err == nil:
		t.Errorf("accepted, want %q", want)
	case !errors.As(err, &v):
		t.Errorf("%v is no VerifyError", err)
	case v.Reason != want:
		t.Errorf("reason %q (%v), want %q", v.Reason, err, want)
	case !strings.Contains(err.Error(), text):
		t.Errorf("%q doesn't say %q", err, text)
	case fault.KindOf(err) != fault.Invalid:
		t.Errorf("kind %q", fault.KindOf(err))
	}
}

// agreesWithGo fails if crypto/x509 refuses what was accepted.
func agreesWithGo(t *testing.T, check trust.Check, root *ca, leaf *x509.Certificate) {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(root.cert)
	opts := x509.VerifyOptions{Roots: pool, CurrentTime: check.At.Truncate(time.Second), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	if check.Name != "" && net.ParseIP(check.Name) == nil {
		opts.DNSName = check.Name
	}
	if _, err := leaf.Verify(opts); err != nil {
		t.Errorf("accepted, but crypto/x509 says: %v", err)
	}
}

// TestMaxLifetime compares the bound with the signer's.
func TestMaxLifetime(t *testing.T) {
	if trust.MaxLifetime != profile.MaxLifetime {
		t.Errorf("%v is accepted, %v is signed", trust.MaxLifetime, profile.MaxLifetime)
	}
}

// TestFingerprint pins a certificate, and then one octet changed.
func TestFingerprint(t *testing.T) {
	root := newCA(t, "cluster CA 1", nil)
	leaf := newLeaf(t, root)
	sum := sha256.Sum256(leaf.Raw)
	check := trust.Check{Bundle: bundleOf(t, root), At: now, Fingerprint: sum[:]}
	expect(t, check.Verify(leaf), "", "")
	sum[31] ^= 1
	expect(t, check.Verify(leaf), trust.WrongPin, "SHA-256")
}

// TestIncompleteCheck asks questions that must not be answered with yes.
func TestIncompleteCheck(t *testing.T) {
	root := newCA(t, "cluster CA 1", nil)
	leaf, bundle := newLeaf(t, root), bundleOf(t, root)
	for what, check := range map[string]trust.Check{
		"no bundle":         {At: now},
		"no time":           {Bundle: bundle},
		"unknown purpose":   {Bundle: bundle, At: now, Purpose: "email"},
		"negative number":   {Bundle: bundle, At: now, Serial: -1},
		"short fingerprint": {Bundle: bundle, At: now, Fingerprint: []byte{1}},
	} {
		if err := check.Verify(leaf); fault.KindOf(err) != fault.Malformed {
			t.Errorf("%s: %v", what, err)
		}
	}
	expect(t, trust.Check{Bundle: new(trust.Bundle), At: now}.Verify(leaf), trust.WrongIssuer, "")
}

// TestEveryKindOfKey verifies leaves of CAs of every kind of key, and then with
// one bit of the signature changed, and one of what is signed.
func TestEveryKindOfKey(t *testing.T) {
	for kind, key := range keysOfEveryKind(t) {
		t.Run(kind, func(t *testing.T) {
			root := newCAWithKey(t, "cluster CA 1", key, nil)
			check := trust.Check{Bundle: bundleOf(t, root), At: now}
			leaf := newLeaf(t, root)
			expect(t, check.Verify(leaf), "", "")

			forged := *leaf
			forged.Signature = bytes.Clone(leaf.Signature)
			forged.Signature[len(forged.Signature)-1] ^= 1
			expect(t, check.Verify(&forged), trust.BadSignature, "changed or forged")

			der := bytes.Replace(leaf.Raw, []byte("Node1.example.com"), []byte("Node2.example.com"), 1)
			changed, err := x509.ParseCertificate(der)
			if err != nil {
				t.Fatal(err)
			}
			expect(t, check.Verify(changed), trust.BadSignature, "changed or forged")
		})
	}
}

// TestCAItself judges the CA's own certificate as a leaf.
func TestCAItself(t *testing.T) {
	root := newCA(t, "cluster CA 1", nil)
	expect(t, trust.Check{Bundle: bundleOf(t, root), At: now}.Verify(root.cert), trust.IsCA, "certificate 1 is a CA's")
}

// TestTextIsPrintable shows names that would play tricks on a terminal.
func TestTextIsPrintable(t *testing.T) {
	root := newCA(t, "cluster CA 1", nil)
	other := newCA(t, "\x1b[2J\u202e"+strings.Repeat("x", 500), nil)
	err := trust.Check{Bundle: bundleOf(t, root), At: now}.Verify(newLeaf(t, other))
	expect(t, err, trust.WrongIssuer, `\x1b[2J\u202exxx`)
	if n := len(err.Error()); n > 400 {
		t.Errorf("%d octets of text", n)
	}
}
