package cli

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"x509ctl/pkg/trust"
)

// A mintCase is a certificate minted outside of x509ctl, and what "cert verify" has to
// say of it.
type mintCase struct {
	name   string
	edit   func(m *mint, c *minting) // nil: as the node profile has it
	dir    string                    // "" for ca
	args   []string
	reason trust.Reason // "": valid, unless unknown
	text   string       // in the error
	list   func(m *mint, l *x509.RevocationList) mintCA

	unknown    bool // it can't be understood
	lastSecond bool // to openssl, unlike RFC 5280, the second that notAfter names is too late
}

// lives sets the validity in seconds, from five minutes ago.
func lives(seconds int) func(*mint, *minting) {
	return func(_ *mint, c *minting) {
		c.template.NotAfter = c.template.NotBefore.Add(time.Duration(seconds) * time.Second)
	}
}

// span sets the validity in seconds from now, both ends included.
func span(from, to int) func(*mint, *minting) {
	return func(m *mint, c *minting) {
		c.template.NotBefore, c.template.NotAfter = m.now.Add(time.Duration(from)*time.Second), m.now.Add(time.Duration(to)*time.Second)
	}
}

func usages(ku x509.KeyUsage, eku ...x509.ExtKeyUsage) func(*mint, *minting) {
	return func(_ *mint, c *minting) { c.template.KeyUsage, c.template.ExtKeyUsage = ku, eku }
}

func tmpl(edit func(*x509.Certificate)) func(*mint, *minting) {
	return func(_ *mint, c *minting) { edit(c.template) }
}

func raw(edit func(*tbs)) func(*mint, *minting) {
	return func(_ *mint, c *minting) { c.raw = edit }
}

func after(edit func([]byte) []byte) func(*mint, *minting) {
	return func(_ *mint, c *minting) { c.after = edit }
}

func number(n *big.Int) func(*mint, *minting) { return raw(func(t *tbs) { t.Serial = n }) }

func power2(n uint, plus int64) *big.Int {
	p := new(big.Int).Lsh(big.NewInt(1), n)
	return p.Add(p, big.NewInt(plus))
}

func by(ca func(*mint) mintCA) func(*mint, *minting) {
	return func(m *mint, c *minting) { c.by = ca(m) }
}

func critical(value []byte, oid ...int) func(*mint, *minting) {
	return tmpl(func(c *x509.Certificate) {
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: oid, Critical: true, Value: value})
	})
}

func sanOf(names ...string) func(*mint, *minting) {
	return tmpl(func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = names, nil })
}

func mintedForTime() []mintCase {
	return []mintCase{
		{name: "as the profile has it"},
		{name: "168 h and a second, both ends counted", edit: lives(604_800), reason: trust.BadLifetime, text: "604800 s"},
		{name: "168 h, both ends counted", edit: lives(604_799), reason: trust.BadLifetime, text: "at most 604798 s are accepted, less than a week"},
		{name: "a second less", edit: lives(604_798)},
		{name: "169 h", edit: lives(169 * 3600), reason: trust.BadLifetime, text: "608400 s"},
		{name: "a year", edit: lives(365 * 86400), reason: trust.BadLifetime},
		{name: "a year, and expired", edit: span(-400*86400, -86400), reason: trust.BadLifetime},
		{name: "ends before it begins", edit: span(100, -100), reason: trust.BadLifetime, text: "before it begins"},
		{name: "not yet valid", edit: span(1, 3600), reason: trust.NotYetValid, text: "is not valid before"},
		{name: "begins now", edit: span(0, 3600)},
		{name: "expired", edit: span(-3600, -1), reason: trust.Expired, text: "expired on"},
		{name: "ends now", edit: span(-3600, 0), lastSecond: true},
		{name: "one second", edit: span(0, 0), lastSecond: true},
		{name: "valid later", args: []string{"--at", "2999-01-01T00:00:00Z"}, reason: trust.Expired},
		{name: "valid earlier", args: []string{"--at", "2001-01-01T00:00:00Z"}, reason: trust.NotYetValid},
		{name: "lives on after the CA", edit: span(6*365*86400, 6*365*86400+3600), args: []string{"--at", time.Now().AddDate(0, 0, 6*365).Add(time.Minute).UTC().Format(time.RFC3339)},
			reason: trust.BadChain, text: "expired on"},
	}
}

