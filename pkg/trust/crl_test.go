package trust_test

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/serial"
	"x509ctl/pkg/trust"
)

type crlTemplate = x509.RevocationList

// newCRL makes list number 7 of issuer, with number 42 on it, of an hour ago and
// for a week; edits change the template.
func newCRL(t testing.TB, issuer *ca, edits ...func(*crlTemplate)) *trust.CRL {
	t.Helper()
	l, err := trust.ParseCRL(newCRLBytes(t, issuer, edits...))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func newCRLBytes(t testing.TB, issuer *ca, edits ...func(*crlTemplate)) []byte {
	t.Helper()
	template := &crlTemplate{
		Number:                    big.NewInt(7),
		ThisUpdate:                now.Add(-time.Hour),
		NextUpdate:                now.Add(-time.Hour).AddDate(0, 0, 7),
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: big.NewInt(42), RevocationTime: now.Add(-2 * time.Hour), ReasonCode: 1}},
	}
	for _, edit := range edits {
		edit(template)
	}
	der, err := x509.CreateRevocationList(rand.Reader, template, issuer.cert, issuer.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// listed puts these numbers on the list instead.
func listed(serials ...int64) func(*crlTemplate) {
	return func(l *crlTemplate) {
		l.RevokedCertificateEntries = nil
		for _, n := range serials {
			l.RevokedCertificateEntries = append(l.RevokedCertificateEntries,
				x509.RevocationListEntry{SerialNumber: big.NewInt(n), RevocationTime: now.Add(-2 * time.Hour)})
		}
	}
}

func updates(this, next time.Duration) func(*crlTemplate) {
	return func(l *crlTemplate) { l.ThisUpdate, l.NextUpdate = now.Add(this), now.Add(next) }
}

func TestRevocation(t *testing.T) {
	root, old, stranger := newCA(t, "cluster CA 9", nil), newCA(t, "cluster CA 1", nil), newCA(t, "cluster CA 2", nil)
	namesake := newCA(t, "cluster CA 9", nil)
	double := newCA(t, "cluster CA 9", nil, func(c *template) { c.SubjectKeyId = root.cert.SubjectKeyId })
	silent := newCA(t, "cluster CA 9", nil, func(c *template) { c.KeyUsage = x509.KeyUsageCertSign })
	third := newCA(t, "Root", nil, pathLen(-1))
	below := newCA(t, "cluster CA 5", third)
	for _, tc := range []struct {
		name   string
		bundle []*ca
		issuer *ca // of the leaf, number 42
		crl    *trust.CRL
		fresh  bool
		floor  int
		want   trust.Reason
		text   string
	}{
		{name: "none", issuer: root},
		{name: "none, and one required", issuer: root, fresh: true, want: trust.StaleCRL, text: "there is no revocation list, and one is required"},
		{name: "listed", issuer: root, crl: newCRL(t, root), want: trust.Revoked, text: "certificate 42 is revoked since 2026-01-02T01:04:05Z (keyCompromise)"},
		{name: "listed without a reason", issuer: root, crl: newCRL(t, root, listed(42)), want: trust.Revoked, text: "revoked since 2026-01-02T01:04:05Z"},
		{name: "others listed", issuer: root, crl: newCRL(t, root, listed(41, 43, 1, 1<<62)), fresh: true},
		{name: "none listed", issuer: root, crl: newCRL(t, root, listed()), fresh: true},
		{name: "listed, and below the floor", issuer: root, crl: newCRL(t, root), floor: 43, want: trust.BelowFloor},
		{name: "another CA's leaf, listed", issuer: old, crl: newCRL(t, root), want: trust.Revoked},
		{name: "by a predecessor", issuer: root, crl: newCRL(t, old), want: trust.Revoked},
		{name: "by a stranger", issuer: root, crl: newCRL(t, stranger, listed()), want: trust.BadCRL, text: `"CN=cluster CA 2", which is none of this authority's`},
		{name: "by a namesake", issuer: root, crl: newCRL(t, namesake, listed()), want: trust.BadCRL, text: "none of this authority's"},
		{name: "by one who says to be it", issuer: root, crl: newCRL(t, double, listed()), want: trust.BadCRL, text: "changed or forged"},
		{name: "by one who may not", bundle: []*ca{silent}, issuer: silent, crl: newCRL(t, &ca{crlSigner(silent.cert), silent.key}, listed()), want: trust.BadCRL, text: "cRLSign"},
		{name: "by the root above", bundle: []*ca{below, third}, issuer: below, crl: newCRL(t, third, listed()), want: trust.BadCRL, text: "none of this authority's"},
		{name: "by the intermediate", bundle: []*ca{below, third}, issuer: below, crl: newCRL(t, below, listed()), fresh: true},

		{name: "first second", issuer: root, crl: newCRL(t, root, listed(), updates(0, time.Hour)), fresh: true},
		{name: "last second", issuer: root, crl: newCRL(t, root, listed(), updates(-time.Hour, 0)), fresh: true},
		{name: "too new", issuer: root, crl: newCRL(t, root, listed(), updates(time.Second, time.Hour)), fresh: true, want: trust.StaleCRL, text: "after the time asked for"},
		{name: "too old", issuer: root, crl: newCRL(t, root, listed(), updates(-time.Hour, -time.Second)), fresh: true, want: trust.StaleCRL, text: "was to be replaced by 2026-01-02T03:04:04Z; the time is 2026-01-02T03:04:05Z"},
		{name: "too old, not required", issuer: root, crl: newCRL(t, root, listed(), updates(-time.Hour, -time.Second))},
		{name: "too old, and listed", issuer: root, crl: newCRL(t, root, updates(-time.Hour, -time.Second)), fresh: true, want: trust.Revoked},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bundle := bundleOf(t, root, old)
			if tc.bundle != nil {
				bundle = bundleOf(t, tc.bundle...)
			}
			check := trust.Check{Bundle: bundle, At: now, CRL: tc.crl, RequireFresh: tc.fresh}
			if tc.floor > 0 {
				check.Floor = 43
			}
			leaf := newLeaf(t, tc.issuer)
			for range 2 { // the second time from memory
				expect(t, check.Verify(leaf), tc.want, tc.text)
			}
		})
	}
}

