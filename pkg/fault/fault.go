// Package fault sorts errors by what the caller can do about them.
//
// A package that refuses a request returns an error with a [Kind]. Code between
// there and the edge adds context with fmt.Errorf and %w and never looks at the
// Kind. Each edge maps Kinds in one place: pkg/cli to an exit status, later an
// API to an HTTP status. So a domain package knows no status number, and an edge
// knows no domain error that it has no hint for.
package fault

import (
	"errors"
	"fmt"
)

// A Kind says what the caller can do about an error. The zero Kind is no kind:
// [KindOf] never returns it.
type Kind string

const (
	// Internal is a bug, or an input or output error: the default of every
	// error that says nothing else.
	Internal Kind = "internal"
	// Malformed input can't be understood, whoever sends it.
	Malformed Kind = "malformed"
	// NotFound means that the thing named doesn't exist.
	NotFound Kind = "not found"
	// Exists means that the name is taken.
	Exists Kind = "exists"
	// Denied means that policy refuses what was understood.
	Denied Kind = "denied"
	// Invalid means that something was checked, and found not valid.
	Invalid Kind = "invalid"
	// Unavailable means busy, unreachable, or not allowed to go on: trying
	// again may help, sometimes only after an operator's decision.
	Unavailable Kind = "unavailable"
)

// Kinds returns every Kind, for tests that walk an edge's table.
func Kinds() []Kind {
	return []Kind{Internal, Malformed, NotFound, Exists, Denied, Invalid, Unavailable}
}

// Kinder is implemented by error types that carry particulars beside a Kind.
type Kinder interface{ FaultKind() Kind }

type fault struct {
	kind Kind
	err  error
}

func (f *fault) Error() string   { return f.err.Error() }
func (f *fault) Unwrap() error   { return f.err }
func (f *fault) FaultKind() Kind { return f.kind }

// New returns an error of kind that reads text. Two calls return two errors.
func New(kind Kind, text string) error {
	return &fault{kind, errors.New(text)}
}

// Errorf is fmt.Errorf with a kind; %w works, and the new kind outranks the
// wrapped error's.
func Errorf(kind Kind, format string, args ...any) error {
	return &fault{kind, fmt.Errorf(format, args...)}
}

// KindOf returns the Kind of the outermost error in err's tree that has one, and
// [Internal] when none has or err is nil.
func KindOf(err error) Kind {
	var k Kinder
	if errors.As(err, &k) {
		return k.FaultKind()
	}
	return Internal
}
