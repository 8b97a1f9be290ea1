package manager

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"

	"x509ctl/pkg/authority"
	"x509ctl/pkg/durable"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/store"
)

// backupLimit bounds every file of an archive but the database, in bytes.
const backupLimit = 1 << 20

// An entry is one file of a backup.
type entry struct {
	name string // slash-separated, relative to the state directory
	mode fs.FileMode
	data []byte
}

// Backup implements Service: a tar archive of the authorities' files, the settings
// and a snapshot of the database, the database last. Each authority's lock is held
// only while its small files are read, so signing goes on; the snapshot is younger
// than they are, and Restore jumps over whatever came between.
func (m *Manager) Backup(ctx context.Context, w io.Writer) error {
	db, err := m.database(ctx)
	if err != nil {
		return err
	}
	for range 3 {
		entries, active, err := m.collect(ctx, db)
		if err != nil {
			return err
		}
		snap, err := m.snapshot(ctx, db)
		if err != nil {
			return err
		}
		same, err := sameActive(ctx, snap.database(), active)
		if err == nil && same {
			err = writeArchive(w, entries, snap.database(), m.now)
		}
		if err := errors.Join(err, snap.remove()); err != nil {
			return err
		}
		if same {
			return m.auditBackup(ctx, db)
		}
	}
	return fmt.Errorf("making a backup: %w", ErrCAChanged)
}

func (m *Manager) auditBackup(ctx context.Context, db *store.Store) error {
	return db.Write(ctx, func(tx *store.Tx) error { return tx.Audit(m.audit("backup", "", done, "")) })
}

// collect reads all files but the database, and returns which CAs they belong to.
func (m *Manager) collect(ctx context.Context, db *store.Store) (out []entry, active map[AuthorityID]authority.Alive, err error) {
	state, err := m.stateDir()
	if err != nil {
		return nil, nil, err
	}
	data, st, err := state.ReadFile(settingsFile, backupLimit, durable.Public)
	if err == nil {
		out = append(out, entry{settingsFile, st.Mode, data})
	} else if fault.KindOf(err) != fault.NotFound {
		return nil, nil, err
	}
	rows, err := authorityRows(ctx, db)
	if err != nil {
		return nil, nil, err
	}
	active = map[AuthorityID]authority.Alive{}
	for _, id := range slices.Sorted(maps.Keys(rows)) {
		files, cas, err := m.collectAuthority(ctx, id)
		if err != nil {
			return nil, nil, err
		}
		out, active[id] = append(out, files...), cas
	}
	return out, active, nil
}

// authorityRows returns the rows of all authorities that have a CA. One whose making was
// cut has nothing yet that could be lost.
func authorityRows(ctx context.Context, db *store.Store) (map[AuthorityID]store.Authority, error) {
	rows := map[AuthorityID]store.Authority{}
	err := db.Read(ctx, func(tx *store.Tx) error {
		ids, err := tx.AuthorityIDs()
		if err != nil {
			return err
		}
		for _, id := range ids {
			row, err := tx.Authority(id)
			if err != nil {
				return err
			}
			if row.Active != (authority.Fingerprint{}) {
				rows[id] = row
			}
		}
		return nil
	})
	return rows, err
}

// collectAuthority reads the files of one authority.
func (m *Manager) collectAuthority(ctx context.Context, id AuthorityID) (out []entry, active authority.Alive, err error) {
	names, err := dirPath(id)
	if err != nil {
		return nil, active, err
	}
	err = m.change(ctx, id, func(tx *store.Tx, l *authority.Locked, row store.Authority) error {
		// In the snapshot, then. A restore writes the file anew.
		if err := m.heedBlocked(tx, l, &row, false); err != nil {
			return err
		}
		active = alive(row)
		if err := l.Publish(active, row.Counter.Floor); err != nil {
			return err
		}
		add := func(dir *durable.Dir, name, file string) error {
			data, st, err := dir.ReadFile(name, backupLimit, durable.Public)
			if err == nil {
				out = append(out, entry{path.Join(path.Join(names...), file), st.Mode, data})
			}
			if fault.KindOf(err) == fault.NotFound {
				return nil
			}
			return err
		}
		// Those of other CAs first: a directory with a key holds a CA.
		if err := l.EachOtherFile(add); err != nil {
			return err
		}
		for _, name := range authority.Files() {
			if err := add(l.Dir(), name, name); err != nil {
				return err
			}
		}
		return nil
	})
	return out, active, err
}

// sameActive reports whether the CAs of the database at path are those given.
func sameActive(ctx context.Context, path string, active map[AuthorityID]authority.Alive) (bool, error) {
	rows, err := archivedRows(ctx, path, store.Options{})
	same := len(rows) == len(active)
	for id, row := range rows {
		same = same && alive(row).Equal(active[id])
	}
	return same, err
}

// archivedRows returns the authorities' rows in the database at path, which is closed again.
func archivedRows(ctx context.Context, path string, o store.Options) (map[AuthorityID]store.Authority, error) {
	db, err := store.OpenSQLite(ctx, path, o)
	if err != nil {
		return nil, err
	}
	rows, err := authorityRows(ctx, db)
	return rows, errors.Join(err, db.Close())
}
