package store_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/store"
	"x509ctl/pkg/store/storetest"
)

// openOn opens a new database on a server of the test's own.
func openOn(t *testing.T, server *storetest.Server) *storetest.Store {
	t.Helper()
	b := storetest.Backend{Name: "postgres", Address: server.NewDatabase(t)}
	return withAuthority(t, b.Open(t, store.Options{Migrate: true}))
}

func TestOpenPostgreSQLRefuses(t *testing.T) {
	p, err := storetest.OpenPool(storetest.EmptyPostgreSQL(t))
	must(t, err)
	defer p.DB.Close()
	for what, p := range map[string]store.PostgreSQL{"nothing": {}, "no pool": {Warnings: p.Warnings}, "no way to see warnings": {DB: p.DB}} {
		if _, err := store.OpenPostgreSQL(t.Context(), p, store.Options{}); err == nil {
			t.Error("opened with", what)
		}
	}
	for what, address := range map[string]string{
		"no server":   "host=" + t.TempDir() + " user=postgres",
		"no database": strings.Replace(storetest.EmptyPostgreSQL(t), "dbname=", "dbname=none", 1),
		"no user":     strings.Replace(storetest.EmptyPostgreSQL(t), "user=postgres", "user=none", 1),
	} {
		_, err := storetest.Open(t.Context(), address, store.Options{Migrate: true})
		wantKind(t, what, err, fault.Unavailable)
	}
}

// A transaction is as durable as it can be, whatever the server's settings say.
func TestPostgreSQLIsDurable(t *testing.T) {
	b := storetest.PostgreSQL(t)
	b.Address += " synchronous_commit=off lock_timeout=1"
	s := withAuthority(t, b.Open(t, store.Options{Wait: 20 * time.Second}))
	for _, want := range []string{"on", "off"} {
		do := s.Write
		if want == "off" { // nothing is committed in a Read
			do = s.Read
		}
		must(t, do(t.Context(), func(tx *store.Tx) error {
			got, err := tx.Value("SHOW synchronous_commit")
			wantEqual(t, "synchronous_commit", got, want)
			return err
		}))
	}
	write(t, s, func(tx *store.Tx) error {
		got, err := tx.Value("SHOW lock_timeout")
		wantEqual(t, "lock_timeout", got, "20s")
		return err
	})
}

