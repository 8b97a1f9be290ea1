package store

import (
	"errors"
	"testing"
)

// coded is an error of SQLite's driver.
type coded int

func (coded) Error() string { return "disk I/O error" }
func (c coded) Code() int   { return int(c) }

// A log that somebody took away is noticed by SQLite when it wants to remove it.
func TestFilesTakenAway(t *testing.T) {
	for _, code := range []coded{1032, 5898} { // SQLITE_READONLY_DBMOVED, SQLITE_IOERR_DELETE_NOENT
		if err := sortSQLite(code); !errors.Is(err, ErrReplaced) {
			t.Errorf("%d: %v", code, err)
		}
	}
	if err := sortSQLite(coded(266)); errors.Is(err, ErrReplaced) { // SQLITE_IOERR_READ
		t.Errorf("a read error: %v", err)
	}
}
