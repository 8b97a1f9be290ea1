package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"x509ctl/pkg/durable"
	"x509ctl/pkg/fault"
)

// sideFiles are what SQLite keeps beside a database while it is open or after a
// crash: write-ahead log, its index, rollback journal.
var sideFiles = []string{"-wal", "-shm", "-journal"}

// The longest path that SQLite takes, and the longest name that Linux does, less
// the suffix of a side file.
const (
	maxPath = 511 - len("-journal")
	maxName = 255 - len("-journal")
)

func checkPath(path string) error {
	if len(path) > maxPath || len(filepath.Base(path)) > maxName || strings.IndexByte(path, 0) >= 0 {
		return fault.Errorf(fault.Malformed, "a database can't have the path %.100q: it is too long (path at most %d bytes, name %d), or has a NUL in it",
			path, maxPath, maxName)
	}
	return nil
}

// A file is the file of an open database. It holds on to the inode, so that no
// other file can get its number, by a descriptor that can only be looked at:
// closing any other kind would drop SQLite's locks (fcntl(2), "Advisory record locking").
type file struct {
	path string
	fd   int
	dev  uint64
	ino  uint64
}

// openFile examines the file at path before SQLite opens it.
func openFile(path string) (*file, error) {
	if err := checkPath(path); err != nil {
		return nil, err
	}
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil, fault.Errorf(fault.NotFound, "opening %s: %w", path, err)
	}
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	f := &file{path: path, fd: fd}
	if err := f.examine(); err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

func (f *file) examine() error {
	var st unix.Stat_t
	if err := unix.Fstat(f.fd, &st); err != nil {
		return fmt.Errorf("examining %s: %w", f.path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return fault.Errorf(fault.Denied, "%s is not a regular file", f.path)
	}
	f.dev, f.ino = uint64(st.Dev), st.Ino
	var fs unix.Statfs_t
	if err := unix.Fstatfs(f.fd, &fs); err != nil {
		return fmt.Errorf("examining %s: %w", f.path, err)
	}
	if name := durable.NetworkFileSystem(fs.Type); name != "" {
		return fault.Errorf(fault.Denied, "%s is on a network file system (%s), whose locks a database can't rely on", f.path, name)
	}
	// By the name, which may have gone meanwhile; access(2) takes no such descriptor.
	if err := unix.Access(f.path, unix.R_OK|unix.W_OK); err != nil {
		if lost := f.check(); lost != nil {
			return lost
		}
		return fmt.Errorf("opening %s for reading and writing: %w", f.path, err)
	}
	return nil
}

// check returns ErrReplaced when the path is no longer this file's.
func (f *file) check() error {
	var st unix.Stat_t
	err := unix.Lstat(f.path, &st)
	if err == nil && uint64(st.Dev) == f.dev && st.Ino == f.ino {
		return nil
	}
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("examining %s: %w", f.path, err)
	}
	return ErrReplaced
}

func (f *file) close() error { return unix.Close(f.fd) }

// create makes the database file path, mode 0600, with data: whole or not at all.
func create(path string, data []byte) error {
	return place(path, func(d *durable.Dir, name string) error {
		return d.Create(name, 0o600, data)
	})
}

// place calls put to give a database file the name path. What a lost database left
// beside that name is removed first: SQLite would take a log that it finds there
// for the new one's. Others who place a file in the directory wait.
func place(path string, put func(d *durable.Dir, name string) error) (err error) {
	if err := checkPath(path); err != nil {
		return err
	}
	dir, name := filepath.Split(path)
	d, err := durable.OpenDir(filepath.Clean(dir))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	lock, err := lockDir(d.Path())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if _, err := os.Lstat(path); err == nil {
		return fault.Errorf(fault.Exists, "%s exists", path)
	}
	for _, suffix := range sideFiles {
		if err := d.Remove(name + suffix); err != nil {
			return err
		}
	}
	return put(d, name)
}

// lockDir locks a directory, for the moment that placing a file takes.
func lockDir(path string) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("locking %s: %w", path, err), f.Close())
	}
	return f, nil
}

// PlaceSQLite gives the closed database file from the name to, in the same
// directory or another of the same file system, and keeps the old name too.
// Errors: [fault.Exists].
func PlaceSQLite(from, to string) error {
	return place(to, func(d *durable.Dir, name string) error {
		if err := os.Link(from, to); err != nil {
			return fmt.Errorf("naming the database: %w", err)
		}
		return durable.SyncDir(d.Path())
	})
}

// snapshot uses a connection of its own, so that others go on meanwhile.
func (e *sqlite) snapshot(ctx context.Context, path string) (err error) {
	if err := e.file.check(); err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".x509ctl-tmp-") // mode 0600
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, temp.Close(), os.Remove(temp.Name())) }()
	db, conn, err := connect(ctx, dataSource(e.file.path, DefaultWait))
	if err != nil {
		return sortSQLite(err)
	}
	_, err = conn.ExecContext(ctx, "VACUUM INTO ?", temp.Name())
	if err := errors.Join(err, conn.Close(), db.Close(), e.file.check()); err != nil {
		return fmt.Errorf("copying the database: %w", sortSQLite(err))
	}
	if _, err := temp.WriteAt([]byte{2, 2}, 18); err != nil { // setWAL
		return err
	}
	if err := temp.Sync(); err != nil {
		return err
	}
	return PlaceSQLite(temp.Name(), path)
}
