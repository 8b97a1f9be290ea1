package trust

import "x509ctl/pkg/fault"

// A Reason says for a program why a certificate was refused. Reasons are part of
// the tool's output: add, never rename.
type Reason string

// The reasons, in the order in which they are looked for: of several that apply
// the first is told.
const (
	WrongIssuer     Reason = "wrong-issuer"     // not issued by an own CA of the bundle
	BadSignature    Reason = "bad-signature"    // names an own CA as its issuer, but that CA's key didn't sign it
	IsCA            Reason = "is-ca"            // may itself sign certificates
	BadVersion      Reason = "version"          // not X.509 version 3
	BadSerial       Reason = "serial"           // a serial number outside 1 to serial.Max
	UnknownCritical Reason = "unknown-critical" // a critical extension that is not understood
	BadLifetime     Reason = "lifetime"         // valid for a week or more
	NotYetValid     Reason = "not-yet-valid"    // before notBefore
	Expired         Reason = "expired"          // after notAfter
	BadChain        Reason = "chain"            // the CA's own chain is incomplete, expired or forbids this certificate
	BelowFloor      Reason = "below-floor"      // a serial number below the smallest accepted
	WrongPurpose    Reason = "purpose"          // not for this use
	WrongName       Reason = "name"             // not for this name
	WrongPin        Reason = "pin"              // not the one certificate that was asked for
)

// A VerifyError says why a certificate is not valid. It is of kind
// [fault.Invalid].
type VerifyError struct {
	Reason Reason
	Text   string // a sentence with the figures, fit to be shown
}

func (e *VerifyError) Error() string { return e.Text }

// FaultKind makes the error [fault.Invalid].
func (e *VerifyError) FaultKind() fault.Kind { return fault.Invalid }
