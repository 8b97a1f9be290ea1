package store

import (
	"context"
	"errors"
	"fmt"

	"x509ctl/pkg/fault"
)

// Facts that a caller may have a hint for. All are [fault.Unavailable].
var (
	// ErrOldSchema is matched by a [SchemaError] whose Have is less than Want.
	ErrOldSchema = fault.New(fault.Unavailable, "the database has an older schema")
	// ErrNewSchema is matched by a [SchemaError] whose Have is more than Want.
	ErrNewSchema = fault.New(fault.Unavailable, "the database has a newer schema than this program knows")
	// ErrReplaced means that the file that is open no longer has its name.
	// Opening the database again may help.
	ErrReplaced = fault.New(fault.Unavailable, "the database file was replaced or deleted while in use")
	// ErrBusy means that others held a lock for as long as Options.Wait.
	ErrBusy = fault.New(fault.Unavailable, "the database is busy")
	// ErrDamaged means a file that is no database, no database of x509ctl, or
	// one whose content contradicts itself.
	ErrDamaged = fault.New(fault.Unavailable, "the database is damaged, or not one of x509ctl's")
	// ErrUncertain means a COMMIT that was not confirmed without reserve.
	ErrUncertain = fault.New(fault.Unavailable, "the database did not confirm the transaction")
)

// errAgain marks a transaction that lost against another and is to be repeated.
var errAgain = errors.New("transaction to be repeated")

// A SchemaError is a schema that is not this program's. It is [ErrOldSchema] or
// [ErrNewSchema] to [errors.Is].
type SchemaError struct{ Have, Want int64 }

func (e *SchemaError) Error() string {
	return fmt.Sprintf("%v: version %d, this program needs %d", e.fact(), e.Have, e.Want)
}

// Is implements the interface that [errors.Is] looks for.
func (e *SchemaError) Is(target error) bool { return target == e.fact() }

// FaultKind makes the error [fault.Unavailable].
func (e *SchemaError) FaultKind() fault.Kind { return fault.Unavailable }

func (e *SchemaError) fact() error {
	if e.Have < e.Want {
		return ErrOldSchema
	}
	return ErrNewSchema
}

// Result codes of SQLite, the primary ones (https://www.sqlite.org/rescode.html).
const (
	sqliteError      = 1
	sqliteBusy       = 5
	sqliteLocked     = 6
	sqliteReadOnly   = 8
	sqliteInterrupt  = 9
	sqliteCorrupt    = 11
	sqliteFull       = 13
	sqliteConstraint = 19
	sqliteNotADB     = 26

	sqliteReadOnlyMoved = 8 | 4<<8
	sqliteShortRead     = 10 | 2<<8
	sqliteSharedSize    = 10 | 19<<8 // no room for the memory that processes share, which is a file
	sqliteDeleteNoEntry = 10 | 23<<8 // a log or journal was gone before SQLite removed it
)

// sqliteCode returns the extended result code that err carries, 0 for none.
func sqliteCode(err error) int {
	var c interface{ Code() int }
	if errors.As(err, &c) {
		return c.Code()
	}
	return 0
}

func isBusy(err error) bool {
	code := sqliteCode(err) & 0xff
	return code == sqliteBusy || code == sqliteLocked
}

func sortSQLite(err error) error {
	code := sqliteCode(err)
	switch {
	case isBusy(err):
		return ErrBusy
	case code == sqliteReadOnlyMoved || code == sqliteDeleteNoEntry:
		return ErrReplaced
	case code == sqliteShortRead:
		return damaged(err)
	case code == sqliteSharedSize:
		return fmt.Errorf("the disk is full: %w", err)
	}
	switch code & 0xff {
	case sqliteReadOnly:
		return fmt.Errorf("the database can't be written to: %w", err)
	case sqliteInterrupt:
		return context.Canceled
	case sqliteCorrupt, sqliteNotADB:
		return damaged(err)
	case sqliteConstraint:
		return fault.Errorf(fault.Exists, "recorded already: %w", err)
	case sqliteFull:
		return fmt.Errorf("the disk is full: %w", err)
	}
	return err
}

func damaged(err error) error { return fmt.Errorf("%w: %w", ErrDamaged, err) }

// sqlState returns the SQLSTATE that err carries, "" for none
// (https://www.postgresql.org/docs/current/errcodes-appendix.html).
func sqlState(err error) string {
	var c interface{ SQLState() string }
	if errors.As(err, &c) {
		return c.SQLState()
	}
	return ""
}
