package main_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// A life is what one CA goes through: storms of processes, kills, and all that may
// happen to its files. It remembers every certificate that ever left.
type life struct {
	*cluster
	project  string            // whose CA it is; empty for the cluster's
	base     string            // everything is below it
	requests []string          // CSR files
	issued   map[string]string // SHA-256 by issuer and number
	outs     []string          // directories not looked into yet
	jobs     atomic.Int64

	processes, killed, refused atomic.Int64
	strange                    chan string // what processes said that were to succeed
}

// storm is how many processes work at once.
const storm = 16

func newLife(t *testing.T) *life { return newLifeOf(t, 12) }

func newLifeOf(t *testing.T, requests int) *life { return newLifeIn(t, "", requests) }

// newLifeIn begins the life of a project's CA, or of the cluster's.
func newLifeIn(t *testing.T, project string, requests int) *life {
	t.Helper()
	base := t.TempDir()
	l := &life{
		cluster: &cluster{t, filepath.Join(base, "state")}, project: project, base: base,
		issued: map[string]string{}, strange: make(chan string, 10_000),
	}
	l.ok("ca", "init", "--cluster-name", "cluster1.example.com")
	if project != "" {
		l.ok("project", "create", project)
	}
	l.addHolders()
	for i := range requests {
		csr := filepath.Join(base, "requests", fmt.Sprintf("%d.csr", i))
		if err := os.MkdirAll(filepath.Dir(csr), 0o755); err != nil {
			t.Fatal(err)
		}
		l.ok(l.about("cert", "gen-csr", l.holders()[i%2], "--key", filepath.Join(base, fmt.Sprintf("%d.key", i)), "--out", csr)...)
		l.requests = append(l.requests, csr)
	}
	return l
}

// holders are the two that certificates are for.
func (l *life) holders() []string {
	if l.project != "" {
		return []string{"user1", "user2"}
	}
	return []string{node1, node2}
}

func (l *life) addHolders() {
	l.t.Helper()
	if l.project != "" {
		l.ok(l.about("project", "member-add", "user1", "user2", "--if-missing")...)
		return
	}
	for _, name := range l.holders() {
		l.ok("node", "add", name, "--if-missing")
	}
}

// about makes arguments be about the CA whose life it is.
func (l *life) about(args ...string) []string {
	if l.project != "" {
		args = append(args, "--project", l.project)
	}
	return args
}

// own is where a file of the CA lies in the state directory.
func (l *life) own(name string) string {
	if l.project != "" {
		return filepath.Join("projects", l.project, name)
	}
	return filepath.Join("ca", name)
}

// out makes a directory for certificates, and remembers to look into it.
func (l *life) out() string {
	l.t.Helper()
	out := filepath.Join(l.base, fmt.Sprintf("out%d", l.jobs.Add(1)))
	if err := os.Mkdir(out, 0o755); err != nil {
		l.t.Fatal(err)
	}
	l.outs = append(l.outs, out)
	return out
}

// storm lets processes sign for d, and a third of them be killed. In its middle,
// meanwhile is called: from then on processes may be refused.
func (l *life) storm(d time.Duration, meanwhile func()) {
	l.t.Helper()
	out := l.out()
	var disturbed atomic.Bool
	end := time.Now().Add(d)
	var wg sync.WaitGroup
	for range storm {
		wg.Go(func() {
			for time.Now().Before(end) {
				l.process(out, &disturbed)
			}
		})
	}
	if meanwhile != nil {
		time.Sleep(d / 2)
		disturbed.Store(true)
		meanwhile()
	}
	wg.Wait()
	close(l.strange)
	for s := range l.strange {
		l.t.Error(s)
	}
	l.strange = make(chan string, cap(l.strange))
}

