package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"x509ctl/pkg/fault"
)

// An Output is a file that is going to exist, with its whole content, or not at
// all. [Claim] makes one before its content costs anything.
//
// Until [Output.Commit] the file has no name (O_TMPFILE), so a killed process
// leaves nothing behind; only on file systems without such files has it a
// temporary name beside the final one.
type Output struct {
	f    *os.File
	path string
	temp string // its temporary name, or empty
}

// room is how much space [Claim] makes sure of, in bytes: more than a certificate
// with its key and its chain takes.
const room = 1 << 16

// Claim prepares a file at path with exactly mode. It finds out early what would
// make a later [Output.Commit] fail: a directory that isn't there or can't be
// written, a path that is taken, a disk without room for 64 KiB. Errors: [fault.Exists]; [fault.NotFound] for
// the directory.
func Claim(path string, mode fs.FileMode) (*Output, error) {
	if _, err := os.Lstat(path); err == nil {
		return nil, exists(path)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("examining %s: %w", path, cause(err))
	}
	dir := filepath.Dir(path)
	o := &Output{path: path}
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EISDIR) {
		o.temp = filepath.Join(dir, tempName())
		fd, err = unix.Open(o.temp, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	}
	if err != nil {
		return nil, sorted(fmt.Errorf("making a file in %s: %w", dir, err))
	}
	o.f = os.NewFile(uintptr(fd), path)
	if err := o.f.Chmod(mode.Perm()); err != nil {
		return nil, errors.Join(fmt.Errorf("setting the mode of %s: %w", path, cause(err)), o.Discard())
	}
	err = unix.Fallocate(fd, unix.FALLOC_FL_KEEP_SIZE, 0, room)
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return nil, errors.Join(fmt.Errorf("making a file in %s: %w", dir, err), o.Discard())
	}
	return o, nil
}

func exists(path string) error {
	return fault.Errorf(fault.Exists, "file %s exists", path)
}

// Path returns the path o was claimed for.
func (o *Output) Path() string { return o.path }

// Commit writes data, syncs it, gives the file its name and syncs the directory.
// Once it returns nil, the file survives a power cut. After an error there is no
// file, or another process's: [fault.Exists]. An Output can be committed once.
func (o *Output) Commit(data []byte) error {
	return o.Fill(func(w io.Writer) error { _, err := w.Write(data); return err })
}

// Fill is Commit for content that is too large to be held in memory: fill writes it.
func (o *Output) Fill(fill func(io.Writer) error) error {
	return errors.Join(o.finish(fill), syncDir(filepath.Dir(o.path)))
}

// CommitLazily is Commit without the sync of the directory, for many files in one
// directory: [SyncDir] is called once, after the last.
func (o *Output) CommitLazily(data []byte) error {
	return o.finish(func(w io.Writer) error { _, err := w.Write(data); return err })
}

func (o *Output) finish(fill func(io.Writer) error) (err error) {
	if o.f == nil {
		return fault.New(fault.Internal, "an output is committed twice")
	}
	defer func() { err = errors.Join(err, o.Discard()) }()
	if err := fill(o.f); err != nil {
		return fmt.Errorf("writing %s: %w", o.path, cause(err))
	}
	if size, err := o.f.Seek(0, io.SeekCurrent); err == nil {
		err = o.f.Truncate(size) // gives back what was not needed of the room
		if err != nil {
			return fmt.Errorf("writing %s: %w", o.path, cause(err))
		}
	}
	if err := o.f.Sync(); err != nil {
		return fmt.Errorf("writing %s: %w", o.path, cause(err))
	}
	from := o.temp
	if from == "" {
		from = fmt.Sprintf("/proc/self/fd/%d", o.f.Fd())
	}
	err = unix.Linkat(unix.AT_FDCWD, from, unix.AT_FDCWD, o.path, unix.AT_SYMLINK_FOLLOW)
	if errors.Is(err, unix.EEXIST) {
		return exists(o.path)
	}
	if err != nil {
		return fmt.Errorf("naming %s: %w", o.path, err)
	}
	return nil
}

// Discard gives up an Output that was not committed. After Commit it does nothing.
func (o *Output) Discard() error {
	if o.f == nil {
		return nil
	}
	err := cause(o.f.Close())
	o.f = nil
	if o.temp != "" {
		err = errors.Join(err, os.Remove(o.temp))
	}
	return err
}

// SyncDir syncs the directory at path, so that the names in it survive a power cut.
func SyncDir(path string) error { return syncDir(path) }

func syncDir(path string) error {
	f, err := os.OpenFile(path, unix.O_DIRECTORY|unix.O_RDONLY, 0)
	if err != nil {
		return fmt.Errorf("syncing directory %s: %w", path, cause(err))
	}
	if err := errors.Join(cause(f.Sync()), f.Close()); err != nil {
		return fmt.Errorf("syncing directory %s: %w", path, err)
	}
	return nil
}
