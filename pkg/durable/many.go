package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"x509ctl/pkg/parallel"
)

// A File is one of many for [Dir.CreateAll].
type File struct {
	Name string
	Data []byte
}

const (
	// manyOpen bounds how many files are open at once: several calls of CreateAll
	// have to stay below the usual limit of 1,024.
	manyOpen = 250
	// manySyncs is how many files are synced at once where each is synced by itself.
	// Most of the time goes by waiting, and the file system joins what comes together.
	manySyncs = 8
)

// CreateAll is [Dir.Create] for many files: each is whole or not there, none is
// replaced, and the result has an error or nil for each.
//
// A sync for each file costs more than all else together: on ext4 three times the
// processor time and five times the time. So a few hundred files are written without
// names, the file system is synced once, and only then are they named. It has to
// write what others left to it as well, which made up for the gain, and no more, on
// a disk that was busy. Where one sync may not report every error, each file has its
// own.
func (d *Dir) CreateAll(mode fs.FileMode, files []File) []error {
	errs := make([]error, len(files))
	together := d.syncsTogether()
	for i := 0; i < len(files); i += manyOpen {
		j := min(i+manyOpen, len(files))
		d.createSome(mode, files[i:j], errs[i:j], together)
	}
	if err := d.sync(); err != nil {
		for i := range errs {
			errs[i] = errors.Join(errs[i], err)
		}
	}
	return errs
}

// none is the descriptor of no file.
const none = -1

func (d *Dir) createSome(mode fs.FileMode, files []File, errs []error, together bool) {
	temps := make([]int, len(files))
	workers := manySyncs
	if together {
		workers = 1
	}
	parallel.Each(len(files), workers, func(i int) {
		temps[i], errs[i] = d.unnamed(mode, files[i])
		if temps[i] != none && errs[i] == nil && !together {
			errs[i] = d.unlessFailed("syncing", files[i].Name, unix.Fsync(temps[i]))
		}
	})
	if together {
		d.syncFS(temps, errs)
	}
	for i, fd := range temps {
		if fd == none {
			continue
		}
		if errs[i] == nil {
			errs[i] = d.link(fd, files[i].Name)
		}
		if err := unix.Close(fd); errs[i] == nil {
			errs[i] = d.unlessFailed("closing", files[i].Name, err)
		}
	}
}

// unnamed makes a file in d that has data but no name yet, and returns its
// descriptor. On a file system that knows no such files it makes it for good.
func (d *Dir) unnamed(mode fs.FileMode, file File) (int, error) {
	if err := checkName(file.Name); err != nil {
		return none, err
	}
	fd, err := unix.Openat(d.fd(), ".", unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EISDIR) {
		return none, d.Create(file.Name, mode, file.Data)
	}
	if err != nil {
		return none, d.failed("making", file.Name, err)
	}
	for data := file.Data; err == nil && len(data) > 0; {
		var n int
		n, err = unix.Write(fd, data)
		data = data[max(n, 0):]
	}
	if err != nil {
		return fd, d.failed("writing", file.Name, err)
	}
	return fd, d.unlessFailed("setting the mode of", file.Name, unix.Fchmod(fd, uint32(mode.Perm())))
}

// syncFS syncs the file system of temps. An error is that of all of them: nobody
// knows whose pages were not written.
func (d *Dir) syncFS(temps []int, errs []error) {
	first := slices.IndexFunc(temps, func(fd int) bool { return fd != none })
	if first < 0 {
		return
	}
	// The first file was opened before any was written, so it is told the errors of
	// all.
	if err := unix.Syncfs(temps[first]); err != nil {
		for i := range errs {
			if errs[i] == nil {
				errs[i] = fmt.Errorf("syncing the file system of %s: %w", d.path, err)
			}
		}
	}
}

func (d *Dir) link(fd int, name string) error {
	err := unix.Linkat(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(fd), d.fd(), name, unix.AT_SYMLINK_FOLLOW)
	if errors.Is(err, unix.EEXIST) {
		return exists(filepath.Join(d.path, name))
	}
	return d.unlessFailed("naming", name, err)
}

// unlessFailed is failed for an error that may be nil.
func (d *Dir) unlessFailed(doing, name string, err error) error {
	if err == nil {
		return nil
	}
	return d.failed(doing, name, err)
}

// syncsTogether says whether one syncfs(2) is as good as an fsync for each file: on
// a local file system, and since Linux 5.8, which reports what could not be written.
func (d *Dir) syncsTogether() bool {
	var st unix.Statfs_t
	var uts unix.Utsname
	if unix.Fstatfs(d.fd(), &st) != nil || unix.Uname(&uts) != nil {
		return false
	}
	switch st.Type {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.F2FS_SUPER_MAGIC, unix.TMPFS_MAGIC, unix.OVERLAYFS_SUPER_MAGIC:
		var major, minor int
		_, err := fmt.Sscanf(unix.ByteSliceToString(uts.Release[:]), "%d.%d", &major, &minor)
		return err == nil && (major > 5 || major == 5 && minor >= 8)
	}
	return false
}
