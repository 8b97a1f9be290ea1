package main_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// Bounds of what any request may cost.
const (
	requestTime   = 2 * time.Second
	requestMemory = 64 << 20
)

// A requestCase is a file given to "cert sign-csr", and what must become of it.
type requestCase struct {
	name   string
	make   func(t *testing.T, path string)
	status int
	want   string // on stderr
}

// TestRequests gives the program every kind of request, and of file, that somebody might
// come along with. Each is answered rightly, soon and in little memory, without an escape
// sequence for the terminal; and those that are refused leave the CA as it was.
func TestRequests(t *testing.T) {
	c := newCluster(t)
	c.ok("node", "add", "kilo.example.com")
	dir := t.TempDir()
	var accepted []requestCase
	files, records := c.files(), c.records()
	for i, tc := range requestCases(t) {
		if tc.status == 0 {
			accepted = append(accepted, tc)
			continue
		}
		t.Run(tc.name, func(t *testing.T) { c.judge(t, tc, filepath.Join(dir, fmt.Sprint(i, ".csr"))) })
		if after := c.files(); after != files {
			t.Errorf("%s: the CA changed:\n%s\nbefore:\n%s", tc.name, after, files)
			files = after
		}
	}
	if after := c.records(); after != records {
		t.Errorf("the CA's records changed:\n%s\nbefore:\n%s", after, records)
	}
	for i, tc := range accepted {
		t.Run(tc.name, func(t *testing.T) {
			text := c.judge(t, tc, filepath.Join(dir, fmt.Sprint("good", i, ".csr")))
			checkGranted(t, []byte(text))
		})
	}
}

