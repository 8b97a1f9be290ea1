package manager

import (
	"context"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/serial"
	"x509ctl/pkg/trust"
)

func (w *world) renew(m *Manager, step RenewStep) RenewResult {
	w.t.Helper()
	out, err := m.RenewCA(context.Background(), RenewRequest{Authority: Cluster, Step: step})
	if err != nil {
		w.t.Fatalf("%s: %v", step, err)
	}
	return out
}

func (w *world) wantRenewError(m *Manager, step RenewStep, want error) {
	w.t.Helper()
	_, err := m.RenewCA(context.Background(), RenewRequest{Authority: Cluster, Step: step})
	if !errors.Is(err, want) {
		w.t.Errorf("%s: %v, want %v", step, err, want)
	}
}

// leaf issues a certificate for node1.
func (w *world) leaf(m *Manager) *x509.Certificate {
	w.t.Helper()
	r := w.sign(m, "node1.example.com")[0]
	if r.Err != nil {
		w.t.Fatal(r.Err)
	}
	cert, err := x509.ParseCertificate(r.Certificate.DER)
	if err != nil {
		w.t.Fatal(err)
	}
	return cert
}

// files is what verifiers have, as of now.
type files struct {
	bundle *trust.Bundle
	list   *trust.CRL
}

func (w *world) files(m *Manager) files {
	w.t.Helper()
	v, err := m.Verifier(context.Background(), Cluster)
	if err != nil {
		w.t.Fatal(err)
	}
	return files{v.Bundle, w.published()}
}

// wantVerdict judges leaf by bundle and list: a list that is fresh is wanted.
func (w *world) wantVerdict(what string, f files, leaf *x509.Certificate, good bool) {
	w.t.Helper()
	err := trust.Check{Bundle: f.bundle, CRL: f.list, At: w.now, RequireFresh: true}.Verify(leaf)
	var refused *trust.VerifyError
	if good && err != nil || !good && (!errors.As(err, &refused) || refused.Reason != trust.WrongIssuer) {
		w.t.Errorf("%s: %v", what, err)
	}
}

func TestRenewInThreeSteps(t *testing.T) {
	w := newWorld(t)
	m := w.init()
	other := w.manager() // as another process: it has the old CA loaded
	old := w.leaf(other)
	before := w.files(m)

	out := w.renew(m, RenewPrepare)
	if out.After.SHA256 != out.Before.SHA256 || len(out.After.Prepared) != 1 || out.After.Prepared[0].Subject != "CN=cluster.example.com CA 3" {
		t.Errorf("prepared: %+v", out.After)
	}
	prepared := w.files(m)
	if w.published().Next() == nil || w.published().Next().Issuer() != "CN=cluster.example.com CA 3" {
		t.Error("the prepared CA has no list")
	}
	if leaf := w.leaf(other); leaf.Issuer.CommonName != "cluster.example.com CA 1" {
		t.Errorf("signed by %s", leaf.Issuer)
	}
	w.wantRenewError(m, RenewPrepare, ErrPrepared)
	w.wantRenewError(m, RenewAtOnce, ErrPrepared)
	w.wantRenewError(m, RenewRetire, ErrNothingToRetire)

	out = w.renew(m, RenewActivate)
	if out.After.SHA256 != out.Before.Prepared[0].SHA256 || len(out.After.Replaced) != 1 || out.After.Replaced[0].SHA256 != out.Before.SHA256 {
		t.Errorf("activated: %+v", out.After)
	}
	leaf := w.leaf(other)
	if leaf.Issuer.CommonName != "cluster.example.com CA 3" || leaf.SerialNumber.Int64() != 5 {
		t.Errorf("%v signed by %s", leaf.SerialNumber, leaf.Issuer)
	}
	after := w.files(m)
	w.wantVerdict("old leaf, old files", before, old, true)
	w.wantVerdict("old leaf, files of the preparation", prepared, old, true)
	w.wantVerdict("old leaf, new files", after, old, true)
	w.wantVerdict("new leaf, old files", before, leaf, false)
	w.wantVerdict("new leaf, files of the preparation", prepared, leaf, true)
	w.wantVerdict("new leaf, new files", after, leaf, true)
	w.wantRenewError(m, RenewActivate, ErrNotPrepared)

	// The old CA is needed as long as a certificate of it is live: number 4 is the last.
	var inUse *InUseError
	_, err := m.RenewCA(context.Background(), RenewRequest{Authority: Cluster, Step: RenewRetire})
	last := old.NotAfter.Add(time.Second)
	if !errors.As(err, &inUse) || inUse.CA.Live != 2 || !inUse.CA.Retirable.Equal(last) || strings.Join(inUse.CA.Holders, " ") != "node1.example.com" {
		t.Fatalf("retiring: %v, %+v", err, inUse)
	}
	w.now = last.Add(-time.Second)
	if _, err := m.RenewCA(context.Background(), RenewRequest{Authority: Cluster, Step: RenewRetire}); !errors.As(err, &inUse) {
		t.Errorf("retiring in the last second: %v", err)
	}
	w.now = last
	out = w.renew(m, RenewRetire)
	if len(out.After.Replaced) != 0 || len(out.Before.Replaced) != 1 || out.Before.Replaced[0].Live != 0 {
		t.Errorf("retired: %+v", out)
	}
	w.now = old.NotAfter
	w.wantVerdict("old leaf, after it was retired", files{w.files(m).bundle, nil}, old, false)
	if _, err := os.Stat(filepath.Join(w.dir, "ca", "old", "1", "key.pem")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the retired CA's key: %v", err)
	}
	if w.published().Next() != nil {
		t.Error("the retired CA signs lists")
	}
	w.wantRenewError(m, RenewRetire, ErrNothingToRetire)
}

