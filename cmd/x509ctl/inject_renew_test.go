package main_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// publishing are the calls at which a replacement of a CA is killed: those that make what
// was written durable, give it its name, or take one away. What is on the disk when a
// process dies at any other call is the same as at the next one of these, but for the
// inside of a temporary file, which nobody reads, and of the database's log, of which
// TestInjectSign makes sure.
var publishing = []string{"fsync", "renameat", "renameat2", "unlinkat", "mkdirat", "flock"}

// A renewStep is a step of the replacement of a CA.
type renewStep struct {
	name  string
	begin func(*renewing) []string // gets ready, and returns the arguments
	done  func(before, after caState) bool
}

func replaced(before, after caState) bool { return after.SHA256 != before.SHA256 }

var renewSteps = []renewStep{
	{"at once", func(*renewing) []string { return nil }, replaced},
	{"prepare", func(*renewing) []string { return []string{"--prepare"} }, func(_, after caState) bool { return after.Phase == "prepared" }},
	{"activate", func(r *renewing) []string {
		r.ok("ca", "renew-crypto", "--prepare", "--yes")
		return []string{"--activate"}
	}, replaced},
	{"retire", func(r *renewing) []string {
		r.ok("ca", "renew-crypto", "--yes")
		r.ok("serial", "set-min", "next")
		return []string{"--retire"}
	}, func(_, after caState) bool { return after.Phase == "steady" }},
	{"compromised", func(r *renewing) []string { // with all that goes with it
		r.ok("ca", "gen-csr")
		r.ok("ca", "renew-crypto", "--prepare", "--yes")
		return []string{"--compromised"}
	}, func(before, after caState) bool {
		return replaced(before, after) && after.Phase == "steady" && after.Request == ""
	}},
	{"answer", func(r *renewing) []string {
		return []string{"--ca-certificate", r.third.answer(r.life, r.ok("ca", "gen-csr"))}
	}, func(before, after caState) bool { return replaced(before, after) && after.Request == "" }},
}

// TestInjectRenew kills each step of the replacement of a CA at each of the calls at
// which that matters, while others sign.
func TestInjectRenew(t *testing.T) {
	for _, step := range renewSteps {
		t.Run(step.name, func(t *testing.T) {
			strike(t, injections(publishing, killed), func(t *testing.T) (*cluster, func() []string, func(struck)) {
				r := &renewing{life: newLifeOf(t, 1), step: step, third: newSignatory(t)}
				args := func() []string {
					r.args = append([]string{"ca", "renew-crypto", "--yes"}, step.begin(r)...)
					r.before, r.cas = r.state(), map[string]*x509.Certificate{}
					r.know()
					r.sign()
					return r.args
				}
				return r.cluster, args, r.check
			})
		})
	}
}

// A renewing is a life whose CA is replaced again and again.
type renewing struct {
	*life
	step   renewStep
	third  *signatory
	args   []string
	before caState
	cas    map[string]*x509.Certificate // by SHA-256, of before and after
	out    string                       // where meanwhile signs
	done   chan struct{}                // closed when it has
	said   result
}

// A caState is what "ca show" says of a replacement.
type caState struct{ SHA256, Phase, Request string }

func (l *life) state() caState {
	l.t.Helper()
	return parse[caState](l.t, l.ok("ca", "show", "-o", "json"))
}

// know remembers the CAs that verifiers trust.
func (r *renewing) know() {
	for _, c := range r.certificates(r.path("ca", "bundle.pem")) {
		r.cas[fmt.Sprintf("%x", sha256.Sum256(c.Raw))] = c
	}
}

// sign lets another process sign, from now on.
func (r *renewing) sign() {
	r.out, r.done = r.life.out(), make(chan struct{})
	go func() {
		defer close(r.done)
		for i := range 3 {
			r.said = r.callQuietly("cert", "sign-csr", r.requests[0], "--out", filepath.Join(r.out, fmt.Sprint(i, ".pem")))
		}
	}()
}

// callQuietly is call for another goroutine than the test's: it reports nothing.
func (c *cluster) callQuietly(args ...string) result {
	var stderr strings.Builder
	cmd := c.command(args...)
	cmd.Stderr = &stderr
	_ = cmd.Run() // the status says it
	return result{cmd.ProcessState.ExitCode(), "", stderr.String()}
}

