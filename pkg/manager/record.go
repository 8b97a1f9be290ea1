package manager

import (
	"context"
	"fmt"

	"x509ctl/pkg/authority"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/serial"
	"x509ctl/pkg/store"
)

// recordAll is the second transaction: everything that may have changed since the
// first is checked again.
func (m *Manager) recordAll(ctx context.Context, t terms, ca *authority.Authority, before *table, jobs []*job) error {
	return m.change(ctx, t.id, func(tx *store.Tx, l *authority.Locked, row store.Authority) error {
		if err := m.checkActive(row, ca); err != nil {
			return ErrCAChanged
		}
		if err := m.heedBlocked(tx, l, &row, false); err != nil {
			return err
		}
		if err := checkReserved(row.Counter, jobs); err != nil {
			return err
		}
		floor, err := m.floor(row)
		if err != nil {
			return err
		}
		known, failed := (*registry)(nil), func() error { return nil }
		same, err := before.of(tx, row)
		if err == nil && !same {
			known = new(registry)
			*known, failed, err = registryOf(tx, row)
		}
		if err != nil {
			return err
		}
		for _, j := range jobs {
			if known != nil {
				if err := j.checkKey(tx, t.id); err != nil {
					return err
				}
			}
			if err := j.checkRecord(tx, t.id); err != nil {
				return err
			}
			if !j.refused() {
				j.checkAgain(floor, known)
			}
		}
		if err := failed(); err != nil {
			return err
		}
		return m.record(tx, l, &row, jobs)
	})
}

// checkReserved refuses a row that does not know the numbers which were reserved in
// it: an older database took its place.
func checkReserved(r serial.Row, jobs []*job) error {
	for _, j := range jobs {
		if n := j.result.Certificate.Serial; j.open() && n > r.Reserved {
			return &serial.WentBackError{Reason: fmt.Sprintf("%v was reserved, and the database counts to %v", n, r.Reserved)}
		}
	}
	return nil
}

// checkAgain refuses a certificate that the floor or, when known is given, a change of
// nodes or members has overtaken.
func (j *job) checkAgain(floor serial.Floor, known *registry) {
	if err := checkFloor(j.result.Certificate.Serial, floor); err != nil {
		j.refuse(err)
		return
	}
	if known == nil {
		return
	}
	names, err := j.approve(*known)
	if err == nil && !names.Equal(j.names) {
		err = fault.Errorf(fault.Denied, "the names of %s changed in the meantime", names.Holder())
	}
	if err != nil {
		j.refuse(err)
	}
}

// record puts certificates into the inventory, and every answer into the audit
// table. The caller's transaction makes both true at once.
func (m *Manager) record(tx *store.Tx, l *authority.Locked, row *store.Authority, jobs []*job) error {
	var certs []Certificate
	var entries []store.AuditEntry
	for _, j := range jobs {
		if err := m.reuseSuccessor(tx, *row, j); err != nil {
			return err
		}
		switch {
		case j.result.Err != nil:
			entries = append(entries, m.audit("issue", j.describe, refused, j.result.Err.Error()))
		case !j.result.Reused:
			c := j.result.Certificate
			certs = append(certs, c)
			entries = append(entries, m.audit("issue", c.Serial.String()+" "+c.CommonName, done, j.detail))
			row.Counter.Last = max(row.Counter.Last, c.Serial)
		}
	}
	if len(certs) > 0 {
		if err := tx.InsertCertificates(certs); err != nil {
			return err
		}
		if err := setCounter(tx, l, row.ID, row.Counter); err != nil {
			return err
		}
	}
	return tx.Audit(entries...)
}

// reuseSuccessor answers a job of a reissue with what another process recorded for it in
// the meantime, so that two of them don't make two successors of one certificate.
func (m *Manager) reuseSuccessor(tx *store.Tx, row store.Authority, j *job) error {
	if j.request != nil || j.resume == nil || !j.open() {
		return nil
	}
	c, err := m.successor(tx, row, j.names.CommonName(), j.resume)
	if c != nil {
		j.result = SignResult{Certificate: *c, Reused: true}
	}
	return err
}
