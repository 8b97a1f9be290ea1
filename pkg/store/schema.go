package store

import (
	"context"
	"database/sql"
	"embed"
	"io/fs"

	"github.com/pressly/goose/v3"
)

// schemaVersion is the number of the latest migration.
const schemaVersion = 12

// The history of the schema: the same versions in both dialects.
//
//go:embed migrations
var migrations embed.FS

// versionTable is where goose notes the migrations that a database has seen.
const versionTable = "schema_versions"

const selectVersion = `SELECT max(version_id) FROM ` + versionTable

// checkVersion returns a SchemaError unless the version is this program's.
func checkVersion(have int64) error {
	if have == schemaVersion {
		return nil
	}
	return &SchemaError{Have: have, Want: schemaVersion}
}

// migrateTo runs the migrations up to version that db has not seen.
func migrateTo(ctx context.Context, db *sql.DB, dialect goose.Dialect, folder string, version int64) error {
	files, err := fs.Sub(migrations, "migrations/"+folder)
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(dialect, db, files,
		goose.WithTableName(versionTable), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	_, err = p.UpTo(ctx, version)
	return err
}
