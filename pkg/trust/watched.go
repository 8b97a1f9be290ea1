package trust

import (
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"

	"x509ctl/pkg/fault"
)

// rereads is how often a file that has changed is read again though it looks the
// same: one that is written twice within the resolution of its time stamp, to the
// same length and in place, would go unnoticed.
const rereads = 2

// A watched file is read again when it has changed.
type watched struct {
	path     string // "" for no file
	limit    int64  // octets
	optional bool   // may be missing until it was there once

	info  fs.FileInfo // as it was when last read; nil before that
	sum   [sha256.Size]byte
	again int   // how often it is still to be read
	seen  bool  // whether it could ever be read
	err   error // what is wrong with the contents of sum
}

// forget has the file read again at the next look.
func (w *watched) forget() { w.info, w.sum = nil, [sha256.Size]byte{} }

// follow hands the contents to load if the file has changed, and returns what is
// wrong with the file.
func (w *watched) follow(load func([]byte) error) error {
	if w.path == "" {
		return nil
	}
	info, err := os.Stat(w.path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && w.optional && !w.seen:
		return nil
	case err != nil:
		w.info = nil
		return failed(w.path, notFound(err))
	}
	if same := w.info != nil && isUnchanged(w.info, info); !same {
		w.again = rereads
	} else if w.again == 0 {
		return w.err
	} else {
		w.again--
	}
	data, info, err := readFile(w.path, w.limit)
	if err != nil {
		w.info = nil
		return failed(w.path, err)
	}
	w.info, w.seen = info, true
	sum := sha256.Sum256(data)
	if sum == w.sum {
		return w.err
	}
	w.sum, w.err = sum, nil
	if err := load(data); err != nil {
		w.err = failed(w.path, err)
	}
	return w.err
}

// isUnchanged compares what a stat says. A file that was replaced is another one,
// with its own time.
func isUnchanged(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

func notFound(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.NotFound, "there is no such file")
	}
	return err
}

// readFile reads a regular file, limit octets at most. Opening doesn't wait: a
// pipe without a writer is no file either.
func readFile(path string, limit int64) (data []byte, info fs.FileInfo, err error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, notFound(err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	if info, err = f.Stat(); err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fault.New(fault.Malformed, "it is not a regular file")
	}
	data, err = io.ReadAll(io.LimitReader(f, limit+1))
	switch {
	case err != nil:
		return nil, nil, err
	case int64(len(data)) > limit:
		return nil, nil, fault.Errorf(fault.Malformed, "it is larger than %d octets", limit)
	}
	return data, info, nil
}
