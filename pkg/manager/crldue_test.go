package manager

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"x509ctl/pkg/profile"
	"x509ctl/pkg/serial"
)

// unpublished lets do record changes, of which no list can be published.
func (h *history) unpublished(do func(*Manager)) {
	h.t.Helper()
	h.fresh(func(m *Manager) {
		was, err := os.ReadFile(h.path("ca/crl.pem"))
		h.must(err)
		h.must(os.Remove(h.path("ca/crl.pem")))
		h.must(os.MkdirAll(h.path("ca/crl.pem/in the way"), 0o700)) // no list can be put there
		do(m)
		h.must(os.RemoveAll(h.path("ca/crl.pem")))
		h.renew("ca/crl.pem", string(was))
	})
}

// cutRevoke revokes n as a process does that is killed after the commit.
func (h *history) cutRevoke(n serial.Number) {
	h.t.Helper()
	h.fresh(func(m *Manager) {
		r := revocation{Manager: m, req: RevokeRequest{Authority: Cluster, Serials: []serial.Number{n}, Reason: profile.KeyCompromise}}
		h.must(r.targets(context.Background()))
	})
}

// Whatever changes the authority next publishes what a killed process did not.
func TestPublicationIsFinished(t *testing.T) {
	ctx := context.Background()
	for name, next := range map[string]func(h *history, m *Manager) error{
		"issue": func(h *history, m *Manager) error {
			_, err := m.Issue(ctx, IssueRequest{Authority: Cluster, Name: "node1.example.com", SPKI: spki(h.t)})
			return err
		},
		"sign two": func(h *history, m *Manager) error {
			h.sign(m, "node1.example.com", "node2.example.com")
			return nil
		},
		"set-min": func(_ *history, m *Manager) error {
			_, err := m.SetMinSerial(ctx, SetMinRequest{Authority: Cluster, Number: 1})
			return err
		},
		"init": func(_ *history, m *Manager) error {
			_, err := m.InitAuthority(ctx, InitRequest{Authority: Cluster, IfMissing: true})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHistory(t)
			h.mustIssue(2)
			h.cutRevoke(2)
			h.wantListed("before")
			h.fresh(func(m *Manager) {
				if err := next(h, m); err != nil {
					t.Fatal(err)
				}
			})
			h.wantListed("after", 2)
			// Once is enough.
			before := h.published().Number()
			h.mustIssue(1)
			if after := h.published().Number(); after.Cmp(before) != 0 {
				t.Errorf("list %v was replaced by %v, and nothing had changed", before, after)
			}
			if found, _ := h.check(CheckRequest{}); len(found) > 0 {
				t.Errorf("found %q", found)
			}
		})
	}
}

// Certificates are issued though the list can't be published, and somebody is told.
func TestPublicationFailsAgain(t *testing.T) {
	h := newHistory(t)
	h.mustIssue(1)
	var told []error
	h.config.Warn = func(err error) { told = append(told, err) }
	h.unpublished(func(m *Manager) {
		_, _ = m.Revoke(context.Background(), RevokeRequest{Authority: Cluster, Serials: []serial.Number{2}})
		h.sign(m, "node1.example.com")
	})
	var spread *SpreadError
	if len(told) != 1 || !errors.As(told[0], &spread) {
		t.Errorf("told %v", told)
	}
}

func replacement(s RenewStep) RenewRequest {
	return RenewRequest{Authority: Cluster, Step: s, KeyAlgorithm: profile.ECDSAP256, Lifetime: profile.DefaultCALifetime}
}

// What ca check says of lists that don't have what the database has, and what repair
// makes of it.
func TestCheckComparesCRL(t *testing.T) {
	for _, tc := range []struct {
		name   string
		broken func(*history)
		say    string
	}{
		{"killed after the commit", func(h *history) { h.cutRevoke(3) }, "does not list certificate 3"},
		{"killed while the floor rose", func(h *history) {
			h.unpublished(func(m *Manager) {
				_, _ = m.SetMinSerial(context.Background(), SetMinRequest{Authority: Cluster, Number: 3})
			})
		}, "has list number"},
		{"an older list", func(h *history) {
			h.copy(h.path("ca/crl.pem"), h.path("older"))
			h.fresh(func(m *Manager) { h.revoke(m, RevokeRequest{Serials: []serial.Number{3}}) })
			h.must(os.Rename(h.path("older"), h.path("ca/crl.pem")))
		}, "has list number"},
		{"an empty list of the number", func(h *history) {
			h.fresh(func(m *Manager) { h.revoke(m, RevokeRequest{Serials: []serial.Number{3}}) })
			h.crl(h.now.Add(3 * day))
		}, "does not list certificate 3"},
		{"no list, and something revoked", func(h *history) {
			h.fresh(func(m *Manager) { h.revoke(m, RevokeRequest{Serials: []serial.Number{3}}) })
			h.must(os.Remove(h.path("ca/crl.pem")))
		}, "is missing"},
		{"killed once a CA was prepared", func(h *history) {
			h.fresh(func(m *Manager) { h.must(m.renew(context.Background(), replacement(RenewPrepare))) })
		}, "does not have the list of"},
		{"killed once the CA was replaced", func(h *history) {
			h.fresh(func(m *Manager) { h.must(m.renew(context.Background(), replacement(RenewAtOnce))) })
		}, "does not have the list of"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			h := newHistory(t)
			h.mustIssue(3)
			tc.broken(h)
			found, report := h.check(CheckRequest{})
			if !slices.Equal(found, []string{"error crl ca/crl.pem"}) || !strings.Contains(report.Findings[0].Err.Error(), tc.say) {
				t.Fatalf("found %q: %v", found, report.Findings)
			}
			if _, report = h.check(CheckRequest{Repair: true}); report.Findings[0].Mended == "" {
				t.Errorf("not mended: %v", report.Findings[0].Failed)
			}
			if found, _ := h.check(CheckRequest{}); len(found) > 0 {
				t.Errorf("left are %q", found)
			}
		})
	}
}
