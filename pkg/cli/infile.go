package cli

import (
	"bytes"
	"fmt"
	"io"

	"x509ctl/pkg/durable"
	"x509ctl/pkg/fault"
)

// readInput reads at most limit bytes of the file that a user named; "-" is the
// standard input.
func (a *app) readInput(path string, limit int64) ([]byte, error) {
	return a.readInputIf(path, limit, func([]byte) error { return nil })
}

// readInputIf is readInput for large files, as [durable.ReadInputIf].
func (a *app) readInputIf(path string, limit int64, look func(head []byte) error) ([]byte, error) {
	if path != "-" {
		b, err := durable.ReadInputIf(path, limit, look)
		return b, a.whoIsRefused(err)
	}
	var b bytes.Buffer
	in := io.LimitReader(a.standardInput(), limit+1)
	_, err := b.ReadFrom(io.LimitReader(in, durable.InputHead))
	if err == nil {
		err = look(b.Bytes())
	}
	if err == nil && b.Len() == durable.InputHead { // a terminal can be read on after its end
		_, err = b.ReadFrom(in)
	}
	if err != nil {
		return nil, fmt.Errorf("reading standard input: %w", err)
	}
	if int64(b.Len()) > limit {
		return nil, fault.Errorf(fault.Malformed, "standard input is larger than %d bytes", limit)
	}
	return b.Bytes(), nil
}

// standardInput is what "-" stands for. Who sits before it is told that something is
// waited for. There is no time limit: a signal ends the reading.
func (a *app) standardInput() io.Reader {
	if a.isTerminal(a.stdin) && a.isTerminal(a.stderr) {
		a.note("reading standard input from the terminal; Ctrl-D ends it")
	}
	return a.stdin
}

// inputName is what a message calls the file that a user named.
func inputName(path string) string {
	if path == "-" {
		return "standard input"
	}
	return path
}
