package manager

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"x509ctl/pkg/authority"
	"x509ctl/pkg/durable"
	"x509ctl/pkg/fault"
)

// A LinkError is a symbolic link in the state directory, where none is followed.
type LinkError struct{ Path string }

func (e *LinkError) Error() string {
	return e.Path + " is a symbolic link, and those are not followed in this directory"
}

// FaultKind makes the error [fault.Denied].
func (e *LinkError) FaultKind() fault.Kind { return fault.Denied }

// A StrayError is something in the place of a file or a directory that is not one, or
// that belongs to none.
type StrayError struct{ Path, Problem string }

func (e *StrayError) Error() string { return e.Path + " " + e.Problem }

// FaultKind makes the error [fault.Denied].
func (e *StrayError) FaultKind() fault.Kind { return fault.Denied }

// A HiddenError is a file that verifiers who are other users can't read.
type HiddenError struct {
	Path string
	Mode fs.FileMode
}

func (e *HiddenError) Error() string {
	return fmt.Sprintf("%s (mode %04o) can't be read by verifiers that are other users", e.Path, e.Mode.Perm())
}

// FaultKind makes the error [fault.Denied].
func (e *HiddenError) FaultKind() fault.Kind { return fault.Denied }

// ErrDirectoryMissing means that the database knows a CA whose directory is gone.
var ErrDirectoryMissing = fault.New(fault.Unavailable, "the CA's directory is missing")

// files asks who owns what is there, and who else can read or write it.
func (e *examination) files() {
	if e.db == nil { // otherwise the directory was looked at already
		e.topFiles()
	}
	if e.ca == nil {
		path := e.path(clusterDir)
		if names, err := dirPath(e.req.Authority); err == nil {
			path = e.path(names...)
		}
		e.unread(path, fmt.Errorf("opening %s: %w", path, ErrDirectoryMissing))
		return
	}
	e.below(e.ca.Dir(), authority.Layout(), 2)
}

// topFiles asks it of the state directory itself.
func (e *examination) topFiles() {
	self, err := e.state.Self()
	if err != nil {
		e.say(SeverityError, e.path(), err)
		return
	}
	e.owner = self.UID
	if mode := self.Mode.Perm(); mode&0o022 != 0 {
		e.exposed = true
		e.say(SeverityError, e.path(), &durable.SecrecyError{Path: e.path(), Mode: self.Mode, Mend: mode &^ 0o022})
	}
	top := []authority.LayoutEntry{
		{Name: clusterDir, Dir: true, Secrecy: durable.Guarded},
		{Name: rootDir, Dir: true, Secrecy: durable.Guarded},
		{Name: projectsDir, Dir: true, Secrecy: durable.Guarded},
		{Name: settingsFile, Secrecy: durable.Guarded},
	}
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		top = append(top, authority.LayoutEntry{Name: databaseFile + suffix, Secrecy: durable.Private})
	}
	e.layout(e.state, top)
}

// layout asks of each entry that is there.
func (e *examination) layout(dir *durable.Dir, entries []authority.LayoutEntry) {
	for _, want := range entries {
		st, err := dir.Stat(want.Name)
		path := filepath.Join(dir.Path(), want.Name)
		switch {
		case fault.KindOf(err) == fault.NotFound:
		case err != nil:
			e.say(SeverityError, path, err)
		default:
			e.entry(dir, want, path, st)
		}
	}
}

// below is layout, and goes down to the directories among the entries, which hold
// further CAs' files.
func (e *examination) below(dir *durable.Dir, entries []authority.LayoutEntry, depth int) {
	e.layout(dir, entries)
	if depth == 0 {
		return
	}
	for _, want := range entries {
		if !want.Dir {
			continue
		}
		sub, err := dir.Sub(want.Name)
		if err != nil {
			continue // missing, or not a directory, as was said
		}
		inside := []authority.LayoutEntry{
			{Name: authority.KeyName, Secrecy: durable.Private}, {Name: authority.CertName, Secrecy: durable.Guarded},
			{Name: authority.RequestFileName, Secrecy: durable.Guarded},
		}
		if names, err := sub.Names(); err == nil && want.Name == authority.OldName {
			inside = nil
			for _, name := range names {
				inside = append(inside, authority.LayoutEntry{Name: name, Dir: true, Secrecy: durable.Guarded})
			}
		}
		e.below(sub, inside, depth-1)
		sub.Close()
	}
}

// entry asks of one that is there.
func (e *examination) entry(dir *durable.Dir, want authority.LayoutEntry, path string, st durable.Stat) {
	mode := st.Mode.Perm()
	switch {
	case st.Mode&fs.ModeSymlink != 0:
		e.say(SeverityError, path, &LinkError{path})
	case want.Dir && !st.Mode.IsDir():
		e.say(SeverityError, path, &StrayError{path, "is not a directory"})
	case !want.Dir && !st.Mode.IsRegular():
		e.say(SeverityError, path, &StrayError{path, "is not a regular file"})
	case st.UID != e.owner && st.UID != 0:
		e.exposed = e.exposed || want.Dir
		e.say(SeverityError, path, &durable.OwnerError{Path: path, Owner: st.UID, Want: e.owner})
	case mode&0o022 != 0:
		// Not mended: what is in it may be somebody else's.
		e.exposed = e.exposed || want.Dir
		right := mode &^ 0o022
		if want.Secrecy == durable.Private {
			right = mode &^ 0o077
		}
		e.say(SeverityError, path, &durable.SecrecyError{Path: path, Mode: st.Mode, Mend: right})
	case want.Secrecy == durable.Private && mode&0o077 != 0:
		right := mode &^ 0o077
		e.sayAndMend(SeverityError, path, &durable.SecrecyError{Path: path, Mode: st.Mode, Mend: right},
			mend{fmt.Sprintf("its mode is %04o now", right), func() error { return dir.Chmod(want.Name, right) }})
	case want.Open && mode&0o004 == 0:
		e.sayAndMend(SeverityWarning, path, &HiddenError{path, st.Mode},
			mend{"its mode is 0644 now", func() error { return dir.Chmod(want.Name, 0o644) }})
	}
}

