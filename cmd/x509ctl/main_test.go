// The tests of this folder take the program as its users have it: built, started,
// killed, judged by other programs. What a single command promises is tested by the
// scripts in testdata/script.
package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// program is the path of the x509ctl under test.
var program string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if how := os.Getenv(watchedVariable); how != "" {
		return watch(how)
	}
	dir, err := os.MkdirTemp("", "x509ctl-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	program = filepath.Join(dir, "x509ctl")
	if err := install(".", program); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	status := m.Run()
	printTable()
	return status
}

// need skips a test whose judge is not installed. In CI that is a failure: a check
// that did not run has failed.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err == nil {
			continue
		}
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is not installed", p)
		}
		t.Skipf("%s is not installed", p)
	}
}

// A cluster is a state directory with a CA and the nodes node1 and node2.
type cluster struct {
	t   *testing.T
	dir string
}

// newCluster makes one; args go to "ca init".
func newCluster(t *testing.T, args ...string) *cluster {
	t.Helper()
	c := &cluster{t, filepath.Join(t.TempDir(), "state")}
	c.ok(append([]string{"ca", "init", "--cluster-name", "cluster1.example.com"}, args...)...)
	c.ok("node", "add", "node1.example.com", "--ip", "127.0.0.1")
	c.ok("node", "add", "node2.example.com", "--ip", "127.0.0.2")
	return c
}

// A result is what became of a call.
type result struct {
	status         int
	stdout, stderr string
}

// command returns a call of x509ctl on the cluster's directory.
func (c *cluster) command(args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "X509CTL_DIR="+c.dir)
	return cmd
}

// call runs x509ctl and returns what became of it.
func (c *cluster) call(args ...string) result {
	c.t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := c.command(args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		c.t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// ok runs x509ctl, which must succeed, and returns its standard output.
func (c *cluster) ok(args ...string) string {
	c.t.Helper()
	r := c.call(args...)
	if r.status != 0 {
		c.t.Fatalf("x509ctl %s: exit status %d\n%s", strings.Join(args, " "), r.status, r.stderr)
	}
	return r.stdout
}

// fails runs x509ctl, which must exit with status, and returns its standard error.
func (c *cluster) fails(status int, args ...string) string {
	c.t.Helper()
	r := c.call(args...)
	if r.status != status {
		c.t.Fatalf("x509ctl %s: exit status %d, want %d\n%s", strings.Join(args, " "), r.status, status, r.stderr)
	}
	return r.stderr
}

// path returns a path in the state directory.
func (c *cluster) path(elem ...string) string {
	return filepath.Join(append([]string{c.dir}, elem...)...)
}

// parse reads JSON that x509ctl printed.
func parse[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

// must runs another program, which must succeed, and returns all it printed.
func must(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}
