package store_test

import (
	"database/sql"
	"testing"
	"time"

	"x509ctl/pkg/store"
	"x509ctl/pkg/store/storetest"
)

// Whoever recovers a log, or empties one, has the whole file for himself for a
// while. Who comes meanwhile waits for as long as Options.Wait.
func TestOpenWaits(t *testing.T) {
	b := storetest.SQLite(t)
	must(t, b.Open(t, store.Options{}).Close())
	db, err := sql.Open("sqlite", "file:"+b.Path()+"?_pragma=locking_mode(EXCLUSIVE)")
	must(t, err)
	db.SetMaxOpenConns(1)
	_, err = db.Exec("BEGIN EXCLUSIVE")
	must(t, err)

	_, err = store.OpenSQLite(t.Context(), b.Path(), store.Options{Wait: 100 * time.Millisecond})
	wantIs(t, "opening what another one keeps", err, store.ErrBusy)
	time.AfterFunc(300*time.Millisecond, func() { _ = db.Close() })
	s, err := store.OpenSQLite(t.Context(), b.Path(), store.Options{Wait: 10 * time.Second})
	must(t, err)
	must(t, s.Close())
}
