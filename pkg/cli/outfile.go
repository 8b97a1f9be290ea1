package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"x509ctl/pkg/durable"
	"x509ctl/pkg/fault"
)

// An outfile is where a result goes that a user wants in a file. A file in a
// directory is made whole or not at all, and never in the place of another. "-",
// a pipe and a device can't be made: they are written to.
type outfile struct {
	path   string
	file   *durable.Output // nil for a stream
	stream io.Writer
	opened io.Closer // nil, or what stream is closed with
	done   bool      // committed
}

// claim prepares the file at path with exactly mode, before what goes into it
// costs anything. Errors: those of [durable.Claim].
func (a *app) claim(path string, mode fs.FileMode) (*outfile, error) {
	if path == "-" || path == "/dev/stdout" {
		return &outfile{path: "-", stream: a.stdout}, nil
	}
	stream, err := openStream(path, mode)
	if err != nil {
		return nil, a.whoIsRefused(err)
	}
	if stream != nil {
		return &outfile{path: path, stream: stream, opened: stream}, nil
	}
	file, err := durable.Claim(path, mode)
	if err != nil {
		return nil, a.whoIsRefused(err)
	}
	return &outfile{path: path, file: file}, nil
}

// openStream opens the pipe or device at path, or returns nil when there is none. What
// is looked at is what is opened, whatever the path means by then. A secret, which is
// what only its owner may read, goes into no pipe of another user's.
func openStream(path string, mode fs.FileMode) (*os.File, error) {
	at, err := os.OpenFile(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil // there is nothing, or durable.Claim says what it is
	}
	defer func() { _ = at.Close() }() // nothing is written to it
	info, err := at.Stat()
	if err != nil {
		return nil, fmt.Errorf("opening the output: %w", err)
	}
	if info.Mode().IsRegular() || info.IsDir() {
		return nil, nil
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || mode&0o077 == 0 && st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		return nil, fault.Errorf(fault.Denied, "%s belongs to another user, who could read the secret that goes there", path)
	}
	// Not blocking: a FIFO that nobody reads is an error, not a wait for ever.
	f, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", at.Fd()), os.O_WRONLY|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.ENXIO) {
		return nil, fault.Errorf(fault.Unavailable, "nobody reads from %s", path)
	}
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, errors.Unwrap(err))
	}
	return f, nil
}

// name is the path as the user gave it, or nothing for a file that isn't wanted.
func (o *outfile) name() string {
	if o == nil {
		return ""
	}
	return o.path
}

// isStdout says whether the result takes the place of what the command prints.
func (o *outfile) isStdout() bool { return o.path == "-" }

// commit writes data, all there is.
func (o *outfile) commit(data []byte) error {
	return o.fill(func(w io.Writer) error { _, err := w.Write(data); return err })
}

// fill is commit for what is too large to be held in memory.
func (o *outfile) fill(write func(io.Writer) error) error {
	if o.file != nil {
		err := o.file.Fill(write)
		o.done = err == nil
		return err
	}
	err := write(o.stream)
	if err == nil && o.opened != nil {
		err, o.opened = o.opened.Close(), nil
	}
	if err != nil {
		return fmt.Errorf("writing to %s: %w", outputName(o.path), err)
	}
	o.done = true
	return nil
}

// discard gives up what was not committed. There is nothing to be done about its
// errors: the file has no name, so nobody finds a part of it.
func (o *outfile) discard() {
	if o.file != nil {
		_ = o.file.Discard()
	}
	if o.opened != nil {
		_ = o.opened.Close()
	}
}

// outputName is what a message calls the file that a result goes to.
func outputName(path string) string {
	if path == "-" {
		return "standard output"
	}
	return path
}

// An outfileError is a file that can't be made, with the flag that names another.
type outfileError struct {
	flag string // empty for an argument
	path string
	err  error
}

func (e *outfileError) Error() string { return e.err.Error() }
func (e *outfileError) Unwrap() error { return e.err }

// outfiles are the files of one result: all of them are claimed before any is
// written.
type outfiles []*outfile

// claim adds the file at path, unless path is empty: the file is nil then. flag
// names the flag that path came from or could have come from.
func (o *outfiles) claim(a *app, flag, path string, mode fs.FileMode) (*outfile, error) {
	if path == "" {
		return nil, nil
	}
	f, err := a.claim(path, mode)
	if err != nil {
		return nil, &outfileError{flag, path, err}
	}
	for _, other := range *o {
		if sameFile(other.path, f.path) {
			f.discard()
			return nil, usagef("two results can't both go to %s", outputName(f.path))
		}
	}
	*o = append(*o, f)
	return f, nil
}

// sameFile reports whether two paths name one file, which may not exist yet.
func sameFile(a, b string) bool {
	if a == b || filepath.Base(a) != filepath.Base(b) {
		return a == b
	}
	in, err := os.Stat(filepath.Dir(a))
	if err != nil {
		return false
	}
	also, err := os.Stat(filepath.Dir(b))
	return err == nil && os.SameFile(in, also)
}

func (o outfiles) discard() {
	for _, f := range o {
		f.discard()
	}
}

// stdout says whether one of the files takes the place of what the command prints.
func (o outfiles) stdout() bool {
	for _, f := range o {
		if f.isStdout() {
			return true
		}
	}
	return false
}

// checkOutput refuses the wish for a description when one of the files takes its place.
// flags name files instead.
func (o outfiles) checkOutput(wish output, flags string) error {
	if !o.stdout() || wish == (output{}) {
		return nil
	}
	return &usageError{
		text: "a file and its description can't both be written to stdout",
		hint: "name a file with " + flags,
	}
}
