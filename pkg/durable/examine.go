package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// OpenSuspect opens a state directory that [OpenState] may refuse, to find out what is
// wrong with it: nobody looks at owners and modes by himself. Only another user's
// directory is refused to a process with root's rights, and one that can't be listed to
// anybody. Errors: [fault.NotFound]; [*OwnerError].
func OpenSuspect(path string) (*Dir, error) {
	d, err := OpenDir(path)
	if err != nil {
		return nil, err
	}
	st, err := d.Self()
	if err == nil {
		err = vetForRoot(path, st)
	}
	if err == nil {
		_, err = d.Leftovers()
	}
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// Leftovers returns the names of the temporary files in d, sorted: those that a
// killed process left, and those that somebody is writing, unless the caller holds
// the lock under which they are made.
func (d *Dir) Leftovers() ([]string, error) {
	all, err := os.ReadDir(d.self())
	if err != nil {
		return nil, fmt.Errorf("reading directory %s: %w", d.path, cause(err))
	}
	var names []string
	for _, e := range all {
		if strings.HasPrefix(e.Name(), tempPrefix) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// Self describes the directory itself.
func (d *Dir) Self() (Stat, error) {
	st, err := statx(d.fd(), "", unix.AT_EMPTY_PATH)
	return st, d.unlessFailed("examining", ".", err)
}

// Chmod gives what is called name in d exactly mode. It does not open it for
// reading: closing a database that is in use would drop its locks.
// Errors: [fault.NotFound]; [fault.Denied] for a symbolic link.
func (d *Dir) Chmod(name string, mode fs.FileMode) error {
	f, err := d.open(name, unix.O_PATH, 0)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it can't have been written to
	st, err := statx(int(f.Fd()), "", unix.AT_EMPTY_PATH)
	if err == nil && st.Mode&fs.ModeSymlink != 0 {
		err = unix.ELOOP
	}
	if err == nil {
		err = unix.Chmod("/proc/self/fd/"+strconv.Itoa(int(f.Fd())), uint32(mode.Perm()))
	}
	return d.unlessFailed("setting the mode of", name, err)
}

// Space is what is left of a file system for users without privileges.
type Space struct {
	Bytes   uint64
	Files   uint64 // as many can be made; meaningless when Counted is false
	Counted bool   // whether the file system has a fixed number of files
	Network string // what kind of a network file system it is; empty for a local one
}

// Space returns what is left of the file system that d is on.
func (d *Dir) Space() (Space, error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(d.fd(), &st); err != nil {
		return Space{}, fmt.Errorf("examining the file system of %s: %w", d.path, err)
	}
	return Space{
		Bytes:   st.Bavail * uint64(st.Bsize),
		Files:   st.Ffree,
		Counted: st.Files > 0,
		Network: NetworkFileSystem(st.Type),
	}, nil
}

// NetworkFileSystem names the network file system that has the magic number of
// statfs(2); empty for any other.
func NetworkFileSystem(magic int64) string { return networks[uint32(magic)] }

var networks = map[uint32]string{
	0x6969:     "NFS",
	0x517b:     "SMB",
	0xff534d42: "CIFS",
	0xfe534d42: "SMB2",
}