func mintedForUse() []mintCase {
	const tls = x509.KeyUsageDigitalSignature
	client, server := x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth
	return []mintCase{
		{name: "no extended key usage", edit: usages(tls), reason: trust.WrongPurpose, text: "lacks the extended key usage clientAuth"},
		{name: "server only", edit: usages(tls, server), reason: trust.WrongPurpose, text: "is not for a TLS client"},
		{name: "server only, as a server", edit: usages(tls, server), args: []string{"--purpose", "server"}},
		{name: "client only, as a server", edit: usages(tls, client), args: []string{"--purpose", "server"}, reason: trust.WrongPurpose, text: "lacks the extended key usage serverAuth"},
		{name: "client only, as a client", edit: usages(tls, client), args: []string{"--purpose", "client"}},
		{name: "any extended key usage", edit: usages(tls, x509.ExtKeyUsageAny), reason: trust.WrongPurpose},
		{name: "for programs", edit: usages(tls, x509.ExtKeyUsageCodeSigning), reason: trust.WrongPurpose},
		{name: "for mail", edit: usages(tls, x509.ExtKeyUsageEmailProtection), reason: trust.WrongPurpose},
		{name: "for OCSP answers", edit: usages(tls, x509.ExtKeyUsageOCSPSigning), reason: trust.WrongPurpose},
		{name: "no key usage", edit: usages(0, server, client), reason: trust.WrongPurpose, text: "lacks the key usage digitalSignature"},
		{name: "key encipherment only", edit: usages(x509.KeyUsageKeyEncipherment, server, client), reason: trust.WrongPurpose},
		{name: "list signing only", edit: usages(x509.KeyUsageCRLSign, server, client), reason: trust.WrongPurpose},
		{name: "certificate signing", edit: usages(tls|x509.KeyUsageCertSign, server, client), reason: trust.IsCA, text: "may sign certificates"},
		{name: "RSA's key usage", edit: usages(tls|x509.KeyUsageKeyEncipherment, server, client)},
		{name: "a member's", edit: func(m *mint, c *minting) { lives(90*86400)(m, c); usages(tls, client)(m, c) }, reason: trust.BadLifetime},
		{name: "a decryption profile", edit: func(m *mint, c *minting) {
			usages(x509.KeyUsageKeyEncipherment)(m, c)
			critical(mustDER([]asn1.ObjectIdentifier{{2, 25, 1234, 1}}), 2, 5, 29, 37)(m, c)
		}, reason: trust.WrongPurpose, text: "lacks the key usage digitalSignature"},
		{name: "CA:TRUE", edit: tmpl(func(c *x509.Certificate) { c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign }), reason: trust.IsCA, text: "is a CA's, and not a node's"},
		{name: "CA:TRUE without the usage", edit: tmpl(func(c *x509.Certificate) { c.IsCA = true }), reason: trust.IsCA},
		{name: "CA:TRUE, for 169 h, expired", edit: func(m *mint, c *minting) { c.template.IsCA = true; span(-200*3600, -31*3600)(m, c) }, reason: trust.IsCA},
		{name: "no basic constraints", edit: tmpl(func(c *x509.Certificate) { c.BasicConstraintsValid = false }), reason: trust.IsCA, text: "no basic constraints"},
		{name: "the CA itself", edit: func(m *mint, c *minting) { c.after = func([]byte) []byte { return m.own.cert.Raw } }, reason: trust.IsCA},
		{name: "a predecessor itself", edit: func(m *mint, c *minting) { c.after = func([]byte) []byte { return m.predecessor.cert.Raw } }, reason: trust.IsCA},
	}
}

