package store

import (
	"context"
	"database/sql"

	"github.com/pressly/goose/v3"
)

// What the tests of this package need of its inside.

const SchemaVersion = schemaVersion

var Migrations = migrations

// PlanToResume returns how SQLite looks for a certificate to resume.
func (tx *Tx) PlanToResume() (plan []string, err error) {
	err = tx.rows("EXPLAIN QUERY PLAN SELECT der FROM certificates"+toResume, []any{"cluster", []byte{1}, "cluster", "node1", 1},
		func(r *sql.Rows) error {
			var id, parent, unused int
			var step string
			err := r.Scan(&id, &parent, &unused, &step)
			plan = append(plan, step)
			return err
		})
	return plan, err
}

// CreateSQLiteAt makes a database with an older schema.
func CreateSQLiteAt(ctx context.Context, path string, version int64) error {
	data, err := newDatabase(ctx, version)
	if err != nil {
		return err
	}
	return create(path, data)
}

// MigratePostgreSQLTo brings a database to an older schema.
func MigratePostgreSQLTo(ctx context.Context, db *sql.DB, version int64) error {
	return migrateTo(ctx, db, goose.DialectPostgres, "postgres", version)
}

// Exec runs a statement that has no parameters.
func (tx *Tx) Exec(statement string) error {
	_, err := tx.exec(statement)
	return err
}

// Value returns the only value of a query that has no parameters.
func (tx *Tx) Value(query string) (value string, err error) {
	err = tx.row(query, nil, &value)
	return value, err
}

// Explained lets fn use tx and returns how SQLite looks for what fn reads: each step of
// each query.
func (tx *Tx) Explained(fn func(*Tx) error) (steps []string, err error) {
	x := *tx
	x.session = &explaining{tx.session, &steps}
	err = fn(&x)
	tx.failed = x.failed
	return steps, err
}

type explaining struct {
	session
	steps *[]string
}

func (e *explaining) query(query string, args ...any) (*sql.Rows, error) {
	rows, err := e.session.query("EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			return nil, err
		}
		*e.steps = append(*e.steps, step)
	}
	if err := rows.Close(); err != nil {
		return nil, err
	}
	return e.session.query(query, args...)
}
