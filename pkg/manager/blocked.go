package manager

import (
	"fmt"
	"path/filepath"

	"x509ctl/pkg/authority"
	"x509ctl/pkg/durable"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/serial"
	"x509ctl/pkg/store"
)

// A BlockedFileError is a file of blocked keys with lines that hold no key: what they
// held can't be guessed.
type BlockedFileError struct {
	Path    string
	Damaged int // lines
}

func (e *BlockedFileError) Error() string {
	return fmt.Sprintf("reading %s: %d of its lines hold no key", e.Path, e.Damaged)
}

// FaultKind makes the error [fault.Unavailable].
func (e *BlockedFileError) FaultKind() fault.Kind { return fault.Unavailable }

// blockedFile describes the file of blocked keys; the zero File is none.
func blockedFile(d *authority.Directory) (store.File, error) {
	st, err := d.StatBlocked()
	if fault.KindOf(err) == fault.NotFound {
		return store.File{}, nil
	}
	return fileOf(st), err
}

func fileOf(st durable.Stat) store.File {
	return store.File{Inode: st.Inode, Birth: st.Birth, Size: st.Size}
}

// heedBlocked holds the file of blocked keys against the database, in a transaction of
// [Manager.change], before a key is judged. Each guards against the other going back
// in time: a key that one of them knows is blocked. What the database last wrote is known by
// its inode, time of birth and size, so that nothing is read as long as nothing happened.
//
// Error: [*BlockedFileError], unless repair says that lines which hold no key are to be lost.
func (m *Manager) heedBlocked(tx *store.Tx, l *authority.Locked, row *store.Authority, repair bool) error {
	now, err := blockedFile(l.Directory)
	if err != nil || now == row.Blocked {
		return err
	}
	return m.mergeBlocked(tx, l, row, repair)
}

// mergeBlocked is heedBlocked when they differ.
func (m *Manager) mergeBlocked(tx *store.Tx, l *authority.Locked, row *store.Authority, repair bool) error {
	damaged, err := l.ReadBlocked(func(k authority.BlockedKey) error { return tx.BlockKey(row.ID, k.SPKIHash, k.Serial, m.now()) })
	if err == nil && damaged > 0 && !repair {
		err = &BlockedFileError{filepath.Join(l.Path(), authority.BlockName), damaged}
	}
	if err != nil {
		return err
	}
	if err := m.writeBlocked(tx, l, row); err != nil {
		return err
	}
	again, err := tx.Authority(row.ID)
	row.Generation = again.Generation
	return err
}

// writeBlocked writes all keys that tx knows.
func (m *Manager) writeBlocked(tx *store.Tx, l *authority.Locked, row *store.Authority) error {
	st, err := l.WriteBlocked(func(yield func(authority.BlockedKey) error) error {
		return tx.CompromisedKeys(row.ID, func(sum [32]byte, n serial.Number) error {
			return yield(authority.BlockedKey{SPKIHash: sum, Serial: n})
		})
	})
	if err != nil {
		return err
	}
	row.Blocked = fileOf(st)
	return tx.BlockedFile(row.ID, row.Blocked)
}

// block blocks the keys of certificates, for good: in the file first, for the caller's
// transaction may be undone, and whatever the file has is blocked.
func (m *Manager) block(tx *store.Tx, l *authority.Locked, row *store.Authority, list []Certificate) error {
	if err := m.heedBlocked(tx, l, row, false); err != nil {
		return err
	}
	var keys []authority.BlockedKey
	for _, c := range list {
		_, blocked, err := tx.BlockedKey(row.ID, c.SPKIHash)
		if err != nil {
			return err
		}
		if blocked {
			continue
		}
		keys = append(keys, authority.BlockedKey{SPKIHash: c.SPKIHash, Serial: c.Serial})
		if err := tx.BlockKey(row.ID, c.SPKIHash, c.Serial, m.now()); err != nil {
			return err
		}
	}
	if len(keys) == 0 {
		return nil
	}
	if row.Blocked == (store.File{}) {
		return m.writeBlocked(tx, l, row)
	}
	st, err := l.AppendBlocked(keys)
	if err != nil {
		return err
	}
	row.Blocked = fileOf(st)
	return tx.BlockedFile(row.ID, row.Blocked)
}