func TestRenewAtOnce(t *testing.T) {
	w := newWorld(t)
	m := w.init()
	old := w.leaf(m)
	w.setMin(m, 2)
	out := w.renew(m, RenewAtOnce)
	if out.After.SHA256 == out.Before.SHA256 || out.After.Subject != "CN=cluster.example.com CA 3" || out.After.Serial.Floor != 2 || len(out.After.Replaced) != 1 {
		t.Errorf("%+v", out.After)
	}
	leaf := w.leaf(m)
	w.wantVerdict("old", w.files(m), old, true)
	w.wantVerdict("new", w.files(m), leaf, true)
	// Again, while the first is trusted still; what is revoked is so for all of them.
	w.revoke(m, RevokeRequest{Serials: []serial.Number{2}})
	out = w.renew(m, RenewAtOnce)
	if len(out.After.Replaced) != 2 || out.After.Subject != "CN=cluster.example.com CA 5" {
		t.Errorf("%+v", out.After)
	}
	w.wantVerdict("the second one's", w.files(m), leaf, true)
	w.wantVerdict("the third one's", w.files(m), w.leaf(m), true)
	lists := 0
	for l := w.published(); l != nil; l = l.Next() {
		if _, ok := l.Find(old.SerialNumber); !ok {
			t.Errorf("the list of %s does not have what is revoked", l.Issuer())
		}
		lists++
	}
	if lists != 3 {
		t.Errorf("%d lists", lists)
	}
}

