package profile

import (
	"bytes"
	"crypto/x509"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte/asn1"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/serial"
)

// wrong is what a check of built bytes ends in: a bug, found before it is signed.
func wrong(what string) error {
	return fault.New(fault.Internal, "the certificate that was built is not the one that was approved: "+what)
}

// CheckTBS reports what is wrong with tbs as the bytes to be signed for l with number
// n. It does not look at how they were built. crypto/x509 reads them, and a strict
// walk, in which everything stands where it has to and nothing stands beside it; they
// keep every rule of [Lint], whatever was approved; and their names, key, validity
// and issuer are what was approved, in the one encoding that passes.
//
// Errors, all [fault.Internal].
func (l *Leaf) CheckTBS(tbs []byte, n serial.Number) error {
	c, fields, err := readBack(tbs, l.issuer.algorithm)
	if err != nil {
		return err
	}
	if err := checkRules(c, fields, l.traits.rules); err != nil {
		return err
	}
	if err := fields.check(n, l.issuer.chain[0].RawSubject, l.names.project, l.names.commonName, l.key); err != nil {
		return err
	}
	if err := l.checkValidity(c, fields); err != nil {
		return err
	}
	if err := l.checkNames(c); err != nil {
		return err
	}
	want := []wantedExtension{
		{oidBasicConstraints, true, leafConstraints},
		{oidKeyUsage, true, l.traits.usage(l.key.key)},
		{oidExtendedKeyUsage, l.traits.purposesAre == critical, l.traits.purposes},
		{oidSubjectKeyID, false, "\x04\x14" + string(l.key.id[:])},
		{oidAuthorityKeyID, false, authorityKeyID(l.issuer.chain[0].SubjectKeyId)},
	}
	if l.traits.hasNames {
		want = append(want, wantedExtension{oidSubjectAltName, false, ""}) // checkSAN
	}
	return fields.checkExtensions(want, l.checkSAN)
}

// Values of CAs' extensions.
const (
	caConstraints   = "\x30\x06\x01\x01\xff\x02\x01\x00" // CA:TRUE, path length 0
	rootConstraints = "\x30\x06\x01\x01\xff\x02\x01\x01" // CA:TRUE, path length 1
	caKeyUsage      = "\x03\x02\x01\x06"                 // keyCertSign, cRLSign
)

// authorityKeyID returns the value of an authority key identifier, for the lengths
// that need one octet.
func authorityKeyID(id []byte) string {
	n := byte(len(id))
	return string([]byte{0x30, n + 2, 0x80, n}) + string(id)
}

// checkValidity checks the validity in the bytes against what was planned, and against
// every certificate of the chain.
func (l *Leaf) checkValidity(c *x509.Certificate, fields *tbsFields) error {
	v := l.validity
	if !c.NotBefore.Equal(v.notBefore) || !c.NotAfter.Equal(v.notAfter) {
		return wrong("validity")
	}
	for _, ca := range l.issuer.chain {
		if c.NotBefore.Before(ca.NotBefore) || !c.NotAfter.Before(ca.NotAfter) {
			return wrong("a validity beyond the CA's")
		}
	}
	return fields.checkTimes(v)
}

// checkNames checks the names as crypto/x509 sees them.
func (l *Leaf) checkNames(c *x509.Certificate) error {
	switch {
	case c.Subject.CommonName != l.names.commonName || !sameOrganization(c, l.names.project):
		return wrong("subject")
	case !slices.Equal(c.DNSNames, l.names.dnsNames):
		return wrong("DNS names")
	case !slices.EqualFunc(c.IPAddresses, l.names.addresses, sameAddress):
		return wrong("IP addresses")
	}
	return nil
}

// sameOrganization reports whether a subject is, beside its common name, the organization
// given or, where that is empty, nothing.
func sameOrganization(c *x509.Certificate, organization string) bool {
	if organization == "" {
		return len(c.Subject.Names) == 1
	}
	return len(c.Subject.Names) == 2 && slices.Equal(c.Subject.Organization, []string{organization})
}

func sameAddress(a net.IP, b netip.Addr) bool {
	addr, ok := netip.AddrFromSlice(a)
	return ok && addr == b
}

