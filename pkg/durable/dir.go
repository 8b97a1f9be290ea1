// Package durable keeps files that are whole or not there.
//
// # In the state directory
//
// A [Dir] is an open directory. Its files are opened relative to it and never
// through a symbolic link, so that whoever may write a directory above can't make
// a process that holds keys open another file. [Dir.Create] and [Dir.Replace]
// write a temporary file, sync it, give it its name and sync the directory: a
// reader, or the next run after a kill or a power cut, finds the old content, the
// new content or no file. A sync that fails is final: nothing is tried again,
// because the kernel may have dropped the pages that it could not write.
//
// # Elsewhere
//
// An [Output] is a file that a user asked for: claimed before something is spent on
// its content, given its name when it is complete, and never put in the place of
// another. [ReadInput] reads what a user names, whatever it turns out to be.
//
// Only Linux is supported: O_TMPFILE, flock, statx and openat are used as they are.
package durable

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"x509ctl/pkg/fault"
)

// tempPrefix begins the name of every temporary file. [Dir.Sweep] removes what
// dead processes left under it.
const tempPrefix = ".x509ctl-tmp-"

// A Dir is an open directory of the state directory. Its zero value is unusable.
// Names given to its methods are single path elements; any other name is an error.
type Dir struct {
	f     *os.File
	path  string
	state bool // see OpenState
	owner int  // the state directory's; for a Dir of OpenState only
}

