package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A reader opens a PKCS#12 file with the password that a file has in its first line,
// and gets a key and two certificates out.
type reader struct {
	name     string
	programs []string
	slow     bool // to start, so that it opens one file only for each profile
	open     func(t *testing.T, p12, password string) error
}

var readers = []reader{
	{"openssl", []string{"openssl"}, false, func(t *testing.T, p12, password string) error { return opensslOpen(t, p12, password) }},
	{"openssl -legacy", []string{"openssl"}, false, func(t *testing.T, p12, password string) error { return opensslOpen(t, p12, password, "-legacy") }},
	{"keytool", []string{"keytool"}, true, keytoolOpen},
	{"java", []string{"java", "javac"}, false, javaOpen},
	{"pk12util", []string{"pk12util", "certutil"}, false, pk12utilOpen},
	{"certtool", []string{"certtool"}, false, certtoolOpen},
}

// profiles are those of --p12-profile that programs of today read, with the readers
// of those above that don't.
var profiles = map[string]string{
	"":            "",
	"modern2023":  "",
	"legacy-des":  "",
	"windows2016": "",
	"legacy-rc2":  "openssl",
}

// opensslOpen compares too what it gets with what lies beside the file.
func opensslOpen(t *testing.T, p12, password string, options ...string) error {
	args := append([]string{"pkcs12", "-in", p12, "-passin", "file:" + password, "-noenc"}, options...)
	text, err := try("", "openssl", args...)
	if err != nil {
		return err
	}
	dir := filepath.Dir(p12)
	for _, part := range []string{read(t, filepath.Join(dir, "key.pem")), read(t, filepath.Join(dir, "cert.pem"))} {
		if !strings.Contains(text, part) {
			return fmt.Errorf("openssl: found\n%s\nand not\n%s", text, part)
		}
	}
	return count(text, "-----BEGIN CERTIFICATE", 2)
}

func keytoolOpen(_ *testing.T, p12, password string) error {
	text, err := try("", "keytool", "-J-XX:TieredStopAtLevel=1", "-list", "-v", "-keystore", p12, "-storetype", "PKCS12", "-storepass:file", password)
	if err != nil {
		return err
	}
	return count(text, "Certificate chain length: 2", 1)
}

func javaOpen(t *testing.T, p12, password string) error {
	text, err := java(t, "keystore", p12, password)
	if err == nil && !strings.HasSuffix(text, " 2") {
		err = fmt.Errorf("java: found %q", text)
	}
	return err
}

func pk12utilOpen(t *testing.T, p12, password string) error {
	db := "sql:" + t.TempDir()
	must(t, "certutil", "-N", "-d", db, "--empty-password")
	if _, err := try("", "pk12util", "-i", p12, "-d", db, "-w", password); err != nil {
		return err
	}
	if err := count(must(t, "certutil", "-K", "-d", db), node1, 1); err != nil {
		return err
	}
	return count(must(t, "certutil", "-L", "-d", db), " CA 1 ", 1)
}

func certtoolOpen(t *testing.T, p12, password string) error {
	secret := strings.TrimSuffix(read(t, password), "\n")
	args := []string{"--p12-info", "--inder", "--infile", p12, "--password", secret}
	if secret == "" {
		args = append(args[:len(args)-2], "--empty-password")
	}
	text, err := try("", "certtool", args...)
	if err != nil {
		return err
	}
	if strings.Contains(text, "error") {
		return fmt.Errorf("certtool: %s", text)
	}
	return count(text, "-----BEGIN CERTIFICATE", 2)
}

// count returns an error unless text has want n times.
func count(text, want string, n int) error {
	if got := strings.Count(text, want); got != n {
		return fmt.Errorf("%q is found %d times, not %d:\n%s", want, got, n, text)
	}
	return nil
}

// TestPKCS12 has the files of "cert issue" and "cert export" opened by every reader,
// with and without a password, and not with a wrong one.
func TestPKCS12(t *testing.T) {
	t.Parallel()
	need(t, "openssl")
	c := newCluster(t)
	for profile, refuses := range profiles {
		for keyType, noPassword := range map[string]bool{"ecdsa-p256": false, "rsa-2048": true} {
			t.Run(fmt.Sprintf("%s %s %v", profile, keyType, noPassword), func(t *testing.T) {
				t.Parallel()
				files, password, wrong := c.in(t).exportP12(t, profile, keyType, noPassword)
				for _, r := range readers {
					if r.slow && noPassword {
						continue
					}
					r.read(t, files, password, wrong, r.name != refuses)
				}
			})
		}
	}
}

