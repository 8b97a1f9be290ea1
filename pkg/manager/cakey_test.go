package manager

import (
	"context"
	"errors"
	"testing"
)

// No CA's key gets a certificate, be it the active one's, an earlier one's, or stolen.
func TestCAKeysAreRefused(t *testing.T) {
	h := newHistory(t)
	var keys [][]byte
	note := func(m *Manager) {
		ca, err := m.signer(Cluster)
		h.must(err)
		keys = append(keys, ca.Certificate().RawSubjectPublicKeyInfo)
	}
	h.fresh(note)
	for _, step := range []RenewStep{RenewAtOnce, RenewCompromised} {
		h.fresh(func(m *Manager) {
			_, err := m.RenewCA(context.Background(), RenewRequest{Authority: Cluster, Step: step})
			h.must(err)
			note(m)
		})
	}
	h.fresh(func(m *Manager) {
		for i, key := range keys {
			_, err := m.Issue(context.Background(), IssueRequest{Authority: Cluster, Name: "node1.example.com", SPKI: key})
			if !errors.Is(err, ErrKeyBlocked) {
				t.Errorf("CA %d of %d: %v", i, len(keys), err)
			}
		}
	})
	h.mustIssue(1)
}
