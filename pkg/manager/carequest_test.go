package manager

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
)

func (w *world) request(m *Manager, another bool) CARequest {
	w.t.Helper()
	out, err := m.RequestCA(context.Background(), CARequestRequest{Authority: Cluster, New: another})
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// answer is what f makes of a request; edit changes it. Its key is where it was made.
func (f *foreigner) answer(w *world, request CARequest, edit func(*x509.Certificate)) *ForeignCA {
	w.t.Helper()
	csr, err := x509.ParseCertificateRequest(request.DER)
	if err != nil {
		w.t.Fatal(err)
	}
	t := w.below(f, "x", profile.ECDSAP256, nil, pathLen(0)).cert
	t.RawSubject = csr.RawSubject
	t.SubjectKeyId, t.AuthorityKeyId = []byte(request.Subject), nil
	if edit != nil {
		edit(t)
	}
	der, err := x509.CreateCertificate(rand.Reader, t, f.cert, csr.PublicKey, f.key)
	if err != nil {
		w.t.Fatal(err)
	}
	return &ForeignCA{Chain: []*x509.Certificate{mustParse(w.t, der), f.cert}}
}

// wantRequest wants that there is a request, or none, and says so where people look.
func (w *world) wantRequest(what string, m *Manager, subject string) {
	w.t.Helper()
	a, err := m.Authority(context.Background(), Cluster)
	if err != nil || a.Request != subject {
		w.t.Errorf("%s: there is a request for %q, %v; want %q", what, a.Request, err, subject)
	}
	_, err = os.Stat(filepath.Join(w.dir, "ca", "request"))
	if (err == nil) != (subject != "") {
		w.t.Errorf("%s: the request's directory: %v", what, err)
	}
	w.wantFindings(m)
}

// wantFindings wants Check to find what is given, and nothing else.
func (w *world) wantFindings(m *Manager, want ...string) {
	w.t.Helper()
	report, err := m.Check(context.Background(), CheckRequest{Authority: Cluster})
	var found []string
	for _, f := range report.Findings {
		found = append(found, fmt.Sprint(f.Severity, " ", f.Check))
	}
	if err != nil || !slices.Equal(found, want) {
		w.t.Errorf("found %q, %v; want %q", found, err, want)
	}
}

// A request is made, asked for again, answered and installed, at once and in steps.
func TestRequestCA(t *testing.T) {
	for _, steps := range [][]RenewStep{{RenewAtOnce}, {RenewPrepare, RenewActivate}, {RenewCompromised}} {
		w := newWorld(t)
		m := w.init()
		w.wantRequest("at first", m, "")
		request := w.request(m, false)
		const subject = "CN=cluster.example.com CA 2"
		if !request.Created || request.Subject != subject || request.KeyAlgorithm != "ecdsa-p256" {
			t.Errorf("made: %+v", request)
		}
		again := w.request(w.manager(), false)
		if again.Created || string(again.DER) != string(request.DER) {
			t.Errorf("asked again: %+v", again)
		}
		w.wantRequest("made", m, subject)
		leaf := w.leaf(m) // the present CA goes on
		root := w.below(nil, "third root", profile.ECDSAP384, nil, nil)
		for _, step := range steps {
			req := RenewRequest{Authority: Cluster, Step: step}
			if step != RenewActivate {
				req.Foreign = root.answer(w, request, nil)
			}
			if _, err := m.RenewCA(context.Background(), req); err != nil {
				t.Fatal(step, err)
			}
			if step == RenewPrepare { // and it may be given up
				w.wantRequest("prepared", m, subject)
				w.renew(m, RenewCancel)
				w.wantRequest("given up", m, subject)
				if _, err := m.RenewCA(context.Background(), req); err != nil {
					t.Fatal(err)
				}
			}
			if req.Foreign != nil && req.Foreign.Key != nil {
				t.Error("the caller got the key")
			}
		}
		w.wantRequest("installed", m, "")
		w.wantVerdict("the one before", w.files(m), leaf, steps[0] != RenewCompromised)
		after := w.leaf(m)
		if after.Issuer.String() != subject || after.SerialNumber.Int64() != 4 {
			t.Errorf("%v by %s", after.SerialNumber, after.Issuer)
		}
		w.wantVerdict("the one after", w.files(m), after, true)
		if got := w.request(m, false).Subject; got != "CN=cluster.example.com CA 5" {
			t.Errorf("the next request is for %s", got)
		}
	}
}

// What is no answer to the request is refused, and nothing changes.
func TestRequestCARefused(t *testing.T) {
	w := newWorld(t)
	m := w.init()
	root := w.below(nil, "third root", profile.ECDSAP256, nil, nil)
	stranger := w.below(root, "stranger", profile.ECDSAP256, nil, pathLen(0)).with(root)
	stranger.Key = nil
	_, err := w.install(m, RenewAtOnce, stranger)
	if !errors.Is(err, ErrKeyElsewhere) {
		t.Errorf("no request: %v", err)
	}
	old := w.request(m, false)
	request := w.request(m, true)
	if !request.Created || request.SPKIHash == old.SPKIHash || request.Subject == old.Subject {
		t.Errorf("another: %+v, %+v", old, request)
	}
	present, err := m.Chain(context.Background(), Cluster)
	if err != nil {
		t.Fatal(err)
	}
	for what, f := range map[string]*ForeignCA{
		"another key":           stranger,
		"a request given up":    root.answer(w, old, nil),
		"no CA":                 root.answer(w, request, func(c *x509.Certificate) { c.IsCA, c.MaxPathLenZero = false, false }),
		"no keyCertSign":        root.answer(w, request, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }),
		"no certificate":        {},
		"our name, another key": root.answer(w, request, func(c *x509.Certificate) { c.RawSubject = mustParse(t, present[0]).RawSubject }),
	} {
		for _, step := range []RenewStep{RenewAtOnce, RenewPrepare, RenewCompromised} {
			if _, err := w.install(m, step, f); err == nil || fault.KindOf(err) == fault.Internal {
				t.Errorf("%s: %v", what, err)
			}
			w.wantRequest(what, m, request.Subject)
			if again := w.request(m, false); again.SPKIHash != request.SPKIHash {
				t.Errorf("%s: there is another request now", what)
			}
		}
	}
	// Their subject is as good as ours; and theirs may be certified again, by the same key.
	theirs := func(c *x509.Certificate) {
		c.RawSubject = w.below(root, "theirs", profile.ECDSAP256, nil, nil).cert.RawSubject
	}
	if _, err := w.install(m, RenewAtOnce, root.answer(w, request, theirs)); err != nil {
		t.Fatal(err)
	}
	if got := w.leaf(m).Issuer.String(); got != "CN=theirs" {
		t.Errorf("issued by %s", got)
	}
	if _, err := w.install(m, RenewAtOnce, root.answer(w, request, func(c *x509.Certificate) { theirs(c); c.NotAfter = c.NotAfter.AddDate(0, 0, 1) })); err != nil {
		t.Errorf("certified again: %v", err)
	}
	w.wantVerdict("certified again", w.files(m), w.leaf(m), true)
}

