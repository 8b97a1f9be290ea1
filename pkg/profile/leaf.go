package profile

import (
	"x509ctl/pkg/fault"
	"x509ctl/pkg/serial"
)

// A Leaf is a certificate that is no CA's before it has a number: issuer, names, key and
// validity, each of them checked. Only [NewLeaf] makes one, and it can't be changed.
type Leaf struct {
	traits   *traits
	issuer   *Issuer
	names    Approved
	key      *SubjectKey
	validity Validity

	tail []byte // of the TBSCertificate: validity, subject, key, extensions
}

// NewLeaf puts the certificate together that names were approved for. It spends nothing
// and signs nothing.
//
// Errors: [fault.Denied] for the issuer of another project, or of nodes for a project's
// certificate and the reverse, and for a decrypt key that is not RSA of 3072 bits;
// [fault.Internal] for a zero argument, or the validity of another profile.
func NewLeaf(issuer *Issuer, names Approved, key *SubjectKey, v Validity) (*Leaf, error) {
	if err := issuer.check(); err != nil {
		return nil, err
	}
	if names.commonName == "" || key == nil || key.key == nil || v.notBefore.IsZero() || v.notAfter.IsZero() {
		return nil, fault.New(fault.Internal, "a certificate needs names, a key and a validity that were checked")
	}
	t := names.profile.traits()
	switch {
	case t == nil || v.profile != names.profile:
		return nil, fault.New(fault.Internal, "names and validity are not of one profile")
	case FoldName(names.project) != FoldName(issuer.project) || t.ofProject != (names.project != ""):
		return nil, fault.Errorf(fault.Denied, "%s signs no certificate of %s", whose(issuer.project), whose(names.project))
	case names.profile == Decrypt && !canDecrypt(key.key):
		return nil, fault.Errorf(fault.Denied, "secrets are encrypted to RSA keys of at least %d bits", minDecryptBits)
	}
	l := &Leaf{traits: t, issuer: issuer, names: names, key: key, validity: v}
	l.tail = l.buildTail()
	return l, nil
}

// whose says in words which authority a certificate is of.
func whose(project string) string {
	if project == "" {
		return "the cluster"
	}
	return "project " + project
}

// Profile returns what kind of certificate it is.
func (l *Leaf) Profile() Profile { return l.names.profile }

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
	list := [][]byte{
		extension(oidBasicConstraints, critical, []byte(leafConstraints)),
		extension(oidKeyUsage, critical, []byte(l.traits.usage(l.key.key))),
		extension(oidExtendedKeyUsage, l.traits.purposesAre, []byte(l.traits.purposes)),
		extension(oidSubjectKeyID, 0, tlv(tagOctetString, l.key.id[:])),
		extension(oidAuthorityKeyID, 0, tlv(tagSequence, tlv(0x80, l.issuer.chain[0].SubjectKeyId))),
	}
	if l.traits.hasNames {
		list = append(list, extension(oidSubjectAltName, 0, l.alternativeNames()))
	}
	return concat(
		tlv(tagSequence, derTime(l.validity.notBefore), derTime(l.validity.notAfter)),
		subjectName(l.names.project, l.names.commonName),
		l.key.spki,
		extensions(list...),
	)
}

// alternativeNames returns the value of the subject alternative names.
func (l *Leaf) alternativeNames() []byte {
	names := make([][]byte, 0, len(l.names.dnsNames)+len(l.names.addresses))
	for _, name := range l.names.dnsNames {
		names = append(names, tlv(0x82, []byte(name)))
	}
	for _, addr := range l.names.addresses {
		names = append(names, tlv(0x87, addr.AsSlice()))
	}
	return tlv(tagSequence, names...)
}
