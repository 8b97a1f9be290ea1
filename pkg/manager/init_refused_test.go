package manager

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"testing"
	"time"

	"x509ctl/pkg/fault"
)

// The CA's own number is confirmed like any other, without the lock, and an init that
// was stopped by that goes on when it is run again.
func TestInitRunsTheSerialHook(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	req := InitRequest{Authority: Cluster, Name: "cluster.example.com"}
	fails := true
	var calls []string
	w.config.SerialHook = func(ctx context.Context, c HookCall) error {
		calls = append(calls, c.Serial)
		b, err := os.ReadFile(c.File)
		if err != nil || string(b) != c.Serial+"\n" {
			t.Errorf("the hook for %s found %q, %v", c.Serial, b, err)
		}
		if fails {
			return errors.New("a candidate is down")
		}
		if len(calls) == 2 { // another process is faster
			other := w.config
			other.SerialHook = nil
			m := New(other)
			_, err := m.InitAuthority(ctx, req)
			return errors.Join(err, m.Close())
		}
		return nil
	}
	_, err := w.manager().InitAuthority(ctx, req)
	w.wantKind("a hook that fails", err, fault.Unavailable)
	if _, err := w.manager().Authority(ctx, Cluster); !errors.Is(err, ErrNotInitialised) {
		t.Errorf("after it there is a CA: %v", err)
	}
	fails = false
	if _, err := w.manager().InitAuthority(ctx, req); !errors.Is(err, ErrInitialised) {
		t.Errorf("while another one was faster: %v", err)
	}
	m := w.manager()
	ca, err := m.Authority(ctx, Cluster)
	if err != nil || ca.CASerial != "3" {
		t.Errorf("the CA has number %s, %v; the hooks were called for %q", ca.CASerial, err, calls)
	}
	if _, err := m.Issue(ctx, IssueRequest{Authority: Cluster, Name: "cluster.example.com", SPKI: spki(t)}); err != nil {
		t.Error(err)
	}
}

// An adoption that is refused leaves no database, which would keep a backup from being
// restored.
func TestRefusedAdoptionLeavesNothing(t *testing.T) {
	h := &history{newWorld(t), map[string]string{}}
	secret := func() ([]byte, error) { return []byte("secret"), nil }
	h.config.Passphrase = secret
	h.fresh(func(m *Manager) {
		req := InitRequest{Authority: Cluster, Name: "cluster.example.com", Passphrase: []byte("secret")}
		_, err := m.InitAuthority(context.Background(), req)
		h.must(err)
	})
	backup := h.backup()
	h.remove(h.path("x509ctl.db"))
	adopt := func() (err error) {
		h.fresh(func(m *Manager) {
			_, err = m.InitAuthority(context.Background(), InitRequest{Authority: Cluster, Name: "cluster.example.com", Adopt: true})
		})
		return err
	}
	h.config.Passphrase = nil
	if err := adopt(); !errors.Is(err, ErrPassphraseNeeded) {
		t.Errorf("without a passphrase: %v", err)
	}
	h.config.Passphrase = secret
	h.copy(h.path("ca", "serial"), h.path("serial.good"))
	h.put("ca/serial", "9223372036854775807\n")
	h.wantKind("a count at its end", adopt(), fault.Unavailable)
	h.copy(h.path("serial.good"), h.path("ca", "serial"))
	if _, err := h.restore(backup, 0, false); err != nil {
		t.Errorf("restoring afterwards: %v", err)
	}
}

// A CA whose certificates can't be for the cluster makes none that any verifier
// accepts.
func TestAdoptNameConstraints(t *testing.T) {
	for _, tc := range []struct {
		name                string
		permitted, excluded []string
		refused             bool
	}{
		{"excluded", nil, []string{"example.com"}, true},
		{"a part of it excluded", nil, []string{"other.cluster.example.com"}, false},
		{"another permitted", []string{"example.org"}, nil, true},
		{"its parent permitted", []string{"example.org", "EXAMPLE.com"}, nil, false},
		{"only what is below permitted", []string{".cluster.example.com"}, nil, true},
		{"a name that ends alike permitted", []string{"ster.example.com"}, nil, true},
	} {
		h := &history{newWorld(t), map[string]string{}}
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		h.must(err)
		template := &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "constrained"}, NotBefore: h.now.Add(-time.Hour), NotAfter: h.now.AddDate(1, 0, 0),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, SubjectKeyId: []byte{1},
			PermittedDNSDomainsCritical: true, PermittedDNSDomains: tc.permitted, ExcludedDNSDomains: tc.excluded,
		}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		h.must(err)
		h.write("cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
		h.write("key.pem", keyPEM(t, key))
		h.mode("ca/key.pem", 0o400)
		h.must(os.Chmod(h.dir, 0o711))
		_, err = h.manager().InitAuthority(context.Background(), InitRequest{Authority: Cluster, Name: "cluster.example.com", Adopt: true})
		if tc.refused {
			h.wantKind(tc.name, err, fault.Denied)
		} else if err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
		if _, err := os.Stat(h.path("x509ctl.db")); tc.refused != errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: the database: %v", tc.name, err)
		}
	}
}

// So is the number of a CA that takes the place of another.
func TestRenewalRunsTheSerialHook(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	before, err := w.init().Authority(ctx, Cluster)
	if err != nil {
		t.Fatal(err)
	}
	var calls []string
	var failure error = errors.New("a candidate is down")
	w.config.SerialHook = func(_ context.Context, c HookCall) error {
		calls = append(calls, c.Serial)
		return failure
	}
	req := RenewRequest{Authority: Cluster, Step: RenewAtOnce}
	_, err = w.manager().RenewCA(ctx, req)
	w.wantKind("a hook that fails", err, fault.Unavailable)
	if ca, err := w.manager().Authority(ctx, Cluster); err != nil || ca.SHA256 != before.SHA256 {
		t.Errorf("the CA is %s, %v", ca.Subject, err)
	}
	failure = nil
	r, err := w.manager().RenewCA(ctx, req)
	if err != nil || r.After.CASerial != "3" || len(calls) != 2 {
		t.Errorf("the CA has number %s, %v; the hook was called for %q", r.After.CASerial, err, calls)
	}
	// Another process replaces the CA meanwhile.
	other := w.config
	other.SerialHook = nil
	w.config.SerialHook = func(ctx context.Context, _ HookCall) error {
		m := New(other)
		_, err := m.RenewCA(ctx, RenewRequest{Authority: Cluster, Step: RenewPrepare})
		return errors.Join(err, m.Close())
	}
	if _, err := w.manager().RenewCA(ctx, req); !errors.Is(err, ErrCAChanged) {
		t.Errorf("while another one was faster: %v", err)
	}
}
