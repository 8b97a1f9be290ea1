package main_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A stop is a serial_hook that waits: a place to look at a process in its middle.
type stop struct {
	t            *testing.T
	entry        string // a FIFO: the hook opens it when it runs
	gate         string // a FIFO: the hook ends when somebody has opened and closed it
	self, caller string // files: the environment of the hook, the status of its parent
}

// stopAt makes every reservation of a serial number wait in a hook, whose files are
// in dir.
func stopAt(t *testing.T, c *cluster, dir string) stop {
	t.Helper()
	at := func(name string) string { return filepath.Join(dir, name) }
	s := stop{t, at("entry"), at("gate"), at("self"), at("caller")}
	for _, fifo := range []string{s.entry, s.gate} {
		if err := syscall.Mkfifo(fifo, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(t, at("hook"), 0o755, fmt.Sprintf(`#!/bin/sh
cat /proc/self/environ > %s
cat /proc/$PPID/status > %s
: > %s
: < %s
`, s.self, s.caller, s.entry, s.gate))
	write(t, c.path("x509ctl.yaml"), 0o644, "serial_hook: ["+at("hook")+"]\n")
	return s
}

// during runs look while cmd waits in its hook, and returns what cmd printed.
func (s stop) during(cmd *exec.Cmd, look func()) string {
	s.t.Helper()
	var printed bytes.Buffer
	cmd.Stdout, cmd.Stderr = &printed, &printed
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	done, entered := make(chan error, 1), make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	go func() {
		_, err := os.ReadFile(s.entry) // waits for the hook
		entered <- err
	}()
	select {
	case err := <-entered:
		if err != nil {
			s.t.Fatal(err)
		}
	case err := <-done:
		s.t.Fatalf("%s did not come to its hook: %v\n%s", cmd, err, printed.String())
	}
	look()
	if err := os.WriteFile(s.gate, nil, 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := <-done; err != nil {
		s.t.Fatalf("%s: %v\n%s", cmd, err, printed.String())
	}
	return printed.String()
}

// A secrets is what nobody may see: by name, in each form that it could be seen in.
type secrets map[string][][]byte

func (s secrets) add(name, secret string) {
	b := []byte(secret)
	s[name] = [][]byte{b, []byte(hex.EncodeToString(b)), []byte(base64.StdEncoding.EncodeToString(b))}
}

// addKey adds the private key in a PEM file: its last octets, which of PKCS#8 are the
// key's and not the format's, and the lines of its text.
func (s secrets) addKey(t *testing.T, path string) {
	t.Helper()
	text := read(t, path)
	block, _ := pem.Decode([]byte(text))
	if block == nil || !strings.HasSuffix(block.Type, "PRIVATE KEY") {
		t.Fatalf("no key in %s", path)
	}
	// An EC key ends with the public one, so its own octets are in the middle.
	s[path] = [][]byte{block.Bytes[36:60], []byte(hex.EncodeToString(block.Bytes[36:60]))}
	s[path] = append(s[path], []byte(strings.Split(text, "\n")[1]))
}

// in complains about each secret that is in text.
func (s secrets) in(t *testing.T, where string, text []byte) (found int) {
	t.Helper()
	for name, forms := range s {
		for _, form := range forms {
			if bytes.Contains(text, form) {
				found++
				t.Logf("%s: %s shows it as %q", name, where, form)
			}
		}
	}
	return found
}

// inProcesses is in for the arguments and the environment of every process.
func (s secrets) inProcesses(t *testing.T) (found int) {
	t.Helper()
	for _, what := range []string{"cmdline", "environ"} {
		paths, err := filepath.Glob("/proc/[0-9]*/" + what)
		if err != nil || len(paths) < 2 {
			t.Fatalf("no processes: %v", err)
		}
		for _, path := range paths {
			if text, err := os.ReadFile(path); err == nil { // it may have ended, or be another user's
				found += s.in(t, path, text)
			}
		}
	}
	return found
}

// TestNothingSecretInSight issues with a passphrase and a password and looks for both,
// and for the keys, wherever somebody else might: in ps while x509ctl runs, in what it
// prints, in the audit trail, in the database and in the backup's public half.
func TestNothingSecretInSight(t *testing.T) {
	t.Parallel()
	need(t, "openssl")
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	hidden := secrets{}
	hidden.add("passphrase", "Open-Sesame-of-the-CA")
	hidden.add("wrong passphrase", "Open-Barley-of-nobody")
	hidden.add("password", "Pa55word-of-the-p12")
	hidden.add("wrong password", "P\u00e4ssword-of-the-p12") // refused: not ASCII
	write(t, at("passphrase"), 0o600, "Open-Sesame-of-the-CA\n")
	write(t, at("wrong"), 0o600, "Open-Barley-of-nobody\n")
	write(t, at("password"), 0o600, "Pa55word-of-the-p12\n")
	write(t, at("umlaut"), 0o600, "P\u00e4ssword-of-the-p12\n")

	c := newCluster(t, "--ca-passphrase-file", at("passphrase"))
	must(t, "openssl", "pkey", "-in", c.path("ca", "key.pem"), "-passin", "file:"+at("passphrase"), "-out", at("ca.key"))
	hidden.addKey(t, at("ca.key"))

	issue := []string{"cert", "issue", node1, "--ca-passphrase-file", at("passphrase"), "--password-file", at("password")}
	var printed string
	stopped := stopAt(t, c, dir)
	printed += stopped.during(c.command(append(issue, "--p12", at("id.p12"), "--key", at("node1.key"))...), func() {
		if hidden.inProcesses(t) > 0 {
			t.Error("ps shows secrets")
		}
	})
	hidden.addKey(t, at("node1.key"))
	if err := os.Remove(c.path("x509ctl.yaml")); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"cert", "issue", node1, "--ca-passphrase-file", at("wrong"), "--combined", at("never.pem")},
		{"cert", "issue", node1, "--ca-passphrase-file", at("passphrase"), "--password-file", at("umlaut"), "--p12", at("never.p12")},
		{"cert", "show", "2"},
		{"ca", "show", "--ca-passphrase-file", at("passphrase")},
		{"config", "show", "--ca-passphrase-file", at("passphrase")},
		{"audit", "-o", "json"},
		{"cert", "list", "-o", "json"},
		{"cert", "check-key", at("node1.key"), c.path("ca", "cert.pem")},
		{"cert", "sign-csr", at("node1.key"), "--ca-passphrase-file", at("passphrase"), "--out", at("never.pem")},
		{"cert", "verify", at("node1.key")},
		{"cert", "verify", at("password")},
	} {
		r := c.call(args...)
		printed += r.stdout + r.stderr
	}
	if !strings.Contains(printed, node1) || !strings.Contains(printed, "error: ") {
		t.Fatalf("these can't have been the right commands:\n%s", printed)
	}
	if hidden.in(t, "what was printed", []byte(printed)) > 0 {
		t.Error("secrets are printed")
	}
	for _, name := range []string{"x509ctl.db", "ca/cert.pem", "ca/bundle.pem", "ca/key.pem", "ca/serial"} {
		if hidden.in(t, name, []byte(read(t, c.path(name)))) > 0 {
			t.Errorf("%s holds secrets", name)
		}
	}
}

// TestSecretsAreFound shows that the searches of the test above can fail.
func TestSecretsAreFound(t *testing.T) {
	t.Parallel()
	need(t, "openssl")
	hidden := secrets{}
	hidden.add("argument", "Sesame-in-an-argument")
	cmd := exec.Command("sh", "-c", "read line; : $0", "Sesame-in-an-argument")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, "a secret in ps", func() bool { return hidden.inProcesses(t) > 0 })
	_ = in.Close() // ends it
	_ = cmd.Wait()

	key := filepath.Join(t.TempDir(), "key.pem")
	newKey(t, key, "ecdsa-p256")
	hidden = secrets{}
	hidden.addKey(t, key)
	der := must(t, "openssl", "pkey", "-in", key, "-outform", "DER")
	text := must(t, "openssl", "pkey", "-in", key, "-noout", "-text")
	octets := strings.NewReplacer(":", "", " ", "", "\n", "").Replace(text)
	for where, shown := range map[string]string{"PEM": read(t, key), "DER": der, "text": octets} {
		if hidden.in(t, where, []byte(shown)) == 0 {
			t.Errorf("a key in %s is not found", where)
		}
	}
}

