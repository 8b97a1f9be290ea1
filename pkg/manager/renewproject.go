package manager

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"x509ctl/pkg/authority"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/serial"
	"x509ctl/pkg/store"
)

// reserveOfRoot takes a number of the root's for a CA that it is to sign.
func (m *Manager) reserveOfRoot(ctx context.Context) (*authority.Authority, serial.Block, error) {
	for range 3 {
		root, err := m.finishedSigner(ctx, ProjectRoot)
		if err != nil {
			return nil, serial.Block{}, err
		}
		block, err := m.reserveFor(ctx, terms{id: ProjectRoot}, root, 1)
		if !errors.Is(err, authority.ErrNotPublished) {
			return root, block, err
		}
		// It was replaced, perhaps by somebody who was killed at that.
		if err := m.publish(ctx, ProjectRoot); err != nil {
			return nil, serial.Block{}, err
		}
	}
	return nil, serial.Block{}, ErrCAChanged
}

// underRoot calls fn with the lock of the root of projects. A project's lock is taken
// before it, never after.
func (m *Manager) underRoot(ctx context.Context, fn func(above *authority.Locked) error) error {
	above, err := m.lock(ctx, ProjectRoot)
	if err != nil {
		return err
	}
	if err = fn(above); err == nil {
		err = above.WriteMark()
	}
	return errors.Join(err, above.Unlock())
}

// recordByRoot records the CA of a project that root has signed, in root's inventory.
func (m *Manager) recordByRoot(tx *store.Tx, above *authority.Locked, root, ca *authority.Authority, project string) error {
	row, err := tx.Authority(ProjectRoot)
	if err != nil {
		return err
	}
	if err := m.checkActive(row, root); err != nil {
		return ErrCAChanged
	}
	record := m.caRecord(ProjectRoot, ca.Certificate())
	if record.Serial > row.Counter.Reserved {
		return &serial.WentBackError{Reason: fmt.Sprintf("%v was reserved, and the database counts to %v", record.Serial, row.Counter.Reserved)}
	}
	row.Counter.Last = max(row.Counter.Last, record.Serial)
	if err := setCounter(tx, above, ProjectRoot, row.Counter); err != nil {
		return err
	}
	record.CA, record.Holder = root.Fingerprint(), project
	return tx.InsertCertificates([]Certificate{record})
}

// revokeByRoot revokes CAs of a project that are compromised, as far as the root has signed
// them: who trusts the root is to know.
func (m *Manager) revokeByRoot(tx *store.Tx, above *authority.Locked, cas ...authority.Fingerprint) error {
	root, err := tx.Authority(ProjectRoot)
	if err != nil {
		return err
	}
	var list []Certificate
	for _, f := range cas {
		c, err := tx.CACertificate(ProjectRoot, f)
		switch {
		case err == nil:
			list = append(list, c)
		case fault.KindOf(err) != fault.NotFound: // as a third party's is
			return err
		}
	}
	r := revocation{Manager: m, req: RevokeRequest{Authority: ProjectRoot, Reason: profile.KeyCompromise}, keys: map[[32]byte]bool{}}
	return r.revokeAll(tx, above, root, list)
}

// rootUse says which projects have a CA that a root has signed: they are renewed before
// that can be retired.
func rootUse(tx *store.Tx, root authority.Fingerprint, now time.Time, holders int) (use store.CAUse, err error) {
	ids, err := tx.AuthorityIDs()
	if err != nil {
		return use, err
	}
	for _, id := range ids {
		if ProjectOf(id) == "" {
			continue
		}
		row, err := tx.Authority(id)
		if err != nil {
			return use, err
		}
		for _, f := range append([]authority.Fingerprint{row.Active, row.Next}, row.Old...) {
			c, err := tx.CACertificate(ProjectRoot, f)
			if fault.KindOf(err) == fault.NotFound {
				continue
			}
			if err != nil {
				return use, err
			}
			if c.CA != root || c.State != stateIssued || c.NotAfter.Unix() < now.Unix() {
				continue
			}
			if use.Live++; use.Last.Before(c.NotAfter) {
				use.Last = c.NotAfter
			}
			if len(use.Holders) < holders && !slices.Contains(use.Holders, row.Name) {
				use.Holders = append(use.Holders, row.Name)
			}
		}
	}
	slices.Sort(use.Holders)
	return use, nil
}

// A SharedIssuerError is a CA that would let the certificates of projects pass as the
// cluster's, or the other way round, since both have a CA above them.
type SharedIssuerError struct {
	Name string      // of that CA
	With AuthorityID // who has it
}

func (e *SharedIssuerError) Error() string {
	whose := "the cluster's"
	if p := ProjectOf(e.With); p != "" {
		whose = "project " + p + "'s"
	} else if e.With == ProjectRoot {
		whose = "all projects'"
	}
	return fmt.Sprintf("the CA %q is in %s chain, too, and the cluster and its projects must not have one in common", e.Name, whose)
}

// FaultKind makes the error [fault.Denied].
func (e *SharedIssuerError) FaultKind() fault.Kind { return fault.Denied }

// checkShared refuses a CA made elsewhere that shares an issuer with the other side: for
// the cluster that is every project, and for a project the cluster. What the root has signed
// has no issuers but the root's. Error: [*SharedIssuerError].
func (r *renewal) checkShared(ctx context.Context, f authority.ForeignCA) error {
	others := map[AuthorityID][]authority.Fingerprint{}
	err := r.db.Read(ctx, func(tx *store.Tx) error {
		clear(others)
		ids, err := tx.AuthorityIDs()
		if err != nil {
			return err
		}
		for _, id := range ids {
			if (id == Cluster) == (r.req.Authority == Cluster) {
				continue
			}
			row, err := tx.Authority(id)
			if err != nil {
				return err
			}
			for _, sum := range append([]authority.Fingerprint{row.Active, row.Next}, row.Old...) {
				_, err := tx.CACertificate(ProjectRoot, sum)
				switch {
				case sum == (authority.Fingerprint{}) || err == nil && ProjectOf(id) != "":
				case err == nil || fault.KindOf(err) == fault.NotFound:
					others[id] = append(others[id], sum)
				default:
					return err
				}
			}
		}
		return nil
	})
	for id, sums := range others {
		if err == nil {
			err = r.checkSharedWith(id, sums, f)
		}
	}
	return err
}

func (r *renewal) checkSharedWith(id AuthorityID, sums []authority.Fingerprint, f authority.ForeignCA) error {
	d, err := r.directory(id)
	if err != nil {
		return err
	}
	for _, sum := range sums {
		chain, err := d.Chain(sum)
		if err != nil {
			return err
		}
		if name, shared := f.SharesIssuer(chain); shared {
			return &SharedIssuerError{name, id}
		}
	}
	return nil
}
