package manager

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

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

// Backup implements Service: a tar archive of the authority's files, the settings
// and a snapshot of the database, the database last. The authority's lock is held
// only while its small files are read, so signing goes on; the snapshot is younger
// than they are, and Restore jumps over whatever came between.
func (m *Manager) Backup(ctx context.Context, w io.Writer) error {
	db, err := m.database(ctx)
	if err != nil {
		return err
	}
	for range 3 {
		entries, active, err := m.collect(ctx)
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

// collect reads all files but the database.
func (m *Manager) collect(ctx context.Context) (out []entry, active authority.Alive, err error) {
	state, err := m.stateDir()
	if err != nil {
		return nil, active, err
	}
	data, st, err := state.ReadFile(settingsFile, backupLimit, durable.Public)
	if err == nil {
		out = append(out, entry{settingsFile, st.Mode, data})
	} else if fault.KindOf(err) != fault.NotFound {
		return nil, active, err
	}
	err = m.change(ctx, Cluster, func(_ *store.Tx, l *authority.Locked, row store.Authority) error {
		active = alive(row)
		if err := l.Publish(active, row.Counter.Floor); err != nil {
			return err
		}
		add := func(dir *durable.Dir, name, path string) error {
			data, st, err := dir.ReadFile(name, backupLimit, durable.Public)
			if err == nil {
				out = append(out, entry{clusterDir + "/" + path, st.Mode, data})
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

func sameActive(ctx context.Context, path string, active authority.Alive) (bool, error) {
	row, err := archivedRow(ctx, path, store.Options{})
	return alive(row).Equal(active), err
}

// archivedRow returns the cluster's row in the database at path, which is closed again.
func archivedRow(ctx context.Context, path string, o store.Options) (row store.Authority, err error) {
	db, err := store.OpenSQLite(ctx, path, o)
	if err != nil {
		return row, err
	}
	err = db.Read(ctx, func(tx *store.Tx) (err error) {
		row, err = tx.Authority(Cluster)
		return err
	})
	return row, errors.Join(err, db.Close())
}
