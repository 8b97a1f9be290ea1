package manager

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/serial"
	"x509ctl/pkg/trust"
)

// published reads the revocation list that is published.
func (w *world) published() *trust.CRL {
	w.t.Helper()
	data, err := os.ReadFile(filepath.Join(w.dir, "ca", "crl.pem"))
	if err != nil {
		w.t.Fatal(err)
	}
	l, err := trust.ParseCRL(data)
	if err != nil {
		w.t.Fatal(err)
	}
	return l
}

// wantListed checks which numbers are on the published list.
func (w *world) wantListed(what string, want ...int64) {
	w.t.Helper()
	var got []int64
	for e := range w.published().Entries {
		got = append(got, e.Serial.Int64())
	}
	if !slices.Equal(got, want) {
		w.t.Errorf("%s: the list has %v, want %v", what, got, want)
	}
}

func (w *world) setMin(m *Manager, n serial.Number) {
	w.t.Helper()
	if _, err := m.SetMinSerial(context.Background(), SetMinRequest{Authority: Cluster, Number: n}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) revoke(m *Manager, req RevokeRequest) RevokeResult {
	w.t.Helper()
	req.Authority = Cluster
	out, err := m.Revoke(context.Background(), req)
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

func TestCRL(t *testing.T) {
	w := newWorld(t)
	m := w.init()
	w.wantListed("a new CA")
	first := w.published()
	w.sign(m, "node1.example.com", "node1.example.com", "node2.example.com", "node2.example.com") // 2 to 5
	w.now = w.now.Add(time.Hour)
	rise := w.now
	w.setMin(m, 4)
	w.wantListed("below the floor", 2, 3)
	w.now = w.now.Add(time.Hour)
	w.sign(m, "node1.example.com", "node2.example.com") // 6 and 7
	w.revoke(m, RevokeRequest{Serials: []serial.Number{6}, Reason: profile.Superseded})
	w.wantListed("one by one as well", 2, 3, 6)
	l := w.published()
	for n, want := range map[int64]trust.Entry{
		3: {Serial: big.NewInt(3), Time: rise}, 6: {Serial: big.NewInt(6), Time: w.now, Reason: "superseded"},
	} {
		if e, ok := l.Find(big.NewInt(n)); !ok || e.Serial.Cmp(want.Serial) != 0 || !e.Time.Equal(want.Time) || e.Reason != want.Reason {
			t.Errorf("entry %+v, %v; want %+v", e, ok, want)
		}
	}
	if l.Floor() != 4 || !l.NextUpdate().Equal(w.now.AddDate(0, 0, 7)) || !l.ThisUpdate().Equal(w.now.Add(-profile.Backdate)) || l.Number().Cmp(first.Number()) <= 0 {
		t.Errorf("floor %v, from %v to %v, number %v after %v", l.Floor(), l.ThisUpdate(), l.NextUpdate(), l.Number(), first.Number())
	}
	v, err := m.Verifier(context.Background(), Cluster)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range w.records(m) {
		if c.Kind == kindCA {
			continue
		}
		cert, _ := trust.ParseCertificate(c.DER)
		err := trust.Check{Bundle: v.Bundle, CRL: l, At: w.now, RequireFresh: true}.Verify(cert)
		if good := c.Serial == 4 || c.Serial == 5 || c.Serial == 7; good != (err == nil) {
			t.Errorf("%v: %v", c.Serial, err)
		}
	}
	// What has expired is taken off the list, when no clock takes it for valid.
	w.now = rise.Add(23*time.Hour - profile.Backdate)
	w.setMin(m, 5)
	w.wantListed("almost expired", 2, 3, 4, 6)
	w.now = w.now.Add(profile.Backdate + time.Second)
	w.setMin(m, 5)
	w.wantListed("some have expired", 6)
}

// Serial numbers of CAs are never listed, and dates of earlier rises are kept.
func TestCRLOfFloors(t *testing.T) {
	w := newWorld(t)
	m := w.init()
	var rises []time.Time
	for n := range serial.Number(3) {
		w.sign(m, "node1.example.com")
		w.now = w.now.Add(time.Hour)
		rises = append(rises, w.now)
		w.setMin(m, n+3)
	}
	for i, e := range slices.Collect(w.published().Entries) {
		if e.Serial.Int64() != int64(i+2) || !e.Time.Equal(rises[i]) || e.Reason != "" {
			t.Errorf("entry %d: %+v", i, e)
		}
	}
}

func TestCRLToAWriter(t *testing.T) {
	w := newWorld(t)
	m := w.init()
	ctx := context.Background()
	w.sign(m, "node1.example.com")
	w.setMin(m, 3)
	before := w.published().Number().Int64()
	for _, req := range []CRLRequest{{}, {DER: true}, {CA: "1"}, {CA: "1", DER: true}} {
		req.Authority = Cluster
		var out bytes.Buffer
		said, err := m.CRL(ctx, req, &out)
		if err != nil {
			t.Fatal(err)
		}
		if isPEM := bytes.HasPrefix(out.Bytes(), []byte("-----BEGIN X509 CRL-----\n")); isPEM == req.DER {
			t.Errorf("%+v: %.30q", req, out.Bytes())
		}
		l, err := trust.ParseCRL(out.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		p := w.published()
		if n := l.Number().Int64(); n != before+1 || said.Number != n || p.Number().Int64() != n || said.Entries != 1 || l.Len() != 1 ||
			said.Floor != 3 || len(said.Issuers) != 1 || !said.NextUpdate.Equal(l.NextUpdate()) {
			t.Errorf("%+v: number %v, published %v, said %+v", req, n, p.Number(), said)
		}
		before++
	}
	_, err := m.CRL(ctx, CRLRequest{Authority: Cluster, CA: "9"}, io.Discard)
	w.wantKind("another CA's list", err, fault.NotFound)
}

// A clock that goes back does not take the numbers with it; nor do numbers lag behind
// the clock, when the database is lost.
func TestCRLNumbers(t *testing.T) {
	w := newWorld(t)
	m := w.init()
	n := w.published().Number().Int64()
	if n != w.now.Unix() {
		t.Errorf("the first number is %d", n)
	}
	w.now = w.now.Add(-time.Hour)
	w.setMin(m, 1)
	if got := w.published().Number().Int64(); got != n+1 {
		t.Errorf("number %d after %d", got, n)
	}
}

// Many entries go through a file, and come out the same.
func TestLongCRL(t *testing.T) {
	w := newWorld(t)
	m := w.init()
	const many = 40_000 // 1.2 MB of entries
	for done := 0; done < many; done += 1000 {
		var batch []Certificate
		for i := range 1000 {
			n := serial.Number(2 + done + i)
			batch = append(batch, Certificate{Authority: Cluster, Serial: n + 1<<40, Kind: kindNode, NotAfter: w.now.Add(time.Hour), State: stateIssued, Fingerprint: [32]byte{1}})
		}
		w.insert(m, batch)
	}
	w.setMin(m, 1<<40+many+2)
	l := w.published()
	i := int64(1<<40 + 2)
	for e := range l.Entries {
		if e.Serial.Int64() != i {
			t.Fatalf("entry %v, want %d", e.Serial, i)
		}
		i++
	}
	if l.Len() != many {
		t.Errorf("%d entries", l.Len())
	}
	v, err := m.Verifier(context.Background(), Cluster)
	if err != nil {
		t.Fatal(err)
	}
	cert, _ := trust.ParseCertificate(w.sign(m, "node1.example.com")[0].Certificate.DER)
	if err := (trust.Check{Bundle: v.Bundle, CRL: l, At: w.now}).Verify(cert); err != nil {
		t.Error(err)
	}
}

// Two that revoke and publish at once: the last list has both, and numbers only rise.
func TestRevokeAtOnce(t *testing.T) {
	w := newWorld(t)
	m := w.init()
	const each = 12
	for range 2 * each {
		w.sign(m, "node1.example.com")
	}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	watched := make(chan error, 1)
	go func() { watched <- w.watchNumbers(stop) }()
	for i := range 2 {
		m := w.manager()
		wg.Go(func() {
			for n := range each {
				req := RevokeRequest{Authority: Cluster, Serials: []serial.Number{serial.Number(2 + 2*n + i)}}
				if _, err := m.Revoke(context.Background(), req); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	close(stop)
	if err := <-watched; err != nil {
		t.Error(err)
	}
	var want []int64
	for n := range 2 * each {
		want = append(want, int64(n+2))
	}
	w.wantListed("after both", want...)
}

// watchNumbers reads the published list again and again: each is whole, and none older
// or shorter than the one before.
func (w *world) watchNumbers(stop chan struct{}) error {
	var last *trust.CRL
	for {
		data, err := os.ReadFile(filepath.Join(w.dir, "ca", "crl.pem"))
		if err != nil {
			return err
		}
		l, err := trust.ParseCRL(data)
		if err != nil {
			return err
		}
		if last != nil {
			order := l.Number().Cmp(last.Number())
			if order < 0 || l.Len() < last.Len() || order == 0 && l.Len() != last.Len() {
				return fmt.Errorf("number %v with %d entries after %v with %d", l.Number(), l.Len(), last.Number(), last.Len())
			}
		}
		last = l
		select {
		case <-stop:
			return nil
		case <-time.After(time.Millisecond):
		}
	}
}

// The floor is in force though nobody could be told.
func TestSpreadError(t *testing.T) {
	w := newWorld(t)
	phrase := []byte("open sesame")
	w.config.Passphrase = func() ([]byte, error) { return phrase, nil }
	var calls []HookCall
	fails := errors.New("the network is down")
	w.config.ChangeHook = func(_ context.Context, c HookCall) error {
		calls = append(calls, c)
		return fails
	}
	m := w.manager()
	ctx := context.Background()
	var spread *SpreadError
	_, err := m.InitAuthority(ctx, InitRequest{Authority: Cluster, Name: "cluster.example.com", Passphrase: phrase})
	if !errors.As(err, &spread) || !errors.Is(err, fails) {
		t.Errorf("making a CA: %v", err)
	}
	fails = nil
	w.setMin(m, 2)
	want := HookCall{Authority: Cluster, Serial: "1", File: filepath.Join(w.dir, "ca", "serial")}
	for i, change := range []string{"init", "set-min"} {
		want.Change = change
		if i >= len(calls) || calls[i] != want {
			t.Errorf("calls %+v, want %+v", calls, want)
		}
	}
	number := w.published().Number()

	w.config.Passphrase = nil
	m = w.manager()
	if _, err := m.SetMinSerial(ctx, SetMinRequest{Authority: Cluster, Number: 2}); !errors.As(err, &spread) || !errors.Is(err, ErrPassphraseNeeded) || fault.KindOf(err) != fault.Internal {
		t.Errorf("without the passphrase: %v", err)
	}
	if len(calls) != 3 {
		t.Errorf("the hook ran %d times", len(calls))
	}
	if v, err := m.Verifier(ctx, Cluster); err != nil || v.Floor != 2 {
		t.Errorf("floor %v, %v", v.Floor, err)
	}
	if w.published().Number().Cmp(number) != 0 {
		t.Error("a list that nobody could sign")
	}
}
