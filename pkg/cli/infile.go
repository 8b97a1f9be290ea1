package cli

import (
	"fmt"
	"io"

	"x509ctl/pkg/durable"
	"x509ctl/pkg/fault"
)

// readInput reads at most limit bytes of the file that a user named; "-" is the
// standard input.
func (a *app) readInput(path string, limit int64) ([]byte, error) {
	if path != "-" {
		b, err := durable.ReadInput(path, limit)
		return b, a.whoIsRefused(err)
	}
	b, err := io.ReadAll(io.LimitReader(a.stdin, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading standard input: %w", err)
	}
	if int64(len(b)) > limit {
		return nil, fault.Errorf(fault.Malformed, "standard input is larger than %d bytes", limit)
	}
	return b, nil
}

// inputName is what a message calls the file that a user named.
func inputName(path string) string {
	if path == "-" {
		return "standard input"
	}
	return path
}
