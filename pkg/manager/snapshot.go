package manager

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"x509ctl/pkg/durable"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/store"
)

// snapshotPrefix begins the names of the directories that hold a copy of the
// database while a backup is written or restored. Whoever works in one has it locked,
// so that what a killed process left can be told from what is in use, at once and
// whatever the clock says.
const (
	snapshotPrefix = "x509ctl-snapshot-"
	lockName       = "lock" // in it
)

// A snapshotDir is such a directory, in the state directory, where there is room for
// the copy and nobody else may look.
type snapshotDir struct {
	path string
	lock *durable.Lock
}

// makeSnapshotDir makes one, after it has swept those of dead processes.
func (m *Manager) makeSnapshotDir() (*snapshotDir, error) {
	state, err := m.stateDir()
	if err != nil {
		return nil, err
	}
	dead, err := deadSnapshots(state)
	if err != nil {
		return nil, err
	}
	for _, s := range dead {
		if err := s.remove(); err != nil {
			return nil, err
		}
	}
	for {
		path, err := os.MkdirTemp(m.config.Dir, snapshotPrefix)
		if err != nil {
			return nil, fmt.Errorf("making room for a snapshot: %w", err)
		}
		s, err := lockSnapshot(state, filepath.Base(path))
		if s != nil || err != nil {
			return s, err
		}
		// Another process took the new directory for a dead one's, and sweeps it.
	}
}

// lockSnapshot locks the directory name, or returns nil when others have it locked or
// have removed it.
func lockSnapshot(state *durable.Dir, name string) (*snapshotDir, error) {
	dir, err := state.Sub(name)
	if fault.KindOf(err) == fault.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	lock, err := dir.TryLock(lockName)
	if fault.KindOf(err) == fault.NotFound { // removed since it was opened
		return nil, nil
	}
	if lock == nil || err != nil {
		return nil, err
	}
	// Who swept it had it locked until it was gone.
	if _, err := dir.Stat(lockName); err != nil {
		return nil, lock.Unlock()
	}
	return &snapshotDir{filepath.Join(state.Path(), name), lock}, nil
}

// deadSnapshots returns the directories that nobody works in any more, locked.
func deadSnapshots(state *durable.Dir) (dead []*snapshotDir, err error) {
	names, err := state.Names()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if !strings.HasPrefix(name, snapshotPrefix) {
			continue
		}
		if st, err := state.Stat(name); err != nil || !st.Mode.IsDir() {
			continue // gone meanwhile, or not ours
		}
		s, err := lockSnapshot(state, name)
		if err != nil {
			return dead, err
		}
		if s != nil {
			dead = append(dead, s)
		}
	}
	return dead, nil
}

// remove removes the directory, and unlocks it.
func (s *snapshotDir) remove() error {
	err := os.RemoveAll(s.path)
	if err != nil {
		err = fmt.Errorf("removing a snapshot: %w", err)
	}
	return errors.Join(err, s.lock.Unlock())
}

// database is the path of the copy.
func (s *snapshotDir) database() string { return filepath.Join(s.path, databaseFile) }

// snapshot copies the database into a snapshotDir.
func (m *Manager) snapshot(ctx context.Context, db *store.Store) (*snapshotDir, error) {
	s, err := m.makeSnapshotDir()
	if err != nil {
		return nil, err
	}
	if err := db.Snapshot(ctx, s.database()); err != nil {
		return nil, errors.Join(err, s.remove())
	}
	return s, nil
}
