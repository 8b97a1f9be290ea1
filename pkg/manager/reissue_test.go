package manager

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"x509ctl/pkg/authority"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/serial"
	"x509ctl/pkg/store"
)

// A reissueRun is what one call of Reissue said.
type reissueRun struct {
	begun ReissueBegun
	got   []Reissued
	err   error
}

// reissue runs a request; stop, unless negative, is after how many calls of Deliver it is
// cut off, as by a kill: what they delivered is not delivered.
func (w *world) reissue(m *Manager, req ReissueRequest, stop int) (out reissueRun) {
	w.t.Helper()
	req.SetMin.Authority = Cluster
	req.Begun = func(b ReissueBegun) { out.begun = b }
	req.Deliver = func(batch []Reissued) (bool, error) {
		if stop--; stop == -1 {
			return false, errCut
		}
		out.got = append(out.got, batch...)
		return true, nil
	}
	out.err = m.Reissue(context.Background(), req)
	return out
}

var errCut = errors.New("cut off")

// text is a run as "old>new" for each certificate; "new*" was on record.
func (r reissueRun) text() (all []string) {
	for _, x := range r.got {
		s := fmt.Sprintf("%v>%v", x.Old.Serial, x.Certificate.Serial)
		switch {
		case x.Lost:
			s = fmt.Sprintf("%v lost", x.Old.Serial)
		case x.Err != nil:
			s = fmt.Sprintf("%v %s", x.Old.Serial, fault.KindOf(x.Err))
		case x.Reused:
			s += "*"
		}
		all = append(all, s)
	}
	return all
}

