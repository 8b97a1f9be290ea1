// Package storetest gives tests the two databases that x509ctl runs on, and is
// used by tests only: it imports the drivers that no other package may.
//
// PostgreSQL is a throw-away server, started from the binaries that are installed and
// shared by the tests of one process; [Main] stops it. Where there are none, tests
// skip their second half and say how to install them; with CI set, they fail.
package storetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"x509ctl/pkg/store"
)

// Main runs the tests of a package and stops what they have shared. It returns the
// exit status, for TestMain.
func Main(m *testing.M) int {
	status := m.Run()
	if err := stopShared(); err != nil {
		fmt.Fprintln(os.Stderr, "storetest:", err)
		return 1
	}
	return status
}

// A Backend is a database with an up-to-date schema and nothing else in it.
type Backend struct {
	Name    string // "sqlite", "postgres"
	Address string // what [Open] takes, in this or another process
}

// Each runs fn on both databases, as subtests named after them.
func Each(t *testing.T, fn func(t *testing.T, b Backend)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { fn(t, SQLite(t)) })
	t.Run("postgres", func(t *testing.T) { fn(t, PostgreSQL(t)) })
}

// SQLite makes a database file.
func SQLite(t testing.TB) Backend {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x509ctl.db")
	if err := store.CreateSQLite(context.Background(), path); err != nil {
		t.Fatal(err)
	}
	return Backend{Name: "sqlite", Address: "sqlite:" + path}
}

// PostgreSQL makes a database on the shared server.
func PostgreSQL(t testing.TB) Backend {
	t.Helper()
	b := Backend{Name: "postgres", Address: EmptyPostgreSQL(t)}
	if err := b.Open(t, store.Options{Migrate: true}).Close(); err != nil {
		t.Fatal(err)
	}
	return b
}

// EmptyPostgreSQL makes a database without a schema on the shared server, and
// returns its address.
func EmptyPostgreSQL(t testing.TB) string {
	t.Helper()
	return shared(t).NewDatabase(t)
}

// Path returns the file of an SQLite database.
func (b Backend) Path() string { return strings.TrimPrefix(b.Address, "sqlite:") }

// Open opens the database; the test closes it when it ends, if it hasn't before.
func (b Backend) Open(t testing.TB, o store.Options) *Store {
	t.Helper()
	s, err := Open(context.Background(), b.Address, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // the first Close is the one that counts
	return s
}

// A Store is a store.Store with the pool that it was made from.
type Store struct {
	*store.Store
	DB *sql.DB // nil on SQLite
}

// Open opens the database at address.
func Open(ctx context.Context, address string, o store.Options) (*Store, error) {
	if path, ok := strings.CutPrefix(address, "sqlite:"); ok {
		s, err := store.OpenSQLite(ctx, path, o)
		return &Store{Store: s}, err
	}
	p, err := OpenPool(address)
	if err != nil {
		return nil, err
	}
	s, err := store.OpenPostgreSQL(ctx, p, o)
	if err != nil {
		return nil, errors.Join(err, p.DB.Close())
	}
	return &Store{s, p.DB}, nil
}

// Close closes the Store and its pool.
func (s *Store) Close() error {
	if s.DB == nil {
		return s.Store.Close()
	}
	return errors.Join(s.Store.Close(), s.DB.Close())
}