// process runs one process to its end, or kills it.
func (l *life) process(out string, disturbed *atomic.Bool) {
	n := l.jobs.Add(1)
	name := filepath.Join(out, fmt.Sprint(n))
	args := []string{"cert", "sign-csr", l.requests[int(n)%len(l.requests)], "--out", name + ".pem"}
	switch rand.IntN(6) {
	case 0:
		if err := os.Mkdir(name, 0o755); err != nil {
			l.strange <- err.Error()
		}
		args = []string{"cert", "sign-csr", filepath.Dir(l.requests[0]), "--out-dir", name}
	case 1:
		args = []string{"cert", "issue", l.holders()[0], "--combined", name + ".pem"}
	}
	cmd := l.command(l.about(args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		l.strange <- err.Error()
		return
	}
	if rand.IntN(3) == 0 {
		time.AfterFunc(rand.N(150*time.Millisecond), func() { _ = cmd.Process.Kill() })
	}
	err := cmd.Wait()
	l.processes.Add(1)
	var exit *exec.ExitError
	switch {
	case err == nil:
	case errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signaled():
		l.killed.Add(1)
	case disturbed.Load() && excused(cmd.ProcessState.ExitCode(), stderr.String()):
		l.refused.Add(1)
	default:
		l.strange <- fmt.Sprintf("x509ctl %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
}

// refused reports whether a process said why it could not go on, and what to do.
func refused(status int, stderr string) bool {
	return status == 7 && strings.Contains(stderr, "x509ctl: error: ") && strings.Contains(stderr, "x509ctl: hint: ")
}

// excused reports whether a process said why it could not go on in the middle of a
// mishap.
func excused(status int, stderr string) bool {
	for _, e := range []struct {
		status int
		said   string
	}{
		{3, "there is no CA here"},                // the directory was moved away
		{3, "there is no such project"},           // or is being restored
		{5, "which was raised in the meantime"},   // the floor
		{5, "belongs to no node of this cluster"}, // a CA was adopted
		{7, "the serial hook did not confirm"},    // cutOff killed it
	} {
		if status == e.status && strings.Contains(stderr, e.said) {
			return true
		}
	}
	return refused(status, stderr)
}

// next signs one more certificate. If that is refused, the hints are followed until
// it works.
func (l *life) next() {
	l.t.Helper()
	for range 6 {
		r := l.call(l.about("cert", "sign-csr", l.requests[0], "--out", filepath.Join(l.out(), "next.pem"))...)
		switch {
		case r.status == 0:
			return
		case r.status == 5 && strings.Contains(r.stderr, `"x509ctl node add"`):
			l.addHolders() // who adopts a CA has to
		case !refused(r.status, r.stderr):
			l.t.Fatalf("the next certificate: exit status %d\n%s", r.status, r.stderr)
		default:
			l.follow(r.stderr)
		}
	}
	l.t.Fatal("the hints lead nowhere")
}

// follow does what the hints in stderr say.
func (l *life) follow(stderr string) {
	l.t.Helper()
	l.refused.Add(1)
	says := func(part string) bool { return strings.Contains(stderr, part) }
	remove := regexp.MustCompile(`hint: rm (\S+), and "x509ctl ca init --if-missing"`).FindStringSubmatch(stderr)
	switch {
	case remove != nil:
		must(l.t, "rm", remove[1])
		l.ok("ca", "init", "--if-missing")
	case says(`"x509ctl serial recover --restored"`):
		l.ok("serial", "recover", "--restored", "--yes")
	case says("hint: move it away") && says("x509ctl restore"):
		l.moveDatabaseAway()
	case says("x509ctl ca init --adopt") && l.project == "" && rand.IntN(2) == 0:
		l.ok("ca", "init", "--cluster-name", "cluster1.example.com", "--adopt")
	case says("x509ctl restore"):
		l.ok("restore", filepath.Join(l.base, "backup.tar"))
	case says("hint: run the command again"):
	default:
		l.t.Fatalf("no hint that can be followed:\n%s", stderr)
	}
}

func (l *life) moveDatabaseAway() {
	l.t.Helper()
	away := filepath.Join(l.base, fmt.Sprintf("away%d", l.jobs.Add(1)))
	must(l.t, "mkdir", away)
	must(l.t, "sh", "-c", fmt.Sprintf("mv %s/x509ctl.db* %s", l.dir, away))
}

// look holds every certificate that left since the last look against all before
// it, and against the inventory unless that may have lost some.
func (l *life) look(lossy bool) {
	l.t.Helper()
	list := l.call(l.about("cert", "list", "-o", "json", "--kind", "all")...)
	for lossy && refused(list.status, list.stderr) {
		l.follow(list.stderr)
		l.next()
		list = l.call(l.about("cert", "list", "-o", "json", "--kind", "all")...)
	}
	if list.status != 0 {
		l.t.Fatalf("listing: exit status %d\n%s", list.status, list.stderr)
	}
	type row struct {
		Serial int64  `json:"serial"`
		SHA256 string `json:"sha256"`
	}
	inventory := map[int64]string{}
	for _, r := range parse[[]row](l.t, list.stdout) {
		inventory[r.Serial] = r.SHA256
	}
	count := l.count()
	for _, dir := range l.outs {
		for _, c := range l.certificates(dir) {
			n := c.SerialNumber.Int64()
			sum := fmt.Sprintf("%x", sha256.Sum256(c.Raw))
			key := fmt.Sprintf("%x %d", c.RawIssuer, n)
			if before, ok := l.issued[key]; ok && before != sum {
				l.t.Errorf("number %d was given twice", n)
			}
			l.issued[key] = sum
			if c.IsCA && l.project != "" {
				continue // of the root's count
			}
			if recorded := inventory[n]; recorded != sum && n >= count.MinSerial && !lossy {
				l.t.Errorf("certificate %d is not in the inventory (%q), and not below min-serial %d", n, recorded, count.MinSerial)
			}
			if n > count.Reserved {
				l.t.Errorf("certificate %d is above the counter, %d", n, count.Reserved)
			}
		}
	}
	l.outs = nil
}

// A counter is what "serial show" says.
type counter struct {
	Reserved, Last int64
	MinSerial      int64 `json:"min_serial"`
}

func (l *life) count() counter {
	l.t.Helper()
	return parse[counter](l.t, l.ok(l.about("serial", "show", "-o", "json")...))
}

// certificates reads every file below dir, which has to be whole.
func (l *life) certificates(dir string) (certs []*x509.Certificate) {
	l.t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		found, err := whole(data)
		if err != nil {
			l.t.Errorf("%s is not whole: %v", path, err)
		}
		certs = append(certs, found...)
		return nil
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return certs
}

// whole returns the certificates in data, which holds PEM and nothing else.
func whole(data []byte) (certs []*x509.Certificate, err error) {
	if len(data) == 0 {
		return nil, errors.New("it is empty")
	}
	for rest := data; len(rest) > 0; {
		block, after := pem.Decode(rest)
		if block == nil || !bytes.HasPrefix(rest, []byte("-----BEGIN ")) {
			return nil, fmt.Errorf("damaged at byte %d of %d", len(data)-len(rest), len(data))
		}
		if rest = after; block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		certs = append(certs, c)
	}
	return certs, nil
}