func mustDER(v any) []byte {
	b, err := asn1.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

func mintedForShape() []mintCase {
	noExtensions := func(version int) func(*mint, *minting) {
		return raw(func(t *tbs) { t.Version, t.Extensions = version, nil })
	}
	return []mintCase{
		{name: "number 0", edit: number(big.NewInt(0)), reason: trust.BadSerial, text: "outside 1 to 9223372036854775807"},
		{name: "number -1", edit: number(big.NewInt(-1)), unknown: true, text: "negative serial number"},
		{name: "a number of 20 octets", edit: number(power2(158, 0)), reason: trust.BadSerial},
		{name: "a number of 21 octets", edit: number(power2(160, 0)), reason: trust.BadSerial},
		{name: "number 2^63", edit: number(power2(63, 0)), reason: trust.BadSerial, text: "certificate 9223372036854775808 "},
		{name: "number 2^63-1", edit: number(power2(63, -1))},
		{name: "below the floor", edit: number(big.NewInt(4)), reason: trust.BelowFloor, text: "certificate 4 is revoked: min-serial is 5"},
		{name: "the first number", edit: number(big.NewInt(1)), reason: trust.BelowFloor},
		{name: "at the floor", edit: number(big.NewInt(5))},
		{name: "version 1", edit: noExtensions(0), reason: trust.BadVersion, text: "X.509 version 1"},
		{name: "version 2", edit: noExtensions(1), reason: trust.BadVersion, text: "X.509 version 2"},
		{name: "version 3 without extensions", edit: noExtensions(2), reason: trust.IsCA, text: "no basic constraints"},
		{name: "version 1 with extensions", edit: raw(func(t *tbs) { t.Version = 0 }), reason: trust.BadVersion},
		{name: "version 4", edit: raw(func(t *tbs) { t.Version = 3 }), unknown: true, text: "version"},
		{name: "an unknown critical extension", edit: critical([]byte{5, 0}, 1, 2, 3), reason: trust.UnknownCritical, text: "not understood: 1.2.3"},
		{name: "critical policies", edit: critical(mustDER([]struct{ ID asn1.ObjectIdentifier }{{asn1.ObjectIdentifier{1, 2, 3}}}), 2, 5, 29, 32), reason: trust.UnknownCritical},
		{name: "a precertificate", edit: critical([]byte{5, 0}, 1, 3, 6, 1, 4, 1, 11129, 2, 4, 3), reason: trust.UnknownCritical},
		{name: "name constraints", edit: critical(mustDER(struct {
			Excluded []asn1.RawValue `asn1:"tag:1"`
		}{[]asn1.RawValue{{FullBytes: []byte{0x30, 3, 0x82, 1, 'x'}}}}), 2, 5, 29, 30), reason: trust.UnknownCritical},
		{name: "an unknown extension that is not critical", edit: tmpl(func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Value: []byte{5, 0}}}
		})},
		{name: "an extension twice", edit: raw(func(t *tbs) { t.Extensions = append(t.Extensions, t.Extensions[0]) }), unknown: true, text: "duplicate"},
		{name: "its first half", edit: after(func(b []byte) []byte { return b[:len(b)/2] }), unknown: true, text: "not a certificate that can be understood: malformed"},
		{name: "an octet more", edit: after(func(b []byte) []byte { return append(b, 0) }), unknown: true, text: "trailing data"},
		{name: "nothing", edit: after(func([]byte) []byte { return nil }), unknown: true, text: "not a certificate"},
		{name: "a megabyte of name", edit: sanOf(strings.Repeat("a", 1<<20)), unknown: true, text: "larger than 1048576 bytes"},
		{name: "thousands of names", edit: sanOf(slices.Repeat([]string{"a.example.com"}, 20_000)...), args: []string{"--name", "node1.example.com"}, reason: trust.WrongName, text: "and others"},
		{name: "an RSA key of 1024 bits", edit: tmpl(func(c *x509.Certificate) { c.PublicKey = rsaKey(1024) }), reason: trust.WeakKey, text: "has 1024 bits"},
		{name: "an RSA key of 16384 bits", edit: tmpl(func(c *x509.Certificate) { c.PublicKey = rsaKey(16384) }), reason: trust.WeakKey},
		{name: "an RSA key of 2048 bits", edit: tmpl(func(c *x509.Certificate) { c.PublicKey = rsaKey(2048) })},
		{name: "a key on P-224", edit: tmpl(func(c *x509.Certificate) {
			key, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
			if err != nil {
				panic(err)
			}
			c.PublicKey = key.Public()
		}), reason: trust.WeakKey, text: "P-224"},
		{name: "a key of an unknown kind", edit: raw(func(t *tbs) {
			t.Key = asn1.RawValue{FullBytes: mustDER(struct {
				Algorithm pkix.AlgorithmIdentifier
				Key       asn1.BitString
			}{pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 3, 4}}, asn1.BitString{Bytes: []byte{1}, BitLength: 8}})}
		}), reason: trust.WeakKey, text: `the key of "CN=node1.example.com" is of a kind that is not known`},
	}
}

