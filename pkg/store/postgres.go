package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/pressly/goose/v3"

	"x509ctl/pkg/fault"
)

// PostgreSQL is a database server as [OpenPostgreSQL] takes it. Both fields are
// required.
type PostgreSQL struct {
	// DB is a pool of at least two connections. The Store does not close it.
	DB *sql.DB
	// Warnings returns, and forgets, the warnings that the server has sent on
	// driverConn (as [sql.Conn.Raw] gives it) since the last call. A server
	// reports by a warning that a commit has reached no standby.
	Warnings func(driverConn any) []string
}

// migrationLock is the advisory lock around migrations, "x509ctl" in ASCII.
const migrationLock = 0x783530_3963746c

type postgres struct {
	PostgreSQL
	wait  time.Duration // Options.Wait
	texts sync.Map      // statements by their text with question marks
}

// OpenPostgreSQL takes a PostgreSQL database.
// Errors: [ErrOldSchema], for an empty database too; [ErrNewSchema];
// [fault.Unavailable] for a server that can't be reached.
func OpenPostgreSQL(ctx context.Context, p PostgreSQL, o Options) (*Store, error) {
	if p.DB == nil || p.Warnings == nil {
		return nil, errors.New("opening PostgreSQL without a pool, or without a way to see warnings")
	}
	s, err := open(ctx, &postgres{PostgreSQL: p, wait: o.wait()}, o)
	if err != nil {
		return nil, fmt.Errorf("opening the PostgreSQL database: %w", err)
	}
	return s, nil
}

func (e *postgres) close() error { return nil }

func (e *postgres) snapshot(context.Context, string) error {
	return fault.New(fault.Denied, "a PostgreSQL database is copied with its own tools, such as pg_dump")
}

func (e *postgres) quickCheck(context.Context) error {
	return fault.New(fault.Denied, "a PostgreSQL database is checked with its own tools, such as pg_amcheck")
}

func (e *postgres) schema(ctx context.Context) (int64, error) {
	return e.version(e.DB.QueryRowContext(ctx, selectVersion))
}

// version scans the answer to a query for the schema's version.
func (e *postgres) version(r *sql.Row, more ...any) (int64, error) {
	var have sql.NullInt64
	err := r.Scan(append([]any{&have}, more...)...)
	if sqlState(err) == "42P01" { // undefined_table
		return 0, nil
	}
	return have.Int64, e.sort(err)
}

// migrate holds an advisory lock on a connection of its own while goose works.
func (e *postgres) migrate(ctx context.Context) (err error) {
	if e.DB.Stats().MaxOpenConnections == 1 {
		return errors.New("migrating needs a pool of two connections")
	}
	conn, err := e.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	waiting, cancel := context.WithTimeout(ctx, e.wait)
	defer cancel()
	if _, err := conn.ExecContext(waiting, "SELECT pg_advisory_lock($1)", int64(migrationLock)); err != nil {
		if waiting.Err() != nil {
			return gaveUp(ctx)
		}
		return e.sort(err)
	}
	defer func() {
		_, unlock := conn.ExecContext(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock($1)", int64(migrationLock))
		err = errors.Join(err, unlock)
	}()
	if err := migrateTo(ctx, e.DB, goose.DialectPostgres, "postgres", schemaVersion); err != nil {
		return fmt.Errorf("migrating the database: %w", e.sort(err))
	}
	return nil
}

func (e *postgres) connect(ctx context.Context) (*sql.Conn, error) {
	waiting, cancel := context.WithTimeout(ctx, e.wait)
	defer cancel()
	conn, err := e.DB.Conn(waiting)
	if err == nil {
		return conn, nil
	}
	if waiting.Err() != nil {
		return nil, gaveUp(ctx)
	}
	return nil, e.unreachable(err)
}

func (e *postgres) begin(ctx context.Context, write bool) (session, error) {
	conn, err := e.connect(ctx)
	if err != nil {
		return nil, err
	}
	s := &postgresSession{postgres: e, ctx: ctx, conn: conn, write: write}
	if err := s.begin(); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return s, nil
}

// sort gives an error of a statement its kind.
func (e *postgres) sort(err error) error {
	state := sqlState(err)
	switch state {
	case "40001", "40P01": // serialization_failure, deadlock_detected
		return errAgain
	case "55P03": // lock_not_available
		return ErrBusy
	case "23505": // unique_violation
		return fault.Errorf(fault.Exists, "recorded already: %w", err)
	case "25006": // read_only_sql_transaction
		return fault.Errorf(fault.Unavailable, "the server is a standby, or read-only: %w", err)
	case "":
		if lost(err) {
			return e.unreachable(err)
		}
		return err
	}
	switch state[:2] {
	// connection exception, invalid authorization, no such database,
	// insufficient resources, operator intervention, system error
	case "08", "28", "3D", "53", "57", "58":
		return e.unreachable(err)
	}
	return err
}

// lost says whether err is the connection's rather than the statement's.
func lost(err error) bool {
	var errno syscall.Errno
	var network interface {
		Timeout() bool
		Temporary() bool
	}
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.As(err, &errno) || errors.As(err, &network)
}

func (e *postgres) unreachable(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fault.Errorf(fault.Unavailable, "the database server can't be used: %w", err)
}

// numbered returns query with $1, $2 … for its question marks. No statement of this
// package has one elsewhere.
func (e *postgres) numbered(query string) string {
	if t, ok := e.texts.Load(query); ok {
		return t.(string)
	}
	var b strings.Builder
	parts := strings.Split(query, "?")
	for i, p := range parts[:len(parts)-1] {
		b.WriteString(p)
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(i + 1))
	}
	b.WriteString(parts[len(parts)-1])
	e.texts.Store(query, b.String())
	return b.String()
}

