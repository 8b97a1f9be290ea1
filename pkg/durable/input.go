package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"x509ctl/pkg/fault"
)

// patience is how long a pipe may keep a reader waiting for its next bytes, in
// milliseconds.
const patience = 10_000

// ReadInput reads at most limit bytes of whatever a user named: a regular file, a
// pipe such as the shell's <(…), a FIFO. One that has more is refused after limit
// bytes, so /dev/zero stops; a FIFO that nobody writes to is given up after ten
// seconds. Errors: [fault.NotFound]; [fault.Malformed] for a directory, and for too
// many bytes.
func ReadInput(path string, limit int64) ([]byte, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, sorted(&fs.PathError{Op: "opening", Path: path, Err: err})
	}
	f := &polled{fd: fd}
	defer unix.Close(fd)
	st, err := statx(fd, "", unix.AT_EMPTY_PATH)
	if err != nil {
		return nil, fmt.Errorf("examining %s: %w", path, err)
	}
	if st.Mode.IsDir() {
		return nil, fault.Errorf(fault.Malformed, "%s is a directory", path)
	}
	// The size is known of a regular file only, and only until somebody writes.
	b := make([]byte, 0, min(max(st.Size+1, 512), limit+1))
	for {
		n, err := f.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if errors.Is(err, io.EOF) {
			return b, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", path, err)
		}
		if int64(len(b)) > limit {
			return nil, fault.Errorf(fault.Malformed, "%s is larger than %d bytes", path, limit)
		}
		if len(b) == cap(b) {
			grown := make([]byte, len(b), min(2*int64(cap(b)), limit+1))
			copy(grown, b)
			b = grown
		}
	}
}

// polled reads from a descriptor that does not block, and waits in poll(2).
type polled struct{ fd int }

func (p *polled) Read(b []byte) (int, error) {
	for {
		fds := []unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}
		ready, err := unix.Poll(fds, patience)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return 0, os.NewSyscallError("poll", err)
		}
		if ready == 0 {
			return 0, fault.New(fault.Unavailable, "nothing was written to it for ten seconds")
		}
		n, err := unix.Read(p.fd, b)
		switch {
		case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		}
		return n, nil
	}
}