func mintedForNames() []mintCase {
	want := func(args ...string) []string { return args }
	name := want("--name", "node1.example.com")
	return []mintCase{
		{name: "the name asked for", args: name},
		{name: "another name", args: want("--name", "node2.example.com"), reason: trust.WrongName, text: `is not for "node2.example.com": it is for "node1.example.com", "192.0.2.1"`},
		{name: "a common name and no other", edit: sanOf(), args: name, reason: trust.WrongName, text: "no name at all (a common name doesn't count)"},
		{name: "a wildcard", edit: sanOf("*.example.com"), args: name, reason: trust.WrongName},
		{name: "a longer name", edit: sanOf("node1.example.com.evil.example.net"), args: name, reason: trust.WrongName},
		{name: "a trailing dot", edit: sanOf("node1.example.com."), args: name, reason: trust.WrongName},
		{name: "a NUL in the name", edit: sanOf("node1.example.com\x00.evil.example.net"), args: name, reason: trust.WrongName, text: `\x00`},
		{name: "escapes in the name", edit: sanOf("\x1b[2J"), args: name, reason: trust.WrongName, text: `\x1b[2J`},
		{name: "a look-alike", edit: raw(func(t *tbs) {
			for i, e := range t.Extensions {
				t.Extensions[i].Value = bytes.ReplaceAll(e.Value, []byte("node1.example.com"), []byte("n\xd0\xbede1.example.co"))
			}
		}), args: name, unknown: true, text: "malformed"},
		{name: "another address", args: want("--ip", "192.0.2.2"), reason: trust.WrongName},
		{name: "the address as a DNS name", edit: sanOf("192.0.2.1"), args: want("--ip", "192.0.2.1"), reason: trust.WrongName, text: `it is for the DNS name "192.0.2.1"`},
		{name: "the address in IPv6", edit: tmpl(func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.ParseIP("2001:db8::1")} }), args: want("--ip", "192.0.2.1"), reason: trust.WrongName},
		{name: "a mail address", edit: tmpl(func(c *x509.Certificate) { c.EmailAddresses = []string{"a@example.com"} }), args: want("--email", "b@example.com"), reason: trust.WrongName},
		{name: "another number", args: want("--serial", "1001"), reason: trust.WrongPin, text: "which has the number 1001"},
		{name: "another fingerprint", args: want("--fingerprint", hex.EncodeToString(make([]byte, sha256.Size))), reason: trust.WrongPin},
	}
}

