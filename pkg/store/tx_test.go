package store_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/serial"
	"x509ctl/pkg/store"
	"x509ctl/pkg/store/storetest"
)

func setting(t testing.TB, s *storetest.Store, name string) (value string) {
	t.Helper()
	read(t, s, func(tx *store.Tx) (err error) {
		value, err = tx.Setting(name)
		if fault.KindOf(err) == fault.NotFound {
			value, err = "(none)", nil
		}
		return err
	})
	return value
}

// What fn wrote stays only when all of it went well.
func TestWriteAllOrNothing(t *testing.T) {
	each(t, func(t *testing.T, s *storetest.Store) {
		mine := errors.New("mine")
		err := s.Write(t.Context(), func(tx *store.Tx) error {
			must(t, tx.PutSetting("a", "1"))
			return mine
		})
		wantIs(t, "fn's error", err, mine)
		wantEqual(t, "after fn's error", setting(t, s, "a"), "(none)")

		err = s.Write(t.Context(), func(tx *store.Tx) error {
			must(t, tx.PutSetting("a", "1"))
			wantKind(t, "refused text", tx.PutSetting("b", "\x00"), fault.Malformed)
			return nil
		})
		wantKind(t, "a method's error that fn drops", err, fault.Malformed)
		wantEqual(t, "after a method's error", setting(t, s, "a"), "(none)")

		func() {
			defer func() { wantEqual(t, "panic", recover(), any("mine")) }()
			_ = s.Write(t.Context(), func(tx *store.Tx) error {
				must(t, tx.PutSetting("a", "1"))
				panic("mine")
			})
		}()
		wantEqual(t, "after a panic", setting(t, s, "a"), "(none)")

		ctx, cancel := context.WithCancel(t.Context())
		err = s.Write(ctx, func(tx *store.Tx) error {
			must(t, tx.PutSetting("a", "1"))
			cancel()
			return nil
		})
		wantIs(t, "interrupted before the commit", err, context.Canceled)
		wantEqual(t, "after an interruption", setting(t, s, "a"), "(none)")
		err = s.Write(ctx, func(*store.Tx) error { t.Error("fn was called"); return nil })
		wantIs(t, "interrupted before the start", err, context.Canceled)

		write(t, s, func(tx *store.Tx) error { return tx.PutSetting("a", "1") })
		wantEqual(t, "after a commit", setting(t, s, "a"), "1")
	})
}

func TestReadDoesNotWrite(t *testing.T) {
	each(t, func(t *testing.T, s *storetest.Store) {
		for what, call := range map[string]func(tx *store.Tx) error{
			"PutSetting":    func(tx *store.Tx) error { return tx.PutSetting("a", "1") },
			"DeleteSetting": func(tx *store.Tx) error { return tx.DeleteSetting("a") },
			"PutAuthority":  func(tx *store.Tx) error { return tx.PutAuthority(store.Authority{ID: "x"}) },
			"SetCounter":    func(tx *store.Tx) error { return tx.SetCounter(store.Cluster, serial.Row{}) },
			"AddNode":       func(tx *store.Tx) error { return tx.AddNode(store.Cluster, store.Node{Name: "x"}) },
			"RemoveNode": func(tx *store.Tx) error {
				_, err := tx.RemoveNode(store.Cluster, "node00001.example.com")
				return err
			},
			"InsertCertificates": func(tx *store.Tx) error { return tx.InsertCertificates([]store.Certificate{sample(1)}) },
			"Audit":              func(tx *store.Tx) error { return tx.Audit(store.AuditEntry{}) },
		} {
			err := s.Read(t.Context(), func(tx *store.Tx) error {
				if call(tx) == nil {
					t.Errorf("%s in a transaction that only reads", what)
				}
				return nil
			})
			wantKind(t, what, err, fault.Internal)
		}
	})
}

func TestTimeline(t *testing.T) {
	storetest.Each(t, func(t *testing.T, b storetest.Backend) {
		want := map[string]uint32{"sqlite": 0, "postgres": 1}[b.Name]
		s := b.Open(t, store.Options{})
		timeline := func(tx *store.Tx) error {
			n, err := tx.Timeline()
			wantEqual(t, "timeline", n, want)
			return err
		}
		read(t, s, timeline)
		write(t, s, timeline)
	})
}

// A Read sees one state, whatever is written meanwhile.
func TestReadSeesOneState(t *testing.T) {
	storetest.Each(t, func(t *testing.T, b storetest.Backend) {
		s, other := withAuthority(t, b.Open(t, store.Options{})), b.Open(t, store.Options{})
		fill(t, s, 1, 500)
		n := 0
		read(t, s, func(tx *store.Tx) error {
			f := store.CertificateFilter{Authority: store.Cluster}
			return tx.Certificates(f, func(store.Certificate) error {
				if n++; n == 1 {
					fill(t, other, 501, 500)
				}
				return nil
			})
		})
		wantEqual(t, "certificates seen", n, 500)
		wantEqual(t, "certificates there", len(list(t, s, store.CertificateFilter{Authority: store.Cluster})), 1000)
	})
}

// Transactions that change an authority are one at a time, within a process and
// between Stores.
func TestWritesTakeTurns(t *testing.T) {
	storetest.Each(t, func(t *testing.T, b storetest.Backend) {
		const each = 25
		stores := []*storetest.Store{withAuthority(t, b.Open(t, store.Options{})), b.Open(t, store.Options{}), b.Open(t, store.Options{})}
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() {
				for range each {
					if err := stores[i%len(stores)].Write(t.Context(), count); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		read(t, stores[0], func(tx *store.Tx) error {
			a, err := tx.Authority(store.Cluster)
			wantEqual(t, "the counter", a.Counter.Reserved, 6*each)
			return err
		})
	})
}

// count takes the next number.
func count(tx *store.Tx) error {
	a, err := tx.Authority(store.Cluster)
	if err != nil {
		return err
	}
	a.Counter.Reserved++
	return tx.SetCounter(store.Cluster, a.Counter)
}

// Whoever waits too long is told that the database is busy, and by no other error.
func TestWaitIsBounded(t *testing.T) {
	storetest.Each(t, func(t *testing.T, b storetest.Backend) {
		s, hasty := withAuthority(t, b.Open(t, store.Options{})), b.Open(t, store.Options{Wait: 200 * time.Millisecond})
		write(t, s, func(*store.Tx) error { return nil })
		write(t, s, func(tx *store.Tx) error {
			if _, err := tx.Authority(store.Cluster); err != nil {
				return err
			}
			start := time.Now()
			wantIs(t, "another Store", hasty.Write(t.Context(), count), store.ErrBusy)
			if waited := time.Since(start); waited < 190*time.Millisecond || waited > 10*time.Second {
				t.Errorf("waited for %v", waited)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			err := hasty.Write(ctx, count)
			wantIs(t, "a caller in a hurry", err, context.DeadlineExceeded)
			read(t, hasty, func(tx *store.Tx) error { // reading doesn't wait
				_, err := tx.Authority(store.Cluster)
				return err
			})
			return nil
		})
		write(t, hasty, count)
	})
}

func TestErrorsNameNoLock(t *testing.T) {
	if s := store.ErrBusy.Error(); strings.Contains(s, "lock") || strings.Contains(s, "SQLITE") {
		t.Error(s)
	}
}