func TestRenewCompromised(t *testing.T) {
	w := newWorld(t)
	m := w.init()
	old := w.leaf(m)
	w.renew(m, RenewPrepare)
	next := w.published().Next().Issuer()
	out := w.renew(m, RenewCompromised)
	if len(out.After.Replaced)+len(out.After.Prepared) != 0 || out.After.Subject == next || out.After.SHA256 == out.Before.SHA256 {
		t.Errorf("%+v", out.After)
	}
	w.wantVerdict("old", w.files(m), old, false)
	w.wantVerdict("new", w.files(m), w.leaf(m), true)
	for _, name := range []string{"next", "old/1/key.pem"} {
		if _, err := os.Stat(filepath.Join(w.dir, "ca", name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRenewCancel(t *testing.T) {
	w := newWorld(t)
	m := w.init()
	w.wantRenewError(m, RenewCancel, ErrNotPrepared)
	w.renew(m, RenewPrepare)
	w.renew(m, RenewCancel)
	if v := w.files(m); len(v.bundle.Own()) != 1 || v.list.Next() != nil {
		t.Error("it is trusted still")
	}
	if _, err := os.Stat(filepath.Join(w.dir, "ca", "next")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("next: %v", err)
	}
	w.renew(m, RenewPrepare)
	w.renew(m, RenewActivate)
}

// A CA is replaced while certificates are between their two transactions.
func TestRenewMeanwhile(t *testing.T) {
	w := newWorld(t)
	other := w.init()
	w.config.SerialHook = func(context.Context, HookCall) error {
		w.renew(other, RenewAtOnce)
		return nil
	}
	m := w.manager()
	_, err := m.Sign(context.Background(), SignRequest{Authority: Cluster, Items: []SignItem{{Request: csr(t, "node1.example.com")}}})
	if !errors.Is(err, ErrCAChanged) {
		t.Errorf("signing: %v", err)
	}
	for _, c := range w.records(m) {
		if c.Kind != kindCA {
			t.Errorf("recorded %+v", c)
		}
	}
}

// Whoever asks for one certificate gets it, however often the CA is replaced meanwhile.
func TestIssueAmongRenewals(t *testing.T) {
	w := newWorld(t)
	m, other := w.init(), w.manager()
	var stop atomic.Bool
	renewed := make(chan error)
	go func() {
		var err error
		for err == nil && !stop.Load() {
			_, err = other.RenewCA(context.Background(), RenewRequest{Authority: Cluster, Step: RenewAtOnce})
		}
		renewed <- err
	}()
	for i := range 25 {
		_, err := m.Sign(context.Background(), SignRequest{Authority: Cluster, Items: []SignItem{{Request: csr(t, "node1.example.com")}}})
		if err != nil {
			t.Errorf("certificate %d: %v", i, err)
		}
	}
	stop.Store(true)
	if err := <-renewed; err != nil {
		t.Error(err)
	}
}

// The new key is encrypted like the old one.
func TestRenewEncrypted(t *testing.T) {
	w := newWorld(t)
	phrase := []byte("open sesame")
	w.config.Passphrase = func() ([]byte, error) { return phrase, nil }
	m := w.manager()
	if _, err := m.InitAuthority(context.Background(), InitRequest{Authority: Cluster, Name: "cluster.example.com", Passphrase: phrase}); err != nil {
		t.Fatal(err)
	}
	if out := w.renew(m, RenewAtOnce); !out.After.KeyEncrypted {
		t.Error("the new key is not encrypted")
	}
	w.config.Passphrase = func() ([]byte, error) { return []byte("wrong"), nil }
	before := w.published().Number()
	w.wantRenewError(w.manager(), RenewAtOnce, ErrWrongPassphrase)
	if w.published().Number().Cmp(before) != 0 {
		t.Error("it changed something")
	}
}

func TestRenewRefuses(t *testing.T) {
	w := newWorld(t)
	_, err := w.manager().RenewCA(context.Background(), RenewRequest{Authority: Cluster})
	w.wantKind("without a CA", err, fault.NotFound)
	m := w.init()
	for what, req := range map[string]RenewRequest{
		"no step":        {Step: "back"},
		"too long":       {Step: RenewAtOnce, Lifetime: 100 * 365 * 24 * time.Hour},
		"no kind of key": {Step: RenewAtOnce, KeyAlgorithm: "dsa"},
	} {
		req.Authority = Cluster
		if _, err := m.RenewCA(context.Background(), req); err == nil {
			t.Errorf("%s: done", what)
		}
		if a, err := m.Authority(context.Background(), Cluster); err != nil || len(a.Replaced)+len(a.Prepared) > 0 {
			t.Errorf("%s: %+v, %v", what, a, err)
		}
	}
}
