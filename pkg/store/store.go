// Package store keeps what x509ctl must not forget: authorities and their serial
// counters, nodes, the inventory of certificates, the public halves of keypairs,
// settings and the audit trail.
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
//
// # What a commit is worth
//
// When [Store.Write] returns nil, what it wrote survives a power cut, and on
// PostgreSQL has reached the synchronous standbys, if the server has any. An answer
// that leaves room for doubt is an error: a connection lost during COMMIT, a
// warning that the wait for a standby was given up, an SQLite file that no longer
// has its name. The caller then lets nothing leave; that the transaction may have
// happened all the same is harmless, because it records what was not handed out.
//
// # Many processes at once
//
// Transactions that write are one at a time: on SQLite by BEGIN IMMEDIATE, on
// PostgreSQL by the lock on the authority's row that [Tx.Authority] takes. Others
// wait, for [Options.Wait] at most; no lock error of a database reaches the caller
// in its raw form.
//
// # The file between two runs
//
// SQLite keeps the latest commits in a second file, "-wal". The last process to
// close the database moves them into the main file and empties the second one, so
// that between runs the main file is complete: copied by hand it is a good copy, and
// put back by hand it does not meet a log that belongs to another state, which would
// destroy it. Leaving commits in the log for some runs was tried: it saves three syncs
// and an eighth of the processor time of a run that signs one certificate, and is not
// worth that danger.
package store

import (
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"sync"
	"time"
)

// DefaultWait is how long a Store waits for locks when [Options] says nothing.
const DefaultWait = 30 * time.Second

// Options say how a Store is opened. The zero value is ready to use.
type Options struct {
	// Wait bounds each wait for other transactions, here or in other processes.
	// 0 means [DefaultWait]. When it is over, the call fails with [ErrBusy].
	Wait time.Duration
	// Migrate brings an older schema up to date. Without it an older schema is
	// [ErrOldSchema].
	Migrate bool
	// AnySchema opens a database of whatever schema: for [Store.Schema] and
	// [Store.Migrate]. Until the schema is current, Read and Write refuse.
	AnySchema bool
}

func (o Options) wait() time.Duration {
	if o.Wait <= 0 {
		return DefaultWait
	}
	return o.Wait
}

// A Store is an open database. Its methods may be called by several goroutines
// at once; on SQLite their transactions take turns.
type Store struct {
	engine engine
	wait   time.Duration
	close  func() error // the engine's, once
}

// An engine is one of the two databases.
type engine interface {
	// begin starts a transaction. Waiting for locks ends with ErrBusy; another
	// schema than this program's, at that moment, is a SchemaError.
	begin(ctx context.Context, write bool) (session, error)
	// schema returns the version of the schema; 0 for an empty database.
	schema(ctx context.Context) (int64, error)
	// migrate runs the migrations that are missing.
	migrate(ctx context.Context) error
	// snapshot copies the database to a new file.
	snapshot(ctx context.Context, path string) error
	// quickCheck judges the structure of the whole database.
	quickCheck(ctx context.Context) error
	// sort gives an error of the driver its kind.
	sort(err error) error
	close() error
}

// A session is one transaction of an engine. Statements have ? for parameters.
type session interface {
	exec(query string, args ...any) (sql.Result, error)
	query(query string, args ...any) (*sql.Rows, error)
	// forUpdate is what a SELECT ends with when the row is to be locked.
	forUpdate() string
	timeline() (uint32, error)
	// commit and rollback end the session, whatever they return.
	commit() error
	rollback()
}