// OpenDir opens the directory at path. The path itself may lead through symbolic
// links: where the state directory lies is its operator's choice, what lies in it
// is not. Error: [fault.NotFound] when it doesn't exist.
func OpenDir(path string) (*Dir, error) {
	f, err := os.OpenFile(path, unix.O_DIRECTORY|unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if errors.Is(err, fs.ErrPermission) {
		f, err = os.OpenFile(path, unix.O_DIRECTORY|passable|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		return nil, sorted(err)
	}
	return &Dir{f: f, path: path}, nil
}

// passable opens a directory that can't be listed or synced, but whose files can be
// opened by who knows their names: another user's, with mode 0711.
const passable = unix.O_PATH

// OpenState is OpenDir for the state directory. Who can replace a file there, or owns
// one, decides what the process does: so the directory, those below it and the
// files that are read must belong to the directory's owner, or to root, and nobody
// else may write to the directories. A process with root's rights works in root's
// directories only.
//
// Errors, here and of [Dir.Sub] and [Dir.ReadFile]: [*OwnerError]; [*SecrecyError].
func OpenState(path string) (*Dir, error) {
	d, err := OpenDir(path)
	if err != nil {
		return nil, err
	}
	st, err := statx(d.fd(), "", unix.AT_EMPTY_PATH)
	if err != nil {
		return nil, errors.Join(d.failed("examining", ".", err), d.Close())
	}
	d.state, d.owner = true, st.UID
	if err := errors.Join(d.vet(path, st), vetForRoot(path, st)); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// vetForRoot refuses another user's directory in a process with root's rights. Who
// started as root has become the directory's owner by now; this is another directory
// than the one that was looked at then.
func vetForRoot(path string, st Stat) error {
	if unix.Geteuid() == 0 && st.UID != 0 {
		return &OwnerError{Path: path, Owner: st.UID, Want: 0}
	}
	return nil
}

// VetOutside refuses the file at path, outside of any state directory, unless it belongs to
// who runs this process, or to root. Error: [*OwnerError].
func VetOutside(path string, st Stat) error {
	if me := unix.Geteuid(); st.UID != me && st.UID != 0 {
		return &OwnerError{Path: path, Owner: st.UID, Want: me}
	}
	return nil
}

// Vet refuses what is called name in a state directory when others than the
// directory's owner could have made it or can replace it: what [Dir.ReadFile] does by
// itself, for a file that is opened by somebody else.
func (d *Dir) Vet(name string) (Stat, error) {
	st, err := d.Stat(name)
	if err != nil {
		return st, err
	}
	if st.Mode&fs.ModeSymlink != 0 {
		return st, d.failed("opening", name, unix.ELOOP)
	}
	return st, d.vet(filepath.Join(d.path, name), st)
}

func (d *Dir) vet(path string, st Stat) error {
	switch {
	case !d.state:
		return nil
	case st.UID != d.owner && st.UID != 0:
		return &OwnerError{Path: path, Owner: st.UID, Want: d.owner}
	case st.Mode.IsDir() && st.Mode.Perm()&0o022 != 0:
		return &SecrecyError{Path: path, Mode: st.Mode, Mend: st.Mode.Perm() &^ 0o022}
	}
	return nil
}

// An OwnerError is a file of the state directory that belongs to somebody else than
// the directory does. Owner and Want are user ids.
type OwnerError struct {
	Path        string
	Owner, Want int
}

func (e *OwnerError) Error() string {
	if e.Want == 0 {
		return fmt.Sprintf("%s belongs to user %d, where only root's are trusted", e.Path, e.Owner)
	}
	return fmt.Sprintf("%s belongs to user %d, where user %d would be right", e.Path, e.Owner, e.Want)
}

// FaultKind makes the error [fault.Denied].
func (e *OwnerError) FaultKind() fault.Kind { return fault.Denied }

// Close closes the directory. Locks taken in it stay.
func (d *Dir) Close() error { return d.f.Close() }

// Path returns the path d was opened by, with the names of [Dir.Sub] appended.
func (d *Dir) Path() string { return d.path }

func (d *Dir) fd() int { return int(d.f.Fd()) }

// Sub opens the directory called name in d.
// Errors: [fault.NotFound]; [fault.Denied] for a symbolic link.
func (d *Dir) Sub(name string) (*Dir, error) {
	f, err := d.open(name, unix.O_DIRECTORY|unix.O_RDONLY, 0)
	if errors.Is(err, fs.ErrPermission) {
		f, err = d.open(name, unix.O_DIRECTORY|passable, 0)
	}
	if err != nil {
		return nil, err
	}
	sub := &Dir{f: f, path: filepath.Join(d.path, name), state: d.state, owner: d.owner}
	st, err := statx(sub.fd(), "", unix.AT_EMPTY_PATH)
	if err != nil {
		return nil, errors.Join(d.failed("examining", name, err), sub.Close())
	}
	if err := d.vet(sub.path, st); err != nil {
		return nil, errors.Join(err, sub.Close())
	}
	return sub, nil
}

// Mkdir makes the directory name in d with exactly mode, or does nothing when a
// directory of that name exists.
func (d *Dir) Mkdir(name string, mode fs.FileMode) error {
	if err := checkName(name); err != nil {
		return err
	}
	err := unix.Mkdirat(d.fd(), name, 0o700)
	if errors.Is(err, unix.EEXIST) {
		sub, err := d.Sub(name)
		if err != nil {
			return err
		}
		return sub.Close()
	}
	if err != nil {
		return d.failed("making", name, err)
	}
	if err := unix.Fchmodat(d.fd(), name, uint32(mode.Perm()), 0); err != nil {
		return d.failed("setting the mode of", name, err)
	}
	return d.sync()
}

// Stat describes name in d without following a symbolic link.
// Error: [fault.NotFound].
func (d *Dir) Stat(name string) (Stat, error) {
	if err := checkName(name); err != nil {
		return Stat{}, err
	}
	st, err := statx(d.fd(), name, unix.AT_SYMLINK_NOFOLLOW)
	if err != nil {
		return Stat{}, d.failed("examining", name, err)
	}
	return st, nil
}

// Names returns the names in d, sorted, but for leftovers of killed processes.
func (d *Dir) Names() ([]string, error) {
	all, err := os.ReadDir(d.self())
	if err != nil {
		return nil, fmt.Errorf("reading directory %s: %w", d.path, cause(err))
	}
	var names []string
	for _, e := range all {
		if !strings.HasPrefix(e.Name(), tempPrefix) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// Rename gives the file or directory name in d the new name to in the directory
// into, and syncs both. It never replaces: [fault.Exists].
func (d *Dir) Rename(name string, into *Dir, to string) error {
	if err := errors.Join(checkName(name), checkName(to)); err != nil {
		return err
	}
	if err := unix.Renameat2(d.fd(), name, into.fd(), to, unix.RENAME_NOREPLACE); err != nil {
		return d.failed("renaming", name, err)
	}
	return errors.Join(into.sync(), d.sync())
}

// Remove removes the file or empty directory name and syncs d. One that isn't
// there is no error.
func (d *Dir) Remove(name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	err := unix.Unlinkat(d.fd(), name, 0)
	if errors.Is(err, unix.EISDIR) || errors.Is(err, unix.EPERM) {
		err = unix.Unlinkat(d.fd(), name, unix.AT_REMOVEDIR)
	}
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return d.failed("removing", name, err)
	}
	return d.sync()
}

// Sweep removes the temporary files that killed processes left in d. The caller
// holds the lock under which such files are made. A directory with something in it is
// no such file, whatever its name, and stays.
func (d *Dir) Sweep() error {
	names, err := d.Leftovers()
	for _, name := range names {
		if err := d.Remove(name); err != nil && !errors.Is(err, unix.ENOTEMPTY) {
			return err
		}
	}
	return err
}

// self is a path to d that does not depend on what its name means by now.
func (d *Dir) self() string { return fmt.Sprintf("/proc/self/fd/%d", d.fd()) }

func (d *Dir) open(name string, flags int, mode uint32) (*os.File, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	// O_NONBLOCK: a FIFO in the place of a file must not stop the process.
	fd, err := unix.Openat(d.fd(), name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NONBLOCK, mode)
	if err != nil {
		return nil, d.failed("opening", name, err)
	}
	return os.NewFile(uintptr(fd), filepath.Join(d.path, name)), nil
}

func (d *Dir) sync() error {
	if err := d.f.Sync(); err != nil {
		return fmt.Errorf("syncing directory %s: %w", d.path, cause(err))
	}
	return nil
}

// failed sorts what a system call said of a name in d.
func (d *Dir) failed(doing, name string, err error) error {
	path := filepath.Join(d.path, name)
	if errors.Is(err, unix.ELOOP) {
		return fault.Errorf(fault.Denied, "%s is a symbolic link, and those are not followed in this directory", path)
	}
	if errors.Is(err, unix.ENOTDIR) {
		if st, e := statx(d.fd(), name, unix.AT_SYMLINK_NOFOLLOW); e == nil && st.Mode&fs.ModeSymlink != 0 {
			return d.failed(doing, name, unix.ELOOP)
		}
		return fault.Errorf(fault.Denied, "%s is not a directory", path)
	}
	return sorted(fmt.Errorf("%s %s: %w", doing, path, err))
}

// sorted gives the two errors of a file system that callers tell apart their kind.
func sorted(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fault.Errorf(fault.NotFound, "%w", err)
	case errors.Is(err, fs.ErrExist):
		return fault.Errorf(fault.Exists, "%w", err)
	}
	return err
}

// cause strips the path that package os puts before a system call's error.
func cause(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

func checkName(name string) error {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return fault.Errorf(fault.Malformed, "%q is not a file's name", name)
	}
	return nil
}

func tempName() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return tempPrefix + hex.EncodeToString(b[:])
}
