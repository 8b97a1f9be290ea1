package store_test

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/store"
	"x509ctl/pkg/store/storetest"
)

// The two dialects tell one history.
func TestMigrationsAreOneHistory(t *testing.T) {
	names := func(folder string) (all []string) {
		files, err := fs.ReadDir(store.Migrations, "migrations/"+folder)
		must(t, err)
		for _, f := range files {
			all = append(all, f.Name())
		}
		return all
	}
	wantEqual(t, "migrations", names("postgres"), names("sqlite"))
	last := names("sqlite")[len(names("sqlite"))-1]
	if !strings.HasPrefix(last, fmt.Sprintf("%05d_", store.SchemaVersion)) {
		t.Errorf("the latest migration is %s, the schema's version %d", last, store.SchemaVersion)
	}
}

// columns returns "table.column" of all tables.
func columns(t *testing.T, s *storetest.Store, query string) (all []string) {
	t.Helper()
	rows, err := s.DB.Query(query)
	must(t, err)
	defer rows.Close()
	for rows.Next() {
		var name string
		must(t, rows.Scan(&name))
		all = append(all, name)
	}
	must(t, rows.Err())
	slices.Sort(all)
	return all
}

func TestSchemasHaveTheSameColumns(t *testing.T) {
	b := storetest.PostgreSQL(t)
	want := columns(t, b.Open(t, store.Options{}), `
SELECT table_name || '.' || column_name FROM information_schema.columns WHERE table_schema = 'public'`)
	db := rawSQLite(t, storetest.SQLite(t).Path())
	got := columns(t, &storetest.Store{DB: db}, `
SELECT m.name || '.' || c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c
 WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite\_%' ESCAPE '\'`)
	wantEqual(t, "SQLite's columns", got, want)
	// Names are in the order of their bytes on both.
	collations := columns(t, b.Open(t, store.Options{}), `
SELECT table_name || '.' || column_name || ' ' || coalesce(collation_name, 'default') FROM information_schema.columns
 WHERE table_schema = 'public' AND (column_name IN ('authority', 'node') OR table_name LIKE '%_names' AND column_name = 'name')`)
	for _, c := range collations {
		if !strings.HasSuffix(c, " C") {
			t.Errorf("collation of %s", c)
		}
	}
	if len(collations) < 7 {
		t.Errorf("only %d collations found", len(collations))
	}
}

// at makes a database with the schema of version and returns its address.
func at(t *testing.T, name string, version int64) string {
	t.Helper()
	if name == "sqlite" {
		path := filepath.Join(t.TempDir(), "x509ctl.db")
		must(t, store.CreateSQLiteAt(t.Context(), path, version))
		return "sqlite:" + path
	}
	address := storetest.EmptyPostgreSQL(t)
	p, err := storetest.OpenPool(address)
	must(t, err)
	defer p.DB.Close()
	must(t, store.MigratePostgreSQLTo(t.Context(), p.DB, version))
	return address
}

func TestOlderSchema(t *testing.T) {
	for _, name := range []string{"sqlite", "postgres"} {
		for version := int64(1); version < store.SchemaVersion; version++ {
			t.Run(fmt.Sprint(name, version), func(t *testing.T) { testOlderSchema(t, at(t, name, version), version) })
		}
	}
	t.Run("postgres0", func(t *testing.T) { testOlderSchema(t, storetest.EmptyPostgreSQL(t), 0) })
}