// crlSigner returns cert as if it could sign lists, for crypto/x509 to do it.
func crlSigner(cert *x509.Certificate) *x509.Certificate {
	c := *cert
	c.KeyUsage |= x509.KeyUsageCRLSign
	return &c
}

func TestRevocationKnowledge(t *testing.T) {
	root := newCA(t, "cluster CA 9", nil)
	for _, tc := range []struct {
		crl  *trust.CRL
		want trust.Revocation
	}{
		{nil, trust.FloorOnly},
		{newCRL(t, root), trust.FreshCRL},
		{newCRL(t, root, updates(-2, -1)), trust.OldCRL},
	} {
		if got := (trust.Check{At: now, CRL: tc.crl}).Revocation(); got != tc.want {
			t.Errorf("%q, want %q", got, tc.want)
		}
	}
}

// TestFind looks up numbers of every length, in lists in any order.
func TestFind(t *testing.T) {
	root := newCA(t, "cluster CA 9", nil)
	var entries []x509.RevocationListEntry
	for _, n := range []*big.Int{
		big.NewInt(300), big.NewInt(1), pow2(127, 5), big.NewInt(127), big.NewInt(128), big.NewInt(255), pow2(63, 0), pow2(63, -1), big.NewInt(300),
	} {
		entries = append(entries, x509.RevocationListEntry{SerialNumber: n, RevocationTime: now, ReasonCode: len(entries) % 5})
	}
	l := newCRL(t, root, func(c *crlTemplate) { c.RevokedCertificateEntries = entries })
	if l.Len() != len(entries) || l.Number().Int64() != 7 || l.Issuer() != "CN=cluster CA 9" {
		t.Errorf("%d entries, number %v, of %s", l.Len(), l.Number(), l.Issuer())
	}
	for _, e := range entries {
		got, ok := l.Find(e.SerialNumber)
		if !ok || got.Serial.Cmp(e.SerialNumber) != 0 || !got.Time.Equal(now) {
			t.Errorf("%v: %v, %v", e.SerialNumber, got, ok)
		}
	}
	for _, n := range []*big.Int{big.NewInt(0), big.NewInt(2), big.NewInt(-1), big.NewInt(44), big.NewInt(301), pow2(64, 0), pow2(200, 0)} {
		if e, ok := l.Find(n); ok {
			t.Errorf("%v: %v", n, e)
		}
	}
	last := new(big.Int)
	l.Entries(func(e trust.Entry) bool {
		if e.Serial.Cmp(last) < 0 {
			t.Errorf("%v after %v", e.Serial, last)
		}
		last = e.Serial
		return true
	})
}