// A key that lay beside a stolen one is not used.
func TestRequestCAIsGivenUp(t *testing.T) {
	w := newWorld(t)
	m := w.init()
	request := w.request(m, false)
	w.renew(m, RenewAtOnce)
	w.wantRequest("after another renewal", m, request.Subject)
	w.renew(m, RenewCompromised)
	w.wantRequest("after a theft", m, "")
}

// What a killed process left of a request is no request.
func TestRequestCACut(t *testing.T) {
	w := newWorld(t)
	m := w.init()
	dir := filepath.Join(w.dir, "ca", "request")
	remove := func(name string) {
		t.Helper()
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	first := w.request(m, false)
	remove("request.pem") // written last, and removed first
	w.wantFindings(m, "note request")
	if second := w.request(m, false); !second.Created || second.SPKIHash == first.SPKIHash {
		t.Errorf("a key without a request: %+v", second)
	}
	remove("request.pem")
	w.renew(m, RenewAtOnce)
	w.wantRequest("after any renewal", m, "")

	// A key that is lost is told before somebody signs the request.
	request := w.request(m, false)
	remove("key.pem")
	w.wantFindings(m, "error request")
	_, err := w.install(m, RenewAtOnce, w.below(nil, "root", profile.ECDSAP256, nil, nil).answer(w, request, nil))
	if !errors.Is(err, ErrRequestKey) {
		t.Errorf("the key is lost: %v", err)
	}
	w.request(m, true)
	w.wantFindings(m)

	// So is an answer whose request was to be removed when the process was killed.
	request = w.request(m, false)
	kept := w.tree()
	saved := map[string][]byte{}
	for _, name := range kept {
		if strings.HasPrefix(name, "ca/request/") {
			if b, err := os.ReadFile(filepath.Join(w.dir, name)); err == nil {
				saved[name] = b
			}
		}
	}
	if _, err := w.install(m, RenewAtOnce, w.below(nil, "root", profile.ECDSAP256, nil, nil).answer(w, request, nil)); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, b := range saved {
		if err := os.WriteFile(filepath.Join(w.dir, name), b, 0o400); err != nil {
			t.Fatal(err)
		}
	}
	if a, err := m.Authority(context.Background(), Cluster); err != nil || a.Request != "" {
		t.Errorf("an answered request is shown: %q, %v", a.Request, err)
	}
	w.setMin(m, 2) // publishes
	w.wantRequest("swept", m, "")
}

// While the serial hook runs, without the lock, another process makes the request: there is
// one then, and both show it.
func TestRequestCAMeanwhile(t *testing.T) {
	w := newWorld(t)
	w.init()
	var other CARequest
	w.config.SerialHook = func(context.Context, HookCall) error {
		w.config.SerialHook = nil
		other = w.request(w.manager(), false)
		return nil
	}
	m := w.manager()
	if got := w.request(m, false); got.Created || !other.Created || got.SPKIHash != other.SPKIHash {
		t.Errorf("%q, and meanwhile %q", got.Subject, other.Subject)
	}
	w.wantRequest("both", m, other.Subject)
}

// The request's key is encrypted as the CA's is.
func TestRequestCAPassphrase(t *testing.T) {
	w := newWorld(t)
	w.config.Passphrase = func() ([]byte, error) { return []byte("secret"), nil }
	m := w.manager()
	init := InitRequest{Authority: Cluster, Name: "cluster.example.com", Passphrase: []byte("secret")}
	if _, err := m.InitAuthority(context.Background(), init); err != nil {
		t.Fatal(err)
	}
	request := w.request(m, false)
	key := filepath.Join(w.dir, "ca", "request", "key.pem")
	if b, err := os.ReadFile(key); err != nil || !strings.Contains(string(b), "ENCRYPTED PRIVATE KEY") {
		t.Errorf("the key is not encrypted: %v", err)
	}
	if st, err := os.Stat(key); err != nil || st.Mode().Perm() != 0o400 {
		t.Errorf("the key's mode: %v, %v", st.Mode(), err)
	}
	answer := w.below(nil, "root", profile.ECDSAP256, nil, nil).answer(w, request, nil)
	w.config.Passphrase = nil
	_, err := w.install(w.manager(), RenewAtOnce, answer)
	if !errors.Is(err, ErrPassphraseNeeded) {
		t.Errorf("without the passphrase: %v", err)
	}
	if _, err := w.install(m, RenewAtOnce, answer); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(w.dir, "ca", "key.pem")); err != nil || !strings.Contains(string(b), "ENCRYPTED PRIVATE KEY") {
		t.Errorf("the CA's key is not encrypted: %v", err)
	}
}
