package store_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"x509ctl/pkg/store"
	"x509ctl/pkg/store/storetest"
)

func entries(t testing.TB, s *storetest.Store, f store.AuditFilter) (all []store.AuditEntry) {
	t.Helper()
	read(t, s, func(tx *store.Tx) error {
		return tx.AuditEntries(f, func(e store.AuditEntry) error { all = append(all, e); return nil })
	})
	return all
}

func TestAudit(t *testing.T) {
	each(t, func(t *testing.T, s *storetest.Store) {
		const n = 1000 // several statements, several pages
		var want []store.AuditEntry
		for i := range n {
			want = append(want, store.AuditEntry{
				ID: 99, Time: epoch.Add(time.Duration(i) * time.Second), Who: "rööt", From: "192.0.2.1:5",
				Action: fmt.Sprintf("action%d", i%10), Object: fmt.Sprint(i), Outcome: "refused", Detail: "<\t\n\u202e>",
			})
		}
		write(t, s, func(tx *store.Tx) error { return tx.Audit(want...) })
		got := entries(t, s, store.AuditFilter{})
		if len(got) != n {
			t.Fatalf("%d entries, want %d", len(got), n)
		}
		for i := range got {
			if i > 0 && got[i].ID <= got[i-1].ID {
				t.Fatalf("entry %d has the ID %d after %d", i, got[i].ID, got[i-1].ID)
			}
			want[i].ID = got[i].ID
		}
		wantEqual(t, "entries", got, want)

		wantEqual(t, "after", entries(t, s, store.AuditFilter{After: want[989].ID}), want[990:])
		wantEqual(t, "since", entries(t, s, store.AuditFilter{Since: want[997].Time}), want[997:])
		wantEqual(t, "action", len(entries(t, s, store.AuditFilter{Action: "action3"})), n/10)
		wantEqual(t, "limit", entries(t, s, store.AuditFilter{After: want[9].ID, Limit: 600}), want[10:610])
		wantEqual(t, "last", entries(t, s, store.AuditFilter{Last: 10}), want[n-10:])
		wantEqual(t, "more than there are", entries(t, s, store.AuditFilter{After: want[989].ID, Last: 2 * n}), want[990:])
		wantEqual(t, "last of an action", len(entries(t, s, store.AuditFilter{Action: "action3", Last: 7})), 7)
		wantEqual(t, "nothing", len(entries(t, s, store.AuditFilter{Action: "none"})), 0)
	})
}

func TestAuditStops(t *testing.T) {
	each(t, func(t *testing.T, s *storetest.Store) {
		write(t, s, func(tx *store.Tx) error { return tx.Audit(make([]store.AuditEntry, 300)...) })
		enough := errors.New("enough")
		n := 0
		err := s.Read(t.Context(), func(tx *store.Tx) error {
			return tx.AuditEntries(store.AuditFilter{}, func(store.AuditEntry) error {
				if n++; n == 280 {
					return enough
				}
				return nil
			})
		})
		wantIs(t, "yield's error", err, enough)
		wantEqual(t, "entries seen", n, 280)
	})
}