func mintedForSignature() []mintCase {
	algorithm := func(oid asn1.ObjectIdentifier) func(*mint, *minting) {
		return raw(func(t *tbs) { t.Algorithm.Algorithm = oid })
	}
	outer := func(b []byte) []byte { // the algorithm outside says SHA-384
		old, changed := mustDER(ecdsaSHA256), mustDER(ecdsaSHA384)
		i := bytes.LastIndex(b, old)
		return append(append(bytes.Clone(b[:i]), changed...), b[i+len(old):]...)
	}
	return []mintCase{
		{name: "SHA-1", edit: algorithm(ecdsaSHA1), reason: trust.BadSignature, text: "ECDSA-SHA1, which is not accepted"},
		{name: "SHA-384", edit: algorithm(ecdsaSHA384)},
		{name: "an unknown algorithm", edit: algorithm(asn1.ObjectIdentifier{1, 2, 3, 4}), reason: trust.BadSignature, text: "is by an unknown algorithm, which is not accepted"},
		{name: "another algorithm outside", edit: after(outer), unknown: true, text: "don't match"},
		{name: "the signature changed", edit: after(func(b []byte) []byte { b[len(b)-1] ^= 1; return b }), reason: trust.BadSignature, text: "it was changed or forged"},
		{name: "the name changed", edit: after(func(b []byte) []byte {
			return bytes.ReplaceAll(b, []byte("node1.example.com"), []byte("node2.example.com"))
		}), reason: trust.BadSignature},
		{name: "signed by a predecessor", edit: by(func(m *mint) mintCA { return m.predecessor })},
		{name: "signed by a predecessor, for 169 h", edit: func(m *mint, c *minting) { c.by = m.predecessor; lives(169*3600)(m, c) }, reason: trust.BadLifetime},
		{name: "signed by a retired CA", edit: by(func(m *mint) mintCA { return m.retired }), reason: trust.WrongIssuer, text: "none of this authority's CAs"},
		{name: "signed by a node", edit: by(func(m *mint) mintCA { return m.holder }), reason: trust.WrongIssuer},
		{name: "signed by a CA below the own one", edit: by(func(m *mint) mintCA { return m.newCA("below", m.own) }), reason: trust.WrongIssuer},
		{name: "signed by its own key", edit: by(func(m *mint) mintCA { return mintCA{m.template(), m.leaf} }), reason: trust.WrongIssuer},
		{name: "signed by a stranger of the CA's name", edit: by(func(m *mint) mintCA {
			return m.newCA("", mintCA{}, func(c *x509.Certificate) { c.RawSubject = m.own.cert.RawSubject })
		}),
			reason: trust.WrongIssuer, text: "was issued by another CA of the name"},
		{name: "signed by a stranger in the CA's name", edit: func(m *mint, c *minting) {
			c.by = m.retired
			c.raw = func(t *tbs) { t.Issuer.FullBytes = m.own.cert.RawSubject; t.dropKeyID() }
		}, reason: trust.BadSignature},
		{name: "the issuer's name in another encoding", edit: raw(func(t *tbs) {
			t.Issuer.FullBytes = bytes.Replace(t.Issuer.FullBytes, []byte{0x0c}, []byte{0x13}, 1)
		}), reason: trust.WrongIssuer, text: "a name that is encoded otherwise than this authority's CA's"},
		{name: "under a third party, by the own CA", dir: "third", edit: by(func(m *mint) mintCA { return m.third })},
		{name: "by the third party's root", dir: "third", edit: by(func(m *mint) mintCA { return m.root }), reason: trust.WrongIssuer, text: "stands above this authority's CA and doesn't sign for it"},
		{name: "by the intermediate above", dir: "third", edit: by(func(m *mint) mintCA { return m.between }), reason: trust.WrongIssuer, text: "stands above"},
		{name: "by another cluster's CA below it", dir: "third", edit: by(func(m *mint) mintCA { return m.sibling }), reason: trust.WrongIssuer},
		{name: "the certificates above are missing", dir: "loose", edit: by(func(m *mint) mintCA { return m.third }), reason: trust.BadChain},
	}
}

func mintedForRevocation() []mintCase {
	own := func(edits ...func(*mint, *x509.RevocationList)) func(*mint, *x509.RevocationList) mintCA {
		return func(m *mint, l *x509.RevocationList) mintCA {
			for _, edit := range edits {
				edit(m, l)
			}
			return m.own
		}
	}
	on := func(n int64) func(*mint, *x509.RevocationList) {
		return func(m *mint, l *x509.RevocationList) {
			l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: big.NewInt(n), RevocationTime: m.now, ReasonCode: 1})
		}
	}
	old := func(m *mint, l *x509.RevocationList) {
		l.ThisUpdate, l.NextUpdate = m.now.Add(-8*day), m.now.Add(-day)
	}
	floor := func(_ *mint, l *x509.RevocationList) {
		l.ExtraExtensions = []pkix.Extension{{Id: trust.MinSerialExtension, Value: mustDER(1001)}}
	}
	fresh := []string{"--require-fresh"}
	return []mintCase{
		{name: "no list, and a fresh one required", args: fresh, reason: trust.StaleCRL, text: "there is no revocation list"},
		{name: "a list without it", list: own(on(999)), args: fresh},
		{name: "on the list", list: own(on(1000)), reason: trust.Revoked, text: "certificate 1000 is revoked since"},
		{name: "on a list out of date", list: own(on(1000), old), reason: trust.Revoked, text: "keyCompromise"},
		{name: "a list out of date", list: own(old)},
		{name: "a list out of date, and a fresh one required", list: own(old), args: fresh, reason: trust.StaleCRL, text: "was to be replaced by"},
		{name: "below the list's min-serial", list: own(floor), reason: trust.BelowFloor, text: "min-serial is 1001"},
		{name: "a list by a predecessor", list: func(m *mint, l *x509.RevocationList) mintCA { on(1000)(m, l); return m.predecessor }, reason: trust.Revoked},
		{name: "a list by a retired CA", list: func(m *mint, _ *x509.RevocationList) mintCA { return m.retired }, reason: trust.BadCRL, text: "none of this authority's CAs"},
	}
}

