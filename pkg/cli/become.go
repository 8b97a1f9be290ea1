package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// become makes a process that root started the user who owns dir, for good, so
// that what it makes belongs to that user and nothing in a directory of others is
// opened with root's rights. Any other process stays what it is, and so does one
// whose directory isn't there yet. It returns who the process became, or 0.
//
// The three calls reach every thread of the process: package syscall sees to it.
func become(dir string) (uid int, err error) {
	if os.Geteuid() != 0 {
		return 0, nil
	}
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("finding the owner of the directory: %w", err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, fmt.Errorf("finding the owner of %s: the system does not say", dir)
	}
	if st.Uid == 0 {
		return 0, nil
	}
	uid = int(st.Uid)
	gid := groupOf(st)
	if err := errors.Join(
		syscall.Setgroups([]int{gid}),
		syscall.Setresgid(gid, gid, gid),
		syscall.Setresuid(uid, uid, uid),
	); err != nil {
		return 0, fmt.Errorf("becoming user %d, who owns %s: %w", uid, dir, err)
	}
	return uid, nil
}

// whoIsRefused says whose rights were too few, when root asked and another was
// refused.
func (a *app) whoIsRefused(err error) error {
	if a.became == 0 || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return fmt.Errorf("%w to %s, who owns the CA's directory and whom x509ctl works as", err, userName(a.became))
}

// groupOf is the group of the directory's owner, or for a user who has no entry in
// the password file, the group of the directory.
func groupOf(st *syscall.Stat_t) int {
	u, err := user.LookupId(strconv.Itoa(int(st.Uid)))
	if err == nil {
		if gid, err := strconv.Atoi(u.Gid); err == nil {
			return gid
		}
	}
	return int(st.Gid)
}
