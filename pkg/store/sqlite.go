package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pressly/goose/v3"

	"x509ctl/pkg/fault"
)

// A sqlite is an SQLite database: one connection, which its transactions take
// turns in using, with the statements that it has prepared.
type sqlite struct {
	file *file
	wait time.Duration // Options.Wait
	db   *sql.DB
	conn *sql.Conn

	turn  chan struct{}        // holds one token: the right to use what follows
	stmts map[string]*sql.Stmt // by their text
}

// busyTimeout is how long SQLite itself waits for a lock. It is short, because
// SQLite's pauses grow to a tenth of a second; this package tries again, soon.
const busyTimeout = 20 * time.Millisecond

// OpenSQLite opens the database file at path. It never creates one.
//
// While the Store is open, nothing else in the process may open the file and close
// it again: that would drop SQLite's locks on it (fcntl(2)).
//
// Errors: [fault.NotFound]; [fault.Denied] for a symbolic link, anything else but
// a regular file, and a file on a network file system, where SQLite's locks can't
// be relied on; [fault.Malformed] for a path that is too long; [ErrOldSchema];
// [ErrNewSchema]; [ErrDamaged]; [ErrBusy].
func OpenSQLite(ctx context.Context, path string, o Options) (*Store, error) {
	f, err := openFile(path)
	if err != nil {
		return nil, err
	}
	e := &sqlite{file: f, wait: o.wait(), turn: make(chan struct{}, 1), stmts: make(map[string]*sql.Stmt)}
	e.turn <- struct{}{}
	err = e.patiently(ctx, func() (err error) {
		e.db, e.conn, err = connect(ctx, dataSource(path, busyTimeout))
		return err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening %s: %w", path, e.sort(err)), f.close())
	}
	if err := keepLog(e.conn); err != nil {
		return nil, errors.Join(fmt.Errorf("opening %s: %w", path, err), e.close())
	}
	s, err := open(ctx, e, o)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	return s, nil
}

// dataSource names the database at path to the driver, with these settings:
//
//   - synchronous: what a commit promises, however the driver was compiled
//   - journal_size_limit: what a kept log is cut to at the end, see keepLog
//   - temp_store: an INSERT of many rows notes how to undo it; in a file, that takes
//     a fifth of its time
//
// The cache stays at SQLite's 2,000 KiB: the driver allocates twice as much, and a
// larger one made nothing here faster.
func dataSource(path string, busy time.Duration) string {
	return fmt.Sprintf("file:%s?mode=rw&_busy_timeout=%d&_pragma=synchronous(FULL)&_pragma=journal_size_limit(0)"+
		"&_pragma=temp_store(MEMORY)", escape.Replace(path), busy.Milliseconds())
}

// keepLog makes SQLite empty its log when the last process closes the database, where
// it would remove it and its index. Two files less to make and to remove is a tenth of
// what a run that signs one certificate costs.
func keepLog(conn *sql.Conn) error {
	return conn.Raw(func(c any) error {
		s, ok := c.(interface {
			FileControlPersistWAL(database string, mode int) (int, error)
		})
		if !ok {
			return fault.Errorf(fault.Internal, "the SQLite driver can't keep the log")
		}
		_, err := s.FileControlPersistWAL("main", 1)
		return err
	})
}

// escape makes a path part of a URI (https://www.sqlite.org/uri.html).
var escape = strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23")

// connect opens the one connection of a data source.
func connect(ctx context.Context, source string) (*sql.DB, *sql.Conn, error) {
	db, err := sql.Open("sqlite", source)
	if err != nil {
		return nil, nil, err
	}
	db.SetMaxOpenConns(1)
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return db, conn, nil
}

// take waits until the connection is free.
func (e *sqlite) take(ctx context.Context) error {
	select {
	case <-e.turn:
		return nil
	default:
	}
	waiting, cancel := context.WithTimeout(ctx, e.wait)
	defer cancel()
	select {
	case <-e.turn:
		return nil
	case <-waiting.Done():
		return gaveUp(ctx)
	}
}

func (e *sqlite) give() { e.turn <- struct{}{} }

// patiently calls try until it returns something else than a busy database.
func (e *sqlite) patiently(ctx context.Context, try func() error) error {
	err := try()
	if !isBusy(err) {
		return err
	}
	waiting, cancel := context.WithTimeout(ctx, e.wait)
	defer cancel()
	for isBusy(err) {
		if !pause(waiting, 3*time.Millisecond) {
			return gaveUp(ctx)
		}
		err = try()
	}
	return err
}

func (e *sqlite) begin(ctx context.Context, write bool) (session, error) {
	if err := e.take(ctx); err != nil {
		return nil, err
	}
	s := &sqliteSession{sqlite: e, write: write}
	if err := s.begin(ctx); err != nil {
		e.give()
		return nil, err
	}
	return s, nil
}

func (e *sqlite) schema(ctx context.Context) (have int64, err error) {
	if err := e.take(ctx); err != nil {
		return 0, err
	}
	defer e.give()
	s := &sqliteSession{sqlite: e}
	err = e.patiently(ctx, func() (err error) {
		have, err = s.version()
		return err
	})
	if sqliteCode(err) == sqliteError { // no such table
		err = damaged(err)
	}
	if err != nil {
		return 0, e.sort(err)
	}
	return have, e.file.check()
}

// migrate holds the lock for writing around all migrations, so that they happen
// together or not at all, and once. For that they are marked NO TRANSACTION.
func (e *sqlite) migrate(ctx context.Context) (err error) {
	var db *sql.DB
	var conn *sql.Conn
	err = e.patiently(ctx, func() (err error) {
		db, conn, err = connect(ctx, dataSource(e.file.path, busyTimeout))
		return err
	})
	if err != nil {
		return sortSQLite(err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	err = e.patiently(ctx, func() error {
		_, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE")
		return err
	})
	// goose takes the only connection, with the transaction in it, from the pool.
	if err := errors.Join(err, conn.Close()); err != nil {
		return sortSQLite(err)
	}
	if err := migrateTo(ctx, db, goose.DialectSQLite3, "sqlite", schemaVersion); err != nil {
		return fmt.Errorf("migrating the database: %w", sortSQLite(err))
	}
	_, err = db.ExecContext(ctx, "COMMIT")
	return sortSQLite(err)
}

// sort blames whatever SQLite complains of, but for waiting, on the loss of its file
// when that has happened.
func (e *sqlite) sort(err error) error {
	if sqliteCode(err) == 0 || isBusy(err) {
		return sortSQLite(err)
	}
	if lost := e.file.check(); errors.Is(lost, ErrReplaced) {
		return fmt.Errorf("%w: %w", lost, err)
	}
	return sortSQLite(err)
}

// close closes the statements too: database/sql leaves those of a single connection
// to its user, and SQLite keeps a file open for as long as there is one.
func (e *sqlite) close() error {
	var errs []error
	for _, st := range e.stmts {
		errs = append(errs, st.Close())
	}
	clear(e.stmts)
	return errors.Join(append(errs, e.conn.Close(), e.db.Close(), e.file.close())...)
}

// A sqliteSession is a transaction on the one connection.
//
// Its statements don't see the context of the transaction: they are short, the
// loops around them look at it, and the driver would give up the connection, and
// with it the lock on the file, after interrupting one.
type sqliteSession struct {
	*sqlite
	write bool
}

func (s *sqliteSession) begin(ctx context.Context) error {
	var have int64
	err := s.patiently(ctx, func() (err error) {
		have, err = s.tryBegin()
		return err
	})
	if err != nil {
		return s.sort(err)
	}
	if err := errors.Join(s.file.check(), checkVersion(have)); err != nil {
		_, _ = s.exec("ROLLBACK")
		return err
	}
	return nil
}

// tryBegin begins the transaction, and reads, because only that fixes the state
// which the transaction sees.
func (s *sqliteSession) tryBegin() (version int64, err error) {
	statement := "BEGIN"
	if s.write {
		statement = "BEGIN IMMEDIATE"
	}
	if _, err := s.exec(statement); err != nil {
		return 0, err
	}
	version, err = s.version()
	if err != nil {
		_, _ = s.exec("ROLLBACK")
	}
	return version, err
}

func (s *sqliteSession) version() (have int64, err error) {
	st, err := s.prepared(selectVersion)
	if err != nil {
		return 0, err
	}
	err = st.QueryRowContext(context.Background()).Scan(&have)
	return have, err
}

func (s *sqliteSession) prepared(query string) (*sql.Stmt, error) {
	if st := s.stmts[query]; st != nil {
		return st, nil
	}
	st, err := s.conn.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, err
	}
	s.stmts[query] = st
	return st, nil
}

func (s *sqliteSession) exec(query string, args ...any) (sql.Result, error) {
	st, err := s.prepared(query)
	if err != nil {
		return nil, err
	}
	return st.ExecContext(context.Background(), args...)
}

func (s *sqliteSession) query(query string, args ...any) (*sql.Rows, error) {
	st, err := s.prepared(query)
	if err != nil {
		return nil, err
	}
	return st.QueryContext(context.Background(), args...)
}

func (s *sqliteSession) forUpdate() string { return "" }

func (s *sqliteSession) timeline() (uint32, error) { return 0, nil }

// commit looks at the file once more: what was written to one that lost its name
// meanwhile is lost.
func (s *sqliteSession) commit() error {
	if _, err := s.exec("COMMIT"); err != nil {
		s.rollback()
		return s.sort(err)
	}
	defer s.give()
	if s.write {
		return s.file.check()
	}
	return nil
}

func (s *sqliteSession) rollback() {
	_, _ = s.exec("ROLLBACK") // fails when SQLite has rolled back by itself
	s.give()
}

// CreateSQLite makes a new, empty database at path, mode 0600: whole or not at all.
// Errors: [fault.Exists]; [fault.NotFound] when there is no such directory.
func CreateSQLite(ctx context.Context, path string) error {
	data, err := newDatabase(ctx, schemaVersion)
	if err != nil {
		return fmt.Errorf("making a database: %w", err)
	}
	return create(path, data)
}

// newDatabase returns the file of an empty database with the schema of version. It
// is made in memory, so that no file has to be cleaned up after a crash.
func newDatabase(ctx context.Context, version int64) (data []byte, err error) {
	db, conn, err := connect(ctx, ":memory:")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := conn.Close(); err != nil { // back to the pool, for goose
		return nil, err
	}
	if err := migrateTo(ctx, db, goose.DialectSQLite3, "sqlite", version); err != nil {
		return nil, err
	}
	if conn, err = db.Conn(ctx); err != nil {
		return nil, err
	}
	err = conn.Raw(func(c any) error {
		s, ok := c.(interface{ Serialize() ([]byte, error) })
		if !ok {
			return fault.Errorf(fault.Internal, "the SQLite driver can't serialize a database")
		}
		data, err = s.Serialize()
		return err
	})
	if err == nil {
		setWAL(data)
	}
	return data, errors.Join(err, conn.Close())
}

// setWAL marks a database file as one with a write-ahead log: the two version
// numbers in its header (https://www.sqlite.org/fileformat2.html#file_format_version_numbers).
func setWAL(header []byte) { header[18], header[19] = 2, 2 }
