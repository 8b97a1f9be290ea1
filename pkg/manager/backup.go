package manager

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"x509ctl/pkg/authority"
	"x509ctl/pkg/durable"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/serial"
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
func (m *Manager) collect(ctx context.Context) (out []entry, active authority.Fingerprint, err error) {
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
		active = row.Active
		if err := l.Publish(active, row.Counter.Floor); err != nil {
			return err
		}
		for _, name := range authority.Files() {
			data, st, err := l.Dir().ReadFile(name, backupLimit, durable.Public)
			if fault.KindOf(err) == fault.NotFound {
				continue
			}
			if err != nil {
				return err
			}
			out = append(out, entry{clusterDir + "/" + name, st.Mode, data})
		}
		return nil
	})
	return out, active, err
}

func sameActive(ctx context.Context, path string, active authority.Fingerprint) (bool, error) {
	db, err := store.OpenSQLite(ctx, path, store.Options{})
	if err != nil {
		return false, err
	}
	same := false
	err = db.Read(ctx, func(tx *store.Tx) error {
		row, err := tx.Authority(Cluster)
		same = row.Active == active
		return err
	})
	return same, errors.Join(err, db.Close())
}

// Restore makes a state directory from a backup. The directory may hold nothing of
// ours but what an earlier try that was cut has made. What the authority did since the
// backup is not known, so the count jumps by serial.Jump, or goes on above atLeast
// when that is not 0, and the floor moves above it unless keepFloor is set.
func Restore(ctx context.Context, c Config, r io.Reader, atLeast serial.Number, keepFloor bool) (Serial, error) {
	m := New(c)
	out, err := m.restore(ctx, r, RecoverRequest{Authority: Cluster, AtLeast: atLeast, KeepFloor: keepFloor})
	return out, errors.Join(err, m.Close())
}

// ErrRestoreOver means that a backup would be mixed with what is there.
var ErrRestoreOver = fault.New(fault.Exists, "there is a CA here already, and a backup is not restored over it")

func (m *Manager) restore(ctx context.Context, r io.Reader, req RecoverRequest) (out Serial, err error) {
	state, err := m.makeStateDir()
	if err != nil {
		return out, err
	}
	if _, err := state.Stat(databaseFile); fault.KindOf(err) != fault.NotFound {
		return out, errors.Join(ErrRestoreOver, err)
	}
	snap, err := m.makeSnapshotDir()
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, snap.remove()) }()
	path := snap.database()
	entries, err := readArchive(r, path)
	if err != nil {
		return out, err
	}
	if _, err := sameActive(ctx, path, authority.Fingerprint{}); err != nil {
		return out, fmt.Errorf("opening the database of the backup: %w", err)
	}
	if err := restoreFiles(state, entries); err != nil {
		return out, err
	}
	if out, err = m.restoreDatabase(ctx, path, req); err != nil {
		return out, err
	}
	return out, m.spread(ctx, req.Authority, "restore")
}

// restoreDatabase moves the count and the floor on in the database while it still
// has its temporary name: only then does the directory become usable.
func (m *Manager) restoreDatabase(ctx context.Context, path string, req RecoverRequest) (out Serial, err error) {
	db, err := store.OpenSQLite(ctx, path, store.Options{Migrate: true})
	if err != nil {
		return out, err
	}
	m.mu.Lock()
	m.store = db
	m.mu.Unlock()
	out, err = m.recoverSerial(ctx, req)
	if err == nil {
		err = db.Write(ctx, func(tx *store.Tx) error { return tx.Audit(m.audit("restore", "", done, "")) })
	}
	m.mu.Lock()
	m.store = nil
	m.mu.Unlock()
	if err := errors.Join(err, db.Close()); err != nil {
		return out, err
	}
	return out, store.PlaceSQLite(path, filepath.Join(m.config.Dir, databaseFile))
}

// restoreFiles makes the files of a backup, those of an earlier try counted as made.
func restoreFiles(state *durable.Dir, entries []entry) error {
	if err := state.Mkdir(clusterDir, 0o711); err != nil {
		return err
	}
	ca, err := state.Sub(clusterDir)
	if err != nil {
		return err
	}
	defer ca.Close()
	for _, e := range entries {
		dir, name := state, e.name
		if d, base := filepath.Split(e.name); d != "" {
			dir, name = ca, base
		}
		if err := restoreFile(dir, name, e); err != nil {
			return err
		}
	}
	return nil
}

func restoreFile(dir *durable.Dir, name string, e entry) error {
	have, _, err := dir.ReadFile(name, backupLimit, durable.Public)
	switch {
	case fault.KindOf(err) == fault.NotFound:
		return dir.Create(name, e.mode, e.data)
	case err != nil:
		return err
	case bytes.Equal(have, e.data):
		return nil
	case e.name == clusterDir+"/serial" || e.name == clusterDir+"/min-serial":
		// What a failover or a replica left is at least as new: the count and the
		// floor go on above both.
		return keepLarger(dir, name, have, e)
	}
	return fmt.Errorf("making %s: %w", filepath.Join(dir.Path(), name), ErrRestoreOver)
}

func keepLarger(dir *durable.Dir, name string, have []byte, e entry) error {
	theirs, err := serial.ParseFile(e.data)
	if err != nil {
		return fmt.Errorf("reading %s of the backup: %w", e.name, err)
	}
	ours, err := serial.ParseFile(have)
	if err == nil && ours >= theirs {
		return nil
	}
	_, err = dir.Replace(name, e.mode, e.data)
	return err
}
