package manager

import (
	"context"

	"x509ctl/pkg/authority"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/serial"
	"x509ctl/pkg/store"
)

// A records is where the counter is known besides its row: an authority's directory,
// locked where the row is held against it.
type records interface {
	Seen(machine string) (serial.Seen, error)
}

// seen gathers what is known of the counter outside its row.
func (m *Manager) seen(tx *store.Tx, d records) (serial.Seen, error) {
	s, err := d.Seen(m.config.MachineID)
	if err != nil {
		return s, err
	}
	s.Timeline, err = tx.Timeline()
	return s, err
}

// counted is seen with the mark and the copies, which nobody changes meanwhile.
func (m *Manager) counted(tx *store.Tx, l *authority.Locked, id AuthorityID) (serial.Seen, error) {
	s, err := m.seen(tx, l)
	if err != nil {
		return s, err
	}
	s.Copies, err = m.copies(id).Highest()
	return s, err
}

// copies are those of the cluster's count: other authorities have none.
func (m *Manager) copies(id AuthorityID) authority.Copies {
	if id != Cluster {
		return nil
	}
	return m.config.SerialCopies
}

// reserve takes n numbers: the files first, then the row, which counts once the
// caller's transaction is committed.
func (m *Manager) reserve(tx *store.Tx, l *authority.Locked, row *store.Authority, n int) (serial.Block, error) {
	s, err := m.counted(tx, l, row.ID)
	if err != nil {
		return serial.Block{}, err
	}
	block, counter, err := serial.Reserve(row.Counter, s, n, m.now())
	if err != nil {
		return serial.Block{}, err
	}
	if s.Unmarked {
		l.Announce(row.Counter.Mark()) // which is committed
		if err := l.WriteMark(); err != nil {
			return serial.Block{}, err
		}
	}
	if err := m.writeCounter(l, row.ID, s, &counter); err != nil {
		return serial.Block{}, err
	}
	row.Counter = counter
	return block, nil
}

// writeCounter writes what counter says to the files where it differs from what
// was seen, and puts the new serial file's identity into counter.
func (m *Manager) writeCounter(l *authority.Locked, id AuthorityID, s serial.Seen, counter *serial.Row) error {
	if max(counter.Floor, 1) != s.Floor {
		if err := l.WriteFloor(counter.Floor); err != nil {
			return err
		}
	}
	if !s.Exists || s.Serial != counter.Reserved || s.File != counter.File {
		file, err := l.WriteSerial(counter.Reserved, m.config.MachineID)
		if err != nil {
			return err
		}
		counter.File = file
	}
	return m.copies(id).Write(counter.Reserved)
}

// Serial implements Service.
func (m *Manager) Serial(ctx context.Context, id AuthorityID) (Serial, error) {
	d, err := m.directory(id)
	if err != nil {
		return Serial{}, err
	}
	var out Serial
	err = m.read(ctx, id, func(tx *store.Tx, row store.Authority) error {
		s, err := m.seen(tx, d)
		out = describe(row.Counter, s)
		return err
	})
	return out, err
}

func describe(r serial.Row, s serial.Seen) Serial {
	floor := max(r.MergedFloor(s), 1)
	high := max(r.Reserved, s.Serial)
	return Serial{
		Reserved: high,
		Last:     r.Last,
		Next:     max(high+1, serial.Number(floor)),
		Floor:    floor,
	}
}

// SetMinSerial implements Service. Raising the floor searches nothing: it takes the
// same time whatever was issued. Only the revocation list that follows is as long as
// what was cut off and has not expired.
func (m *Manager) SetMinSerial(ctx context.Context, req SetMinRequest) (SetMinResult, error) {
	if req.DryRun {
		return m.dryRunMinSerial(ctx, req)
	}
	var out SetMinResult
	err := m.change(ctx, req.Authority, func(tx *store.Tx, l *authority.Locked, row store.Authority) error {
		s, err := m.counted(tx, l, row.ID)
		if err != nil {
			return err
		}
		counter, err := raise(row.Counter, s, req)
		if err != nil {
			return err
		}
		out = SetMinResult{Before: max(row.Counter.MergedFloor(s), 1), After: counter.Floor}
		return m.setFloor(tx, l, req.Authority, s, counter, "was "+out.Before.String())
	})
	if err != nil {
		return out, err
	}
	return out, m.spread(ctx, req.Authority, "set-min")
}