func critical(ext *[]pkix.Extension, oid ...int) {
	*ext = append(*ext, pkix.Extension{Id: oid, Critical: true, Value: []byte{0x30, 0}})
}

// uncritical adds an extension that may be passed over by who doesn't know it.
func uncritical(oid ...int) func(*crlTemplate) {
	return func(l *crlTemplate) {
		l.ExtraExtensions = append(l.ExtraExtensions, pkix.Extension{Id: oid, Value: []byte{0x30, 0}})
	}
}

func TestParseCRL(t *testing.T) {
	root := newCA(t, "cluster CA 9", nil)
	good := newCRLBytes(t, root)
	armored := pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: good})
	for _, tc := range []struct {
		name string
		data []byte
		want string // "" for accepted
	}{
		{"DER", good, ""},
		{"PEM", armored, ""},
		{"PEM with text and CRLF", append([]byte("hello\r\n"), bytes.ReplaceAll(armored, []byte("\n"), []byte("\r\n"))...), ""},
		{"empty", nil, "damaged, or something else"},
		{"text", []byte("hello"), "damaged, or something else"},
		{"cut", good[:len(good)-1], "damaged"},
		{"octet after", append(bytes.Clone(good), 0), "damaged"},
		{"one of each CA", append(bytes.Clone(armored), armored...), ""},
		{"too many", bytes.Repeat(armored, 201), "201 PEM blocks"},
		{"the second damaged", append(bytes.Clone(armored), pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: good[1:]})...), "damaged"},
		{"with its CA", append(pemOf(root.cert), armored...), `the type "CERTIFICATE" among`},
		{"min-serial", newCRLBytes(t, root, withFloor(2, 1, 9)), ""},
		{"min-serial 0", newCRLBytes(t, root, withFloor(2, 1, 0)), "its min-serial"},
		{"min-serial too long", newCRLBytes(t, root, withFloor(2, 9, 1, 0, 0, 0, 0, 0, 0, 0, 0)), "its min-serial"},
		{"min-serial and more", newCRLBytes(t, root, withFloor(2, 1, 9, 0)), "its min-serial"},
		{"a certificate", pemOf(root.cert), `the type "CERTIFICATE"`},
		{"a certificate in DER", root.cert.Raw, "damaged, or something else"},
		{"too large", make([]byte, trust.MaxCRL+1), "larger than"},
		{"part that nobody knows", withPart(t, newCRLBytes(t, root, listed())), "a part that no revocation list has"},
		{"about a part", newCRLBytes(t, root, func(c *crlTemplate) { critical(&c.ExtraExtensions, 2, 5, 29, 28) }), "2.5.29.28"},
		{"about changes", newCRLBytes(t, root, func(c *crlTemplate) { critical(&c.ExtraExtensions, 2, 5, 29, 27) }), "2.5.29.27"},
		{"about a part, not critical", newCRLBytes(t, root, uncritical(2, 5, 29, 28)), "issuingDistributionPoint, 2.5.29.28"},
		{"about changes, not critical", newCRLBytes(t, root, uncritical(2, 5, 29, 27)), "deltaCRLIndicator, 2.5.29.27"},
		{"unknown extension", newCRLBytes(t, root, func(c *crlTemplate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Value: []byte{5, 0}}}
		}), ""},
		{"extension twice", newCRLBytes(t, root, func(c *crlTemplate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 20}, Value: []byte{2, 1, 1}}}
		}), "twice"},
		{"about another's certificate", newCRLBytes(t, root, func(c *crlTemplate) {
			critical(&c.RevokedCertificateEntries[0].ExtraExtensions, 2, 5, 29, 29)
		}), "another issuer's"},
	} {
		_, err := trust.ParseCRL(tc.data)
		switch {
		case tc.want == "" && err != nil:
			t.Errorf("%s: %v", tc.name, err)
		case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want) || fault.KindOf(err) != fault.Malformed):
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
	}
}

