package main_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// stranger is another user that nobody has heard of.
const stranger = 54398

// asStranger returns a command that the stranger runs.
func asStranger(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: stranger, Gid: stranger}}
	return cmd
}

// A strangersProgram is x509ctl where a stranger can run it.
func strangersProgram(t *testing.T) string {
	t.Helper()
	path := filepath.Join(publicDir(t), "x509ctl")
	must(t, "install", "-m", "755", program, path)
	return path
}

// publicCluster is a CA of root's in a directory that others can reach.
func publicCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t, filepath.Join(publicDir(t), "state")}
	c.ok("ca", "init", "--cluster-name", "cluster1.example.com")
	c.ok("node", "add", node1)
	return c
}

// TestAnybodyVerifies needs no right to list the directory: its public files are for
// who knows their names.
func TestAnybodyVerifies(t *testing.T) {
	t.Parallel()
	needRoot(t)
	x509ctl, c := strangersProgram(t), publicCluster(t)
	cert := filepath.Join(filepath.Dir(c.dir), "cert.pem")
	c.ok("cert", "issue", node1, "--key", filepath.Join(t.TempDir(), "key"), "--cert", cert)
	for _, want := range []string{"exit status 0", "exit status 6"} {
		if out, err := asStranger(x509ctl, "cert", "verify", cert, "--dir", c.dir).CombinedOutput(); (err == nil) != (want == "exit status 0") || err != nil && err.Error() != want {
			t.Errorf("%v, want %s\n%s", err, want, out)
		}
		c.ok("serial", "set-min", "next")
	}
	out, err := asStranger(x509ctl, "cert", "list", "--dir", c.dir).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "permission denied") {
		t.Errorf("the inventory: %v\n%s", err, out)
	}
}

// TestAnybodyEncrypts needs no more than the public files, once there are any.
func TestAnybodyEncrypts(t *testing.T) {
	t.Parallel()
	needRoot(t)
	x509ctl, c := strangersProgram(t), publicCluster(t)
	c.ok("project", "create", "tenant1")
	encrypt := func() (string, error) {
		var stderr bytes.Buffer
		cmd := asStranger(x509ctl, "project", "encrypt", "--project", "tenant1", "--dir", c.dir)
		cmd.Stdin, cmd.Stderr = strings.NewReader("secret"), &stderr
		out, err := cmd.Output()
		return string(out) + stderr.String(), err
	}
	out, err := encrypt()
	if err == nil || err.Error() != "exit status 3" || !strings.Contains(out, "only an operator can make one") || !strings.Contains(out, "--encryption-cert") {
		t.Errorf("before there is a certificate: %v\n%s", err, out)
	}
	c.ok("project", "show", "tenant1", "--encryption-cert")
	if out, err = encrypt(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := c.command("project", "decrypt", "--project", "tenant1")
	cmd.Stdin = strings.NewReader(out)
	if secret, err := cmd.Output(); err != nil || string(secret) != "secret" {
		t.Errorf("%q, %v", secret, err)
	}
	if out, err := asStranger(x509ctl, "project", "decrypt", "--project", "tenant1", "--dir", c.dir).CombinedOutput(); err == nil {
		t.Errorf("a stranger decrypts: %s", out)
	}
}

// TestNobodyLocksOut has a stranger try to hold the lock, exclusive or shared.
func TestNobodyLocksOut(t *testing.T) {
	t.Parallel()
	needRoot(t)
	c := publicCluster(t)
	for _, how := range []string{"-x", "-s"} {
		if out, err := asStranger("flock", "-n", how, c.path("ca", "lock"), "true").CombinedOutput(); err == nil {
			t.Errorf("flock %s: %s", how, out)
		}
	}
	if out, err := asStranger("flock", "-n", "-s", c.path("ca"), "true").CombinedOutput(); err == nil {
		t.Errorf("the directory: %s", out)
	}
}

// TestSecretsAndOthersPipes has a stranger lay a pipe where a key is to go.
func TestSecretsAndOthersPipes(t *testing.T) {
	t.Parallel()
	needRoot(t)
	c, out := newCluster(t), publicDir(t)
	if err := os.Chmod(out, 0o1777); err != nil {
		t.Fatal(err)
	}
	pipe, stolen := filepath.Join(out, "key.pem"), filepath.Join(out, "stolen")
	reader := asStranger("sh", "-c", `mkfifo -m 600 "$0" && exec cat "$0" > "$1"`, pipe, stolen)
	if err := reader.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = reader.Process.Kill(), reader.Wait() }()
	for _, err := os.Stat(stolen); err != nil; _, err = os.Stat(stolen) {
		time.Sleep(5 * time.Millisecond)
	}
	before := c.ok("serial", "show", "-o", "json")
	for _, args := range [][]string{
		{"cert", "issue", node1, "--key", pipe, "--cert", filepath.Join(t.TempDir(), "cert.pem")},
		{"cert", "issue", node1, "--combined", pipe},
		{"cert", "issue", node1, "--p12", pipe},
	} {
		if said := c.fails(5, args...); !strings.Contains(said, "belongs to another user") {
			t.Errorf("%v: %s", args, said)
		}
	}
	if after := c.ok("serial", "show", "-o", "json"); after != before {
		t.Errorf("the counter was %s and is %s", before, after)
	}
	if b, err := os.ReadFile(stolen); err != nil || len(b) > 0 {
		t.Errorf("stolen: %q, %v", b, err)
	}
	// A pipe of one's own, as shells make it, is as good as ever.
	cmd := exec.Command("bash", "-c", `"$0" cert issue `+node1+` --dir "$1" --cert "$2" --key >(grep -c PRIVATE > "$3"); wait $!; cat "$3"`,
		program, c.dir, filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "count"))
	if b, err := cmd.CombinedOutput(); err != nil || !bytes.HasSuffix(b, []byte("2\n")) {
		t.Errorf("one's own pipe: %v\n%s", err, b)
	}
}