// checkSAN walks the subject alternative names themselves: DNS names first, the common
// name first of all, and nothing that crypto/x509 might pass over.
func (l *Leaf) checkSAN(value der) error {
	list, ok := readWhole(value, asn1.SEQUENCE)
	if !ok || list.Empty() {
		return wrong("subject alternative names")
	}
	i := 0
	for ; !list.Empty(); i++ {
		var content der
		var tag asn1.Tag
		if !list.ReadAnyASN1(&content, &tag) || !l.isName(i, tag, content) {
			return wrong("subject alternative names")
		}
	}
	if i != len(l.names.dnsNames)+len(l.names.addresses) {
		return wrong("number of names")
	}
	return nil
}

// isName reports whether the alternative name number i is the approved one.
func (l *Leaf) isName(i int, tag asn1.Tag, content der) bool {
	dns, addresses := l.names.dnsNames, l.names.addresses
	if i < len(dns) {
		return tag == dnsTag && string(content) == dns[i]
	}
	if i -= len(dns); i >= len(addresses) {
		return false
	}
	return tag == ipTag && bytes.Equal(content, addresses[i].AsSlice())
}

// CheckTBS does for a CA's certificate what [Leaf.CheckTBS] does for others.
//
// Errors, all [fault.Internal].
func (c *CA) CheckTBS(tbs []byte, n serial.Number) error {
	cert, fields, err := readBack(tbs, c.algorithm)
	if err != nil {
		return err
	}
	if err := checkRules(cert, fields, c.rules); err != nil {
		return err
	}
	issuer, keyID := []byte(fields.subject), c.key.id[:]
	if c.issuer != nil {
		issuer, keyID = c.issuer.chain[0].RawSubject, c.issuer.chain[0].SubjectKeyId
	}
	name := CASubject(c.name, n)
	if err := fields.check(n, issuer, c.organization, name, c.key); err != nil {
		return err
	}
	v := c.validity
	if !cert.NotBefore.Equal(v.notBefore) || !cert.NotAfter.Equal(v.notAfter) {
		return wrong("validity")
	}
	if c.issuer != nil && (v.notBefore.Before(c.issuer.notBefore) || !v.notAfter.Before(c.issuer.notAfter)) {
		return wrong("a validity beyond the issuer's")
	}
	if err := fields.checkTimes(v); err != nil {
		return err
	}
	if cert.Subject.CommonName != name {
		return wrong("subject")
	}
	constraints := caConstraints
	if c.pathLength > 0 {
		constraints = rootConstraints
	}
	return fields.checkExtensions([]wantedExtension{
		{oidBasicConstraints, true, constraints},
		{oidKeyUsage, true, caKeyUsage},
		{oidSubjectKeyID, false, "\x04\x14" + string(c.key.id[:])},
		{oidAuthorityKeyID, false, authorityKeyID(keyID)},
	}, nil)
}

// readBack reads the bytes to be signed with crypto/x509, which needs a signature
// field and does not look at it, and with the strict walk.
func readBack(tbs []byte, algorithm signatureAlgorithm) (*x509.Certificate, *tbsFields, error) {
	c, err := x509.ParseCertificate(tlv(tagSequence, tbs, algorithm.id, derBits(nil)))
	if err != nil {
		return nil, nil, fault.Errorf(fault.Internal, "reading back the certificate that was built: %w", err)
	}
	if !bytes.Equal(c.RawTBSCertificate, tbs) || c.Version != 3 || len(c.UnhandledCriticalExtensions) > 0 {
		return nil, nil, wrong("structure")
	}
	fields, ok := readTBS(tbs)
	if !ok {
		return nil, nil, wrong("structure")
	}
	if !bytes.Equal(fields.algorithm, algorithm.id) || c.SerialNumber.Cmp(new(big.Int).SetBytes(fields.serial)) != 0 {
		return nil, nil, wrong("algorithm or number")
	}
	return c, fields, nil
}

// timeText returns t as it has to be written, and as what.
func timeText(t time.Time) (asn1.Tag, string) {
	if t.Year() >= 2050 {
		return asn1.GeneralizedTime, t.UTC().Format("20060102150405Z")
	}
	return asn1.UTCTime, t.UTC().Format("060102150405Z")
}