// check has the next command find one CA or the other, and everything that was signed
// signed by the key that its record says. The step can be repeated, and its end is the same.
func (r *renewing) check(s struck) {
	t := r.t
	t.Helper()
	<-r.done
	if r.said.status != 0 && !refused(r.said.status, r.said.stderr) {
		t.Errorf("signing meanwhile: exit status %d\n%s", r.said.status, r.said.stderr)
	}
	after := r.state()
	if s.status == 0 && !s.killed && !r.step.done(r.before, after) {
		t.Errorf("it claims success, and the CA was %+v and is %+v", r.before, after)
	}
	r.ok("cert", "sign-csr", r.requests[0], "--out", filepath.Join(r.out, "after.pem"))
	r.know()
	for _, leaf := range r.certificates(r.out) {
		recorded := parse[struct {
			CASHA256 string `json:"ca_sha256"`
		}](t, r.ok("cert", "show", leaf.SerialNumber.String(), "-o", "json")).CASHA256
		if ca := r.cas[recorded]; ca == nil || leaf.CheckSignatureFrom(ca) != nil {
			t.Errorf("certificate %v of %s is not by the key of %s", leaf.SerialNumber, leaf.Issuer, recorded)
		}
		if recorded != r.before.SHA256 && recorded != after.SHA256 {
			t.Errorf("certificate %v is of a CA that was not active", leaf.SerialNumber)
		}
	}
	r.ok("cert", "verify", filepath.Join(r.out, "after.pem"))
	r.look(false)
	if !r.step.done(r.before, after) {
		r.ok(r.args...)
		if after = r.state(); !r.step.done(r.before, after) {
			t.Errorf("repeated: the CA was %+v and is %+v", r.before, after)
		}
	}
	r.finish(after)
}

// finish ends whatever is under way: one CA is left, and no key but its own.
func (r *renewing) finish(was caState) {
	r.t.Helper()
	switch was.Phase {
	case "prepared":
		r.ok("ca", "renew-crypto", "--cancel", "--yes")
	case "replaced":
		r.ok("serial", "set-min", "next")
		r.ok("ca", "renew-crypto", "--retire", "--yes")
	}
	if now := r.state(); now.SHA256 != was.SHA256 || now.Phase != "steady" || now.Request != "" {
		r.t.Errorf("at the end: %+v", now)
	}
	if err := checkKeys(r.path("ca")); err != "" {
		r.t.Error(err)
	}
	// What is left of retired CAs is for people. Each would be looked at again, and give
	// the next run more calls.
	if err := os.RemoveAll(r.path("ca", "old")); err != nil {
		r.t.Error(err)
	}
	entries, err := os.ReadDir(r.path("ca"))
	for _, e := range entries {
		if err = nil; e.IsDir() {
			r.t.Errorf("%s is left", e.Name())
		}
	}
	if err != nil {
		r.t.Error(err)
	}
}

// checkKeys looks for keys that are left though nobody trusts them.
func checkKeys(dir string) string {
	keys, _ := filepath.Glob(filepath.Join(dir, "*", "key.pem"))
	more, _ := filepath.Glob(filepath.Join(dir, "*", "*", "key.pem"))
	if all := append(keys, more...); len(all) > 0 {
		return fmt.Sprintf("left are %v", all)
	}
	return ""
}

// A signatory is a third party that signs what is asked of it.
type signatory struct {
	root *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newSignatory(t *testing.T) *signatory {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := &signatory{key: key}
	p.root = p.sign(t, signatoryTemplate(pkix.Name{CommonName: "third"}), nil, key.Public())
	return p
}

func signatoryTemplate(subject pkix.Name) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: subject,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
}

func (p *signatory) sign(t *testing.T, template, parent *x509.Certificate, key any) *x509.Certificate {
	t.Helper()
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key, p.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// answer writes the certificate for a request, and its issuer's, and returns the file.
func (p *signatory) answer(l *life, request string) string {
	l.t.Helper()
	block, _ := pem.Decode([]byte(request))
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		l.t.Fatal(err)
	}
	ca := p.sign(l.t, signatoryTemplate(csr.Subject), p.root, csr.PublicKey)
	var chain []byte
	for _, c := range []*x509.Certificate{ca, p.root} {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	file := filepath.Join(l.base, fmt.Sprintf("chain%d.pem", l.jobs.Add(1)))
	if err := os.WriteFile(file, chain, 0o600); err != nil {
		l.t.Fatal(err)
	}
	return file
}

// TestInjectRequest kills the making of a request for a CA: where there is a request, there
// is its key, and asking again shows it, or makes one.
func TestInjectRequest(t *testing.T) {
	strike(t, injections(publishing, killed), func(t *testing.T) (*cluster, func() []string, func(struck)) {
		c := newCluster(t)
		third, l := newSignatory(t), &life{cluster: c, base: t.TempDir()}
		args := func() []string { return []string{"ca", "gen-csr", "--new", "--yes"} }
		return c, args, func(struck) {
			c.ok("ca", "check")
			request := c.ok("ca", "gen-csr")
			if again := c.ok("ca", "gen-csr"); again != request {
				t.Errorf("asked again:\n%s%s", request, again)
			}
			c.ok("ca", "renew-crypto", "--prepare", "--yes", "--ca-certificate", third.answer(l, request))
			c.ok("ca", "renew-crypto", "--cancel", "--yes")
		}
	})
}
