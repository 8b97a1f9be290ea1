package store

import (
	"context"
	"database/sql"

	"github.com/pressly/goose/v3"
)

// What the tests of this package need of its inside.

const SchemaVersion = schemaVersion

var (
	Migrations = migrations
	Networks   = networks
)

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
