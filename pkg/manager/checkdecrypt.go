package manager

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"x509ctl/pkg/authority"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/serial"
	"x509ctl/pkg/trust"
)

// A DecryptKeyError is a project to which nothing can be encrypted for the moment: the
// next call of EncryptionCertificate mends it.
type DecryptKeyError struct{ Problem string }

func (e *DecryptKeyError) Error() string {
	return "nothing can be encrypted to the project: " + e.Problem
}

// FaultKind makes the error [fault.Unavailable].
func (e *DecryptKeyError) FaultKind() fault.Kind { return fault.Unavailable }

// decrypt asks whether the key and the certificate that secrets for a project are encrypted
// to belong together, if there are any, and the certificate is good: for a project that is not
// deleted. That it ends soon is said of the CA, with which it ends.
func (e *examination) decrypt() {
	if e.ca == nil || roleOf(e.req.Authority) != authority.ProjectCA || e.said(authority.DecryptKeyName, authority.DecryptCertName) {
		return
	}
	has, err := e.ca.HasDecryptKey()
	keyPath, certPath := e.inCA(authority.DecryptKeyName), e.inCA(authority.DecryptCertName)
	if err != nil {
		e.unread(keyPath, err)
		return
	}
	cert, err := e.ca.DecryptCertificate()
	switch {
	case fault.KindOf(err) == fault.NotFound && (!has || e.deleted):
		return
	case fault.KindOf(err) == fault.NotFound:
		if !e.deleted {
			e.say(SeverityWarning, certPath, &DecryptKeyError{"it has a key for that, and no certificate"})
		}
		return
	case err != nil:
		e.unread(certPath, err)
		return
	case !has:
		e.say(SeverityError, keyPath, fmt.Errorf("opening %s: %w", keyPath, ErrDecryptKeyLost))
		return
	}
	key, err := e.ca.DecryptKey(e.passphrase)
	switch {
	case errors.Is(err, errNoPassphrase): // as was said of the CA's
	case err != nil:
		e.unread(keyPath, err)
	case hashOf(key) != sha256.Sum256(cert.RawSubjectPublicKeyInfo):
		e.say(SeverityError, keyPath, ErrDecryptMismatch)
		return
	}
	if e.row == nil || e.deleted || e.said(authority.BundleName, authority.FloorName, authority.CRLName) {
		return
	}
	v, err := e.verifier()
	if err == nil {
		var good bool
		if good, err = v.acceptsDecrypt(e.req.Authority, cert, e.now); err == nil && !good {
			e.say(SeverityWarning, certPath, &DecryptKeyError{"its certificate for that has expired, was revoked, or is of no CA that is trusted"})
		}
	}
	if err != nil {
		e.unread(certPath, err)
	}
}

// verifier reads what certificates are judged by, once it is known to be sound.
func (e *examination) verifier() (v Verifier, err error) {
	data, err := e.ca.Bundle()
	if err != nil {
		return v, err
	}
	if v.Bundle, err = trust.ParseBundle(data); err != nil {
		return v, err
	}
	v.CRL, err = e.ca.CRL()
	if fault.KindOf(err) == fault.NotFound {
		err = nil
	}
	v.Floor = max(e.row.Counter.Floor, serial.Floor(1))
	return v, err
}
