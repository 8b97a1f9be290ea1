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

// A Stat is what there is to know of a file without opening it.
type Stat struct {
	Mode  fs.FileMode // type and permission bits
	UID   int
	GID   int
	Size  int64
	Inode uint64
	Birth int64 // nanoseconds since 1970; 0 where the file system keeps none
}

func statx(fd int, name string, flags int) (Stat, error) {
	var x unix.Statx_t
	if err := unix.Statx(fd, name, flags, unix.STATX_BASIC_STATS|unix.STATX_BTIME, &x); err != nil {
		return Stat{}, err
	}
	st := Stat{
		Mode:  fs.FileMode(x.Mode & 0o777),
		UID:   int(x.Uid),
		GID:   int(x.Gid),
		Size:  int64(x.Size),
		Inode: x.Ino,
	}
	switch x.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		st.Mode |= fs.ModeDir
	case unix.S_IFLNK:
		st.Mode |= fs.ModeSymlink
	case unix.S_IFREG:
	default:
		st.Mode |= fs.ModeIrregular
	}
	if x.Mask&unix.STATX_BTIME != 0 {
		st.Birth = x.Btime.Sec*1e9 + int64(x.Btime.Nsec)
	}
	return st, nil
}

// A Secrecy is who else than a file's owner may do what with it.
type Secrecy int

const (
	// Public is a file that anybody may read.
	Public Secrecy = iota
	// Private is a file that nobody else may read or write.
	Private
	// Guarded is a file that nobody else may write.
	Guarded
)

// ReadFile reads the regular file name of at most limit bytes.
//
// Errors: [fault.NotFound]; [fault.Denied] for a symbolic link, and for a file
// that others may read or write against want, which names the chmod that mends
// it; [fault.Malformed] for anything but a regular file and for a larger one.
func (d *Dir) ReadFile(name string, limit int64, want Secrecy) (b []byte, st Stat, err error) {
	st, err = d.ReadWith(name, limit, want, func(r io.Reader) error {
		b, err = io.ReadAll(r)
		return err
	})
	if err != nil {
		b = nil
	}
	return b, st, err
}

// ReadWith is ReadFile for content that is too large to be held in memory: read reads
// it, to its end.
func (d *Dir) ReadWith(name string, limit int64, want Secrecy, read func(io.Reader) error) (Stat, error) {
	f, err := d.open(name, unix.O_RDONLY, 0)
	if err != nil {
		return Stat{}, err
	}
	defer func() { _ = f.Close() }() // it was only read
	st, err := statx(int(f.Fd()), "", unix.AT_EMPTY_PATH)
	if err != nil {
		return st, d.failed("examining", name, err)
	}
	path := filepath.Join(d.path, name)
	if !st.Mode.IsRegular() {
		return st, fault.Errorf(fault.Malformed, "%s is not a regular file", path)
	}
	if err := errors.Join(d.vet(path, st), checkSecrecy(path, st, want)); err != nil {
		return st, err
	}
	bounded := &io.LimitedReader{R: f, N: limit + 1}
	err = read(bounded)
	switch {
	case bounded.N <= 0:
		return st, fault.Errorf(fault.Malformed, "%s is larger than %d bytes", path, limit)
	case err != nil:
		return st, fmt.Errorf("reading %s: %w", path, cause(err))
	}
	return st, nil
}

// A SecrecyError is a file that others may read or write. Mend is the mode that
// is right for it.
type SecrecyError struct {
	Path string
	Mode fs.FileMode
	Mend fs.FileMode
}

func (e *SecrecyError) Error() string {
	what := "written"
	if e.Mode&0o044 != 0 && e.Mend&0o044 == 0 && !e.Mode.IsDir() {
		what = "read"
	}
	return fmt.Sprintf("%s (mode %04o) can be %s by others than its owner", e.Path, e.Mode.Perm(), what)
}

// FaultKind makes the error [fault.Denied].
func (e *SecrecyError) FaultKind() fault.Kind { return fault.Denied }

func checkSecrecy(path string, st Stat, want Secrecy) error {
	switch {
	case want == Private && st.Mode&0o077 != 0:
		return &SecrecyError{path, st.Mode, 0o400}
	case want == Guarded && st.Mode&0o022 != 0:
		return &SecrecyError{path, st.Mode, 0o644}
	}
	return nil
}

