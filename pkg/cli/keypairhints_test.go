package cli

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"x509ctl/pkg/keypair"
)

// TestImportHints does what the hint for each file of the corpus says, and imports
// what comes of it.
func TestImportHints(t *testing.T) {
	for _, program := range []string{"ssh-keygen", "puttygen", "openssl"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
	dir := t.TempDir()
	files, err := filepath.Glob("../keypair/testdata/import/*")
	if err != nil || len(files) < 60 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	files = append(files, privateKeys(t, dir)...)
	done := map[keypair.Found]bool{}
	for _, file := range files {
		if name := filepath.Base(file); strings.HasPrefix(name, "private-") && filepath.Dir(file) != dir {
			continue // cut short, to hold no key
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, typ := range []keypair.Type{"", keypair.SSH, keypair.X509} {
			var wrong *keypair.ImportError
			if _, err := keypair.Parse(typ, string(text)); !errors.As(err, &wrong) || wrong.Line > 0 || importCommand(wrong) == "" {
				continue
			}
			done[wrong.Found] = true
			if err := tryHint(dir, strings.ReplaceAll(importCommand(wrong), "FILE", shellQuote(mustAbs(t, file)))); err != nil {
				t.Errorf("%s: %s: %v", file, importCommand(wrong), err)
			}
		}
	}
	if len(done) != 18 {
		t.Errorf("%d kinds of files have a hint: %v", len(done), done)
	}
}

// tryHint runs a command in dir and judges the file that it made.
func tryHint(dir, command string) error {
	command = strings.ReplaceAll(command, "openssl pkcs12", "openssl pkcs12 -passin pass:") // which it would ask for
	cmd := exec.Command("bash", "-c", "rm -f key.pub cert.pem; "+command)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return errors.Join(err, errors.New(string(out)))
	}
	made, err := os.ReadFile(filepath.Join(dir, "key.pub"))
	if err != nil {
		made, err = os.ReadFile(filepath.Join(dir, "cert.pem"))
	}
	if err != nil {
		return err
	}
	_, err = keypair.Parse("", string(made))
	return err
}

// privateKeys makes files with private keys, as OpenSSH and PuTTY have them.
func privateKeys(t *testing.T, dir string) []string {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, private, err := keypair.EncodeSSH(key)
	if err != nil {
		t.Fatal(err)
	}
	openssh, putty := filepath.Join(dir, "private-openssh"), filepath.Join(dir, "private-putty")
	if err := os.WriteFile(openssh, private, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("puttygen", openssh, "-O", "private", "-o", putty)
	cmd.Stdin = bytes.NewReader(nil)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return []string{openssh, putty}
}

func mustAbs(t *testing.T, path string) string {
	t.Helper()
	abs, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return abs
}
