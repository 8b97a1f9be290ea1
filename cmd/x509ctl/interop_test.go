package main_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// What the tests against other programs share. A judge or peer that hangs has
// failed, after patience.
const patience = 30 * time.Second

// The two nodes of newCluster, and what the CA's certificates are for.
const (
	node1 = "node1.example.com"
	node2 = "node2.example.com"
)

// An identity is a key with its certificate, in files, and the CA above.
type identity struct {
	key      string
	cert     string
	combined string // key, certificate and CA's certificate in one file, in this order
	p12      string // all three in PKCS#12
	password string // the file with the password of p12
	ca       string
}

// in is the same cluster for a subtest.
func (c *cluster) in(t *testing.T) *cluster { return &cluster{t, c.dir} }

// identity has a key and a certificate for node made, and both written in every way.
func (c *cluster) identity(node, keyType string) identity {
	c.t.Helper()
	dir := c.t.TempDir()
	id := identity{
		key: filepath.Join(dir, "key.pem"), cert: filepath.Join(dir, "cert.pem"),
		combined: filepath.Join(dir, "combined.pem"), p12: filepath.Join(dir, "id.p12"),
		password: filepath.Join(dir, "password"), ca: c.path("ca", "cert.pem"),
	}
	write(c.t, id.password, 0o600, "Secret of "+node+"\n")
	c.ok("cert", "issue", node, "--key-type", keyType, "--key", id.key, "--cert", id.cert,
		"--combined", id.combined, "--p12", id.p12, "--password-file", id.password)
	return id
}

// newKey has openssl make a private key of one of x509ctl's key types, or P-521.
func newKey(t *testing.T, path, keyType string) {
	t.Helper()
	args := []string{"genpkey", "-quiet", "-out", path}
	switch kind, size, _ := strings.Cut(keyType, "-"); kind {
	case "rsa":
		args = append(args, "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:"+size)
	case "ecdsa":
		args = append(args, "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:"+strings.Replace(size, "p", "P-", 1))
	default:
		args = append(args, "-algorithm", "ED25519")
	}
	must(t, "openssl", args...)
}

// newRequest has openssl make a request for node's name and further subject
// alternative names, which are written as openssl wants them.
func newRequest(t *testing.T, path, key, node string, names ...string) {
	t.Helper()
	args := []string{"req", "-new", "-key", key, "-subj", "/CN=" + node, "-out", path}
	if len(names) > 0 {
		args = append(args, "-addext", "subjectAltName="+strings.Join(names, ","))
	}
	must(t, "openssl", args...)
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func write(t *testing.T, path string, mode os.FileMode, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

// try runs another program with an input and returns what it printed; the error has
// that too.
func try(input, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return string(out), nil
}

// A service is a program that runs until the test is over.
type service struct {
	cmd  *exec.Cmd
	mu   sync.Mutex
	log  bytes.Buffer  // what it printed so far; guarded by mu
	done chan struct{} // closed when it has ended
}

// serve starts a program. What it prints goes to the log, unless stdout is a file for
// half of it. A nil stdin is empty.
func serve(t *testing.T, stdin, stdout *os.File, name string, args ...string) *service {
	t.Helper()
	s := &service{cmd: exec.Command(name, args...), done: make(chan struct{})}
	s.cmd.Stdout, s.cmd.Stderr = s, s
	if stdin != nil {
		s.cmd.Stdin = stdin
	}
	if stdout != nil {
		s.cmd.Stdout = stdout
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = s.cmd.Wait() // its status is in ProcessState
		close(s.done)
	}()
	t.Cleanup(s.stop)
	return s
}

// Write adds to the log.
func (s *service) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(p)
}

func (s *service) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// stop kills the program, if it still runs, and waits for its end.
func (s *service) stop() {
	_ = s.cmd.Process.Kill() // it may have ended
	<-s.done
}

// wait returns the program's exit status.
func (s *service) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-s.done:
	case <-time.After(patience):
		t.Fatalf("%s does not end:\n%s", s.cmd.Path, s.text())
	}
	return s.cmd.ProcessState.ExitCode()
}

// until polls for something to come true.
func until(t *testing.T, what string, ready func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ready(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

// port waits until the program has printed a line that ends in ":PORT" after marker.
func (s *service) port(t *testing.T, marker string) string {
	t.Helper()
	var port string
	until(t, s.cmd.Path+" to listen", func() bool {
		select {
		case <-s.done:
			t.Fatalf("%s has ended:\n%s", s.cmd.Path, s.text())
		default:
		}
		_, after, found := strings.Cut(s.text(), marker)
		line, _, whole := strings.Cut(after, "\n")
		port = line[strings.LastIndex(line, ":")+1:]
		return found && whole
	})
	return port
}

// A javaVM runs testdata/java/Judge.java, once for all tests: starting Java takes
// longer than all that it is asked.
type javaVM struct {
	mu  sync.Mutex // one question at a time
	in  io.Writer
	out *bufio.Scanner
}

var startJava = sync.OnceValues(func() (*javaVM, error) {
	dir := filepath.Dir(program)
	if _, err := try("", "javac", "-d", dir, "testdata/java/Judge.java"); err != nil {
		return nil, err
	}
	cmd := exec.Command("java", "-XX:TieredStopAtLevel=1", "-cp", dir, "Judge") // ends with its input
	cmd.Stderr = os.Stderr
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		return nil, err
	}
	return &javaVM{in: in, out: bufio.NewScanner(out)}, nil
})

// java asks Java something: see Judge.java for what it knows. The error is its
// refusal.
func java(t *testing.T, question ...string) (string, error) {
	t.Helper()
	vm, err := startJava()
	if err != nil {
		t.Fatal(err)
	}
	vm.mu.Lock()
	defer vm.mu.Unlock()
	if _, err := fmt.Fprintln(vm.in, strings.Join(question, "\t")); err != nil {
		t.Fatal(err)
	}
	if !vm.out.Scan() {
		t.Fatalf("java ended at %q: %v", question, vm.out.Err())
	}
	verdict, text, _ := strings.Cut(vm.out.Text(), " ")
	if verdict != "ok" {
		return "", fmt.Errorf("java: %s %s", verdict, text)
	}
	return text, nil
}
