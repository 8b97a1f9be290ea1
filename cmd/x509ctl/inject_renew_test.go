package main_test

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestInjectRenew kills the replacement of a CA at each of its system calls, while
// others sign: in one step, and the second of three.
func TestInjectRenew(t *testing.T) {
	for _, step := range []string{"--yes", "--activate"} {
		t.Run(step, func(t *testing.T) {
			strike(t, injections(changing, killed), func(t *testing.T) (*cluster, func() []string, func(struck)) {
				l := newLifeOf(t, 1)
				r := &renewing{life: l}
				args := func() []string {
					if step == "--activate" {
						l.ok("ca", "renew-crypto", "--prepare", "--yes")
					}
					r.before = l.active()
					r.sign()
					return []string{"ca", "renew-crypto", "--yes", step}
				}
				return l.cluster, args, func(s struck) { r.check(s, step) }
			})
		})
	}
}

// A renewing is a life whose CA is replaced again and again.
type renewing struct {
	*life
	before string
	out    string        // where meanwhile signs
	done   chan struct{} // closed when it has
	said   result
}

// active is the SHA-256 of the CA that signs.
func (l *life) active() string {
	l.t.Helper()
	return parse[struct{ SHA256 string }](l.t, l.ok("ca", "show", "-o", "json")).SHA256
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
// signed by the key that its record says.
func (r *renewing) check(s struck, step string) {
	t := r.t
	t.Helper()
	<-r.done
	if r.said.status != 0 && !refused(r.said.status, r.said.stderr) {
		t.Errorf("signing meanwhile: exit status %d\n%s", r.said.status, r.said.stderr)
	}
	after := r.active()
	if s.status == 0 && !s.killed && after == r.before {
		t.Error("it claims success, and the CA is the old one")
	}
	r.ok("cert", "sign-csr", r.requests[0], "--out", filepath.Join(r.out, "after.pem"))
	bundle := r.certificates(filepath.Join(r.dir, "ca", "bundle.pem"))
	for _, leaf := range r.certificates(r.out) {
		recorded := parse[struct {
			CASHA256 string `json:"ca_sha256"`
		}](t, r.ok("cert", "show", leaf.SerialNumber.String(), "-o", "json"))
		ca := find(bundle, recorded.CASHA256)
		if ca == nil || leaf.CheckSignatureFrom(ca) != nil {
			t.Errorf("certificate %v of %s is not by the key of %s", leaf.SerialNumber, leaf.Issuer, recorded.CASHA256)
		}
		if recorded.CASHA256 != r.before && recorded.CASHA256 != after {
			t.Errorf("certificate %v is of a CA that was not active", leaf.SerialNumber)
		}
	}
	r.ok("cert", "verify", filepath.Join(r.out, "after.pem"))
	r.look(false)
	// The step can be repeated, and its end is the same.
	if after == r.before {
		r.ok("ca", "renew-crypto", "--yes", step)
		after = r.active()
	}
	r.ok("serial", "set-min", "next")
	if c := r.call("ca", "renew-crypto", "--retire", "--yes"); c.status != 0 {
		t.Errorf("retiring: exit status %d\n%s", c.status, c.stderr)
	}
	if left := r.certificates(filepath.Join(r.dir, "ca", "bundle.pem")); len(left) != 1 || find(left, after) == nil {
		t.Errorf("%d certificates in the bundle", len(left))
	}
	if err := checkKeys(r.path("ca")); err != "" {
		t.Error(err)
	}
	// What is left of retired CAs is for people. Each would be looked at again, and give
	// the next run more calls.
	if err := os.RemoveAll(r.path("ca", "old")); err != nil {
		t.Error(err)
	}
	r.before = after
}

func find(certs []*x509.Certificate, sum string) *x509.Certificate {
	for _, c := range certs {
		if fmt.Sprintf("%x", sha256.Sum256(c.Raw)) == sum {
			return c
		}
	}
	return nil
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
