package manager

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/serial"
)

// A world is a state directory and the clock of those who use it.
type world struct {
	t      *testing.T
	dir    string
	now    time.Time
	config Config
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, dir: filepath.Join(t.TempDir(), "state"), now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	w.config = Config{
		Dir: w.dir, Clock: func() time.Time { return w.now }, MachineID: "m1",
		Caller: Caller{Who: "tester", From: "local"}, Wait: 10 * time.Second,
	}
	return w
}

// manager returns one as a new process would have it.
func (w *world) manager() *Manager {
	w.t.Helper()
	m := New(w.config)
	w.t.Cleanup(func() {
		if err := m.Close(); err != nil {
			w.t.Error(err)
		}
	})
	return m
}

// init makes the cluster's authority with the nodes node1 and node2.
func (w *world) init() *Manager {
	w.t.Helper()
	m := w.manager()
	ctx := context.Background()
	if _, err := m.InitAuthority(ctx, InitRequest{Authority: Cluster, Name: "cluster.example.com"}); err != nil {
		w.t.Fatal(err)
	}
	for _, name := range []string{"node1.example.com", "node2.example.com"} {
		if _, err := m.AddNode(ctx, AddNodeRequest{Authority: Cluster, Name: name}); err != nil {
			w.t.Fatal(err)
		}
	}
	return m
}

