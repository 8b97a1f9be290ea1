package profile

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"io"
	"time"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/serial"
)

// CRLLifetime is how long after now a revocation list is to be replaced at the latest.
const CRLLifetime = 7 * 24 * time.Hour

// ErrNoCRLSign means that a CA's certificate does not allow it to sign revocation lists.
var ErrNoCRLSign = fault.New(fault.Denied, "the CA's key usage does not include cRLSign, so it can't sign revocation lists")

// A Reason is why a certificate was revoked, by the names of RFC 5280, section 5.3.1.
// Those that are about CAs, or end, are missing. The zero Reason says nothing.
type Reason string

// The reasons.
const (
	Unspecified          Reason = "unspecified"
	KeyCompromise        Reason = "keyCompromise"
	AffiliationChanged   Reason = "affiliationChanged"
	Superseded           Reason = "superseded"
	CessationOfOperation Reason = "cessationOfOperation"
	PrivilegeWithdrawn   Reason = "privilegeWithdrawn"
)

// Reasons returns all of them.
func Reasons() []Reason {
	return []Reason{Unspecified, KeyCompromise, AffiliationChanged, Superseded, CessationOfOperation, PrivilegeWithdrawn}
}

// ParseReason reads a Reason, in any letter case. The error is [fault.Malformed].
func ParseReason(s string) (Reason, error) {
	for _, r := range Reasons() {
		if FoldName(string(r)) == FoldName(s) {
			return r, nil
		}
	}
	return "", fault.Errorf(fault.Malformed, "%.40q is no reason for a revocation", s)
}

// code returns the CRLReason; 0, which a list leaves out, for none.
func (r Reason) code() byte {
	switch r {
	case KeyCompromise:
		return 1
	case AffiliationChanged:
		return 3
	case Superseded:
		return 4
	case CessationOfOperation:
		return 5
	case PrivilegeWithdrawn:
		return 9
	case Unspecified:
	}
	return 0
}

// CRLEntries writes the entries of a revocation list (revokedCertificates in RFC 5280,
// section 5.1), one after the other.
type CRLEntries struct {
	w       io.Writer
	entry   []byte // reused
	rest    []byte // what follows the serial number, for date and reason
	date    int64
	reason  Reason
	started bool
}

// NewCRLEntries returns one that writes to w, which should have a buffer.
func NewCRLEntries(w io.Writer) *CRLEntries { return &CRLEntries{w: w} }

// Add writes that n is revoked since a time, parts of a second cut off.
func (e *CRLEntries) Add(n serial.Number, since time.Time, reason Reason) error {
	if date := since.Unix(); !e.started || date != e.date || reason != e.reason {
		e.rest = derTime(since)
		if code := reason.code(); code != 0 {
			value := tlv(0x0a, []byte{code})
			e.rest = append(e.rest, tlv(tagSequence, extension(oidReasonCode, 0, value))...)
		}
		e.started, e.date, e.reason = true, date, reason
	}
	e.entry = append(appendInteger(append(e.entry[:0], tagSequence, 0), uint64(n)), e.rest...)
	e.entry[1] = byte(len(e.entry) - 2) // at most 11+17+14
	_, err := e.w.Write(e.entry)
	return err
}

const (
	oidReasonCode oid = "\x55\x1d\x15"
	oidCRLNumber  oid = "\x55\x1d\x14"
)

// A CRL is a revocation list without its entries, before it is signed.
type CRL struct {
	issuer     *Issuer
	thisUpdate time.Time
	nextUpdate time.Time
	extensions []byte
}

// NewCRL puts a list together (RFC 5280, section 5.1), version 2, that begins
// [Backdate] before now, for clocks that are behind, and ends [CRLLifetime] after now.
// The more extensions are added to its own: the issuer's key identifier and number.
//
// Errors: [ErrNoCRLSign]; [fault.Internal] for a number below 1.
func NewCRL(issuer *Issuer, number int64, now time.Time, more ...pkix.Extension) (*CRL, error) {
	if err := issuer.check(); err != nil {
		return nil, err
	}
	if number < 1 {
		return nil, fault.Errorf(fault.Internal, "%d is no revocation list's number", number)
	}
	ca := issuer.Certificate()
	if ca.KeyUsage&x509.KeyUsageCRLSign == 0 {
		return nil, ErrNoCRLSign
	}
	list := [][]byte{
		extension(oidAuthorityKeyID, 0, tlv(tagSequence, tlv(0x80, ca.SubjectKeyId))),
		extension(oidCRLNumber, 0, derInteger(uint64(number))),
	}
	for _, e := range more {
		der, err := asn1.Marshal(e)
		if err != nil {
			return nil, fmt.Errorf("encoding an extension: %w", err)
		}
		list = append(list, der)
	}
	now = now.UTC().Truncate(time.Second)
	return &CRL{
		issuer: issuer, thisUpdate: now.Add(-Backdate), nextUpdate: now.Add(CRLLifetime),
		extensions: tlv(0xa0, tlv(tagSequence, list...)),
	}, nil
}