func testOlderSchema(t *testing.T, address string, version int64) {
	_, err := storetest.Open(t.Context(), address, store.Options{})
	wantIs(t, "opening", err, store.ErrOldSchema)
	wantKind(t, "opening", err, fault.Unavailable)

	s, err := storetest.Open(t.Context(), address, store.Options{AnySchema: true})
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	have, want, err := s.Schema(t.Context())
	must(t, err)
	wantEqual(t, "versions", []int64{have, want}, []int64{version, store.SchemaVersion})
	wantIs(t, "reading", s.Read(t.Context(), count), store.ErrOldSchema)
	wantIs(t, "writing", s.Write(t.Context(), count), store.ErrOldSchema)

	must(t, s.Migrate(t.Context()))
	must(t, s.Migrate(t.Context())) // again, to no effect
	fill(t, withAuthority(t, s), 1, 40)

	s, err = storetest.Open(t.Context(), address, store.Options{Migrate: true})
	must(t, err)
	defer s.Close()
	wantEqual(t, "certificates", len(list(t, s, store.CertificateFilter{Authority: store.Cluster})), 40)
}

func TestNewerSchema(t *testing.T) {
	storetest.Each(t, func(t *testing.T, b storetest.Backend) {
		s := withAuthority(t, b.Open(t, store.Options{}))
		newer := fmt.Sprintf(`INSERT INTO schema_versions (version_id, is_applied) VALUES (%d, '1')`, store.SchemaVersion+1)
		db := s.DB
		if db == nil {
			db = rawSQLite(t, b.Path())
		}
		_, err := db.Exec(newer)
		must(t, err)
		for _, o := range []store.Options{{}, {Migrate: true}} {
			_, err := storetest.Open(t.Context(), b.Address, o)
			wantIs(t, "opening", err, store.ErrNewSchema)
			wantKind(t, "opening", err, fault.Unavailable)
		}
		// A program that was there before stops working on it, too.
		wantIs(t, "writing", s.Write(t.Context(), count), store.ErrNewSchema)
		wantIs(t, "reading", s.Read(t.Context(), func(*store.Tx) error { return nil }), store.ErrNewSchema)
		wantIs(t, "migrating", s.Migrate(t.Context()), store.ErrNewSchema)
		any := b.Open(t, store.Options{AnySchema: true})
		have, _, err := any.Schema(t.Context())
		must(t, err)
		wantEqual(t, "version", have, store.SchemaVersion+1)
	})
}

func init() {
	helpers["migrate"] = func(args []string) error {
		s, err := storetest.Open(context.Background(), args[0], store.Options{Migrate: true})
		if err != nil {
			return err
		}
		return s.Close()
	}
}

// Sixteen processes find an older schema at once.
func TestMigrateTogether(t *testing.T) {
	for _, name := range []string{"sqlite", "postgres"} {
		t.Run(name, func(t *testing.T) {
			address := at(t, name, 1)
			var running []*process
			for range 16 {
				running = append(running, start(t, "migrate", address))
			}
			for _, p := range running {
				if err := p.wait(); err != nil {
					t.Error(err)
				}
			}
			s, err := storetest.Open(t.Context(), address, store.Options{})
			must(t, err)
			must(t, s.Close())
		})
	}
	t.Run("empty", func(t *testing.T) {
		address := storetest.EmptyPostgreSQL(t)
		var running []*process
		for range 16 {
			running = append(running, start(t, "migrate", address))
		}
		for _, p := range running {
			if err := p.wait(); err != nil {
				t.Error(err)
			}
		}
	})
}

// A migration that is cut leaves the old schema.
func TestMigrateAllOrNothing(t *testing.T) {
	address := at(t, "sqlite", 1)
	path := strings.TrimPrefix(address, "sqlite:")
	db := rawSQLite(t, path)
	_, err := db.Exec(`CREATE TABLE audit (x)`) // in the way of migration 3, not of 2
	must(t, err)
	must(t, db.Close())
	_, err = storetest.Open(t.Context(), address, store.Options{Migrate: true})
	if err == nil {
		t.Fatal("the migration went well")
	}
	s, err := storetest.Open(t.Context(), address, store.Options{AnySchema: true})
	must(t, err)
	have, _, err := s.Schema(t.Context())
	must(t, err)
	wantEqual(t, "version", have, 1)
	must(t, s.Close())
	wantEqual(t, "files", names(t, filepath.Dir(path)), []string{"x509ctl.db", "x509ctl.db-shm", "x509ctl.db-wal"})
}