// csr makes a request for name.
func csr(t *testing.T, name string) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}}, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// sign signs requests for names and returns the answers.
func (w *world) sign(m *Manager, names ...string) []SignResult {
	w.t.Helper()
	req := SignRequest{Authority: Cluster}
	for _, n := range names {
		req.Items = append(req.Items, SignItem{Request: csr(w.t, n)})
	}
	out, err := m.Sign(context.Background(), req)
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

func (w *world) records(m *Manager) []Certificate {
	w.t.Helper()
	var out []Certificate
	err := m.Certificates(context.Background(), CertificateFilter{Authority: Cluster}, func(c Certificate) error {
		out = append(out, c)
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

func (w *world) wantKind(what string, err error, kind fault.Kind) {
	w.t.Helper()
	if err == nil || fault.KindOf(err) != kind {
		w.t.Errorf("%s: error %v of kind %q, want %q", what, err, fault.KindOf(err), kind)
	}
}

func TestSign(t *testing.T) {
	w := newWorld(t)
	m := w.init()
	for _, names := range [][]string{
		{"node1.example.com"},
		{"node1.example.com", "evil.example.com", "NODE2.example.com", "cluster.example.com"},
	} {
		results := w.sign(m, names...)
		for i, r := range results {
			if names[i] == "evil.example.com" {
				w.wantKind(names[i], r.Err, fault.Denied)
				continue
			}
			if r.Err != nil {
				t.Fatalf("%s: %v", names[i], r.Err)
			}
			cert, err := x509.ParseCertificate(r.Certificate.DER)
			if err != nil {
				t.Fatal(err)
			}
			if cert.Subject.CommonName != profile.FoldName(names[i]) || cert.SerialNumber.Int64() != int64(r.Certificate.Serial) {
				t.Errorf("%s: certificate %v for %s", names[i], cert.SerialNumber, cert.Subject)
			}
			if got := cert.NotAfter.Sub(cert.NotBefore); got != profile.DefaultLifetime {
				t.Errorf("lifetime %v", got)
			}
			recorded, err := m.Certificate(context.Background(), Cluster, r.Certificate.Serial)
			if err != nil || string(recorded.DER) != string(r.Certificate.DER) || recorded.Requester != "tester" {
				t.Errorf("the record of %v: %+v, %v", r.Certificate.Serial, recorded, err)
			}
		}
	}
	records := w.records(m)
	if len(records) != 5 { // the CA and four leaves
		t.Errorf("%d certificates in the inventory", len(records))
	}
	s, err := m.Serial(context.Background(), Cluster)
	if err != nil || s.Last != 5 || s.Next != 6 || s.Floor != 1 {
		t.Errorf("Serial = %+v, %v", s, err)
	}
	// The second batch had one refusal, which took no number.
	for i, c := range records {
		if c.Serial != serial.Number(i+1) {
			t.Errorf("record %d has number %v", i, c.Serial)
		}
	}
}

func TestSignOverlappingBatches(t *testing.T) {
	w := newWorld(t)
	w.init()
	names := make([]string, 20)
	for i := range names {
		names[i] = "node1.example.com"
	}
	seen := make(chan serial.Number, 1000)
	done := make(chan error)
	for range 6 {
		m := w.manager()
		go func() {
			req := SignRequest{Authority: Cluster}
			for _, n := range names {
				req.Items = append(req.Items, SignItem{Request: csr(t, n)})
			}
			for range 5 {
				results, err := m.Sign(context.Background(), req)
				for _, r := range results {
					err = errors.Join(err, r.Err)
					seen <- r.Certificate.Serial
				}
				if err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range 6 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	close(seen)
	unique := map[serial.Number]bool{}
	for n := range seen {
		if unique[n] {
			t.Errorf("number %v twice", n)
		}
		unique[n] = true
	}
	if len(unique) != 600 {
		t.Errorf("%d numbers", len(unique))
	}
}

func TestResume(t *testing.T) {
	w := newWorld(t)
	m := w.init()
	ctx := context.Background()
	request := csr(t, "node1.example.com")
	sign := func(dest string) SignResult {
		t.Helper()
		out, err := m.Sign(ctx, SignRequest{Authority: Cluster, Items: []SignItem{{Request: request, Destination: dest}}})
		if err != nil || out[0].Err != nil {
			t.Fatal(err, out)
		}
		return out[0]
	}
	first := sign("/out/a.pem")
	again := sign("/out/a.pem")
	if first.Reused || !again.Reused || again.Certificate.Serial != first.Certificate.Serial || string(again.Certificate.DER) != string(first.Certificate.DER) {
		t.Errorf("the same work gave %v, then %v (reused %v)", first.Certificate.Serial, again.Certificate.Serial, again.Reused)
	}
	if other := sign("/out/b.pem"); other.Reused {
		t.Error("another destination got the same certificate")
	}
	if none := sign(""); none.Reused {
		t.Error("no destination got a recorded certificate")
	}
	w.now = w.now.Add(13 * time.Hour) // past the half of a day
	if later := sign("/out/a.pem"); later.Reused {
		t.Error("a certificate past half of its life was handed out again")
	}
}

func TestHook(t *testing.T) {
	w := newWorld(t)
	w.init()
	var calls []string
	w.config.SerialHook = func(_ context.Context, c HookCall) error {
		calls = append(calls, c.Serial)
		b, err := os.ReadFile(c.File)
		if err != nil || string(b) != c.Serial+"\n" {
			t.Errorf("the hook for %s found %q, %v", c.Serial, b, err)
		}
		if len(calls) == 2 {
			return errors.New("two candidates are down")
		}
		return nil
	}
	m := w.manager()
	if r := w.sign(m, "node1.example.com"); r[0].Err != nil {
		t.Fatal(r[0].Err)
	}
	before := len(w.records(m))
	_, err := m.Sign(context.Background(), SignRequest{Authority: Cluster, Items: []SignItem{{Request: csr(t, "node1.example.com")}}})
	w.wantKind("a hook that fails", err, fault.Unavailable)
	if after := len(w.records(m)); after != before {
		t.Errorf("%d records became %d", before, after)
	}
	if r := w.sign(m, "node1.example.com"); r[0].Certificate.Serial != 4 {
		t.Errorf("the number after the failed one is %v: 3 was spent", r[0].Certificate.Serial)
	}
}

func TestChangesWhileSigning(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*Manager) error
		kind   fault.Kind
	}{
		{"the floor rises", func(m *Manager) error {
			// Another process issues, so that the floor may pass the reserved number.
			if _, err := m.Issue(context.Background(), IssueRequest{Authority: Cluster, Name: "node2.example.com", SPKI: spki(t)}); err != nil {
				return err
			}
			_, err := m.SetMinSerial(context.Background(), SetMinRequest{Authority: Cluster, To: MinNext})
			return err
		}, fault.Denied},
		{"the node goes", func(m *Manager) error {
			_, err := m.RemoveNode(context.Background(), Cluster, "node1.example.com")
			return err
		}, fault.Denied},
		{"another node comes", func(m *Manager) error {
			_, err := m.AddNode(context.Background(), AddNodeRequest{Authority: Cluster, Name: "node3.example.com"})
			return err
		}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			other := w.init()
			w.config.SerialHook = func(context.Context, HookCall) error { return tc.change(other) }
			m := w.manager()
			r := w.sign(m, "node1.example.com")[0]
			if tc.kind == "" {
				if r.Err != nil {
					t.Fatal(r.Err)
				}
				return
			}
			w.wantKind(tc.name, r.Err, tc.kind)
			for _, c := range w.records(m) {
				if c.CommonName == "node1.example.com" {
					t.Errorf("certificate %v was recorded", c.Serial)
				}
			}
		})
	}
}

func spki(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return der
}
