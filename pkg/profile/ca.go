package profile

import (
	"crypto/x509"
	"strings"
	"time"
	"unicode/utf8"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/serial"
)

// CASubject returns the common name of the CA certificate n of a cluster, or a project,
// "<cluster> CA <n>", with the cluster's name cut so that it has at most 64 characters.
// No two certificates share it: verifiers that find an issuer by its name find one.
func CASubject(cluster string, n serial.Number) string { return caCommonName(cluster, n.String()) }

func caCommonName(cluster, number string) string {
	suffix := " CA " + number
	for room := maxCommonNameLength - len(suffix); utf8.RuneCountInString(cluster) > room; {
		_, size := utf8.DecodeLastRuneInString(cluster)
		cluster = cluster[:len(cluster)-size]
	}
	return strings.TrimRight(cluster, ".-") + suffix
}

// ParseCASubject returns the name of the cluster whose CA has this common name, if it is
// one that [CASubject] made and nothing was cut off.
func ParseCASubject(commonName string) (cluster string, ok bool) {
	cluster, number, ok := strings.Cut(commonName, " CA ")
	n, err := serial.Parse(number)
	if !ok || err != nil || nameFlaw(cluster) != "" || utf8.RuneCountInString(commonName) >= maxCommonNameLength {
		return "", false
	}
	return cluster, CASubject(cluster, n) == commonName
}

// A CA is a CA certificate before it has a number: the cluster's own, the project
// root, or a project's. Only [NewCA], [NewProjectRoot] and [NewProjectCA] make one, and it
// can't be changed.
type CA struct {
	name         string  // what the common name begins with
	organization string  // of the subject; empty for none
	issuer       *Issuer // nil for a self-signed one
	pathLength   uint64
	rules        []rule
	key          *SubjectKey
	algorithm    signatureAlgorithm // of the issuer, or its own
	validity     Validity
}

// NewCA puts the CA certificate of a cluster together: the cluster's DNS name, the
// CA's own key, and a lifetime from [MinCALifetime] to [MaxCALifetime] that begins
// [Backdate] before now. The certificate is critically CA:TRUE with path length 0, and
// its key usage, critical, is keyCertSign and cRLSign.
//
// Errors: [*NameError], [*LifetimeError]; [fault.Internal] for a zero key.
func NewCA(cluster string, key *SubjectKey, now time.Time, lifetime time.Duration) (*CA, error) {
	c, err := clusterCA(cluster)
	if err != nil {
		return nil, err
	}
	return c, c.complete(key, now, lifetime)
}

// clusterCA is NewCA but for what [CA.complete] adds.
func clusterCA(cluster string) (*CA, error) {
	if flaw := nameFlaw(cluster); flaw != "" {
		return nil, &NameError{Kind: "cluster name", Name: cluster, Reason: flaw}
	}
	return &CA{name: cluster, rules: caRules}, nil
}

// complete adds what all CAs have: the key, its own or its issuer's way to sign, and the
// validity.
func (c *CA) complete(key *SubjectKey, now time.Time, lifetime time.Duration) (err error) {
	if lifetime < MinCALifetime || lifetime > MaxCALifetime {
		return &LifetimeError{Requested: lifetime, Min: MinCALifetime, Max: MaxCALifetime}
	}
	if key == nil || key.key == nil {
		return fault.New(fault.Internal, "a CA needs a key")
	}
	c.key = key
	if c.issuer != nil {
		c.algorithm = c.issuer.algorithm
		c.validity, err = c.issuer.within(now, lifetime)
		return err
	}
	c.algorithm, err = algorithmOf(key.key)
	c.validity = period(now, lifetime, time.Time{})
	return err
}

// Validity returns when the certificate is valid.
func (c *CA) Validity() Validity { return c.validity }

// TBS returns the bytes to be signed, by the CA's own key or its issuer's, for c as
// certificate n, after [CA.CheckTBS] and a signature with a throw-away key.
//
// Errors, all [fault.Internal]: a number out of bounds; a bug in this package.
func (c *CA) TBS(n serial.Number) (*TBS, error) {
	if n < 1 {
		return nil, fault.Errorf(fault.Internal, "%d is no certificate's number", int64(n))
	}
	raw := c.build(n)
	if err := c.CheckTBS(raw, n); err != nil {
		return nil, err
	}
	t := &TBS{raw: raw, serial: n, signer: c.key, algorithm: c.algorithm}
	above := (*x509.Certificate)(nil)
	if c.issuer != nil {
		t.signer, above = c.issuer.key, c.issuer.chain[0]
	}
	if _, err := t.rehearse(above); err != nil {
		return nil, err
	}
	return t, nil
}

// issued returns the names of subject and issuer of certificate n, and the identifier of
// the issuing key. A CA's own certificate has its own: GnuTLS and OpenSSL find the right
// one of two CAs by it.
func (c *CA) issued(n serial.Number) (subject, issuer, keyID []byte) {
	subject = subjectName(c.organization, CASubject(c.name, n))
	if c.issuer == nil {
		return subject, subject, c.key.id[:]
	}
	return subject, c.issuer.chain[0].RawSubject, c.issuer.chain[0].SubjectKeyId
}

// build returns the TBSCertificate with number n.
func (c *CA) build(n serial.Number) []byte {
	subject, issuer, keyID := c.issued(n)
	return tlv(tagSequence,
		version3, derInteger(uint64(n)), c.algorithm.id, issuer,
		tlv(tagSequence, derTime(c.validity.notBefore), derTime(c.validity.notAfter)),
		subject, c.key.spki,
		extensions(
			extension(oidBasicConstraints, critical, c.basicConstraints()),
			extension(oidKeyUsage, critical, certAndCRLSign()),
			extension(oidSubjectKeyID, 0, tlv(tagOctetString, c.key.id[:])),
			extension(oidAuthorityKeyID, 0, tlv(tagSequence, tlv(0x80, keyID))),
		),
	)
}

// basicConstraints returns that c is a CA, and how many may stand below it.
func (c *CA) basicConstraints() []byte {
	return tlv(tagSequence, tlv(tagBoolean, []byte{0xff}), derInteger(c.pathLength))
}

// certAndCRLSign returns the key usage of a CA.
func certAndCRLSign() []byte {
	return tlv(tagBitString, []byte{1, 0x06}) // unused bits, then bits
}

// subjectName returns a Name of a common name, after an organization where there is one.
func subjectName(organization, common string) []byte {
	if organization == "" {
		return commonName(common)
	}
	part := func(kind oid, value string) []byte {
		return tlv(tagSet, tlv(tagSequence, tlv(tagOID, []byte(kind)), tlv(tagUTF8String, []byte(value))))
	}
	return tlv(tagSequence, part(oidOrganization, organization), part(oidCommonName, common))
}