// Create makes the file name with data and exactly mode, whole or not at all.
// Error: [fault.Exists] when there is one, which stays as it is.
func (d *Dir) Create(name string, mode fs.FileMode, data []byte) error {
	if err := checkName(name); err != nil {
		return err
	}
	temp, _, err := d.writeTemp(mode, content(data))
	if err != nil {
		return err
	}
	if err := unix.Linkat(d.fd(), temp, d.fd(), name, 0); err != nil {
		return d.withdraw(temp, d.failed("naming", name, err), err)
	}
	if err := d.unlink(temp); err != nil && fault.KindOf(err) != fault.NotFound {
		return err
	}
	return d.sync()
}

// Replace puts a file with data and exactly mode in the place of name, or makes
// it, and returns what the new file is.
func (d *Dir) Replace(name string, mode fs.FileMode, data []byte) (Stat, error) {
	return d.ReplaceWith(name, mode, content(data))
}

// ReplaceWith is Replace for content that is too large to be held in memory: write
// writes it.
func (d *Dir) ReplaceWith(name string, mode fs.FileMode, write func(io.Writer) error) (Stat, error) {
	if err := checkName(name); err != nil {
		return Stat{}, err
	}
	temp, st, err := d.writeTemp(mode, write)
	if err != nil {
		return Stat{}, err
	}
	if err := unix.Renameat(d.fd(), temp, d.fd(), name); err != nil {
		return Stat{}, d.withdraw(temp, d.failed("replacing", name, err), err)
	}
	return st, d.sync()
}

// Append adds data to the file name, synced, and returns what it is then. After a
// failure, or in a file that a process was killed at, a part of data may be at its end.
// Error: [fault.NotFound].
func (d *Dir) Append(name string, data []byte) (st Stat, err error) {
	f, err := d.open(name, unix.O_WRONLY|unix.O_APPEND, 0)
	if err != nil {
		return Stat{}, err
	}
	defer func() { err = errors.Join(err, cause(f.Close())) }()
	path := filepath.Join(d.path, name)
	if _, err := f.Write(data); err != nil {
		return Stat{}, fmt.Errorf("writing %s: %w", path, cause(err))
	}
	if err := f.Sync(); err != nil {
		return Stat{}, fmt.Errorf("syncing %s: %w", path, cause(err))
	}
	return statx(int(f.Fd()), "", unix.AT_EMPTY_PATH)
}

// ErrDisturbed means that a temporary file vanished before it got its name. Somebody
// swept the directory at the same time, as nobody does while the lock file is in its
// place; or removed the directory. Nothing was changed.
var ErrDisturbed = fault.New(fault.Unavailable, "another process works in the directory as if it were locked by nobody")

// withdraw removes the temporary file that could not get its name, because of what a
// system call returned, and returns failure, or [ErrDisturbed] when it is gone.
func (d *Dir) withdraw(temp string, failure, returned error) error {
	err := d.unlink(temp)
	if errors.Is(returned, unix.ENOENT) && fault.KindOf(err) == fault.NotFound {
		return fmt.Errorf("writing a file in %s: %w", d.path, ErrDisturbed)
	}
	return errors.Join(failure, err)
}

func content(data []byte) func(io.Writer) error {
	return func(w io.Writer) error { _, err := w.Write(data); return err }
}

// Scratch makes a file in d, to be written and read again, that has no name. The
// caller holds the lock under which d is swept.
func (d *Dir) Scratch() (*os.File, error) {
	temp := tempName()
	f, err := d.open(temp, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err := d.unlink(temp); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// writeTemp makes a temporary file in d with what write writes, synced.
func (d *Dir) writeTemp(mode fs.FileMode, write func(io.Writer) error) (string, Stat, error) {
	temp := tempName()
	f, err := d.open(temp, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, 0o600)
	if err != nil {
		return "", Stat{}, err
	}
	st, err := fill(f, mode, write)
	if err != nil {
		return "", Stat{}, errors.Join(fmt.Errorf("writing a file in %s: %w", d.path, err), d.unlink(temp))
	}
	return temp, st, nil
}

// fill lets write write to f, sets its mode, syncs and closes it.
func fill(f *os.File, mode fs.FileMode, write func(io.Writer) error) (st Stat, err error) {
	defer func() { err = errors.Join(err, cause(f.Close())) }()
	if err := write(f); err != nil {
		return st, cause(err)
	}
	if err := f.Chmod(mode.Perm()); err != nil {
		return st, cause(err)
	}
	if err := f.Sync(); err != nil {
		return st, cause(err)
	}
	return statx(int(f.Fd()), "", unix.AT_EMPTY_PATH)
}

func (d *Dir) unlink(name string) error {
	if err := unix.Unlinkat(d.fd(), name, 0); err != nil {
		return d.failed("removing", name, err)
	}
	return nil
}