// A postgresSession is a transaction on a connection taken from the pool.
type postgresSession struct {
	*postgres
	ctx   context.Context
	conn  *sql.Conn
	tx    *sql.Tx
	write bool
}

// writing is what a transaction that writes begins with, beside the version of the
// schema. A synchronous_commit of the server's, the role's or the connection's
// settings could be one that loses commits.
const writing = `
SELECT (` + selectVersion + `),
       set_config('synchronous_commit', 'on', true),
       set_config('lock_timeout', $1, true)`

func (s *postgresSession) begin() error {
	o := sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
	if s.write {
		o = sql.TxOptions{Isolation: sql.LevelReadCommitted}
	}
	tx, err := s.conn.BeginTx(s.ctx, &o)
	if err != nil {
		return s.unreachable(err)
	}
	s.tx = tx
	var have int64
	if s.write {
		var set [2]string
		timeout := strconv.FormatInt(max(s.wait.Milliseconds(), 1), 10)
		have, err = s.version(tx.QueryRowContext(s.ctx, writing, timeout), &set[0], &set[1])
	} else {
		have, err = s.version(tx.QueryRowContext(s.ctx, selectVersion))
	}
	if err == nil {
		err = checkVersion(have)
	}
	if err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return nil
}

func (s *postgresSession) exec(query string, args ...any) (sql.Result, error) {
	return s.tx.ExecContext(s.ctx, s.numbered(query), args...)
}

func (s *postgresSession) query(query string, args ...any) (*sql.Rows, error) {
	return s.tx.QueryContext(s.ctx, s.numbered(query), args...)
}

func (s *postgresSession) forUpdate() string {
	if s.write {
		return " FOR UPDATE"
	}
	return ""
}

// timeline reads the number from the name of the file that the server writes its
// log to: its first eight hexadecimal digits.
func (s *postgresSession) timeline() (uint32, error) {
	var name sql.NullString
	err := s.tx.QueryRowContext(s.ctx,
		`SELECT CASE WHEN NOT pg_is_in_recovery() THEN pg_walfile_name(pg_current_wal_lsn()) END`).Scan(&name)
	if err != nil {
		return 0, err
	}
	if !name.Valid {
		return 0, fault.New(fault.Unavailable, "the server is a standby: no certificate can be issued with it")
	}
	if len(name.String) < 8 {
		return 0, fmt.Errorf("the server's log file has an unexpected name: %q", name.String)
	}
	n, err := strconv.ParseUint(name.String[:8], 16, 32)
	return uint32(n), err
}

func (s *postgresSession) commit() error {
	defer func() { _ = s.conn.Close() }() // back to the pool
	s.warnings()                          // of the statements before
	err := s.tx.Commit()
	if !s.write {
		return s.sort(err)
	}
	if err != nil {
		return s.uncommitted(err)
	}
	if w := s.warnings(); len(w) > 0 {
		return fmt.Errorf("%w: %q", ErrUncertain, w)
	}
	return nil
}

// uncommitted tells a COMMIT that was refused from one that nobody knows of.
func (s *postgresSession) uncommitted(err error) error {
	sorted := s.sort(err)
	state := sqlState(err)
	if state == "" || strings.HasPrefix(state, "08") || strings.HasPrefix(state, "57") {
		return fmt.Errorf("%w: %w", ErrUncertain, err)
	}
	return sorted
}

// warnings takes what the server has warned of. A connection that can't be asked
// counts as one that warned.
func (s *postgresSession) warnings() (list []string) {
	err := s.conn.Raw(func(c any) error {
		list = s.Warnings(c)
		return nil
	})
	if err != nil {
		return []string{err.Error()}
	}
	return list
}

func (s *postgresSession) rollback() {
	_ = s.tx.Rollback() // the server rolls back what is not committed
	_ = s.conn.Close()
}
