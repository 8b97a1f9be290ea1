package manager

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"path/filepath"
	"time"

	"x509ctl/pkg/authority"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/serial"
	"x509ctl/pkg/trust"
)

// Verifier is what a certificate is judged by.
type Verifier struct {
	Project string // whose authority it is, in lower case; empty for the cluster's
	Bundle  *trust.Bundle
	Floor   serial.Floor
	// CRL is the authority's revocation list as it is published; nil while there is
	// none. List reads it: most callers don't ask it, and it may be long.
	CRL []byte
}

// Check returns the question that v answers as of a time, for revocation by the floor
// alone.
func (v Verifier) Check(at time.Time) trust.Check {
	return trust.Check{Bundle: v.Bundle, Project: v.Project, Floor: v.Floor, At: at}
}

// List returns the published revocation list, nil while there is none. The error is a
// [DamagedError].
func (v Verifier) List() (*trust.CRL, error) {
	if v.CRL == nil {
		return nil, nil
	}
	l, err := trust.ParseCRL(v.CRL)
	if err != nil {
		return nil, &DamagedError{Path: authority.CRLName, Err: err}
	}
	return l, nil
}

// Verifier implements Service.
func (m *Manager) Verifier(_ context.Context, id AuthorityID) (Verifier, error) {
	d, err := m.directory(id)
	if err != nil {
		return Verifier{}, err
	}
	data, err := d.Bundle()
	if fault.KindOf(err) == fault.NotFound {
		return Verifier{}, fmt.Errorf("opening bundle.pem in %s: %w", d.Path(), ErrNoBundle)
	}
	if err != nil {
		return Verifier{}, err
	}
	bundle, err := trust.ParseBundle(data)
	if err != nil {
		return Verifier{}, &DamagedError{Path: filepath.Join(d.Path(), "bundle.pem"), Err: err}
	}
	floor, err := d.Floor()
	if err == nil && floor == 0 {
		// A floor that is lost is not a floor of zero.
		err = fmt.Errorf("opening min-serial in %s: %w", d.Path(), ErrNoBundle)
	}
	if err != nil {
		return Verifier{}, err
	}
	crl, err := d.CRL()
	if fault.KindOf(err) == fault.NotFound {
		crl, err = nil, nil
	}
	return Verifier{ProjectOf(id), bundle, floor, crl}, err
}

// CheckRecorded returns nil when leaf is in the inventory of svc's authority, octet for
// octet, and was not revoked there. A certificate that is valid and not recorded was made with the CA's key, and
// not by x509ctl: whoever did that has the key. So leaf should have been found valid
// before. The error is a *trust.VerifyError with [trust.NotRecorded] or
// [trust.Revoked], or svc.Certificate's.
func CheckRecorded(ctx context.Context, svc Service, id AuthorityID, leaf *x509.Certificate) error {
	if !leaf.SerialNumber.IsInt64() {
		return &trust.VerifyError{Reason: trust.NotRecorded, Text: "the certificate has a number that x509ctl doesn't give"}
	}
	n := serial.Number(leaf.SerialNumber.Int64())
	c, err := svc.Certificate(ctx, id, n)
	switch {
	case fault.KindOf(err) == fault.NotFound:
		return &trust.VerifyError{Reason: trust.NotRecorded, Text: fmt.Sprintf(
			"certificate %v is signed with the CA's key and in no record: x509ctl didn't issue it, or has forgotten it since it expired", n)}
	case err != nil:
		return err
	case c.Fingerprint != sha256.Sum256(leaf.Raw):
		return &trust.VerifyError{Reason: trust.NotRecorded, Text: fmt.Sprintf(
			"certificate %v is signed with the CA's key, but x509ctl has issued another one of this number, for %q", n, c.CommonName)}
	case !c.Revoked.IsZero():
		return &trust.VerifyError{Reason: trust.Revoked, Text: fmt.Sprintf(
			"certificate %v is revoked since %s (%s), as the database has it", n, c.Revoked.UTC().Format(time.RFC3339), c.Reason)}
	}
	return nil
}
