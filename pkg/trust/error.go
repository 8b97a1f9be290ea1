package trust

import (
	"fmt"

	"x509ctl/pkg/fault"
)

// A Reason says for a program why a certificate was refused. Reasons are part of
// the tool's output: add, never rename.
type Reason string

// The reasons, in the order in which a [Check] looks for them: of several that apply
// the first is told. (A [ChainCheck] looks for a chain first, and tells what is wrong
// with the one that came closest.) So a certificate of another authority is always told to be
// that, whatever else it is, and no figure in a [VerifyError] comes from a
// certificate that nobody signed, except with the first two reasons.
const (
	WrongIssuer     Reason = "wrong-issuer"     // not issued by an own CA of the bundle
	BadSignature    Reason = "bad-signature"    // names an own CA as its issuer, whose key didn't sign it
	IsCA            Reason = "is-ca"            // may itself sign certificates
	BadVersion      Reason = "version"          // not X.509 version 3
	BadSerial       Reason = "serial"           // a serial number outside 1 to serial.Max
	UnknownCritical Reason = "unknown-critical" // a critical extension that no leaf of this authority has
	BadLifetime     Reason = "lifetime"         // valid for longer than its authority makes them, or ends before it begins
	NotYetValid     Reason = "not-yet-valid"    // before notBefore
	Expired         Reason = "expired"          // after notAfter
	BadChain        Reason = "chain"            // the CA's own chain is incomplete or out of date, or forbids this certificate
	TooComplex      Reason = "too-complex"      // judging it takes more work than a certificate is worth
	WeakKey         Reason = "weak-key"         // a key that is too short, too long, or of no known kind
	BelowFloor      Reason = "below-floor"      // a serial number below the smallest accepted
	BadCRL          Reason = "crl"              // there is a revocation list, which its issuer didn't sign
	Revoked         Reason = "revoked"          // on the revocation list
	StaleCRL        Reason = "stale-crl"        // no revocation list of the present time, and one is required
	WrongPurpose    Reason = "purpose"          // not for this use
	WrongName       Reason = "name"             // not for this name, or of another project
	WrongPin        Reason = "pin"              // not the one certificate that was asked for
	NotRecorded     Reason = "not-recorded"     // good, but in no inventory: a Check doesn't ask one, package manager does
)

// Reasons returns every Reason in the order in which they are looked for.
func Reasons() []Reason {
	return []Reason{
		WrongIssuer, BadSignature, IsCA, BadVersion, BadSerial, UnknownCritical, BadLifetime,
		NotYetValid, Expired, BadChain, TooComplex, WeakKey, BelowFloor, BadCRL, Revoked, StaleCRL,
		WrongPurpose, WrongName, WrongPin, NotRecorded,
	}
}

// A VerifyError says why a certificate is not valid. It is of kind
// [fault.Invalid].
type VerifyError struct {
	Reason Reason
	Text   string // one sentence with the figures; names in it are quoted, so it is fit to be shown
}

func (e *VerifyError) Error() string { return e.Text }

// FaultKind makes the error [fault.Invalid].
func (e *VerifyError) FaultKind() fault.Kind { return fault.Invalid }

func refuse(r Reason, format string, args ...any) error {
	return &VerifyError{r, fmt.Sprintf(format, args...)}
}