// TestProjectSecretsOutOfSight encrypts, decrypts and mistakes a secret for something else,
// and makes an archive with a secret key of EC2.
func TestProjectSecretsOutOfSight(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	hidden := secrets{}
	hidden.add("secret", "The-secret-of-tenant1")
	hidden.add("EC2 key", "The-secret-key-of-EC2")
	write(t, at("secret"), 0o600, "The-secret-of-tenant1")
	write(t, at("ec2"), 0o600, "The-secret-key-of-EC2\n")
	c := newCluster(t)
	c.ok("project", "create", "tenant1")
	c.ok("project", "member-add", "alice", "--project", "tenant1")
	c.ok("project", "encrypt", "--project", "tenant1", at("secret"), "--out", at("encrypted"))
	stopped := stopAt(t, c, dir)
	archive := []string{"project", "credentials", "alice", "--project", "tenant1", "--ec2-secret-key-file", at("ec2"), "--out", at("nova.zip")}
	printed := stopped.during(c.command(archive...), func() {
		if hidden.inProcesses(t) > 0 {
			t.Error("ps shows secrets")
		}
	})
	if err := os.Remove(c.path("x509ctl.yaml")); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"project", "decrypt", "--project", "tenant1", at("encrypted"), "--out", at("decrypted")},
		{"project", "decrypt", "--project", "tenant1", at("secret")},
		{"project", "decrypt", "--project", "tenant1", at("secret"), "--input-format", "raw"},
		{"project", "decrypt", "--project", "tenant1", at("secret"), "--pkcs1v15", "--length", "21", "--input-format", "hex"},
		{"project", "encrypt", "--project", "tenant1", at("secret"), "--input-format", "hex"},
		{"project", "encrypt", "--project", "tenant1", at("secret"), "--input-format", "base64"},
		{"project", "encrypt", "--project", "tenant1", at("secret")},
		append(archive, "--ec2-url", "http://x\x01"),
		{"audit", "-o", "json"},
	} {
		r := c.call(args...)
		printed += r.stdout + r.stderr
	}
	if read(t, at("decrypted")) != "The-secret-of-tenant1" || !strings.Contains(printed, "error: ") || !strings.Contains(printed, `"decrypt"`) {
		t.Fatalf("these can't have been the right commands:\n%s", printed)
	}
	if hidden.in(t, "what was printed", []byte(printed)) > 0 {
		t.Error("secrets are printed")
	}
	for _, name := range []string{"x509ctl.db", "x509ctl.db-wal"} {
		if text, err := os.ReadFile(c.path(name)); err == nil && hidden.in(t, name, text) > 0 {
			t.Errorf("%s holds secrets", name)
		}
	}
}
