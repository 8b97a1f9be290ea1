// Package store keeps what x509ctl must not forget: authorities and their serial
// counters, nodes, the inventory of certificates, settings and the audit trail.
//
// # One type, two databases
//
// A [Store] is an SQLite file on one machine, or a PostgreSQL database that
// several managers share. Callers see no difference: the statements are written
// once, the migrations form one history in both dialects, and one suite of tests
// holds both to the same contract. The package imports no SQL driver. It opens
// SQLite by the name "sqlite", takes an open [database/sql.DB] for PostgreSQL, and
// tells errors apart by their numbers (SQLSTATE, SQLite's result codes), so that
// a program links only the drivers that its main package registers.
package store

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// DefaultWait is how long a Store waits for locks when [Options] says nothing.
const DefaultWait = 30 * time.Second

// Options say how a Store is opened. The zero value is ready to use.
type Options struct {
	// Wait bounds the time spent waiting for the locks of other processes in
	// one call. 0 means [DefaultWait]. When it is over, the call is
	// [fault.Unavailable].
	Wait time.Duration
	// Migrate brings an older schema up to date. Without it an older schema is
	// an error, [ErrOldSchema].
	Migrate bool
}

// A Store is an open database. Its methods may be called by several goroutines
// at once; on SQLite they then take turns.
type Store struct{}

var errTODO = errors.New("not built yet")

// OpenSQLite opens the database file at path. It never creates one.
func OpenSQLite(ctx context.Context, path string, o Options) (*Store, error) { return nil, errTODO }

// CreateSQLite makes a new, empty database at path: whole or not at all.
// Errors: [fault.Exists].
func CreateSQLite(ctx context.Context, path string) error { return errTODO }

// PostgreSQL is a database server as [OpenPostgreSQL] takes it. Both fields are
// required.
type PostgreSQL struct {
	// DB is the pool of connections; the Store does not close it.
	DB *sql.DB
	// Warnings returns, and forgets, the warnings that the server has sent on
	// driverConn (as [sql.Conn.Raw] gives it) since the last call. A COMMIT with
	// a warning may have reached one server only, and counts as failed.
	Warnings func(driverConn any) []string
}

// OpenPostgreSQL takes a PostgreSQL database.
func OpenPostgreSQL(ctx context.Context, p PostgreSQL, o Options) (*Store, error) {
	return nil, errTODO
}

// Close closes the database.
func (s *Store) Close() error { return nil }

// Schema returns the schema's version and the one that this program needs.
func (s *Store) Schema(ctx context.Context) (have, want int64, err error) { return 0, 0, errTODO }

// Migrate brings the schema up to date.
func (s *Store) Migrate(ctx context.Context) error { return errTODO }

// Snapshot writes a consistent copy of an SQLite database to the new file path.
func (s *Store) Snapshot(ctx context.Context, path string) error { return errTODO }

// Write runs fn in a transaction that is alone in writing, and commits it when fn
// returns nil.
func (s *Store) Write(ctx context.Context, fn func(*Tx) error) error { return errTODO }

// Read runs fn in a transaction that sees one state of the database and can't
// change it.
func (s *Store) Read(ctx context.Context, fn func(*Tx) error) error { return errTODO }

// A Tx is a transaction. It is valid until the function that it was given to
// returns, and for one goroutine at a time.
type Tx struct{}

// Timeline returns PostgreSQL's timeline, which changes when a standby is promoted
// or the database is restored to a point in time; 0 on SQLite.
func (tx *Tx) Timeline() (uint32, error) { return 0, errTODO }
