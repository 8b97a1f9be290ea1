package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"x509ctl/pkg/fault"
)

// How long a pipe may keep a reader waiting. A FIFO that nobody writes to is a
// mistake, mostly, and given up soon; a writer who is there may be a slow command.
const (
	fifoPatience = 1500 * time.Millisecond // until somebody writes at all
	patience     = 10 * time.Second        // for the next bytes of one who is there
	maxReading   = time.Minute             // after which nothing is waited for
)

// ReadInput reads at most limit bytes of whatever a user named: a regular file, a
// pipe such as the shell's <(…), a FIFO, a device. One that has more is refused
// after limit bytes, so /dev/zero stops. A FIFO that nobody writes to is given up
// after a second and a half; a pipe whose writer is connected, after ten seconds
// without a byte, or a bit more than a minute in all.
//
// Errors: [fault.NotFound]; [fault.Malformed] for a directory, and for too many
// bytes; [fault.Unavailable] for what was given up.
func ReadInput(path string, limit int64) ([]byte, error) {
	return ReadInputIf(path, limit, func([]byte) error { return nil })
}

// InputHead is how many of the first bytes of an input tell what it is.
const InputHead = 1 << 20

// ReadInputIf is [ReadInput] for large files. It shows the first [InputHead] bytes, or
// all when there are fewer, to look, whose error ends the reading: what is something
// else is refused before memory is spent on it.
func ReadInputIf(path string, limit int64, look func(head []byte) error) ([]byte, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, sorted(&fs.PathError{Op: "opening", Path: path, Err: err})
	}
	defer unix.Close(fd)
	st, err := statx(fd, "", unix.AT_EMPTY_PATH)
	if err != nil {
		return nil, fmt.Errorf("examining %s: %w", path, err)
	}
	if st.Mode.IsDir() {
		return nil, fault.Errorf(fault.Malformed, "%s is a directory", path)
	}
	f := &polled{fd: fd, unwritten: !st.Mode.IsRegular(), over: time.After(maxReading)}
	// The size is known of a regular file only, and only until somebody writes.
	b := make([]byte, 0, min(max(st.Size+1, 512), limit+1))
	for looked := false; ; {
		end := cap(b)
		if !looked {
			end = min(end, InputHead)
		}
		n, err := f.Read(b[len(b):end])
		b = b[:len(b)+n]
		ended := errors.Is(err, io.EOF)
		if !looked && (ended || len(b) == InputHead) {
			looked = true
			if err := look(b); err != nil {
				return nil, fmt.Errorf("reading %s: %w", path, err)
			}
		}
		if ended {
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
//
// A FIFO that nobody has opened for writing since the reader opened it looks like
// its end to read(2), and like one with a silent writer to poll(2). So read is asked
// first. Where it tells of an end at once, poll waits for a writer: one who writes,
// or leaves, ends the wait; one who opens the FIFO and says nothing does not, but
// after it read(2) fails with EAGAIN instead of telling of an end.
type polled struct {
	fd        int
	unwritten bool             // nothing was seen of a writer, and none was waited for
	alone     bool             // nobody wrote while a writer was waited for
	over      <-chan time.Time // ends the waiting
}

func (p *polled) Read(b []byte) (int, error) {
	for {
		n, err := unix.Read(p.fd, b)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			p.unwritten, p.alone = false, false
			ready, err := p.wait(patience)
			if err != nil {
				return 0, err
			}
			if !ready {
				return 0, fault.New(fault.Unavailable, "nothing was written to it for ten seconds")
			}
		case err != nil:
			return 0, err
		case n > 0:
			p.unwritten, p.alone = false, false
			return n, nil
		case p.alone:
			return 0, fault.New(fault.Unavailable, "nobody writes to it")
		case !p.unwritten:
			return 0, io.EOF
		default:
			p.unwritten = false
			ready, err := p.wait(fifoPatience)
			if err != nil {
				return 0, err
			}
			p.alone = !ready
		}
	}
}

// wait waits for bytes, or for a writer to leave, and says whether that happened.
func (p *polled) wait(most time.Duration) (ready bool, err error) {
	for {
		select {
		case <-p.over:
			return false, fault.New(fault.Unavailable, "it took longer than a minute")
		default:
		}
		fds := []unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, int(most/time.Millisecond))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		return n > 0, os.NewSyscallError("poll", err)
	}
}
