package durable

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"x509ctl/pkg/fault"
)

// A Lock is an exclusive flock(2) on a file that is never renamed or removed. The
// kernel releases it when its holder dies, so none is ever left behind.
type Lock struct{ f *os.File }

// ErrLocked means that others held a lock for as long as the caller would wait.
var ErrLocked = fault.New(fault.Unavailable, "another process holds the lock")

// Lock locks the file name in d, made when it isn't there, and waits for it until
// ctx ends: then the error is [ErrLocked], or ctx's own when it was cancelled. A file
// that lost its name while it was waited for locks nobody out any more: the one that
// has the name by then is locked instead.
func (d *Dir) Lock(ctx context.Context, name string) (*Lock, error) {
	for {
		l, err := d.lock(ctx, name)
		if err != nil {
			return nil, err
		}
		is, err := d.isStill(l.f, name)
		if is && err == nil {
			return l, nil
		}
		if err := errors.Join(err, l.Unlock()); err != nil {
			return nil, err
		}
	}
}

func (d *Dir) lock(ctx context.Context, name string) (*Lock, error) {
	f, free, err := d.try(name)
	switch {
	case err != nil:
		return nil, err
	case free:
		return &Lock{f}, nil
	}
	return wait(ctx, f, filepath.Join(d.path, name))
}

// TryLock is [Dir.Lock] without waiting: the Lock is nil when others hold it.
func (d *Dir) TryLock(name string) (*Lock, error) {
	f, free, err := d.try(name)
	switch {
	case err != nil:
		return nil, err
	case free:
		return &Lock{f}, nil
	}
	return nil, f.Close()
}

// try opens the file name, made when it isn't there, and locks it if it is free.
func (d *Dir) try(name string) (f *os.File, free bool, err error) {
	f, err = d.open(name, unix.O_RDWR|unix.O_CREAT, lockMode)
	if err != nil {
		return nil, false, err
	}
	if err := d.closeToOthers(f, name); err != nil {
		return nil, false, errors.Join(err, f.Close())
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return f, false, nil
	}
	if err != nil {
		return nil, false, errors.Join(fmt.Errorf("locking %s: %w", f.Name(), err), f.Close())
	}
	return f, true, nil
}

// lockMode is a lock file's mode: who may open it may lock everybody out.
const lockMode = 0o600

// closeToOthers gives a lock file its mode, whatever the umask or an earlier version
// made of it.
func (d *Dir) closeToOthers(f *os.File, name string) error {
	info, err := f.Stat()
	if err == nil && info.Mode().Perm() != lockMode {
		err = f.Chmod(lockMode)
	}
	if err != nil {
		return d.failed("setting the mode of", name, cause(err))
	}
	return nil
}

// isStill reports whether the open file f is the one called name in d.
func (d *Dir) isStill(f *os.File, name string) (bool, error) {
	var open, named unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &open); err != nil {
		return false, d.failed("examining", name, err)
	}
	err := unix.Fstatat(d.fd(), name, &named, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	if err != nil {
		return false, d.failed("examining", name, err)
	}
	return open.Dev == named.Dev && open.Ino == named.Ino, nil
}

// wait waits in the kernel's queue, which is fair, rather than asking again and
// again. When ctx ends first the system call can't be called back: whoever made
// it closes the file as soon as it returns.
func wait(ctx context.Context, f *os.File, path string) (*Lock, error) {
	got := make(chan error, 1)
	fd := int(f.Fd())
	go func() {
		err := unix.Flock(fd, unix.LOCK_EX)
		for errors.Is(err, unix.EINTR) && ctx.Err() == nil {
			err = unix.Flock(fd, unix.LOCK_EX)
		}
		got <- err
	}()
	select {
	case err := <-got:
		if err != nil {
			return nil, errors.Join(fmt.Errorf("locking %s: %w", path, err), f.Close())
		}
		return &Lock{f}, nil
	case <-ctx.Done():
		go func() {
			// In this order.
			_ = errors.Join(<-got, f.Close()) // which drops the lock that nobody waits for any more
		}()
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return nil, fmt.Errorf("waiting for %s: %w", path, ErrLocked)
		}
		return nil, fmt.Errorf("waiting for %s: %w", path, context.Cause(ctx))
	}
}

// maxNote is how long a note is at most, in bytes.
const maxNote = 64

// Note returns what the holder of the lock noted last in its file. It is not synced, so
// that after a power cut an older note may be there, or none.
func (l *Lock) Note() ([]byte, error) {
	b := make([]byte, maxNote)
	n, err := l.f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading %s: %w", l.f.Name(), cause(err))
	}
	return b[:n], nil
}

// Stat describes the lock file.
func (l *Lock) Stat() (Stat, error) {
	st, err := statx(int(l.f.Fd()), "", unix.AT_EMPTY_PATH)
	if err != nil {
		return st, fmt.Errorf("examining %s: %w", l.f.Name(), err)
	}
	return st, nil
}

// SetNote notes b, at most 64 bytes, in the place of the first bytes of the note that
// is there: notes of one kind have one length.
func (l *Lock) SetNote(b []byte) error {
	if len(b) > maxNote {
		return fault.New(fault.Internal, "a note is too long")
	}
	if _, err := l.f.WriteAt(b, 0); err != nil {
		return fmt.Errorf("writing to %s: %w", l.f.Name(), cause(err))
	}
	return nil
}

// Unlock releases l. A second call does nothing.
func (l *Lock) Unlock() error {
	if l.f == nil {
		return nil
	}
	f := l.f
	l.f = nil
	return f.Close()
}
