package manager

import (
	"context"
	"crypto/x509"

	"x509ctl/pkg/authority"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/serial"
	"x509ctl/pkg/store"
)

// adopt takes over the CA whose files are in place. Nobody can tell from them what
// was issued: a serial file may be as old as a lost database. So the count jumps, and the
// floor moves past everything that is not in the new database.
func (m *Manager) adopt(ctx context.Context, db *store.Store, l *authority.Locked, req InitRequest) error {
	ca, err := m.adoptable(req)
	if err != nil {
		return err
	}
	own, number := ownSerial(ca.Certificate())
	var row store.Authority
	err = write(ctx, db, l, func(tx *store.Tx) (err error) {
		row, err = tx.Authority(req.Authority)
		if err != nil {
			return err
		}
		s, err := m.salvage(tx, l, row.ID)
		if err != nil {
			return err
		}
		row.Active = ca.Fingerprint()
		list, err := publishedCRL(l, row)
		if err != nil {
			return err
		}
		counter := row.Counter
		if list != nil {
			counter.Floor = max(counter.Floor, list.Floor())
		}
		if own {
			counter.Last = max(counter.Last, number)
		}
		if counter, err = serial.Recover(counter, s, 0, req.KeepFloor, m.now()); err != nil {
			return err
		}
		counter.Last = counter.Reserved
		if err := m.writeCounter(l, row.ID, s, &counter); err != nil {
			return err
		}
		row.Counter = counter
		if err := m.activate(tx, l, row, ca, own, "adopt"); err != nil {
			return err
		}
		if err := m.heedBlocked(tx, l, &row, true); err != nil {
			return err
		}
		return m.salvageCRL(tx, l, row, list)
	})
	if err != nil {
		return err
	}
	row.Active = ca.Fingerprint()
	return l.Publish(alive(row), row.Counter.Floor)
}

// ownSerial returns the number of a self-signed CA certificate if it can be one of
// the authority's own counter. A random one is too long, and a third party's comes
// from another counter.
func ownSerial(cert *x509.Certificate) (own bool, n serial.Number) {
	if string(cert.RawIssuer) != string(cert.RawSubject) || !cert.SerialNumber.IsInt64() || cert.SerialNumber.Sign() <= 0 {
		return false, 0
	}
	n = serial.Number(cert.SerialNumber.Int64())
	return n < serial.Max-serial.Jump, n
}

// checkAdoption refuses an adoption that can't come to its end, before there is a
// database: an empty one would keep a backup from being restored.
func (m *Manager) checkAdoption(l *authority.Locked, req InitRequest) error {
	ca, err := m.adoptable(req)
	if err != nil {
		return err
	}
	seen, err := l.Salvage(m.config.MachineID)
	if err != nil {
		return err
	}
	if seen.Copies, err = m.copies(req.Authority).Salvage(); err != nil {
		return err
	}
	var row serial.Row
	if own, number := ownSerial(ca.Certificate()); own {
		row.Last = number
	}
	_, err = serial.Recover(row, seen, 0, req.KeepFloor, m.now())
	return err
}

// adoptable returns the CA whose files are in place, if it can be the cluster's.
func (m *Manager) adoptable(req InitRequest) (*authority.Authority, error) {
	ca, err := m.signer(req.Authority)
	if fault.KindOf(err) == fault.NotFound {
		return nil, ErrNothingToAdopt
	}
	if err != nil {
		return nil, err
	}
	return ca, ca.CheckName(req.Name)
}
