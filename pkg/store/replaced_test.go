package store

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// coded is an error as the driver returns it.
type coded int

func (coded) Error() string { return "disk I/O error" }
func (c coded) Code() int   { return int(c) }

// Whatever SQLite says of a file that somebody takes away while it is opened (1802 is
// a failed fstat, 522 a short read), the caller is told what happened.
func TestErrorsOfALostFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := openFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.close() }()
	e := &sqlite{file: f}
	for _, code := range []coded{1802, 522, sqliteCorrupt, sqliteError} {
		if err := e.sort(code); errors.Is(err, ErrReplaced) {
			t.Errorf("error %d with the file in its place: %v", code, err)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	for _, code := range []coded{1802, 522, sqliteCorrupt, sqliteError} {
		if err := e.sort(code); !errors.Is(err, ErrReplaced) || !errors.Is(err, code) {
			t.Errorf("error %d after the file was removed: %v", code, err)
		}
	}
	if err := f.examine(); !errors.Is(err, ErrReplaced) {
		t.Errorf("examining the file after it was removed: %v", err)
	}
	if err := e.sort(coded(sqliteBusy)); !errors.Is(err, ErrBusy) {
		t.Errorf("a busy database: %v", err)
	}
	if err := e.sort(ErrOldSchema); !errors.Is(err, ErrOldSchema) || errors.Is(err, ErrReplaced) {
		t.Errorf("an error of this package: %v", err)
	}
}

// A log that somebody took away is noticed by SQLite when it wants to remove it, with
// the database itself in its place.
func TestErrorsOfALostLog(t *testing.T) {
	for _, code := range []coded{sqliteReadOnlyMoved, sqliteDeleteNoEntry} {
		if err := sortSQLite(code); !errors.Is(err, ErrReplaced) {
			t.Errorf("error %d: %v", code, err)
		}
	}
	if err := sortSQLite(coded(266)); errors.Is(err, ErrReplaced) { // SQLITE_IOERR_READ
		t.Errorf("a read error: %v", err)
	}
}
