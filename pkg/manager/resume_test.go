package manager

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/serial"
)

// A certificate that is on record and was not delivered is handed out by the rules of
// today.
func TestResumeKeepsThePolicy(t *testing.T) {
	ctx := context.Background()
	for _, tc := range []struct {
		name   string
		change func(w *world, m *Manager, c Certificate) error
		kind   fault.Kind // of the refusal; empty for a new certificate instead
	}{
		{"the node is removed", func(_ *world, m *Manager, _ Certificate) error {
			_, err := m.RemoveNode(ctx, Cluster, "node1.example.com")
			return err
		}, fault.Denied},
		{"the name is another node's", func(_ *world, m *Manager, _ Certificate) error {
			_, err := m.RemoveNode(ctx, Cluster, "node1.example.com")
			_, add := m.AddNode(ctx, AddNodeRequest{Authority: Cluster, Name: "node9.example.com", Aliases: []string{"node1.example.com"}})
			return errors.Join(err, add)
		}, ""},
		{"the floor's file is above it, and not yet the row's", func(w *world, _ *Manager, c Certificate) error {
			return os.WriteFile(filepath.Join(w.dir, "ca", "min-serial"), (c.Serial + 1).FileContent(), 0o644)
		}, ""},
		{"it is revoked", func(_ *world, m *Manager, c Certificate) error {
			_, err := m.Revoke(ctx, RevokeRequest{Authority: Cluster, Serials: numbers(c), Reason: profile.Superseded})
			return err
		}, ""},
		{"its key is blocked", func(_ *world, m *Manager, c Certificate) error {
			_, err := m.Revoke(ctx, RevokeRequest{Authority: Cluster, Serials: numbers(c), Reason: profile.KeyCompromise})
			return err
		}, fault.Denied},
	} {
		for _, batch := range []bool{false, true} {
			w := newWorld(t)
			m := w.init()
			item := SignItem{Request: csr(t, "node1.example.com"), Destination: "/out/a.pem"}
			req := SignRequest{Authority: Cluster, Items: []SignItem{item}}
			first, err := m.Sign(ctx, req)
			if err != nil || first[0].Err != nil {
				t.Fatal(err, first)
			}
			if err := tc.change(w, m, first[0].Certificate); err != nil {
				t.Fatal(err)
			}
			if batch {
				req.Items = append(req.Items, SignItem{Request: csr(t, "node2.example.com")})
			}
			again, err := m.Sign(ctx, req)
			if err != nil {
				t.Fatal(err)
			}
			switch r := again[0]; {
			case tc.kind != "":
				w.wantKind(tc.name, r.Err, tc.kind)
			case r.Err != nil || r.Reused || r.Certificate.Serial == first[0].Certificate.Serial:
				t.Errorf("%s (batch: %v): certificate %v, reused: %v, %v", tc.name, batch, r.Certificate.Serial, r.Reused, r.Err)
			}
		}
	}
}

// The rest of a batch takes time, in which a certificate that it hands out again may
// have become one that must not be handed out.
func TestResumeIsCheckedAgain(t *testing.T) {
	ctx := context.Background()
	for _, tc := range []struct {
		name   string
		change func(m *Manager, c Certificate) error
	}{
		{"the floor rises", func(m *Manager, _ Certificate) error {
			_, err := m.SetMinSerial(ctx, SetMinRequest{Authority: Cluster, To: MinNext})
			return err
		}},
		{"the node goes", func(m *Manager, _ Certificate) error {
			_, err := m.RemoveNode(ctx, Cluster, "node1.example.com")
			return err
		}},
		{"it is revoked", func(m *Manager, c Certificate) error {
			_, err := m.Revoke(ctx, RevokeRequest{Authority: Cluster, Serials: numbers(c), Reason: profile.Superseded})
			return err
		}},
		{"its key is blocked", func(m *Manager, c Certificate) error {
			_, err := m.Revoke(ctx, RevokeRequest{Authority: Cluster, Serials: numbers(c), Reason: profile.KeyCompromise})
			return err
		}},
	} {
		w := newWorld(t)
		other := w.init()
		item := SignItem{Request: csr(t, "node1.example.com"), Destination: "/out/a.pem"}
		first, err := other.Sign(ctx, SignRequest{Authority: Cluster, Items: []SignItem{item}})
		if err != nil || first[0].Err != nil {
			t.Fatal(err, first)
		}
		w.config.SerialHook = func(context.Context, HookCall) error { return tc.change(other, first[0].Certificate) }
		items := []SignItem{item, {Request: csr(t, "node2.example.com")}}
		again, err := w.manager().Sign(ctx, SignRequest{Authority: Cluster, Items: items})
		if err != nil {
			t.Fatal(err)
		}
		w.wantKind(tc.name, again[0].Err, fault.Denied)
		if again[1].Err != nil {
			t.Errorf("%s: the other one: %v", tc.name, again[1].Err)
		}
	}
}

func numbers(c Certificate) []serial.Number { return []serial.Number{c.Serial} }
