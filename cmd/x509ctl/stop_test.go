package main_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A held process has reserved serial numbers, has not recorded a certificate, and is
// stopped.
type held struct {
	t      *testing.T
	cmd    *exec.Cmd
	stderr bytes.Buffer
	goOn   string // what its hook waits for
}

// hold starts a call whose serial hook waits, and stops it there. Calls after it have
// a hook that doesn't wait.
func (c *cluster) hold(args ...string) *held {
	c.t.Helper()
	dir := c.t.TempDir()
	h := &held{t: c.t, cmd: c.command(args...), goOn: filepath.Join(dir, "go")}
	first := filepath.Join(dir, "first")
	script := fmt.Sprintf("mkdir %s || exit 0; until test -e %s; do sleep 0.01; done", first, h.goOn)
	yaml := fmt.Sprintf("serial_hook: [/bin/sh, -c, '%s']\n", script)
	if err := os.WriteFile(c.path("x509ctl.yaml"), []byte(yaml), 0o644); err != nil {
		c.t.Fatal(err)
	}
	h.cmd.Stderr = &h.stderr
	if err := h.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(first); err == nil {
			break
		}
		if time.Now().After(end) {
			c.t.Fatalf("the hook was not run: %s", h.stderr.String())
		}
	}
	h.signal(syscall.SIGSTOP)
	return h
}

func (h *held) signal(s syscall.Signal) {
	h.t.Helper()
	if err := h.cmd.Process.Signal(s); err != nil {
		h.t.Fatal(err)
	}
}

// release lets the process go on, and returns how it ends.
func (h *held) release() result {
	h.t.Helper()
	if err := os.WriteFile(h.goOn, nil, 0o600); err != nil {
		h.t.Fatal(err)
	}
	h.signal(syscall.SIGCONT)
	_ = h.cmd.Wait()
	return result{status: h.cmd.ProcessState.ExitCode(), stderr: h.stderr.String()}
}

// TestStopped changes what a stopped process has relied on: it issues nothing that
// the change forbids.
func TestStopped(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		change func(*life)
		status int
		said   string
	}{
		{"nothing", func(*life) {}, 0, ""},
		{"the floor rises to the reserved number", func(l *life) {
			l.ok("serial", "set-min", "next")
		}, 0, ""},
		{"the floor rises above the reserved number", func(l *life) {
			l.next()
			l.ok("serial", "set-min", "next")
		}, 5, "which was raised in the meantime"},
		{"the floor rises by its file alone", func(l *life) {
			l.write("ca/min-serial", l.ahead())
		}, 5, "which was raised in the meantime"},
		{"the floor is damaged", func(l *life) { l.write("ca/min-serial", "x") }, 7, "min-serial"},
		{"the node goes", func(l *life) {
			l.ok("node", "remove", "node1.example.com", "--yes")
		}, 5, "belongs to no node of this cluster"},
		{"the node is another one", func(l *life) {
			l.ok("node", "remove", "node1.example.com", "--yes")
			l.ok("node", "add", "node9.example.com", "--alias", "node1.example.com")
		}, 5, "changed in the meantime"},
		{"another node goes", func(l *life) {
			l.ok("node", "remove", "node2.example.com", "--yes")
		}, 0, ""},
		{"the database is deleted", func(l *life) {
			l.remove("x509ctl.db", "x509ctl.db-wal", "x509ctl.db-shm")
		}, 7, "replaced or deleted"},
		{"the database is an older one", func(l *life) {
			l.swap("x509ctl.db")
		}, 7, "replaced or deleted"},
		{"the directory is a copy", func(l *life) { l.copy() }, 7, "replaced or deleted"},
		{"the CA is adopted", func(l *life) {
			l.remove("x509ctl.db", "x509ctl.db-wal", "x509ctl.db-shm")
			l.ok("ca", "init", "--cluster-name", "cluster1.example.com", "--adopt")
		}, 7, "replaced or deleted"},
		{"the count is recovered", func(l *life) {
			l.ok("serial", "recover", "--restored", "--yes")
		}, 5, "which was raised in the meantime"},
		{"the serial file is deleted", func(l *life) { l.remove("ca/serial") }, 0, ""},
	} {
		for what, args := range map[string]func(l *life, out string) []string{
			"sign": func(l *life, out string) []string {
				return []string{"cert", "sign-csr", l.requests[0], "--out", filepath.Join(out, "node1.pem")}
			},
			"issue": func(_ *life, out string) []string {
				return []string{"cert", "issue", "node1.example.com", "--combined", filepath.Join(out, "node1.pem")}
			},
			"a batch": func(l *life, out string) []string {
				var all []string
				for range 20 {
					all = append(all, l.requests[0])
				}
				return append([]string{"cert", "sign-csr", "--out", filepath.Join(out, "node1.pem")}, all...)
			},
		} {
			t.Run(tc.name+"/"+what, func(t *testing.T) {
				l := newLifeOf(t, 1)
				l.older()
				out := l.out()
				h := l.hold(args(l, out)...)
				tc.change(l)
				floor := l.floor()
				r := h.release()
				if r.status != tc.status || !strings.Contains(r.stderr, tc.said) {
					t.Errorf("exit status %d, want %d\n%s", r.status, tc.status, r.stderr)
				}
				l.wantNoneBelow(out, floor, r.status == 0)
				l.remove("x509ctl.yaml")
				l.next()
				l.look(false)
			})
		}
	}
}

// floor is what min-serial says, 0 for nothing.
func (l *life) floor() (n int64) {
	l.t.Helper()
	b, err := os.ReadFile(l.path("ca", "min-serial"))
	if err != nil {
		l.t.Fatal(err)
	}
	_, _ = fmt.Sscan(string(b), &n)
	return n
}

// wantNoneBelow checks that certificates are in out, if any may be, and that none has
// a number below floor.
func (l *life) wantNoneBelow(out string, floor int64, any bool) {
	l.t.Helper()
	certs := l.certificates(out)
	if (len(certs) > 0) != any {
		l.t.Errorf("%d certificates left", len(certs))
	}
	for _, c := range certs {
		if !c.IsCA && c.SerialNumber.Int64() < floor {
			l.t.Errorf("%v was issued below min-serial %d", c.SerialNumber, floor)
		}
	}
}