// TestDirectorySwapped has a stranger put a directory with a hook in the place of
// root's, after root's process has looked whose it is.
func TestDirectorySwapped(t *testing.T) {
	t.Parallel()
	needRoot(t)
	need(t, "strace")
	x509ctl, base := strangersProgram(t), publicDir(t)
	if err := os.Chmod(base, 0o777); err != nil {
		t.Fatal(err)
	}
	dir, evil, hooked := filepath.Join(base, "ca"), filepath.Join(base, "evil"), filepath.Join(base, "hooked")
	for _, args := range [][]string{{"ca", "init", "--cluster-name", "cluster1.example.com"}, {"node", "add", node1}} {
		if out, err := asStranger(x509ctl, append(args, "--dir", dir)...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	settings := "serial_hook: [/usr/bin/touch, " + hooked + "]\n"
	if err := os.WriteFile(filepath.Join(dir, "x509ctl.yaml"), []byte(settings), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(filepath.Join(dir, "x509ctl.yaml"), stranger, stranger); err != nil {
		t.Fatal(err)
	}
	must(t, "sh", "-c", `mv "$0" "$1" && ln -s /etc "$0"`, dir, evil)
	out := filepath.Join(t.TempDir(), "cert.pem")
	cmd := exec.Command("strace", "-f", "-o", "/dev/null", "-P", dir, "-e", "trace=openat", "-e", "inject=openat:delay_enter=1500000:when=1",
		program, "--dir", dir, "cert", "issue", node1, "--combined", out)
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(700 * time.Millisecond)
	must(t, "sh", "-c", `rm "$0" && mv "$1" "$0"`, dir, evil)
	if err := cmd.Wait(); err == nil || !strings.Contains(said.String(), "only root's are trusted") {
		t.Errorf("%v\n%s", err, said.String())
	}
	for _, path := range []string{hooked, out} {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("there is %s", path)
		}
	}
}
