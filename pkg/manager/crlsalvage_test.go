package manager

import (
	"context"
	"errors"
	"testing"

	"x509ctl/pkg/profile"
	"x509ctl/pkg/serial"
	"x509ctl/pkg/trust"
)

// An older database comes back, in each way: what was revoked since is on the list that
// is there, and stays revoked, its key blocked; and the number of the list rises.
func TestRevocationsOutliveTheDatabase(t *testing.T) {
	for name, back := range map[string]func(h *history, backup []byte){
		"restore, keeping the floor": func(h *history, backup []byte) {
			h.remove(h.path(databaseFile))
			_, err := h.restore(backup, 0, true)
			h.must(err)
		},
		"restore": func(h *history, backup []byte) {
			h.remove(h.path(databaseFile))
			_, err := h.restore(backup, 0, false)
			h.must(err)
		},
		"recover": func(h *history, _ []byte) {
			h.copy(h.path("older"), h.path(databaseFile))
			h.recover(RecoverRequest{KeepFloor: true})
		},
		"adopt": func(h *history, _ []byte) {
			h.remove(h.path(databaseFile))
			h.fresh(func(m *Manager) {
				_, err := m.InitAuthority(context.Background(), InitRequest{Authority: Cluster, Name: "cluster.example.com", Adopt: true, KeepFloor: true})
				h.must(err)
			})
		},
		"revoke without recover": func(h *history, _ []byte) {
			h.copy(h.path("older"), h.path(databaseFile))
			h.fresh(func(m *Manager) { h.revoke(m, RevokeRequest{Serials: []serial.Number{4}, Reason: profile.Superseded}) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHistory(t)
			stolen := spki(t)
			h.fresh(func(m *Manager) {
				_, err := m.Issue(context.Background(), IssueRequest{Authority: Cluster, Name: "node1.example.com", SPKI: stolen})
				h.must(err)
			})
			h.mustIssue(3) // 3, 4 and 5
			backup := h.backup()
			h.copy(h.path(databaseFile), h.path("older"))
			h.mustIssue(1) // 6, which the older one does not know
			h.fresh(func(m *Manager) {
				h.revoke(m, RevokeRequest{Serials: []serial.Number{2, 6}, Reason: profile.KeyCompromise})
				for range 5 { // faster than a number a second
					h.revoke(m, RevokeRequest{Serials: []serial.Number{3}, Reason: profile.Superseded})
				}
			})
			was := h.published()
			back(h, backup)
			now := h.published()
			if now.Number().Cmp(was.Number()) <= 0 {
				t.Errorf("list %v after %v", now.Number(), was.Number())
			}
			was.Entries(func(e trust.Entry) bool {
				if got, ok := now.Find(e.Serial); !ok || got.Reason != e.Reason || !got.Time.Equal(e.Time) {
					t.Errorf("%v is %+v, and was %+v", e.Serial, got, e)
				}
				return true
			})
			if name == "adopt" {
				return // nobody knows of keys, and of nodes
			}
			h.fresh(func(m *Manager) {
				_, err := m.RecoverSerial(context.Background(), RecoverRequest{Authority: Cluster, KeepFloor: true})
				h.must(err)
				_, err = m.Issue(context.Background(), IssueRequest{Authority: Cluster, Name: "node1.example.com", SPKI: stolen})
				if !errors.Is(err, ErrKeyBlocked) {
					t.Errorf("the stolen key again: %v", err)
				}
			})
		})
	}
}
