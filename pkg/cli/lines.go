package cli

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/manager"
)

const (
	// maxLinesFile bounds the file of --from, in bytes.
	maxLinesFile = 16 << 20
	// maxLines bounds how many names it has.
	maxLines = 200_000
)

// readLines reads a file with one name a line; what says of which kind. Blank lines and
// those that begin with # are passed over. All are checked before any is used: wanted
// returns "" for a name, and otherwise what a name is. Nothing of a line that is none is
// in the error: who names the wrong file may have named a private key.
func (a *app) readLines(path, what string, wanted func(line string) string) ([]string, error) {
	data, err := a.readInput(path, maxLinesFile)
	if err != nil {
		return nil, err
	}
	var names []string
	number := 0
	for line := range bytes.Lines(data) {
		number++
		line = bytes.TrimRight(line, "\r\n")
		if len(bytes.TrimSpace(line)) == 0 || line[0] == '#' {
			continue
		}
		if w := wanted(string(line)); w != "" {
			return nil, fault.Errorf(fault.Malformed, "line %d of %s is not %s", number, inputName(path), w)
		}
		if len(names) == maxLines {
			return nil, fault.Errorf(fault.Malformed, "there are more than %d %ss in %s", maxLines, what, inputName(path))
		}
		names = append(names, string(line))
	}
	if len(names) == 0 {
		return nil, fault.Errorf(fault.Malformed, "there is no %s in %s", what, inputName(path))
	}
	return names, nil
}

// eachItem hands the items of a batch to call, as many at a time as a call takes, and
// returns what became of those that were not refused. With one item its refusal is the
// command's error; with more each is told of, and the others go on.
func eachItem[T any](a *app, items []string, what string, call func([]string) ([]T, error), refusal func(T) error) (done []T, _ error) {
	failed := failures{total: len(items)}
	var spread error
	for chunk := range slices.Chunk(items, manager.MaxBatch) {
		results, err := call(chunk)
		for i, r := range results {
			err := refusal(r)
			if err == nil {
				done = append(done, r)
				continue
			}
			err = fmt.Errorf("%q: %w", chunk[i], err)
			if failed.add(err); failed.total > 1 {
				a.complain(err)
			}
		}
		if err != nil && !isSpreadError(err) {
			return done, err
		}
		spread = cmp.Or(spread, err)
	}
	if failed.n > 0 && spread != nil {
		a.complain(spread)
		spread = nil
	}
	return done, cmp.Or(spread, failed.err(what))
}
