package cli

import (
	"context"
	"fmt"
	"io"
)

// stickyWriter remembers the first error of its writer. The libraries that print
// help and completion scripts drop theirs, and a full disk must not look like success.
type stickyWriter struct {
	w   io.Writer
	err error
}

func (s *stickyWriter) Write(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.w.Write(p)
	s.err = err
	return n, err
}

func (s *stickyWriter) failure() error {
	if s.err == nil {
		return nil
	}
	return fmt.Errorf("writing the output: %w", s.err)
}

// interruptibleReader stops a Read that waits for a terminal or a pipe when ctx
// ends. The bytes of a read that was given up are lost, as the command is.
type interruptibleReader struct {
	ctx   context.Context
	r     io.Reader
	begin func() // called before each read
}

func (i *interruptibleReader) Read(p []byte) (int, error) {
	i.begin()
	type result struct {
		n   int
		err error
	}
	buf := make([]byte, len(p))
	done := make(chan result, 1)
	go func() {
		n, err := i.r.Read(buf)
		done <- result{n, err}
	}()
	select {
	case r := <-done:
		return copy(p, buf[:r.n]), r.err
	case <-i.ctx.Done():
		return 0, context.Cause(i.ctx)
	}
}
