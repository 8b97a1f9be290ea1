package manager

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"x509ctl/pkg/authority"
	"x509ctl/pkg/durable"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/serial"
	"x509ctl/pkg/store"
)

// Restored is what a restore came to.
type Restored struct {
	Serial
	// KeptSettings says that there was a settings file already, other than the
	// backup's. It stayed: who edited it meant that.
	KeptSettings bool
}

// Restore makes a state directory from a backup. The directory may hold nothing of
// ours but what an earlier try that was cut has made, or what is left of the same CA
// without its database. What the authority did since the backup is not known, so the
// count jumps by serial.Jump, or goes on above atLeast when that is not 0, and the
// floor moves above it unless keepFloor is set.
//
// All is checked before anything is written, but for an encrypted key, for which
// nobody is asked: whether it is the certificate's is seen when it signs.
func Restore(ctx context.Context, c Config, r io.Reader, atLeast serial.Number, keepFloor bool) (Restored, error) {
	m := New(c)
	out, err := m.restore(ctx, r, RecoverRequest{Authority: Cluster, AtLeast: atLeast, KeepFloor: keepFloor})
	return out, errors.Join(err, m.Close())
}

// ErrRestoreOver means that a backup would be mixed with what is there.
var ErrRestoreOver = fault.New(fault.Exists, "there is a CA here already, and a backup is not restored over it")

func (m *Manager) restore(ctx context.Context, r io.Reader, req RecoverRequest) (out Restored, err error) {
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
	rows, err := checkBackup(ctx, path, entries)
	if err != nil {
		return out, err
	}
	plan, err := planRestore(state, entries)
	if err != nil {
		return out, err
	}
	reqs := recoveries(rows, req)
	for _, r := range reqs {
		if err := m.tryRecovery(rows[r.Authority].Counter, plan, r); err != nil {
			return out, err
		}
	}
	if err := plan.write(state); err != nil {
		return out, err
	}
	out.KeptSettings = plan.keptSettings
	if out.Serial, err = m.restoreDatabase(ctx, path, reqs); err != nil {
		return out, err
	}
	var untold []error
	for _, r := range reqs {
		untold = append(untold, m.spread(ctx, r.Authority, "restore"))
	}
	return out, errors.Join(untold...)
}

// recoveries returns what is to be done with each count, the cluster's first. What the
// operator knows of the highest number is the cluster's: the others jump.
func recoveries(rows map[AuthorityID]store.Authority, req RecoverRequest) []RecoverRequest {
	all := []RecoverRequest{req}
	for _, id := range slices.Sorted(maps.Keys(rows)) {
		if id != req.Authority {
			all = append(all, RecoverRequest{Authority: id, KeepFloor: req.KeepFloor})
		}
	}
	return all
}

// checkBackup returns the authorities' rows of a backup whose database, CA certificates
// and keys belong together.
func checkBackup(ctx context.Context, path string, entries []entry) (map[AuthorityID]store.Authority, error) {
	rows, err := archivedRows(ctx, path, store.Options{Migrate: true})
	if err != nil {
		return nil, fmt.Errorf("opening the database of the backup: %w", err)
	}
	if _, ok := rows[Cluster]; !ok {
		return nil, fault.New(fault.Malformed, "the database of the backup has no CA")
	}
	files := map[AuthorityID]map[string][]byte{}
	for _, e := range entries {
		id, file, ok := archivedFile(e.name)
		if !ok {
			continue
		}
		if _, ok := rows[id]; !ok {
			return nil, fault.Errorf(fault.Malformed, "%s of the backup is of an authority that its database doesn't know", e.name)
		}
		if files[id] == nil {
			files[id] = map[string][]byte{}
		}
		files[id][file] = e.data
	}
	for id, row := range rows {
		f := files[id]
		active, err := authority.Match(f[authority.CertName], f[authority.ChainName], f[authority.KeyName])
		if err != nil {
			// Not with its own kind and hints, which are about files in their place.
			return nil, fault.Errorf(fault.Malformed, "reading the CA of the backup: %v", err)
		}
		if err := authority.MatchDecrypt(f[authority.DecryptCertName], f[authority.DecryptKeyName]); err != nil {
			return nil, fault.Errorf(fault.Malformed, "reading the decrypt key of the backup: %v", err)
		}
		if active != row.Active {
			return nil, fault.New(fault.Malformed, "the CA certificate of the backup is not the one of its database")
		}
	}
	return rows, nil
}

// tryRecovery refuses what restoreDatabase would refuse once the files are written.
func (m *Manager) tryRecovery(row serial.Row, p *restorePlan, req RecoverRequest) (err error) {
	n := p.counts[req.Authority]
	seen := serial.Seen{Exists: n.serial != 0, Serial: n.serial, Floor: serial.Floor(n.floor)}
	if seen.Copies, err = m.copies(req.Authority).Salvage(); err == nil {
		_, err = serial.Recover(row, seen, req.AtLeast, req.KeepFloor, m.now())
	}
	return err
}