// setFloor puts counter's floor in force, in a transaction of [Manager.change].
func (m *Manager) setFloor(tx *store.Tx, l *authority.Locked, id AuthorityID, s serial.Seen, counter serial.Row, detail string) error {
	// The file first: verifiers read it, and a lower one must not outlive a crash
	// after the commit.
	if counter.Floor != s.Floor {
		if err := l.WriteFloor(counter.Floor); err != nil {
			return err
		}
	}
	if err := setCounter(tx, l, id, counter); err != nil {
		return err
	}
	return tx.Audit(m.audit("set-min-serial", counter.Floor.String(), done, detail))
}

func raise(r serial.Row, s serial.Seen, req SetMinRequest) (serial.Row, error) {
	floor := serial.Floor(req.Number)
	switch req.To {
	case MinLast:
		floor = max(serial.Floor(r.Last), r.MergedFloor(s), 1)
	case MinNext:
		floor = max(serial.Floor(r.Last)+1, r.MergedFloor(s), 1)
	case MinNumber:
	}
	return serial.Raise(r, s, floor)
}

// sampleSize bounds the certificates listed by a dry run.
const sampleSize = 1000

func (m *Manager) dryRunMinSerial(ctx context.Context, req SetMinRequest) (SetMinResult, error) {
	d, err := m.directory(req.Authority)
	if err != nil {
		return SetMinResult{}, err
	}
	var out SetMinResult
	err = m.read(ctx, req.Authority, func(tx *store.Tx, row store.Authority) error {
		s, err := m.seen(tx, d)
		if err != nil {
			return err
		}
		counter, err := raise(row.Counter, s, req)
		if err != nil {
			return err
		}
		out = SetMinResult{Before: max(row.Counter.MergedFloor(s), 1), After: counter.Floor}
		if out.After == out.Before {
			return nil
		}
		f := store.CertificateFilter{
			Authority: req.Authority, Kind: kindLeaf, Status: store.Live, At: m.now(), Floor: out.Before,
			MaxSerial: serial.Number(out.After) - 1, OmitDER: true,
		}
		return tx.Certificates(f, func(c Certificate) error {
			out.CutOff++
			if len(out.Sample) < sampleSize {
				out.Sample = append(out.Sample, c)
			}
			return nil
		})
	})
	return out, err
}

// RecoverSerial implements Service.
func (m *Manager) RecoverSerial(ctx context.Context, req RecoverRequest) (Serial, error) {
	out, err := m.recoverSerial(ctx, req)
	if err == nil && req.Authority == Cluster {
		err = m.recoverOthers(ctx, req)
	}
	if err != nil {
		return out, err
	}
	return out, m.spread(ctx, req.Authority, "recover")
}

func (m *Manager) recoverSerial(ctx context.Context, req RecoverRequest) (Serial, error) {
	var out Serial
	err := m.change(ctx, req.Authority, func(tx *store.Tx, l *authority.Locked, row store.Authority) error {
		s, err := m.salvage(tx, l, row.ID)
		if err != nil {
			return err
		}
		if err := m.heedBlocked(tx, l, &row, true); err != nil {
			return err
		}
		list, err := publishedCRL(l, row)
		if err != nil {
			return err
		}
		if list != nil {
			row.Counter.Floor = max(row.Counter.Floor, list.Floor())
		}
		counter, err := serial.Recover(row.Counter, s, req.AtLeast, req.KeepFloor, m.now())
		if err != nil {
			return err
		}
		if err := m.writeCounter(l, row.ID, s, &counter); err != nil {
			return err
		}
		out = describe(counter, serial.Seen{})
		if err := setCounter(tx, l, req.Authority, counter); err != nil {
			return err
		}
		if err := m.salvageCRL(tx, l, row, list); err != nil {
			return err
		}
		return tx.Audit(m.audit("recover-serial", out.Reserved.String(), done, "min-serial "+out.Floor.String()))
	})
	return out, err
}

// salvage is seen, but a file without a number in it counts as missing: the operator
// vouches for the count, and it jumps otherwise.
func (m *Manager) salvage(tx *store.Tx, l *authority.Locked, id AuthorityID) (serial.Seen, error) {
	s, err := l.Salvage(m.config.MachineID)
	if err != nil {
		return s, err
	}
	if s.Copies, err = m.copies(id).Salvage(); err != nil {
		return s, err
	}
	s.Timeline, err = tx.Timeline()
	return s, err
}

// checkFloor refuses a number below the floor in force.
func checkFloor(n serial.Number, floor serial.Floor) error {
	if floor.Accepts(n) {
		return nil
	}
	return fault.Errorf(fault.Denied, "serial %v is below min-serial %v, which was raised in the meantime", n, floor)
}
