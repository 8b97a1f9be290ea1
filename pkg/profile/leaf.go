package profile

import (
	"x509ctl/pkg/fault"
	"x509ctl/pkg/serial"
)

// A Leaf is a node certificate before it has a number: issuer, names, key and
// validity, each of them checked. Only [NewLeaf] makes one, and it can't be changed.
type Leaf struct {
	issuer   *Issuer
	names    Approved
	key      *SubjectKey
	validity Validity

	tail []byte // of the TBSCertificate: validity, subject, key, extensions
}

// NewLeaf puts a node certificate together. It spends nothing and signs nothing.
//
// Errors: [fault.Internal] for a zero argument.
func NewLeaf(issuer *Issuer, names Approved, key *SubjectKey, v Validity) (*Leaf, error) {
	if err := issuer.check(); err != nil {
		return nil, err
	}
	if names.commonName == "" || key == nil || key.key == nil || v.notBefore.IsZero() || v.notAfter.IsZero() {
		return nil, fault.New(fault.Internal, "a certificate needs names, a key and a validity that were checked")
	}
	l := &Leaf{issuer: issuer, names: names, key: key, validity: v}
	l.tail = l.buildTail()
	return l, nil
}

// Issuer returns the CA that is to sign.
func (l *Leaf) Issuer() *Issuer { return l.issuer }

// Names returns the names.
func (l *Leaf) Names() Approved { return l.names }

// Key returns the key that is certified.
func (l *Leaf) Key() *SubjectKey { return l.key }

// Validity returns when the certificate is valid.
func (l *Leaf) Validity() Validity { return l.validity }

// TBS returns the bytes to be signed for l as certificate n, after [Leaf.CheckTBS]
// and, for the first of its shape, a signature with a throw-away key. A Leaf may be
// given several numbers; each gives another certificate.
//
// Errors, all [fault.Internal]: a number out of bounds; a bug in this package.
func (l *Leaf) TBS(n serial.Number) (*TBS, error) {
	if n < 1 {
		return nil, fault.Errorf(fault.Internal, "%d is no certificate's number", int64(n))
	}
	raw := l.build(n)
	if err := l.CheckTBS(raw, n); err != nil {
		return nil, err
	}
	t := &TBS{raw: raw, serial: n, signer: l.issuer.key, algorithm: l.issuer.algorithm}
	if err := l.rehearse(t); err != nil {
		return nil, err
	}
	return t, nil
}

// version3 is the version field of every certificate made here.
var version3 = []byte{0xa0, 0x03, tagInteger, 0x01, 0x02}

// build returns the TBSCertificate with number n.
func (l *Leaf) build(n serial.Number) []byte {
	return tlv(tagSequence, version3, derInteger(uint64(n)), l.issuer.algorithm.id, l.issuer.chain[0].RawSubject, l.tail)
}

// buildTail returns what follows the issuer in the TBSCertificate.
func (l *Leaf) buildTail() []byte {
	usage := []byte{7, 0x80} // digitalSignature; unused bits, then bits
	if isRSA(l.key.key) {
		usage = []byte{5, 0xa0} // and keyEncipherment
	}
	names := make([][]byte, 0, len(l.names.dnsNames)+len(l.names.addresses))
	for _, name := range l.names.dnsNames {
		names = append(names, tlv(0x82, []byte(name)))
	}
	for _, addr := range l.names.addresses {
		names = append(names, tlv(0x87, addr.AsSlice()))
	}
	return concat(
		tlv(tagSequence, derTime(l.validity.notBefore), derTime(l.validity.notAfter)),
		commonName(l.names.commonName),
		l.key.spki,
		extensions(
			extension(oidBasicConstraints, critical, tlv(tagSequence)),
			extension(oidKeyUsage, critical, tlv(tagBitString, usage)),
			extension(oidExtendedKeyUsage, 0, tlv(tagSequence, tlv(tagOID, []byte(oidServerAuth)), tlv(tagOID, []byte(oidClientAuth)))),
			extension(oidSubjectKeyID, 0, tlv(tagOctetString, l.key.id[:])),
			extension(oidAuthorityKeyID, 0, tlv(tagSequence, tlv(0x80, l.issuer.chain[0].SubjectKeyId))),
			extension(oidSubjectAltName, 0, tlv(tagSequence, names...)),
		),
	)
}