// restoreDatabase moves the counts and the floors on in the database while it still
// has its temporary name: only then does the directory become usable. It returns the first.
func (m *Manager) restoreDatabase(ctx context.Context, path string, reqs []RecoverRequest) (out Serial, err error) {
	db, err := store.OpenSQLite(ctx, path, store.Options{})
	if err != nil {
		return out, err
	}
	m.mu.Lock()
	m.store = db
	m.mu.Unlock()
	out, err = m.recoverSerial(ctx, reqs[0])
	for i := 1; i < len(reqs) && err == nil; i++ {
		_, err = m.recoverSerial(ctx, reqs[i])
	}
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

// A restorePlan is what a restore writes, once all of it was compared with what is
// there.
type restorePlan struct {
	missing, replaced []entry
	counts            map[AuthorityID]*restoredCount
	keptSettings      bool
}

// A restoredCount is what the files of an authority's count will say: the larger of the
// backup's number and the directory's; 0 for none.
type restoredCount struct{ serial, floor serial.Number }

// planRestore compares the files of a backup with those that are there, of which it
// changes none. Those of an earlier try, equal to the backup's, count as made.
// Error: [ErrRestoreOver].
func planRestore(state *durable.Dir, entries []entry) (*restorePlan, error) {
	p := &restorePlan{counts: map[AuthorityID]*restoredCount{}}
	for _, e := range entries {
		if err := e.in(state, false, func(dir *durable.Dir, name string) error { return p.add(dir, name, e) }); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// add plans for one file. dir is nil when it is not there.
func (p *restorePlan) add(dir *durable.Dir, name string, e entry) error {
	var have []byte
	err := fault.New(fault.NotFound, "no directory")
	if dir != nil {
		have, _, err = dir.ReadFile(name, backupLimit, durable.Public)
	}
	missing := fault.KindOf(err) == fault.NotFound
	if err != nil && !missing {
		return err
	}
	id, file, _ := archivedFile(e.name)
	if p.counts[id] == nil {
		p.counts[id] = &restoredCount{}
	}
	switch {
	case file == authority.SerialName:
		p.number(&p.counts[id].serial, have, missing, e)
	case file == authority.FloorName:
		p.number(&p.counts[id].floor, have, missing, e)
	case missing:
		p.missing = append(p.missing, e)
	case bytes.Equal(have, e.data):
	case e.name == settingsFile:
		p.keptSettings = true
	default:
		return fmt.Errorf("making %s: %w", filepath.Join(dir.Path(), name), ErrRestoreOver)
	}
	return nil
}

// number plans for the file of a count: what a failover or a replica left may be newer
// than the backup's, and the larger holds. One without a number in it says nothing.
func (p *restorePlan) number(to *serial.Number, have []byte, missing bool, e entry) {
	theirs, err := serial.ParseFile(e.data)
	if err != nil {
		theirs = 0
	}
	ours, err := serial.ParseFile(have)
	if err != nil {
		ours = 0
	}
	*to = max(ours, theirs)
	switch {
	case theirs <= ours || theirs == 0:
	case missing:
		p.missing = append(p.missing, e)
	default:
		p.replaced = append(p.replaced, e)
	}
}

// write makes the files.
func (p *restorePlan) write(state *durable.Dir) error {
	for _, e := range p.replaced {
		err := e.in(state, true, func(dir *durable.Dir, name string) error {
			_, err := dir.Replace(name, e.mode, e.data)
			return err
		})
		if err != nil {
			return err
		}
	}
	for _, e := range p.missing {
		err := e.in(state, true, func(dir *durable.Dir, name string) error {
			err := dir.Create(name, e.mode, e.data)
			if fault.KindOf(err) == fault.Exists { // since it was looked for
				err = fmt.Errorf("making %s: %w", filepath.Join(dir.Path(), name), ErrRestoreOver)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// in calls fn with the directory of e and its name there: nil for a directory that
// isn't there, unless it is to be made.
func (e entry) in(state *durable.Dir, create bool, fn func(*durable.Dir, string) error) error {
	open := 0 // how many directories of the path others may pass through: an authority's own
	if id, _, ok := archivedFile(e.name); ok {
		names, err := dirPath(id)
		if err != nil {
			return err
		}
		open = len(names)
	}
	return within(state, strings.Split(e.name, "/"), open, create, fn)
}

func within(dir *durable.Dir, path []string, open int, create bool, fn func(*durable.Dir, string) error) error {
	if len(path) == 1 {
		return fn(dir, path[0])
	}
	if create {
		mode := fs.FileMode(0o700)
		if open > 0 {
			mode = 0o711
		}
		if err := dir.Mkdir(path[0], mode); err != nil {
			return err
		}
	}
	sub, err := dir.Sub(path[0])
	if fault.KindOf(err) == fault.NotFound && !create {
		return fn(nil, path[len(path)-1])
	}
	if err != nil {
		return err
	}
	defer sub.Close()
	return within(sub, path[1:], open-1, create, fn)
}
