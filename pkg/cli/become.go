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
// whose directory isn't there yet.
//
// The three calls reach every thread of the process: package syscall sees to it.
func become(dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("finding the owner of the directory: %w", err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("finding the owner of %s: the system does not say", dir)
	}
	if st.Uid == 0 {
		return nil
	}
	uid, gid := int(st.Uid), groupOf(st)
	if err := errors.Join(
		syscall.Setgroups([]int{gid}),
		syscall.Setresgid(gid, gid, gid),
		syscall.Setresuid(uid, uid, uid),
	); err != nil {
		return fmt.Errorf("becoming user %d, who owns %s: %w", uid, dir, err)
	}
	return nil
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