// open returns a Store on e once its schema is checked, or closes e.
func open(ctx context.Context, e engine, o Options) (*Store, error) {
	s := &Store{engine: e, wait: o.wait(), close: sync.OnceValue(e.close)}
	err := s.checkSchema(ctx)
	if o.Migrate && errors.Is(err, ErrOldSchema) {
		err = s.Migrate(ctx)
	}
	if o.AnySchema && (errors.Is(err, ErrOldSchema) || errors.Is(err, ErrNewSchema)) {
		return s, nil
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Close closes the database, and on SQLite leaves a file that is complete by
// itself when no other process has it open. The connections of PostgreSQL belong
// to the caller and stay open. No transaction may be going on. Closing again does
// nothing.
func (s *Store) Close() error { return s.close() }

// Schema returns the version of the database's schema, 0 when it has none, and
// the version that this program needs.
func (s *Store) Schema(ctx context.Context) (have, want int64, err error) {
	have, err = s.engine.schema(ctx)
	return have, schemaVersion, err
}

// Migrate brings the schema up to date. Of several processes one does it and the
// others wait for it. A current schema is left alone.
// Errors: [ErrNewSchema]; [ErrBusy].
func (s *Store) Migrate(ctx context.Context) error {
	if err := s.checkSchema(ctx); !errors.Is(err, ErrOldSchema) {
		return err
	}
	if err := s.engine.migrate(ctx); err != nil {
		return err
	}
	return s.checkSchema(ctx)
}

func (s *Store) checkSchema(ctx context.Context) error {
	have, err := s.engine.schema(ctx)
	if err != nil {
		return err
	}
	return checkVersion(have)
}

// Snapshot writes a consistent copy of an SQLite database to the new file path,
// mode 0600, whole or not at all, while others go on writing.
// Errors: [fault.Exists]; [fault.Denied] on PostgreSQL, which has tools of its own.
func (s *Store) Snapshot(ctx context.Context, path string) error {
	return s.engine.snapshot(ctx, path)
}

// Write runs fn in a transaction and commits it when fn returns nil. Nothing that
// fn does through the Tx stays when fn, or any method of the Tx but for
// [fault.NotFound] and what [Tx.AddNode] finds, returned an error.
//
// fn may run more than once: PostgreSQL may ask for a transaction to be repeated. It
// must not call methods of the Store.
//
// Errors: fn's; [ErrBusy]; [ErrReplaced]; [ErrUncertain], when the transaction may
// have happened, and may be lost again; [ErrOldSchema] and [ErrNewSchema], when
// another process has changed the schema meanwhile, too.
func (s *Store) Write(ctx context.Context, fn func(*Tx) error) error {
	return s.transact(ctx, true, fn)
}

// Read runs fn in a transaction that sees one state of the database and can't
// change it. The rules for fn are those of [Store.Write].
func (s *Store) Read(ctx context.Context, fn func(*Tx) error) error {
	return s.transact(ctx, false, fn)
}

func (s *Store) transact(ctx context.Context, write bool, fn func(*Tx) error) error {
	err := s.attempt(ctx, write, fn)
	if !errors.Is(err, errAgain) {
		return err
	}
	waiting, cancel := context.WithTimeout(ctx, s.wait)
	defer cancel()
	for errors.Is(err, errAgain) {
		if !pause(waiting, 10*time.Millisecond) {
			return gaveUp(ctx)
		}
		err = s.attempt(ctx, write, fn)
	}
	return err
}

// attempt runs fn in one transaction. The transaction is over when it returns,
// even if fn panics.
func (s *Store) attempt(ctx context.Context, write bool, fn func(*Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t, err := s.engine.begin(ctx, write)
	if err != nil {
		return err
	}
	open := true
	defer func() {
		if open {
			t.rollback()
		}
	}()
	tx := &Tx{ctx: ctx, session: t, engine: s.engine, write: write}
	if err := fn(tx); err != nil {
		return err
	}
	if tx.failed != nil { // fn let an error pass, but the transaction is broken
		return tx.failed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	open = false
	return t.commit()
}

// pause sleeps for up to d, at random, so that processes that wait for each other
// do not keep in step. It returns false when ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(rand.N(d))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// gaveUp is the error of a wait that ended: the caller's own, or ErrBusy.
func gaveUp(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return ErrBusy
}