func mintedForInventory() []mintCase {
	recorded := []string{"--recorded"}
	real := func(c *minting) func([]byte) []byte {
		return func([]byte) []byte { return c.by.cert.Raw }
	}
	return []mintCase{
		{name: "in no record, which is not asked"},
		{name: "in no record", args: recorded, reason: trust.NotRecorded, text: "certificate 1000 is signed with the CA's key and in no record"},
		{name: "another one has its number", args: recorded, edit: number(big.NewInt(7)), reason: trust.NotRecorded, text: `has issued another one of this number, for "node1.example.com"`},
		{name: "recorded", args: recorded, edit: func(m *mint, c *minting) { c.by = m.holder; c.after = real(c) }},
		{name: "in no record, and not valid either", args: recorded, edit: lives(169 * 3600), reason: trust.BadLifetime},
	}
}

// TestMintedElsewhere has "cert verify" judge certificates that somebody made who has
// the CA's key.
func TestMintedElsewhere(t *testing.T) {
	m := newMint(t)
	n := 0
	for _, group := range [][]mintCase{
		mintedForTime(), mintedForUse(), mintedForShape(), mintedForNames(), mintedForSignature(), mintedForRevocation(), mintedForInventory(),
	} {
		for _, tc := range group {
			n++
			t.Run(tc.name, func(t *testing.T) { m.run(t, tc) })
		}
	}
	if n < 60 {
		t.Errorf("%d certificates, want at least 60", n)
	}
}

func (m *mint) run(t *testing.T, tc mintCase) {
	mine := *m // a failure is this certificate's
	m = &mine
	m.t, m.w.t = t, t
	c := &minting{template: m.template(), by: m.own}
	if tc.edit != nil {
		tc.edit(m, c)
	}
	path := m.w.path("minted.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: m.issue(c)}), 0o644); err != nil {
		t.Fatal(err)
	}
	if tc.list != nil {
		defer m.publishList(tc.list)()
	}
	if tc.dir == "" {
		tc.dir = "ca"
	}
	want, status := "valid", exitOK
	switch {
	case tc.unknown:
		want, status = "unknown", exitUsage
	case tc.reason != "":
		want, status = "invalid", exitInvalid
	}
	v, got, stderr := m.verdict(path, tc.dir, tc.args...)
	if v.Verdict != want || v.Reason != string(tc.reason) || got != status {
		t.Errorf("%s by %q with status %d (%s), want %s by %q with status %d", v.Verdict, v.Reason, got, stderr, want, tc.reason, status)
	}
	if !bytes.Contains([]byte(v.Error), []byte(tc.text)) {
		t.Errorf("%q doesn't say %q", v.Error, tc.text)
	}
	if v.Verdict == "valid" && !tc.lastSecond {
		m.opensslAccepts(path, tc.dir)
	}
}

// opensslAccepts wants openssl to find valid what we do.
func (m *mint) opensslAccepts(path, dir string) {
	m.t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("CI") != "" {
			m.t.Error("openssl is not installed")
		}
		return
	}
	at := strconv.FormatInt(m.now.Unix(), 10)
	out, err := exec.Command("openssl", "verify", "-attime", at, "-CAfile", m.w.path(filepath.Join(dir, "ca/bundle.pem")), path).CombinedOutput()
	if err != nil {
		m.t.Errorf("accepted, but openssl says: %s", out)
	}
}