// withFloor adds the extension with the smallest accepted number.
func withFloor(value ...byte) func(*crlTemplate) {
	return func(l *crlTemplate) {
		l.ExtraExtensions = append(l.ExtraExtensions, pkix.Extension{Id: trust.MinSerialExtension, Value: value})
	}
}

// TestCRLFloor has a list that tells what is below, and does not list it.
func TestCRLFloor(t *testing.T) {
	root := newCA(t, "cluster CA 9", nil)
	for floor, want := range map[byte]trust.Reason{42: "", 43: trust.BelowFloor} {
		l := newCRL(t, root, listed(), withFloor(2, 1, floor))
		if l.Floor() != serial.Floor(floor) {
			t.Errorf("floor %v, want %d", l.Floor(), floor)
		}
		for _, other := range []serial.Floor{0, 42} { // the higher one counts
			expect(t, trust.Check{Bundle: bundleOf(t, root), Floor: other, CRL: l, At: now}.Verify(newLeaf(t, root)), want, "")
		}
		expect(t, trust.Check{Bundle: bundleOf(t, root), Floor: 43, CRL: l, At: now}.Verify(newLeaf(t, root)), trust.BelowFloor, "")
	}
}

// TestCRLOfEachCA has files with the lists of several CAs, of which a verifier may
// know one.
func TestCRLOfEachCA(t *testing.T) {
	older, newer, stranger := newCA(t, "cluster CA 1", nil), newCA(t, "cluster CA 9", nil), newCA(t, "cluster CA 5", nil)
	leaf := newLeaf(t, older)
	file := func(issuers ...*ca) *trust.CRL {
		var data []byte
		for _, a := range issuers {
			data = append(data, pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: newCRLBytes(t, a)})...)
		}
		l, err := trust.ParseCRL(data)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	l := file(newer, older)
	if l.Next() == nil || l.Next().Next() != nil || l.Issuer() != "CN=cluster CA 9" || l.Next().Issuer() != "CN=cluster CA 1" {
		t.Errorf("read %v, then %v", l.Issuer(), l.Next())
	}
	for _, tc := range []struct {
		bundle *trust.Bundle
		list   *trust.CRL
		want   trust.Reason
		asked  string
	}{
		{bundleOf(t, older), file(newer, older), trust.Revoked, "CN=cluster CA 1"},
		{bundleOf(t, older, newer), file(newer, older), trust.Revoked, "CN=cluster CA 9"},
		{bundleOf(t, older, newer), file(newer), trust.Revoked, "CN=cluster CA 9"}, // its numbers are the authority's
		{bundleOf(t, older), file(stranger, older), trust.Revoked, "CN=cluster CA 1"},
		{bundleOf(t, older), file(stranger, newer), trust.BadCRL, "CN=cluster CA 5"},
	} {
		c := trust.Check{Bundle: tc.bundle, CRL: tc.list, At: now}
		expect(t, c.Verify(leaf), tc.want, "")
		if c.Revocation() != trust.FreshCRL {
			t.Errorf("it rests on %q", c.Revocation())
		}
		if got := c.Asked().Issuer(); got != tc.asked {
			t.Errorf("the list of %s was asked, not that of %s", got, tc.asked)
		}
	}
	pool, err := trust.NewPool([]*x509.Certificate{older.cert}, nil, []*trust.CRL{file(newer, older)})
	if err != nil {
		t.Fatal(err)
	}
	_, err = trust.ChainCheck{Pool: pool, At: now}.Verify(leaf)
	expect(t, err, trust.Revoked, "")
}

