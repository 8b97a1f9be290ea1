package manager

import (
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"time"

	"x509ctl/pkg/authority"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/serial"
	"x509ctl/pkg/store"
	"x509ctl/pkg/trust"
)

// crlForesight is how long before its end a revocation list is warned of.
const crlForesight = 48 * time.Hour

// A CRLError is a revocation list that is no longer of use, or soon will be, or never
// was, or that does not have what the database has. A new list mends it.
type CRLError struct {
	Problem string
	Err     error // or nil
}

func (e *CRLError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("crl.pem %s: %v", e.Problem, e.Err)
	}
	return "crl.pem " + e.Problem
}

func (e *CRLError) Unwrap() error { return e.Err }

// FaultKind makes the error [fault.Invalid].
func (e *CRLError) FaultKind() fault.Kind { return fault.Invalid }

// crl asks whether verifiers can use crl.pem, and whether it has all that the database
// has. Who knows the floor can do without, but for what was revoked one by one.
func (e *examination) crl() {
	if e.ca == nil || e.said(authority.CRLName) {
		return
	}
	severity, err := e.judgeCRL()
	var wrong *CRLError
	switch path := e.inCA(authority.CRLName); {
	case err == nil:
	case errors.As(err, &wrong):
		e.sayAndMend(severity, path, err, e.newCRL())
	default:
		e.unread(path, err)
	}
}

// judgeCRL returns what is wrong with crl.pem, a [*CRLError] unless it can't be found
// out.
func (e *examination) judgeCRL() (Severity, error) {
	data, err := e.ca.CRL()
	if fault.KindOf(err) == fault.NotFound {
		return e.judgeNoCRL()
	}
	if err != nil {
		return SeverityError, err
	}
	list, err := trust.ParseCRL(data)
	if err != nil {
		return SeverityError, &CRLError{"can't be used", err}
	}
	if pem, err := e.ca.Bundle(); err == nil {
		if b, err := trust.ParseBundle(pem); err == nil {
			if _, err := b.Believed(list); err != nil {
				return SeverityError, &CRLError{"is not this CA's", err}
			}
		}
	}
	if e.row != nil && e.locked != nil && !e.said(authority.CertName, authority.ChainName) {
		if err := e.compareCRL(list); err != nil {
			return SeverityError, err
		}
	}
	if e.deleted {
		return SeverityNote, nil
	}
	return e.fresh(list)
}

// judgeNoCRL judges that there is no list.
func (e *examination) judgeNoCRL() (Severity, error) {
	chain, err := e.ca.Public()
	if err != nil || !signsCRLs(chain[0]) { // validity has said why
		return SeverityNote, nil
	}
	wrong := &CRLError{Problem: "is missing: programs that don't know min-serial take what is revoked for valid"}
	if e.row == nil {
		return SeverityWarning, wrong
	}
	n, err := e.firstRevoked(func(serial.Number) bool { return true })
	switch {
	case err != nil:
		return SeverityError, err
	case n != 0:
		return SeverityError, wrong
	default:
		return SeverityWarning, wrong
	}
}

func signsCRLs(ca *x509.Certificate) bool { return ca.KeyUsage&x509.KeyUsageCRLSign != 0 }

// compareCRL holds a published list against the database, which nobody changes
// meanwhile: each CA that is alive has its list, of the latest number, and on it is what
// is revoked.
func (e *examination) compareCRL(file *trust.CRL) error {
	for _, f := range append([]authority.Fingerprint{e.row.Active, e.row.Next}, e.row.Old...) {
		if f == (authority.Fingerprint{}) {
			continue
		}
		chain, err := e.ca.Chain(f)
		if err != nil {
			return err
		}
		if !signsCRLs(chain[0]) || e.now.After(chain[0].NotAfter) {
			continue
		}
		list, err := listOf(chain, file)
		if err != nil {
			return &CRLError{fmt.Sprintf("does not have the list of %v", chain[0].Subject), err}
		}
		if n := list.Number(); n == nil || n.Cmp(big.NewInt(e.row.CRLNumber)) != 0 {
			return &CRLError{Problem: fmt.Sprintf("has list number %v, and the latest one is %d", n, e.row.CRLNumber)}
		}
		missing, err := e.firstRevoked(func(n serial.Number) bool {
			_, listed := list.Find(big.NewInt(int64(n)))
			return !listed
		})
		if err != nil {
			return err
		}
		if missing != 0 {
			return &CRLError{Problem: fmt.Sprintf("does not list certificate %v, which is revoked", missing)}
		}
	}
	if e.row.CRLDue > 0 {
		return &CRLError{Problem: "does not have the latest changes: a process was killed before it published them, or could not"}
	}
	return nil
}

// listOf returns the list of a file that the CA with this chain signed.
func listOf(chain []*x509.Certificate, file *trust.CRL) (*trust.CRL, error) {
	pem, err := trust.FormatBundle(chain[:1], chain[1:])
	if err != nil {
		return nil, err
	}
	b, err := trust.ParseBundle(pem)
	if err != nil {
		return nil, err
	}
	return b.Believed(file)
}

var errFound = errors.New("found")

// firstRevoked returns the first certificate that is revoked, has not expired, and is
// the one asked for; 0 for none.
func (e *examination) firstRevoked(asked func(serial.Number) bool) (found serial.Number, err error) {
	err = e.db.Read(e.ctx, func(tx *store.Tx) error {
		floor := max(e.row.Counter.Floor, 1)
		return tx.RevokedCertificates(e.req.Authority, e.now, floor, func(n serial.Number, _ time.Time, _ profile.Reason) error {
			if !asked(n) {
				return nil
			}
			found = n
			return errFound
		})
	})
	if errors.Is(err, errFound) {
		err = nil
	}
	return found, err
}

// newCRL makes and publishes another list, when the active CA can sign one.
func (e *examination) newCRL() mend {
	if e.locked == nil || e.row == nil {
		return mend{}
	}
	ca, err := e.m.signer(e.req.Authority)
	if err != nil || e.m.checkActive(*e.row, ca) != nil || !ca.SignsCRLs() || e.now.After(ca.Certificate().NotAfter) {
		return mend{}
	}
	return mend{"made a new list", func() error {
		c := &crlMaker{Manager: e.m, id: e.req.Authority, db: e.db, locked: e.locked}
		_, err := c.publish(e.ctx)
		return errors.Join(err, c.close())
	}}
}

// fresh asks when the first of a file's lists has to be replaced.
func (e *examination) fresh(list *trust.CRL) (Severity, error) {
	end := list.NextUpdate()
	for l := list.Next(); l != nil; l = l.Next() {
		if l.NextUpdate().Before(end) {
			end = l.NextUpdate()
		}
	}
	switch {
	case end.IsZero():
		return SeverityError, &CRLError{Problem: "does not say until when it counts"}
	case e.now.After(end):
		return SeverityError, &CRLError{Problem: "was to be replaced by " + date(end)}
	case e.now.Add(crlForesight).After(end):
		return SeverityWarning, &CRLError{Problem: "is to be replaced by " + date(end)}
	}
	return SeverityNote, nil
}