// checkGranted wants one certificate in PEM that has what node1 may have, whatever was
// asked for.
func checkGranted(t *testing.T, text []byte) {
	t.Helper()
	block, rest := pem.Decode(text)
	if block == nil || len(rest) > 0 {
		t.Fatalf("no certificate, or more than one: %.300q", text)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	extra := x509.KeyUsage(0)
	if cert.PublicKeyAlgorithm == x509.RSA {
		extra = x509.KeyUsageKeyEncipherment
	}
	if cert.Subject.String() != "CN="+node1 || cert.DNSNames[0] != node1 || len(cert.DNSNames) != 1 || len(cert.IPAddresses) > 1 ||
		cert.IsCA || cert.KeyUsage != x509.KeyUsageDigitalSignature|extra || len(cert.ExtKeyUsage) != 2 || len(cert.Extensions) != 6 ||
		cert.SignatureAlgorithm != x509.ECDSAWithSHA256 {
		t.Errorf("granted %+v", cert)
	}
}

// TestRequestsTogether gives all of them at once, from a directory: the bad ones keep
// nobody from a certificate.
func TestRequestsTogether(t *testing.T) {
	c := newCluster(t)
	in, out := t.TempDir(), t.TempDir()
	var good []string
	for i, tc := range slices.Concat(keyCases(t), structureCases(t), nameCases(t), wishCases(t), formCases(t)) {
		name := fmt.Sprintf("%03d", i)
		tc.make(t, filepath.Join(in, name+".csr"))
		if tc.status == 0 {
			good = append(good, name+".pem")
		}
	}
	r, spent := c.watched(t, "cert", "sign-csr", in, "--out-dir", out, "-o", "json")
	if r.status != 5 || spent.memory > requestMemory {
		t.Errorf("exit status %d, %d MiB: %.500s", r.status, spent.memory>>20, r.stderr)
	}
	entries, err := os.ReadDir(out)
	if err != nil {
		t.Fatal(err)
	}
	var made []string
	for _, e := range entries {
		made = append(made, e.Name())
		text, err := os.ReadFile(filepath.Join(out, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		checkGranted(t, text)
	}
	if !slices.Equal(made, good) {
		t.Errorf("certificates %v, want %v", made, good)
	}
}

// TestUnreadableRequest gives root, in another user's directory, a request that only
// root may read: x509ctl has become that user before it looks.
func TestUnreadableRequest(t *testing.T) {
	needRoot(t)
	c, out := ownedCluster(t)
	c.t = t
	path := filepath.Join(out, "node1.csr")
	tc := requestCase{"unreadable", content(reqSpec{}.pem(t)), 1, "permission denied"}
	before := c.files()
	c.judge(t, tc, path)
	if c.files() != before {
		t.Error("the CA changed")
	}
	give(t, path)
	tc = requestCase{"readable", func(*testing.T, string) {}, 0, ""}
	c.judge(t, tc, path)
}

// judge signs the request of tc, in a file at path, and returns stdout.
func (c *cluster) judge(t *testing.T, tc requestCase, path string) string {
	t.Helper()
	tc.make(t, path)
	var r result
	var spent expense
	for range 3 { // of a machine that has other things to do
		r, spent = c.watched(t, "cert", "sign-csr", path)
		if spent.wall < requestTime || tc.status == 0 {
			break
		}
	}
	switch {
	case r.status != tc.status:
		t.Errorf("exit status %d, want %d: %.300q", r.status, tc.status, r.stderr)
	case !strings.Contains(r.stderr, tc.want):
		t.Errorf("said %.300q, which does not say %q", r.stderr, tc.want)
	case tc.status != 0 && r.stdout != "":
		t.Errorf("a refusal prints %.300q", r.stdout)
	}
	t.Logf("%v, %d MiB: %.150s", spent.wall.Round(time.Millisecond), spent.memory>>20, r.stderr)
	if spent.wall > requestTime || spent.memory > requestMemory {
		t.Errorf("took %v and %d MiB", spent.wall, spent.memory>>20)
	}
	for _, text := range []string{r.stdout, r.stderr} {
		if i := strings.IndexFunc(text, isUnsafe); i >= 0 || !utf8.ValidString(text) {
			t.Errorf("raw characters in %.300q", text)
		}
	}
	if len(r.stderr) > 2000 {
		t.Errorf("said %d bytes", len(r.stderr))
	}
	for _, secret := range []string{secretLine, challenge} {
		if strings.Contains(r.stdout+r.stderr, secret) {
			t.Errorf("said a secret: %.300q", r.stderr)
		}
	}
	return r.stdout
}

// isUnsafe reports whether a terminal might do something about a character other than
// showing it.
func isUnsafe(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }

// files returns every file of the CA, to the octet, but for the database.
func (c *cluster) files() string {
	c.t.Helper()
	var s strings.Builder
	err := filepath.WalkDir(c.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || strings.HasPrefix(d.Name(), "x509ctl.db") {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		var data []byte
		if d.Type().IsRegular() {
			if data, err = os.ReadFile(path); err != nil {
				return err
			}
			fmt.Fprint(&s, info.ModTime(), " ")
		}
		fmt.Fprintf(&s, "%s %v %x\n", path, info.Mode(), sha256.Sum256(data))
		return nil
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return s.String()
}

// records returns what the database says that no refusal may change. The audit table is
// another matter: it tells of refusals.
func (c *cluster) records() string {
	c.t.Helper()
	var s strings.Builder
	for _, args := range [][]string{{"cert", "list"}, {"serial", "show"}, {"ca", "show"}, {"node", "list"}} {
		s.WriteString(c.ok(append(args, "-o", "json")...))
	}
	return s.String()
}

// An expense is what a call took: time, and the most memory it had at once, in bytes.
type expense struct {
	wall   time.Duration
	memory int64
}

// watchedVariable tells the test binary to be no test but the parent of the program: the
// kernel counts in what a child's memory its parent had when it was started, and a test
// has much.
const watchedVariable = "X509CTL_TEST_WATCHED"

// watched runs x509ctl as call does, and returns what that took.
func (c *cluster) watched(t *testing.T, args ...string) (result, expense) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	report := filepath.Join(t.TempDir(), "report")
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "X509CTL_DIR="+c.dir, watchedVariable+"="+program+"\n"+report)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	var e expense
	text, err := os.ReadFile(report)
	if err == nil {
		_, err = fmt.Sscan(string(text), &e.wall, &e.memory)
	}
	if err != nil {
		t.Fatalf("watching: %v; %s", err, stderr.String())
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}, e
}

// watch is the process between: it runs the program and writes down what that took.
func watch(how string) int {
	path, report, _ := strings.Cut(how, "\n")
	cmd := exec.Command(path, os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	begin := time.Now()
	_ = cmd.Run()
	wall := time.Since(begin)
	if cmd.ProcessState == nil {
		return 125
	}
	memory := cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10
	if os.WriteFile(report, fmt.Appendln(nil, int64(wall), memory), 0o600) != nil {
		return 125
	}
	return cmd.ProcessState.ExitCode()
}