// withPart adds an element at the end of what is signed.
func withPart(t *testing.T, der []byte) []byte {
	t.Helper()
	var l struct {
		Signed    asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &l); err != nil {
		t.Fatal(err)
	}
	l.Signed = asn1.RawValue{Class: asn1.ClassUniversal, Tag: asn1.TagSequence, IsCompound: true, Bytes: append(bytes.Clone(l.Signed.Bytes), 0xa1, 0)}
	der, err := asn1.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// TestCRLExtension finds what an authority says of itself.
func TestCRLExtension(t *testing.T) {
	id := asn1.ObjectIdentifier{1, 2, 3}
	l := newCRL(t, newCA(t, "cluster CA 9", nil), func(c *crlTemplate) {
		c.ExtraExtensions = []pkix.Extension{{Id: id, Value: []byte{2, 1, 9}}}
	})
	if v, ok := l.Extension(id); !ok || !bytes.Equal(v, []byte{2, 1, 9}) {
		t.Errorf("%x, %v", v, ok)
	}
	if _, ok := l.Extension(asn1.ObjectIdentifier{1, 2, 4}); ok {
		t.Error("found what isn't there")
	}
}

// TestCRLDates takes the dates of entries that crypto/x509 takes, and no others.
func TestCRLDates(t *testing.T) {
	root := newCA(t, "cluster CA 9", nil)
	for _, layout := range []string{"060102150405Z", "20060102150405Z"} {
		when := time.Date(2049, 2, 3, 4, 5, 6, 0, time.UTC)
		if len(layout) == 15 {
			when = when.AddDate(1, 0, 0)
		}
		der := newCRLBytes(t, root, func(l *crlTemplate) { l.RevokedCertificateEntries[0].RevocationTime = when })
		at := bytes.Index(der, []byte(when.Format(layout)))
		taken := 0
		try := func(date string) {
			copy(der[at:], date)
			_, err := trust.ParseCRL(der)
			_, want := x509.ParseRevocationList(der)
			if (err == nil) != (want == nil) {
				t.Errorf("%s: %v; crypto/x509: %v", date, err, want)
			}
			if err == nil {
				taken++
			}
		}
		for _, year := range []string{"1900", "2000", "2023", "2024", "2050", "2099", "2100"} {
			for month := range 14 {
				for day := range 33 {
					try(fmt.Sprintf("%s%02d%02d235959Z", year[4-(len(layout)-11):], month, day))
				}
			}
		}
		for _, clock := range []string{"000000Z", "240000Z", "006000Z", "000060Z", "0a0000Z", "00000 Z", "000000z"} {
			try(when.Format(layout[:len(layout)-7]) + clock)
		}
		if taken < 2000 || taken > 2600 {
			t.Errorf("%d dates were taken", taken)
		}
	}
}

// FuzzParseCRL compares with crypto/x509: what is read here is read there, and
// the same numbers are on it.
func FuzzParseCRL(f *testing.F) {
	root := newCA(f, "cluster CA 9", nil)
	f.Add(newCRLBytes(f, root))
	f.Add(newCRLBytes(f, root, listed()))
	f.Add(newCRLBytes(f, root, listed(300, 2, 1<<62, 129)))
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: newCRLBytes(f, root)}))
	f.Add(newCRLBytes(f, root, func(c *crlTemplate) { critical(&c.ExtraExtensions, 2, 5, 29, 28) }))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := trust.ParseCRL(data)
		if err != nil {
			if fault.KindOf(err) != fault.Malformed {
				t.Errorf("kind %q: %v", fault.KindOf(err), err)
			}
			return
		}
		if block, _ := pem.Decode(data); block != nil && !bytes.HasPrefix(data, []byte{0x30}) {
			data = block.Bytes
		}
		want, err := x509.ParseRevocationList(data)
		if err != nil {
			t.Fatalf("crypto/x509: %v", err)
		}
		if len(want.RevokedCertificateEntries) != l.Len() {
			t.Fatalf("%d entries, want %d", l.Len(), len(want.RevokedCertificateEntries))
		}
		for _, e := range want.RevokedCertificateEntries {
			got, ok := l.Find(e.SerialNumber)
			if !ok || got.Serial.Cmp(e.SerialNumber) != 0 {
				t.Errorf("%v: %v, %v", e.SerialNumber, got, ok)
			}
		}
		got := slices.Collect(l.Entries)
		if len(got) != l.Len() {
			t.Errorf("%d of %d", len(got), l.Len())
		}
	})
}
