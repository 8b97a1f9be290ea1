package profile

import (
	"strings"
	"time"
	"unicode/utf8"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/serial"
)

// CASubject returns the common name of the CA certificate n of a cluster,
// "<cluster> CA <n>", with the cluster's name cut so that it has at most 64 characters.
// No two certificates share it: verifiers that find an issuer by its name find one.
func CASubject(cluster string, n serial.Number) string {
	suffix := " CA " + n.String()
	for room := maxCommonNameLength - len(suffix); utf8.RuneCountInString(cluster) > room; {
		_, size := utf8.DecodeLastRuneInString(cluster)
		cluster = cluster[:len(cluster)-size]
	}
	return strings.TrimRight(cluster, ".-") + suffix
}

// A CA is a self-signed CA certificate of a cluster before it has a number. Only
// [NewCA] makes one, and it can't be changed.
type CA struct {
	cluster   string
	key       *SubjectKey
	algorithm signatureAlgorithm
	validity  Validity
}

// NewCA puts the CA certificate of a cluster together: the cluster's DNS name, the
// CA's own key, and a lifetime from [MinCALifetime] to [MaxCALifetime] that begins
// [Backdate] before now. The certificate is critically CA:TRUE with path length 0, and
// its key usage, critical, is keyCertSign and cRLSign.
//
// Errors: [*NameError], [*LifetimeError]; [fault.Internal] for a zero key.
func NewCA(cluster string, key *SubjectKey, now time.Time, lifetime time.Duration) (*CA, error) {
	if flaw := nameFlaw(cluster); flaw != "" {
		return nil, &NameError{Kind: "cluster name", Name: cluster, Reason: flaw}
	}
	if lifetime < MinCALifetime || lifetime > MaxCALifetime {
		return nil, &LifetimeError{Requested: lifetime, Min: MinCALifetime, Max: MaxCALifetime}
	}
	if key == nil || key.key == nil {
		return nil, fault.New(fault.Internal, "a CA needs a key")
	}
	algorithm, err := algorithmOf(key.key)
	if err != nil {
		return nil, err
	}
	return &CA{cluster: cluster, key: key, algorithm: algorithm, validity: period(now, lifetime, time.Time{})}, nil
}

// Validity returns when the certificate is valid.
func (c *CA) Validity() Validity { return c.validity }

// TBS returns the bytes to be signed, by the CA's own key, for c as certificate n,
// after [CA.CheckTBS] and a signature with a throw-away key.
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
	if _, err := t.rehearse(nil); err != nil {
		return nil, err
	}
	return t, nil
}

// build returns the TBSCertificate with number n. Its authority key identifier is its
// own: GnuTLS and OpenSSL find the right one of two CAs by it.
func (c *CA) build(n serial.Number) []byte {
	name := commonName(CASubject(c.cluster, n))
	pathLength0 := tlv(tagSequence, tlv(tagBoolean, []byte{0xff}), derInteger(0))
	certAndCRLSign := []byte{1, 0x06} // unused bits, then bits
	return tlv(tagSequence,
		version3, derInteger(uint64(n)), c.algorithm.id, name,
		tlv(tagSequence, derTime(c.validity.notBefore), derTime(c.validity.notAfter)),
		name, c.key.spki,
		extensions(
			extension(oidBasicConstraints, critical, pathLength0),
			extension(oidKeyUsage, critical, tlv(tagBitString, certAndCRLSign)),
			extension(oidSubjectKeyID, 0, tlv(tagOctetString, c.key.id[:])),
			extension(oidAuthorityKeyID, 0, tlv(tagSequence, tlv(0x80, c.key.id[:]))),
		),
	)
}
