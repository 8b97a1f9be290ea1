package manager

import (
	"context"
	"errors"
	"fmt"

	"x509ctl/pkg/authority"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/store"
	"x509ctl/pkg/trust"
)

// ErrCARevoked means that the active CA of a project is on the list of the root, and signs
// nothing any more.
var ErrCARevoked = fault.New(fault.Denied, "the project's CA is revoked")

// ErrNotOfRoot means that another than the root of projects signed the active CA of a
// project, and so has to revoke it.
var ErrNotOfRoot = fault.New(fault.Denied, "the project's CA was not signed by the root of projects: who signed it can revoke it")

// RevokeCARequest names CAs of a project.
type RevokeCARequest struct {
	Project string
	CA      string // the serial number of one, in decimal; empty: all that it has or had
	Reason  profile.Reason
}

// RevokeCAResult says what a RevokeCARequest has changed.
type RevokeCAResult struct {
	Revoked []Certificate // the CAs' certificates
	Already int           // others of them that were revoked before
}

// RevokeCA implements Service. The root's list is published first, and then the project's,
// whose file holds the root's, too.
func (m *Manager) RevokeCA(ctx context.Context, req RevokeCARequest) (out RevokeCAResult, err error) {
	id, err := ProjectAuthority(req.Project)
	if err != nil {
		return out, err
	}
	err = m.changeCAs(ctx, id, func(tx *store.Tx, own, above locked) error {
		p, err := projectByID(tx, req.Project)
		if err != nil {
			return err
		}
		_, err = tx.CACertificate(ProjectRoot, own.row.Active)
		if fault.KindOf(err) == fault.NotFound && req.CA == "" {
			return ErrNotOfRoot
		}
		if err != nil && req.CA == "" {
			return err
		}
		out, err = m.revokeCAs(tx, above, id, p, req.CA, req.Reason)
		return err
	})
	if err != nil {
		return RevokeCAResult{}, err
	}
	return out, m.spreadCA(ctx, id, "revoke")
}

// A locked is an authority that nobody else changes.
type locked struct {
	*authority.Locked
	row store.Authority
}

// changeCAs runs fn in a write transaction, under the lock of a project's authority and
// that of the root, so that neither signs meanwhile.
func (m *Manager) changeCAs(ctx context.Context, id AuthorityID, fn func(_ *store.Tx, own, above locked) error) error {
	own, err := m.lock(ctx, id)
	if err != nil {
		return err
	}
	err = m.change(ctx, ProjectRoot, func(tx *store.Tx, above *authority.Locked, root store.Authority) error {
		row, err := tx.Authority(id)
		if err == nil && row.Active == (authority.Fingerprint{}) {
			err = noAuthority(id)
		}
		if err != nil {
			return notInitialised(id, err)
		}
		return fn(tx, locked{own, row}, locked{above, root})
	})
	return errors.Join(err, own.Unlock())
}

// revokeCAs revokes what the root has signed for a project and has not expired. The
// caller's transaction is one of changeCAs.
func (m *Manager) revokeCAs(tx *store.Tx, root locked, id AuthorityID, p Project, ca string, why profile.Reason) (out RevokeCAResult, err error) {
	var list []Certificate
	found := false
	f := CertificateFilter{Authority: ProjectRoot, Kind: kindCA, Holder: p.ID, OmitDER: true}
	err = tx.Certificates(f, func(c Certificate) error {
		if ca != "" && c.Serial.String() != ca {
			return nil
		}
		if found = true; c.NotAfter.Before(m.now()) {
			return nil
		}
		if c.State == stateRevoked {
			if c, err = tx.Certificate(ProjectRoot, c.Serial); err != nil { // with its reason
				return err
			}
		}
		list = append(list, c)
		return nil
	})
	switch {
	case err != nil:
		return out, err
	case !found:
		return out, fault.Errorf(fault.NotFound, "project %s has no CA with the serial number %.40q", p.ID, ca)
	}
	r := revocation{Manager: m, req: RevokeRequest{Authority: ProjectRoot, Reason: why}, keys: map[[32]byte]bool{}}
	if err := r.revokeAll(tx, root.Locked, root.row, list); err != nil {
		return out, err
	}
	return RevokeCAResult{r.out.Sample, r.out.Already}, tx.Touch(id)
}

// spreadCA tells others of a change of a project's CAs: with the list of the root, and
// that of the project. Error: [*SpreadError].
func (m *Manager) spreadCA(ctx context.Context, id AuthorityID, change string) error {
	return errors.Join(m.spread(ctx, ProjectRoot, change), m.spread(ctx, id, change))
}

// signingProject finds the project that an authority is of, if it may sign.
// Errors: [*NoProjectError]; [*DeletedError]; ErrCARevoked.
func signingProject(tx *store.Tx, row store.Authority) (Project, error) {
	p, err := liveProject(tx, row.ID)
	if err != nil {
		return p, err
	}
	ca, err := tx.CACertificate(ProjectRoot, row.Active)
	if fault.KindOf(err) == fault.NotFound { // so the root has no record that it is revoked
		return p, nil
	}
	if err == nil && ca.State == stateRevoked {
		err = fmt.Errorf("%w: certificate %v of the root", ErrCARevoked, ca.Serial)
	}
	return p, err
}

// listAbove returns the published list of the root, in PEM, which is put beside that of a
// project: who asks for the lists of a whole chain takes one file. It is nil for other
// authorities, and where the root has none.
func (m *Manager) listAbove(id AuthorityID) ([]byte, error) {
	if ProjectOf(id) == "" {
		return nil, nil
	}
	d, err := m.directory(ProjectRoot)
	var data []byte
	if err == nil {
		data, err = d.CRL()
	}
	if fault.KindOf(err) == fault.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if _, err := trust.ParseCRL(data); err != nil {
		return nil, &DamagedError{Path: authority.CRLName, Err: fmt.Errorf("the list of the root: %w", err)}
	}
	return data, nil
}
