// Package trust decides whether a certificate is one of this authority's and
// still good. It needs the bundle, the floor and a time: no key, no database, so
// that the machine that decides need not be the one that signs.
//
// # Not a path validator
//
// crypto/x509 answers whether there is a path from a certificate to a trusted
// root. The question here is narrower: did one of our own CA keys sign this very
// certificate, and is it what those keys sign. A third party's root above our CA
// says nothing about nodes, though it stands in the same bundle, so a certificate
// that it signed, or another CA of its, is refused.
//
// The narrow question is also cheap. Who signed whom among the CAs is found once,
// when the bundle is read, and each leaf costs one signature check. Only where a
// CA certificate restricts what is below it (name constraints and the like, which
// no CA made here has) crypto/x509 is asked as well.
//
// # What fails
//
// What is unknown is refused: a critical extension that our leaves don't have, a
// chain that doesn't reach a root, a missing key usage. A leaf is held against the
// profile it was signed under as if the signer could have been careless.
//
// # Revocation
//
// Below the floor is what revoked means first; a revocation list says it of single
// certificates, and lets a verifier know how old its knowledge is. A list is never
// passed over: one that is damaged, forged or of another authority refuses, since
// whoever gave it wanted it to count.
//
// # Programs that run
//
// A [Source] follows the published files while a program runs. Package trusttls, next
// to this one, has TLS servers and clients ask it in every handshake.
//
// # Others' certificates
//
// What somebody else's CA signed is another question, and has another answer: see
// [ChainCheck].
package trust

import (
	"crypto/sha256"
	"crypto/x509"
	"time"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/serial"
)

// MaxLifetime is the longest difference between notAfter and notBefore that is
// accepted, inclusive: 604,798 s. Both end seconds belong to a certificate's
// validity (RFC 5280, section 4.1.2.5), so this one is valid for a second less
// than a week, which is 168 hours.
const MaxLifetime = 168*time.Hour - 2*time.Second

// MaxProjectLifetime is the same for what a project's CA signed: a year of 365 days.
const MaxProjectLifetime = 365 * 24 * time.Hour

// A Purpose is what a certificate is to be used for. The zero Purpose asks for
// all of them, as every leaf of a cluster has them, or in a project for any.
type Purpose string

// The purposes. A project's leaf has one of them: a member's is a client's.
const (
	Client Purpose = "client" // TLS client authentication
	Server Purpose = "server" // TLS server authentication
)

// ParsePurpose reads the name of a Purpose, or "" for the zero one. The error is
// [fault.Malformed].
func ParsePurpose(s string) (Purpose, error) {
	switch p := Purpose(s); p {
	case "", Client, Server:
		return p, nil
	}
	return "", fault.Errorf(fault.Malformed, "the purpose %s is neither %q nor %q", quoted(s), Client, Server)
}

// A Check is a question about certificates. It may be put to several goroutines
// at once.
type Check struct {
	Bundle  *Bundle      // whom to trust; required
	Project string       // the id of the project whose authority it is, in any letter case; "" for the cluster's
	Floor   serial.Floor // the smallest serial accepted, inclusive; 0 accepts all
	At      time.Time    // when; required. Fractions of a second don't count

	// CRL is the authority's revocation list, signed by any of its own CAs: serial
	// numbers are the authority's and not a CA certificate's, so one list is about
	// the leaves of all. It may say what the floor is ([MinSerialExtension]): the
	// higher of it and Floor counts. With nil the floor alone decides ([FloorOnly]). A
	// list that no own CA signed refuses every leaf; one out of date still revokes. In the
	// same file may be lists of CAs above: one that revokes an own CA, or one between,
	// refuses the leaves below.
	CRL *CRL
	// RequireFresh refuses where there is no CRL, and where At is not from its
	// thisUpdate to its nextUpdate; also of the lists of CAs above, where they are there.
	RequireFresh bool

	Purpose     Purpose       // what for; "" means client and server, or in a project one of the two
	Name        string        // a DNS name or IP address that the certificate has to be for; "" for any
	User        string        // the id, in any letter case, of the project's member that the certificate has to be for; "" for any
	Email       string        // a mail address that the certificate has to be for; "" for any
	Serial      serial.Number // the one serial number accepted; 0 for any
	Fingerprint []byte        // SHA-256 of the one certificate accepted, 32 octets; empty for any
}

// Verify returns nil when leaf is valid: signed directly by an own CA of the
// bundle whose chain is valid at c.At, and not revoked by a list that is there; of version 3, not a CA's, without unknown
// critical extensions, valid at c.At (both end seconds included) and for no longer
// than [MaxLifetime], or for a project [MaxProjectLifetime]; with a key that nobody can guess (RSA of 2048 to 8192 bits,
// ECDSA of 256 and more, Ed25519); numbered not below the floor, and not on the CRL;
// for the purpose, with the key usage digitalSignature; for the name, which has to be
// one of the subject alternative names: DNS names are compared without regard to ASCII
// case and taken literally, wildcards too, addresses by their octets; for the member, a
// client's without alternative names; for the mail address; and the one that the pins
// name. A project's leaf has the organization of that project.
//
// A leaf that is not valid gives a [*VerifyError] with the first [Reason] that
// applies. An incomplete Check is an error of kind [fault.Malformed].
func (c Check) Verify(leaf *x509.Certificate) error {
	if err := c.complete(); err != nil {
		return err
	}
	signers, err := c.Bundle.signers(leaf)
	if err != nil {
		return err
	}
	for _, check := range []func(*x509.Certificate) error{c.checkShape, c.checkTime} {
		if err := check(leaf); err != nil {
			return err
		}
	}
	if err := c.checkSigners(signers, leaf); err != nil {
		return err
	}
	for _, check := range []func(*x509.Certificate) error{checkKey, c.checkFloor, c.checkRevoked, c.checkPurpose, c.checkName, c.checkUser, c.checkEmail, c.checkPins} {
		if err := check(leaf); err != nil {
			return err
		}
	}
	return nil
}

// complete refuses questions that could be answered with yes by mistake.
func (c Check) complete() error {
	switch {
	case c.Bundle == nil:
		return fault.New(fault.Malformed, "there is no bundle to verify against")
	case c.At.IsZero():
		return fault.New(fault.Malformed, "there is no time to verify for")
	case c.Serial < 0:
		return fault.Errorf(fault.Malformed, "%v is not a serial number", c.Serial)
	case c.User != "" && c.Project == "":
		return fault.New(fault.Malformed, "only a project has members to verify a certificate for")
	case len(c.Fingerprint) != 0 && len(c.Fingerprint) != sha256.Size:
		return fault.Errorf(fault.Malformed, "a SHA-256 fingerprint has %d octets, not %d", sha256.Size, len(c.Fingerprint))
	}
	_, err := ParsePurpose(string(c.Purpose))
	return err
}
