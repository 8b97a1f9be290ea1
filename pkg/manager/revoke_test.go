package manager

import (
	"context"
	"errors"
	"testing"
	"time"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/serial"
	"x509ctl/pkg/store"
)

// insert records certificates that nobody signed.
func (w *world) insert(m *Manager, batch []Certificate) {
	w.t.Helper()
	last := batch[len(batch)-1].Serial
	if _, err := m.recoverSerial(context.Background(), RecoverRequest{Authority: Cluster, AtLeast: last, KeepFloor: true}); err != nil {
		w.t.Fatal(err)
	}
	db, err := m.database(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	err = db.Write(context.Background(), func(tx *store.Tx) error {
		row, err := tx.Authority(Cluster)
		if err != nil {
			return err
		}
		row.Counter.Last = last
		if err := tx.SetCounter(Cluster, row.Counter); err != nil {
			return err
		}
		return tx.InsertCertificates(batch)
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func TestRevoke(t *testing.T) {
	w := newWorld(t)
	m := w.init()
	w.sign(m, "node1.example.com", "node2.example.com", "node1.example.com", "node2.example.com", "node2.example.com") // 2 to 6
	for _, tc := range []struct {
		what             string
		req              RevokeRequest
		revoked, already int
		listed           []int64
	}{
		{"two numbers", RevokeRequest{Serials: []serial.Number{2, 3}}, 2, 0, []int64{2, 3}},
		{"one of them again", RevokeRequest{Serials: []serial.Number{3, 4}}, 1, 1, []int64{2, 3, 4}},
		{"a name without a live one", RevokeRequest{Names: []string{"NODE1.example.com"}}, 0, 0, []int64{2, 3, 4}},
		{"a name", RevokeRequest{Names: []string{"NODE2.example.com"}, Reason: profile.CessationOfOperation}, 2, 0, []int64{2, 3, 4, 5, 6}},
		{"all", RevokeRequest{All: true}, 0, 0, []int64{2, 3, 4, 5, 6}},
	} {
		out := w.revoke(m, tc.req)
		if out.Revoked != tc.revoked || out.Already != tc.already || len(out.Sample) != tc.revoked {
			t.Errorf("%s: %d and %d (%d listed), want %d and %d", tc.what, out.Revoked, out.Already, len(out.Sample), tc.revoked, tc.already)
		}
		w.wantListed(tc.what, tc.listed...)
	}
	out := w.revoke(m, RevokeRequest{All: true, Names: []string{"node1.example.com"}})
	if out.Revoked != 0 {
		t.Errorf("revoked again: %+v", out)
	}
	a, err := m.Authority(context.Background(), Cluster)
	if want := (Counts{Revoked: 5, Total: 5}); err != nil || a.Counts != want {
		t.Errorf("counts %+v, %v", a.Counts, err)
	}
}

func TestRevokeRefuses(t *testing.T) {
	w := newWorld(t)
	m := w.init()
	w.sign(m, "node1.example.com")
	for what, tc := range map[string]struct {
		req  RevokeRequest
		kind fault.Kind
	}{
		"a number that was never issued": {RevokeRequest{Serials: []serial.Number{2, 9}}, fault.NotFound},
		"a CA":                           {RevokeRequest{Serials: []serial.Number{2, 1}}, fault.Denied},
		"a name that nobody has":         {RevokeRequest{Names: []string{"node9.example.com"}}, fault.NotFound},
	} {
		tc.req.Authority = Cluster
		_, err := m.Revoke(context.Background(), tc.req)
		w.wantKind(what, err, tc.kind)
		w.wantListed(what)
	}
	// One that has expired can be revoked: its key may be in use elsewhere.
	w.now = w.now.Add(48 * time.Hour)
	if out := w.revoke(m, RevokeRequest{Serials: []serial.Number{2}}); out.Revoked != 1 {
		t.Errorf("an expired one: %+v", out)
	}
	w.wantListed("an expired one")
}

// wantBlocked checks that no way leads to a certificate for a key.
func (w *world) wantBlocked(m *Manager, request []byte, key []byte) {
	w.t.Helper()
	ctx := context.Background()
	one := SignItem{Request: request}
	for _, items := range [][]SignItem{{one}, {one, one}, {{Request: request, Destination: "node1.pem"}}} {
		results, err := m.Sign(ctx, SignRequest{Authority: Cluster, Items: items})
		if err != nil {
			w.t.Fatal(err)
		}
		for _, r := range results {
			if !errors.Is(r.Err, ErrKeyBlocked) {
				w.t.Errorf("signing: %v", r.Err)
			}
		}
	}
	_, err := m.Issue(ctx, IssueRequest{Authority: Cluster, Name: "node1.example.com", SPKI: key})
	if !errors.Is(err, ErrKeyBlocked) {
		w.t.Errorf("issuing: %v", err)
	}
	w.wantKind("issuing", err, fault.Denied)
}

func TestCompromisedKey(t *testing.T) {
	w := newWorld(t)
	m := w.init()
	ctx := context.Background()
	request := csr(t, "node1.example.com")
	item := SignItem{Request: request, Destination: "node1.pem"}
	for range 2 { // 2, and 3 for the same key
		item.Destination += "x"
		if r, err := m.Sign(ctx, SignRequest{Authority: Cluster, Items: []SignItem{item}}); err != nil || r[0].Err != nil {
			t.Fatal(err, r)
		}
	}
	w.sign(m, "node1.example.com") // 4
	parsed, err := profile.ParseRequest(request)
	if err != nil {
		t.Fatal(err)
	}
	// For another reason first: that blocks nothing.
	w.revoke(m, RevokeRequest{Serials: []serial.Number{2}, Reason: profile.Superseded})
	if r, err := m.Sign(ctx, SignRequest{Authority: Cluster, Items: []SignItem{{Request: request}}}); err != nil || r[0].Err != nil { // 5
		t.Fatal(err, r)
	}
	out := w.revoke(m, RevokeRequest{Serials: []serial.Number{2}, Reason: profile.KeyCompromise})
	if out.Revoked != 3 || out.Already != 0 {
		t.Errorf("%+v", out)
	}
	w.wantListed("all of the key", 2, 3, 5)
	for e := range w.published().Entries {
		if e.Reason != "keyCompromise" {
			t.Errorf("%v: %q", e.Serial, e.Reason)
		}
	}
	w.wantBlocked(m, request, parsed.Key().SPKI())
	w.wantBlocked(w.manager(), request, parsed.Key().SPKI())
	// For ever: when the certificate is forgotten, too.
	w.now = w.now.Add(30 * 24 * time.Hour)
	if _, err := m.Prune(ctx, PruneRequest{Authority: Cluster, Before: w.now.Add(-25 * time.Hour)}); err != nil {
		t.Fatal(err)
	}
	w.wantBlocked(m, request, parsed.Key().SPKI())
}

// A key is blocked, or a number put below the floor, while its next certificate is
// between its two transactions.
func TestCompromisedMeanwhile(t *testing.T) {
	w := newWorld(t)
	request := csr(t, "node1.example.com")
	other := w.init()
	ctx := context.Background()
	if r, err := other.Sign(ctx, SignRequest{Authority: Cluster, Items: []SignItem{{Request: request}}}); err != nil || r[0].Err != nil {
		t.Fatal(err, r)
	}
	w.config.SerialHook = func(context.Context, HookCall) error {
		w.revoke(other, RevokeRequest{Serials: []serial.Number{2}, Reason: profile.KeyCompromise})
		return nil
	}
	m := w.manager()
	results, err := m.Sign(ctx, SignRequest{Authority: Cluster, Items: []SignItem{{Request: request}, {Request: csr(t, "node1.example.com")}}})
	if err != nil {
		t.Fatal(err)
	}
	if !errors.Is(results[0].Err, ErrKeyBlocked) || results[1].Err != nil {
		t.Errorf("%v, %v", results[0].Err, results[1].Err)
	}
	w.wantListed("meanwhile", 2)
}

// More than fit into one transaction.
func TestRevokeMany(t *testing.T) {
	w := newWorld(t)
	m := w.init()
	var batch []Certificate
	for n := range 1000 {
		batch = append(batch, Certificate{Authority: Cluster, Serial: serial.Number(n + 2), Kind: kindNode, CommonName: "node1.example.com", NotAfter: w.now.Add(time.Hour), State: stateIssued})
	}
	w.insert(m, batch)
	for i := range batch {
		batch[i].Serial += 1000
	}
	w.insert(m, batch)
	var seen []int
	out := w.revoke(m, RevokeRequest{All: true, Reason: profile.KeyCompromise, Progress: func(n int) { seen = append(seen, n) }})
	if out.Revoked != 2000 || len(out.Sample) != sampleSize || len(seen) != 3 || seen[0] != 1000 || seen[2] != 2000 {
		t.Errorf("%d, a sample of %d, %v", out.Revoked, len(out.Sample), seen)
	}
	if n := w.published().Len(); n != 2000 {
		t.Errorf("%d on the list", n)
	}
}
