package store_test

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"reflect"
	"testing"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/store"
	"x509ctl/pkg/store/storetest"
)

// helpers are what this test binary does in other processes: see [helper].
var helpers = map[string]func(args []string) error{}

func TestMain(m *testing.M) {
	if name := os.Getenv("STORE_TEST_HELPER"); name != "" {
		if err := helpers[name](os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, name+":", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(storetest.Main(m))
}

// rawSQLite opens a database past this package.
func rawSQLite(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?mode=rw&_busy_timeout=10000")
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantKind(t testing.TB, what string, err error, kind fault.Kind) {
	t.Helper()
	if err == nil || fault.KindOf(err) != kind {
		t.Errorf("%s: error %v (%v), want %v", what, err, fault.KindOf(err), kind)
	}
}

func wantIs(t testing.TB, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%s: error %v, want %v", what, err, target)
	}
}

func wantEqual[T any](t testing.TB, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

func write(t testing.TB, s *storetest.Store, fn func(tx *store.Tx) error) {
	t.Helper()
	must(t, s.Write(t.Context(), fn))
}

func read(t testing.TB, s *storetest.Store, fn func(tx *store.Tx) error) {
	t.Helper()
	must(t, s.Read(t.Context(), fn))
}

// each runs fn on both databases, with the cluster's authority and one node in them.
func each(t *testing.T, fn func(t *testing.T, s *storetest.Store)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, b storetest.Backend) {
		fn(t, withAuthority(t, b.Open(t, store.Options{})))
	})
}