// Below this much room a directory is reported.
const (
	littleRoom = 64 << 20 // bytes: a hundred thousand certificates
	noRoom     = 1 << 20  // bytes: the log of one batch
	fewFiles   = 100
)

// ErrNetworkDisk means that the directory is where locks can't be relied on.
var ErrNetworkDisk = fault.New(fault.Denied, "the directory is on a network file system, whose locks a database can't rely on")

// ErrLittleRoom means that the disk will soon be full, or is.
var ErrLittleRoom = fault.New(fault.Unavailable, "there is little room on the disk")

func (e *examination) disk() {
	s, err := e.state.Space()
	if err != nil {
		e.say(SeverityError, e.path(), err)
		return
	}
	e.judgeSpace(s)
}

func (e *examination) judgeSpace(s durable.Space) {
	left := fmt.Sprintf("%d KiB", s.Bytes>>10)
	if s.Counted && s.Files < fewFiles {
		left = fmt.Sprintf("%d files", s.Files)
	}
	switch {
	case s.Network != "":
		e.remote = true
		e.say(SeverityError, e.path(), fmt.Errorf("%w: %s", ErrNetworkDisk, s.Network))
	case s.Bytes < noRoom || s.Counted && s.Files == 0:
		e.say(SeverityError, e.path(), fmt.Errorf("%w: %s", ErrLittleRoom, left))
	case s.Bytes < littleRoom || s.Counted && s.Files < fewFiles:
		e.say(SeverityWarning, e.path(), fmt.Errorf("%w: %s", ErrLittleRoom, left))
	}
}

// settings asks whether x509ctl.yaml can be read and understood.
func (e *examination) settings() {
	data, _, err := e.state.ReadFile(settingsFile, backupLimit, durable.Guarded)
	if fault.KindOf(err) == fault.NotFound {
		return
	}
	path := e.path(settingsFile)
	if err == nil && e.req.Settings != nil {
		if err = e.req.Settings(data); err != nil {
			err = &SettingsError{path, err}
		}
	}
	if err != nil {
		e.unread(path, err)
	}
}

// A SettingsError is an x509ctl.yaml that can't be understood.
type SettingsError struct {
	Path string
	Err  error
}

func (e *SettingsError) Error() string { return fmt.Sprintf("reading %s: %v", e.Path, e.Err) }
func (e *SettingsError) Unwrap() error { return e.Err }

// FaultKind makes the error [fault.Malformed].
func (e *SettingsError) FaultKind() fault.Kind { return fault.Malformed }

// lock takes the authority's lock: what is found from here on is not somebody's work
// in progress.
func (e *examination) lock() {
	if e.ca == nil {
		return
	}
	ctx, cancel := e.m.waiting(e.ctx)
	defer cancel()
	locked, err := e.ca.Hold(ctx)
	switch {
	case err == nil:
		e.locked = locked
	case errors.Is(err, durable.ErrLocked):
		e.say(SeverityWarning, e.inCA(authority.LockName), err)
	case e.ctx.Err() == nil:
		e.unread(e.inCA(authority.LockName), err)
	}
}

// ErrLeftover means a file that a killed process left, or a directory.
var ErrLeftover = fault.New(fault.Exists, "a killed process left it")

func (e *examination) leftovers() {
	if e.locked != nil && e.req.Authority == Cluster {
		e.temporary(e.state)
	}
	if e.locked != nil {
		e.temporary(e.ca.Dir())
		for _, name := range []string{authority.NextName, authority.RequestName} {
			if sub, err := e.ca.Dir().Sub(name); err == nil {
				e.temporary(sub)
				sub.Close()
			}
		}
	}
	if e.req.Authority != Cluster {
		return
	}
	dead, err := deadSnapshots(e.state)
	if err != nil {
		e.say(SeverityWarning, e.path(), err)
	}
	for _, s := range dead {
		e.sayAndMend(SeverityNote, s.path, fmt.Errorf("%s: %w", s.path, ErrLeftover), mend{"removed", s.remove})
		if !e.req.Repair {
			_ = s.lock.Unlock() // it was only locked to see whether others have it
		}
	}
}

func (e *examination) temporary(dir *durable.Dir) {
	names, err := dir.Leftovers()
	if err != nil {
		e.say(SeverityWarning, dir.Path(), err)
	}
	for _, name := range names {
		path := filepath.Join(dir.Path(), name)
		if holds(dir, name) {
			e.say(SeverityWarning, path, &StrayError{path, "is a directory with something in it, and has the name of a temporary file"})
			continue
		}
		e.sayAndMend(SeverityNote, path, fmt.Errorf("%s: %w", path, ErrLeftover),
			mend{"removed", func() error { return dir.Remove(name) }})
	}
}

// holds reports whether name is a directory that is not empty, or that nobody here may
// look into.
func holds(dir *durable.Dir, name string) bool {
	if st, err := dir.Stat(name); err != nil || !st.Mode.IsDir() {
		return false
	}
	sub, err := dir.Sub(name)
	if err != nil {
		return true
	}
	defer sub.Close()
	names, err := sub.Names()
	temporary, failed := sub.Leftovers()
	return err != nil || failed != nil || len(names)+len(temporary) > 0
}