// exportP12 writes the same certificate by two commands. It returns the two files,
// and files with their password and with another.
func (c *cluster) exportP12(t *testing.T, profile, keyType string, noPassword bool) (files []string, password, wrong string) {
	t.Helper()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write(t, at("password"), 0o600, `Tr0ub4dor "&3' $x\ # ~`+"\n")
	write(t, at("wrong"), 0o600, "not-the-password\n")
	options := []string{"--password-file", at("password"), "-o", "json"}
	if noPassword {
		write(t, at("password"), 0o600, "\n")
		options = []string{"--no-password", "-o", "json"}
	}
	if profile != "" {
		options = append(options, "--p12-profile", profile)
	}
	issued := c.ok(append([]string{"cert", "issue", node1, "--key-type", keyType, "--key", at("key.pem"), "--cert", at("cert.pem"),
		"--p12", at("issued.p12")}, options...)...)
	number := fmt.Sprint(parse[struct{ Serial int64 }](t, issued).Serial)
	c.ok(append([]string{"cert", "export", number, "--key", at("key.pem"), "--p12", at("exported.p12")}, options...)...)
	for _, p12 := range []string{at("issued.p12"), at("exported.p12")} {
		if info, err := os.Stat(p12); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", p12, info.Mode(), err)
		}
	}
	return []string{at("issued.p12"), at("exported.p12")}, at("password"), at("wrong")
}

// read has r open files, which it can or can't.
func (r reader) read(t *testing.T, files []string, password, wrong string, can bool) {
	t.Helper()
	need(t, r.programs...)
	if r.slow {
		files = files[:1]
	}
	for _, p12 := range files {
		err := r.open(t, p12, password)
		if can && err != nil {
			t.Errorf("%s: %v", r.name, err)
		}
		if !can && err == nil {
			t.Errorf("%s opens what it is not said to open", r.name)
		}
	}
	if !r.slow && r.open(t, files[0], wrong) == nil {
		t.Errorf("%s opens with a wrong password", r.name)
	}
}

// TestPKCS12Modern2026 writes a file that few programs read yet, and finds in it what
// they would have to: a MAC by PBMAC1 (RFC 9579).
func TestPKCS12Modern2026(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	dir := t.TempDir()
	pbmac1 := "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0e"
	for profile, want := range map[string]bool{"modern2026": true, "modern2023": false} {
		p12 := filepath.Join(dir, profile)
		c.ok("cert", "issue", node1, "--p12", p12, "--p12-profile", profile)
		if found := strings.Contains(read(t, p12), pbmac1); found != want {
			t.Errorf("%s has PBMAC1: %v", profile, found)
		}
	}
}

// TestPKCS12Passwords opens files with a password from the other places where it may
// come from: the environment, and the program itself, which then tells it.
func TestPKCS12Passwords(t *testing.T) {
	t.Parallel()
	need(t, "openssl")
	c := newCluster(t)
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	told := parse[struct {
		Password string `json:"p12_password"`
	}](t, c.ok("cert", "issue", node1, "--p12", at("told.p12"), "--key", at("key.pem"), "--cert", at("cert.pem"), "-o", "json"))
	write(t, at("password"), 0o600, told.Password+"\n")
	if err := opensslOpen(t, at("told.p12"), at("password")); err != nil || len(told.Password) < 20 {
		t.Errorf("password %q: %v", told.Password, err)
	}

	cmd := c.command("cert", "export", "2", "--key", at("key.pem"), "--p12", at("variable.p12"), "-o", "json")
	cmd.Env = append(cmd.Env, "X509CTL_P12_PASSWORD=from the environment")
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Contains(string(out), "from the environment") {
		t.Errorf("%v\n%s", err, out)
	}
	write(t, at("password"), 0o600, "from the environment\n")
	if err := opensslOpen(t, at("variable.p12"), at("password")); err != nil {
		t.Error(err)
	}

	write(t, at("umlaut"), 0o600, "P\u00e4ssword\n")
	write(t, at("loose"), 0o644, "password\n")
	for _, password := range []string{"umlaut", "loose"} {
		c.fails(5, "cert", "export", "2", "--key", at("key.pem"), "--p12", at("no.p12"), "--password-file", at(password))
	}
	if _, err := os.Stat(at("no.p12")); err == nil {
		t.Error("a refusal left a file")
	}
}