func (w *world) want(what string, r reissueRun, want ...string) {
	w.t.Helper()
	if r.err != nil {
		w.t.Errorf("%s: %v", what, r.err)
	}
	if got := r.text(); !slices.Equal(got, want) {
		w.t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// remembered returns what the store knows of an unfinished reissue.
func (w *world) remembered(m *Manager) (text string) {
	w.t.Helper()
	err := m.read(context.Background(), Cluster, func(tx *store.Tx, _ store.Authority) (err error) {
		text, err = tx.Setting("reissue:cluster")
		if fault.KindOf(err) == fault.NotFound {
			return nil
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return text
}

func (w *world) floorIs(m *Manager, want serial.Floor) {
	w.t.Helper()
	s, err := m.Serial(context.Background(), Cluster)
	if err != nil || s.Floor != want {
		w.t.Errorf("the floor is %v, want %v (%v)", s.Floor, want, err)
	}
}

var next = SetMinRequest{To: MinNext}

// A reissue that is cut off at any point goes on, and doesn't raise the floor again.
func TestReissueGoesOn(t *testing.T) {
	w := newWorld(t)
	m := w.init()
	w.sign(m, "node1.example.com", "node2.example.com", "node1.example.com") // 2 to 4
	req := ReissueRequest{SetMin: next, LostSerials: []serial.Number{2}, Destination: "/out"}

	dry := req
	dry.SetMin.DryRun = true
	w.want("a dry run", w.reissue(m, dry, -1), "2 lost", "3>0", "4>0")
	w.floorIs(m, 1)
	if w.remembered(m) != "" || len(w.records(m)) != 4 {
		t.Errorf("a dry run left %q", w.remembered(m))
	}

	// Before anything is signed, and then with two certificates on record that nobody has.
	for _, calls := range []int{0, 1} {
		r := w.reissue(w.manager(), req, calls)
		if !errors.Is(r.err, errCut) || r.begun.After != 5 || r.begun.Total != 2 || r.begun.Resumed.IsZero() != (calls == 0) {
			t.Errorf("cut off after %d: %+v", calls, r)
		}
		w.floorIs(m, 5)
	}
	if n := len(w.records(m)); n != 6 {
		t.Fatalf("%d on record", n)
	}
	// Its name may have got another certificate by now: a number names one only.
	w.sign(m, "node1.example.com") // 7
	w.now = w.now.Add(13 * time.Hour)
	w.want("the same again", w.reissue(w.manager(), req, -1), "2 lost", "3>5*", "4>6*")
	w.floorIs(m, 5)
	if got := w.remembered(m); got != "" {
		t.Errorf("it is finished, and the store remembers %q", got)
	}
	// The next one is another.
	w.want("anew", w.reissue(m, req, -1), "2 lost", "5>8", "6>9", "7>10")
	w.floorIs(m, 8)
}

// What an unfinished reissue left is taken up by one with other arguments, and by the
// same one when the floor has risen since.
func TestReissueAnew(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(w *world, m *Manager, req *ReissueRequest)
		want   []string
	}{
		{"another key is lost", func(_ *world, _ *Manager, req *ReissueRequest) { req.LostSerials = []serial.Number{3} }, []string{"3 lost", "4>6"}},
		{"another directory", func(_ *world, _ *Manager, req *ReissueRequest) { req.Destination = "/other" }, []string{"4>6", "5>7"}},
		{"the floor rose", func(w *world, m *Manager, _ *ReissueRequest) {
			w.sign(m, "node2.example.com") // 6
			if _, err := m.SetMinSerial(context.Background(), SetMinRequest{Authority: Cluster, To: MinNext}); err != nil {
				w.t.Fatal(err)
			}
		}, []string{"4>7", "5>8", "6>9"}},
		{"the number that is in force", func(_ *world, _ *Manager, req *ReissueRequest) { req.SetMin = SetMinRequest{Number: 4} }, []string{"2>4*", "3>5*"}},
		{"a number below", func(_ *world, _ *Manager, req *ReissueRequest) { req.SetMin = SetMinRequest{Number: 3} }, nil},
		{"a week later", func(w *world, _ *Manager, _ *ReissueRequest) { w.now = w.now.Add(169 * time.Hour) }, []string{}},
	} {
		w := newWorld(t)
		m := w.init()
		w.sign(m, "node1.example.com", "node2.example.com") // 2, 3
		req := ReissueRequest{SetMin: next, Destination: "/out"}
		if r := w.reissue(m, req, 0); !errors.Is(r.err, errCut) { // 4 and 5 are on record
			t.Fatal(r.err)
		}
		tc.change(w, m, &req)
		r := w.reissue(m, req, -1)
		if tc.want == nil {
			w.wantKind(tc.name, r.err, fault.Denied)
			continue
		}
		w.want(tc.name, r, tc.want...)
	}
}

// A certificate of the lost node that is newer than the reissue may be the repaired node's,
// or be lost, too: the same request doesn't guess.
func TestReissueAgain(t *testing.T) {
	w := newWorld(t)
	m := w.init()
	w.sign(m, "node1.example.com", "node2.example.com") // 2, 3
	req := ReissueRequest{SetMin: next, LostNames: []string{"node2.example.com"}, Destination: "/out"}
	if r := w.reissue(m, req, 1); !errors.Is(r.err, errCut) { // 4 is on record
		t.Fatal(r.err)
	}
	w.sign(m, "node2.example.com") // 5
	r := w.reissue(m, req, -1)
	var again *ReissueAgainError
	if !errors.As(r.err, &again) || again.Serial != 5 || again.Floor != 4 {
		t.Fatal(r.err)
	}
	w.wantKind("again", r.err, fault.Denied)
	byNumber := req
	byNumber.SetMin = SetMinRequest{Number: 4}
	if r := w.reissue(m, byNumber, 1); !errors.Is(r.err, errCut) {
		t.Fatal(r.err)
	}
	if c, err := m.Certificate(context.Background(), Cluster, 5); err != nil || c.State != stateIssued {
		t.Errorf("the new certificate of the node is %s, %v", c.State, err)
	}
	if _, err := m.SetMinSerial(context.Background(), SetMinRequest{Authority: Cluster, To: MinNext}); err != nil {
		t.Fatal(err)
	}
	w.want("after set-min", w.reissue(m, req, -1), "3 lost", "5 lost", "4>6")
}

// Who may not have a certificate any more gets none, and the others do. None is made
// twice by two that work at once.
func TestReissueRefuses(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	m := w.init()
	w.sign(m, "node1.example.com", "node2.example.com", "node1.example.com", "node1.example.com") // 2 to 5
	err := m.change(ctx, Cluster, func(tx *store.Tx, _ *authority.Locked, _ store.Authority) error {
		c, err := tx.Certificate(Cluster, 4)
		if err != nil {
			return err
		}
		return tx.BlockKey(Cluster, c.SPKIHash, 2, w.now) // and its certificate is not revoked
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.RemoveNode(ctx, Cluster, "node2.example.com"); err != nil {
		t.Fatal(err)
	}
	w.revoke(m, RevokeRequest{Serials: numbers(Certificate{Serial: 5}), Reason: profile.Superseded})
	req := ReissueRequest{SetMin: next, Destination: "/out"}
	dry := req
	dry.SetMin.DryRun = true
	w.want("a dry run", w.reissue(m, dry, -1), "2>0", "3 denied", "4 denied")

	// Another process with the same request is faster, after this one took its number.
	busy := false
	w.config.SerialHook = func(context.Context, HookCall) error {
		if !busy {
			busy = true
			w.want("the faster one", w.reissue(m, req, -1), "2>7", "3 denied", "4 denied")
		}
		return nil
	}
	r := w.reissue(w.manager(), req, -1)
	w.want("the slower one", r, "2>7*", "3 denied", "4 denied")
	if !errors.Is(r.got[1].Err, profile.ErrUnknownName) || !errors.Is(r.got[2].Err, ErrKeyBlocked) {
		t.Errorf("%v; %v", r.got[1].Err, r.got[2].Err)
	}
	if w.remembered(m) == "" {
		t.Error("what was refused is forgotten")
	}
}

// What is on record and was not handed out yet is held against the policy of today.
func TestReissueKeepsThePolicy(t *testing.T) {
	w := newWorld(t)
	m := w.init()
	w.sign(m, "node1.example.com", "node2.example.com") // 2, 3
	req := ReissueRequest{SetMin: next, Destination: "/out"}
	if r := w.reissue(m, req, 0); !errors.Is(r.err, errCut) { // 4 and 5 are on record
		t.Fatal(r.err)
	}
	if _, err := m.RemoveNode(context.Background(), Cluster, "node1.example.com"); err != nil {
		t.Fatal(err)
	}
	w.want("a removed node", w.reissue(m, req, -1), "2 denied", "3>5*")
	w.revoke(m, RevokeRequest{Serials: numbers(Certificate{Serial: 5}), Reason: profile.KeyCompromise})
	w.want("a blocked key", w.reissue(m, req, -1), "2 denied", "3 denied")
}

// What can't be done is said before anything is put out.
func TestReissueChangesNothing(t *testing.T) {
	w := newWorld(t)
	m := w.init()
	w.sign(m, "node1.example.com") // 2
	for _, tc := range []struct {
		what string
		req  ReissueRequest
		kind fault.Kind
	}{
		{"too long", ReissueRequest{SetMin: next, Lifetime: profile.MaxLifetime + time.Second}, fault.Denied},
		{"longer than the CA", ReissueRequest{SetMin: next, Lifetime: profile.MaxLifetime}, fault.Denied},
		{"no such number", ReissueRequest{SetMin: next, LostSerials: []serial.Number{9}}, fault.NotFound},
		{"no such name", ReissueRequest{SetMin: next, LostNames: []string{"node9"}}, fault.NotFound},
		{"a CA", ReissueRequest{SetMin: next, LostSerials: []serial.Number{1}}, fault.Denied},
		{"not cut off", ReissueRequest{SetMin: SetMinRequest{To: MinLast}, LostSerials: []serial.Number{2}}, fault.Denied},
	} {
		if tc.what == "longer than the CA" {
			ca, err := m.Authority(context.Background(), Cluster)
			if err != nil {
				t.Fatal(err)
			}
			w.now = ca.NotAfter.Add(-time.Hour)
		}
		r := w.reissue(m, tc.req, -1)
		w.wantKind(tc.what, r.err, tc.kind)
		w.floorIs(m, 1)
		if w.remembered(m) != "" || r.begun.After != 0 {
			t.Errorf("%s: it was begun", tc.what)
		}
	}
}