// ThisUpdate returns when the list begins.
func (c *CRL) ThisUpdate() time.Time { return c.thisUpdate }

// NextUpdate returns when there is to be a newer one at the latest.
func (c *CRL) NextUpdate() time.Time { return c.nextUpdate }

// A SignedCRL is a revocation list in DER: Before, the entries, After.
type SignedCRL struct {
	Before, After []byte
	entries       io.ReaderAt
	size          int64
}

// Size returns its length, in octets.
func (s *SignedCRL) Size() int64 { return int64(len(s.Before)) + s.size + int64(len(s.After)) }

// Reader returns the whole list, from its beginning.
func (s *SignedCRL) Reader() io.Reader {
	return io.MultiReader(bytes.NewReader(s.Before), io.NewSectionReader(s.entries, 0, s.size), bytes.NewReader(s.After))
}

// Sign signs the list whose entries are size octets of [CRLEntries]. They are read
// twice and not kept, whatever their number is, but for Ed25519, which has to have
// them all at once. The signature is verified.
//
// Errors: [fault.Denied] for another key than the issuer's; [fault.Internal].
func (c *CRL) Sign(key crypto.Signer, entries io.ReaderAt, size int64) (*SignedCRL, error) {
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(c.issuer.key.key) {
		return nil, fault.New(fault.Denied, "the key to sign with is not the one in the CA's certificate")
	}
	algorithm := c.issuer.algorithm
	head := concat(derInteger(1), algorithm.id, c.issuer.Certificate().RawSubject, derTime(c.thisUpdate), derTime(c.nextUpdate))
	if size > 0 { // an empty list is left out
		head = append(head, derHeader(tagSequence, size)...)
	}
	total := int64(len(head)) + size + int64(len(c.extensions))
	head = append(derHeader(tagSequence, total), head...)
	tbs := io.MultiReader(bytes.NewReader(head), io.NewSectionReader(entries, 0, size), bytes.NewReader(c.extensions))

	message, err := digest(algorithm.hash, tbs)
	if err != nil {
		return nil, fmt.Errorf("reading the entries of a revocation list: %w", err)
	}
	signature, err := key.Sign(rand.Reader, message, algorithm.hash)
	if err == nil {
		err = verifyDigest(c.issuer.key.key, algorithm.hash, message, signature)
	}
	if err != nil {
		return nil, fault.Errorf(fault.Internal, "signing a revocation list: %w", err)
	}
	out := &SignedCRL{After: concat(c.extensions, algorithm.id, derBits(signature)), entries: entries, size: size}
	out.Before = append(derHeader(tagSequence, int64(len(head))+size+int64(len(out.After))), head...)
	return out, nil
}

// digest returns what a key signs: the hash, or everything for no hash.
func digest(hash crypto.Hash, message io.Reader) ([]byte, error) {
	if hash == 0 {
		return io.ReadAll(message)
	}
	h := hash.New()
	_, err := io.Copy(h, message)
	return h.Sum(nil), err
}

func verifyDigest(key crypto.PublicKey, hash crypto.Hash, message, signature []byte) error {
	ok := false
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		ok = ecdsa.VerifyASN1(k, message, signature)
	case *rsa.PublicKey:
		ok = rsa.VerifyPKCS1v15(k, hash, message, signature) == nil
	case ed25519.PublicKey:
		ok = ed25519.Verify(k, message, signature)
	}
	if !ok {
		return fault.New(fault.Internal, "the signature does not verify")
	}
	return nil
}

// derHeader returns identifier and length of a value of size octets, below 4 GiB.
func derHeader(tag byte, size int64) []byte {
	if size < 0x80 {
		return []byte{tag, byte(size)}
	}
	n := 1
	for size>>(8*n) > 0 {
		n++
	}
	out := []byte{tag, 0x80 | byte(n)}
	for i := n - 1; i >= 0; i-- {
		out = append(out, byte(size>>(8*i)))
	}
	return out
}