// A commit that was not confirmed by the standby is no commit for the caller.
func TestPostgreSQLWarnsAtCommit(t *testing.T) {
	server := storetest.NewServer(t)
	s := openOn(t, server)
	write(t, s, func(tx *store.Tx) error { return tx.PutSetting("before", "1") })
	server.Exec(t, "postgres", "ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
	server.Exec(t, "postgres", "SELECT pg_reload_conf()")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { // the operator who cancels what hangs
		for {
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
				server.Exec(t, "postgres", "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
			}
		}
	})
	var err error
	for range 100 { // until the server has read the setting
		err = s.Write(t.Context(), func(tx *store.Tx) error { return tx.PutSetting("during", "1") })
		if err != nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	close(stop)
	wg.Wait()
	wantIs(t, "a commit whose wait was cancelled", err, store.ErrUncertain)
	wantKind(t, "a commit whose wait was cancelled", err, fault.Unavailable)
	wantEqual(t, "what it wrote", setting(t, s, "during"), "1") // on this server, alone

	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	err = s.Write(ctx, func(tx *store.Tx) error { return tx.PutSetting("after", "1") })
	if err == nil {
		t.Error("a commit that no standby has confirmed went well")
	}
	server.Exec(t, "postgres", "ALTER SYSTEM RESET synchronous_standby_names")
	server.Exec(t, "postgres", "SELECT pg_reload_conf()")
	// A warning of a statement is not one of the commit.
	write(t, s, func(tx *store.Tx) error {
		must(t, tx.Exec("DO $$ BEGIN RAISE WARNING 'a statement''s'; END $$"))
		return tx.PutSetting("warned", "1")
	})
}

// A server that goes away is unavailable; one that goes away during COMMIT leaves
// the caller in doubt.
func TestPostgreSQLGoesAway(t *testing.T) {
	server := storetest.NewServer(t)
	s := openOn(t, server)
	pid := func(tx *store.Tx) string {
		id, err := tx.Value("SELECT pg_backend_pid()::text")
		must(t, err)
		return id
	}
	err := s.Write(t.Context(), func(tx *store.Tx) error {
		server.Exec(t, "postgres", "SELECT pg_terminate_backend("+pid(tx)+")")
		return nil // the next statement is COMMIT
	})
	wantIs(t, "ended before COMMIT", err, store.ErrUncertain)

	err = s.Write(t.Context(), func(tx *store.Tx) error {
		server.Exec(t, "postgres", "SELECT pg_terminate_backend("+pid(tx)+")")
		return tx.PutSetting("a", "1")
	})
	wantKind(t, "ended before a statement", err, fault.Unavailable)
	if errors.Is(err, store.ErrUncertain) {
		t.Error("in doubt about a transaction that never came to COMMIT")
	}
	write(t, s, func(tx *store.Tx) error { return tx.PutSetting("a", "1") }) // on another connection

	server.Kill()
	wantKind(t, "no server: writing", s.Write(t.Context(), count), fault.Unavailable)
	wantKind(t, "no server: reading", s.Read(t.Context(), count), fault.Unavailable)
	_, _, err = s.Schema(t.Context())
	wantKind(t, "no server: schema", err, fault.Unavailable)
}

// A constraint that is checked at COMMIT refuses it for certain.
func TestPostgreSQLRefusesAtCommit(t *testing.T) {
	s := withAuthority(t, storetest.PostgreSQL(t).Open(t, store.Options{}))
	write(t, s, func(tx *store.Tx) error {
		return tx.Exec("CREATE TABLE late (x INTEGER UNIQUE DEFERRABLE INITIALLY DEFERRED)")
	})
	err := s.Write(t.Context(), func(tx *store.Tx) error { return tx.Exec("INSERT INTO late VALUES (1), (1)") })
	wantKind(t, "COMMIT", err, fault.Exists)
}

// Transactions that the server asks to repeat are repeated.
func TestPostgreSQLRepeats(t *testing.T) {
	s := withAuthority(t, storetest.PostgreSQL(t).Open(t, store.Options{}))
	write(t, s, func(tx *store.Tx) error {
		must(t, tx.PutSetting("a", "0"))
		return tx.PutSetting("b", "0")
	})
	// Two that take two rows in opposite orders: a deadlock, but for the repetition.
	var wg sync.WaitGroup
	for _, order := range [][2]string{{"a", "b"}, {"b", "a"}} {
		wg.Go(func() {
			for range 5 {
				err := s.Write(t.Context(), func(tx *store.Tx) error {
					must(t, tx.Exec("SET LOCAL deadlock_timeout = '10ms'"))
					if err := tx.PutSetting(order[0], "1"); err != nil {
						return err
					}
					time.Sleep(20 * time.Millisecond)
					return tx.PutSetting(order[1], "1")
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()

	runs := 0
	for _, state := range []string{"40001", "40P01"} {
		runs = 0
		write(t, s, func(tx *store.Tx) error {
			if runs++; runs < 3 {
				return tx.Exec("DO $$ BEGIN RAISE 'again' USING ERRCODE = '" + state + "'; END $$")
			}
			return nil
		})
		wantEqual(t, "runs after "+state, runs, 3)
	}
}

func TestPostgreSQLStandby(t *testing.T) {
	primary := storetest.NewServer(t, "wal_level=replica")
	s := openOn(t, primary)
	timeline := func(s *storetest.Store) (n uint32, err error) {
		err = s.Read(t.Context(), func(tx *store.Tx) (err error) {
			n, err = tx.Timeline()
			return err
		})
		return n, err
	}
	n, err := timeline(s)
	must(t, err)
	wantEqual(t, "the first timeline", n, 1)

	standby := primary.NewStandby(t)
	there := storetest.Backend{Name: "postgres", Address: standby.Address("test1")}.Open(t, store.Options{})
	_, err = timeline(there)
	wantKind(t, "the timeline of a standby", err, fault.Unavailable)
	read(t, there, func(tx *store.Tx) error {
		_, err := tx.Authority(store.Cluster)
		return err
	})
	wantKind(t, "writing to a standby", there.Write(t.Context(), count), fault.Unavailable)

	standby.Promote(t)
	n, err = timeline(there)
	must(t, err)
	wantEqual(t, "the timeline after promotion", n, 2)
	write(t, there, count)
}

func TestPostgreSQLPoolIsFull(t *testing.T) {
	b := storetest.PostgreSQL(t)
	s := withAuthority(t, b.Open(t, store.Options{Wait: 200 * time.Millisecond}))
	s.DB.SetMaxOpenConns(1)
	write(t, s, func(tx *store.Tx) error {
		wantIs(t, "another transaction", s.Read(t.Context(), func(*store.Tx) error { return nil }), store.ErrBusy)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		err := s.Read(ctx, func(*store.Tx) error { return nil })
		wantIs(t, "one in a hurry", err, context.DeadlineExceeded)
		return nil
	})
	address := storetest.EmptyPostgreSQL(t)
	p, err := storetest.OpenPool(address)
	must(t, err)
	defer p.DB.Close()
	p.DB.SetMaxOpenConns(1)
	if _, err := store.OpenPostgreSQL(t.Context(), p, store.Options{Migrate: true}); err == nil {
		t.Error("migrated with one connection")
	}
	wantEqual(t, "connections in use", p.DB.Stats().InUse, 0)
}

// No connection stays behind a transaction, however it ends.
func TestPostgreSQLGivesConnectionsBack(t *testing.T) {
	s := withAuthority(t, storetest.PostgreSQL(t).Open(t, store.Options{}))
	_ = s.Write(t.Context(), func(tx *store.Tx) error { return errors.New("mine") })
	_ = s.Write(t.Context(), func(tx *store.Tx) error { return tx.PutSetting("\x00", "") })
	ctx, cancel := context.WithCancel(t.Context())
	_ = s.Write(ctx, func(tx *store.Tx) error { cancel(); return nil })
	_ = s.Write(ctx, func(tx *store.Tx) error { return nil })
	read(t, s, func(*store.Tx) error { return nil })
	wantEqual(t, "connections in use", s.DB.Stats().InUse, 0)
	if _, err := s.DB.Exec("SELECT 1"); err != nil && !errors.Is(err, sql.ErrConnDone) {
		t.Error(err)
	}
	wantKind(t, "a snapshot", s.Snapshot(t.Context(), "x"), fault.Denied)
}
