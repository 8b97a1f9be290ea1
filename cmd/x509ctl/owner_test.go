package main_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// owner is a user that nobody has heard of, who owns the directories below.
const owner = 54399

// needRoot skips a test that needs to be root. In CI that is a failure.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatal("this test needs root")
	}
	t.Skip("this test needs root")
}

// publicDir is a TempDir that other users can look into.
func publicDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "x509ctl-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	return dir
}

// ownedCluster is a cluster in another user's directory, made by root, with room for
// that user's files beside it.
func ownedCluster(t *testing.T, args ...string) (c *cluster, out string) {
	t.Helper()
	base := publicDir(t)
	dir, out := filepath.Join(base, "state"), filepath.Join(base, "out")
	for _, d := range []string{dir, out} {
		if err := os.Mkdir(d, 0o711); err != nil {
			t.Fatal(err)
		}
		give(t, d)
	}
	c = &cluster{t, dir}
	c.ok(append([]string{"ca", "init", "--cluster-name", "cluster1.example.com"}, args...)...)
	c.ok("node", "add", node1)
	return c, out
}

// give hands files to the owner.
func give(t *testing.T, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if err := os.Chown(path, owner, owner); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFilesStayTheOwners has root work in another user's directory: every file that
// comes into being, there and where that user asked for one, is that user's.
func TestFilesStayTheOwners(t *testing.T) {
	t.Parallel()
	needRoot(t)
	c, out := ownedCluster(t)
	c.ok("cert", "issue", node1, "--key", filepath.Join(out, "key.pem"), "--cert", filepath.Join(out, "cert.pem"))
	csr := filepath.Join(t.TempDir(), "csr.pem")
	c.ok("cert", "gen-csr", node1, "--key", filepath.Join(t.TempDir(), "key.pem"), "--out", csr)
	signed := c.command("cert", "sign-csr", "-", "--out", filepath.Join(out, "signed.pem"))
	signed.Stdin = strings.NewReader(read(t, csr))
	if printed, err := signed.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, printed)
	}
	c.ok("serial", "set-min", "next")
	c.ok("serial", "recover", "--restored", "--yes")
	c.ok("backup", filepath.Join(out, "backup.tar"))
	c.ok("cert", "list")
	count := 0
	err := filepath.WalkDir(filepath.Dir(c.dir), func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == filepath.Dir(c.dir) {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		count++
		st := info.Sys().(*syscall.Stat_t)
		if st.Uid != owner || st.Gid != owner {
			t.Errorf("%s belongs to %d:%d", path, st.Uid, st.Gid)
		}
		return nil
	})
	if err != nil || count < 13 {
		t.Fatalf("saw %d files: %v", count, err)
	}
	for name, mode := range map[string]fs.FileMode{
		"ca": 0o711, "ca/key.pem": 0o400, "ca/cert.pem": 0o644, "ca/serial": 0o644, "ca/min-serial": 0o644,
		"ca/bundle.pem": 0o644, "x509ctl.db": 0o600,
		"../out/key.pem": 0o600, "../out/cert.pem": 0o644, "../out/signed.pem": 0o644, "../out/backup.tar": 0o600,
	} {
		info, err := os.Stat(c.path(name))
		if err != nil {
			t.Error(err)
		} else if info.Mode().Perm() != mode {
			t.Errorf("%s has the mode %04o, want %04o", name, info.Mode().Perm(), mode)
		}
	}
}

// TestNotTheOwnersFile has root name a file that only root can write: the process has
// root's rights no more.
func TestNotTheOwnersFile(t *testing.T) {
	t.Parallel()
	needRoot(t)
	c, out := ownedCluster(t)
	mine := filepath.Join(t.TempDir(), "mine")
	if err := os.Mkdir(mine, 0o700); err != nil {
		t.Fatal(err)
	}
	c.fails(1, "cert", "issue", node1, "--combined", filepath.Join(mine, "combined.pem"))
	password := filepath.Join(mine, "password")
	write(t, password, 0o400, "secret\n")
	c.fails(1, "cert", "issue", node1, "--p12", filepath.Join(out, "id.p12"), "--password-file", password)
	if names, _ := filepath.Glob(filepath.Join(out, "*")); names != nil {
		t.Errorf("left %v", names)
	}
}

// TestProcessIsTheOwner looks at a process that root started: every identity of it is
// the owner's, and no capability is left to go back. Its hook has none of its
// environment.
func TestProcessIsTheOwner(t *testing.T) {
	t.Parallel()
	needRoot(t)
	c, out := ownedCluster(t)
	s := stopAt(t, c, out)
	give(t, s.entry, s.gate, c.path("x509ctl.yaml"))
	cmd := c.command("cert", "issue", node1, "--p12", filepath.Join(out, "id.p12"))
	cmd.Env = append(cmd.Env, "X509CTL_P12_PASSWORD=in-the-environment")
	s.during(cmd, func() {
		status := read(t, s.caller)
		for _, want := range []string{
			`Uid:\t54399\t54399\t54399\t54399\n`, `Gid:\t54399\t54399\t54399\t54399\n`, `Groups:\t54399 *\n`,
			`CapPrm:\t0+\n`, `CapEff:\t0+\n`,
		} {
			if !regexp.MustCompile(want).MatchString(status) {
				t.Errorf("no %q in\n%s", want, status)
			}
		}
	})
	environ := strings.ReplaceAll(read(t, s.self), "\x00", "\n")
	if !strings.Contains(environ, "X509CTL_SERIAL=") || strings.Contains(environ, "in-the-environment") {
		t.Errorf("the hook's environment is\n%s", environ)
	}
}

// TestLinksInDirectory puts a symbolic link in the place of each file that matters,
// to a good copy of it. None is followed, whoever owns it.
func TestLinksInDirectory(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"ca", "ca/key.pem", "ca/cert.pem", "ca/serial", "ca/min-serial", "ca/lock", "x509ctl.db", "x509ctl.yaml",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key := filepath.Join(t.TempDir(), "key.pem")
			newCluster(t).refusesLink(t, name, "cert", "issue", node1, "--combined", key)
			if _, err := os.Lstat(key); err == nil {
				t.Error("a certificate was issued")
			}
		})
	}
	for _, name := range []string{"ca", "ca/bundle.pem", "ca/min-serial"} {
		t.Run("verify "+name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			cert := filepath.Join(t.TempDir(), "cert.pem")
			c.ok("cert", "export", "1", "--out", cert)
			c.refusesLink(t, name, "cert", "verify", cert)
		})
	}
}

// refusesLink moves a file of the directory away, puts a link to it in its place, and
// runs a command, which must not follow it.
func (c *cluster) refusesLink(t *testing.T, name string, args ...string) {
	t.Helper()
	write(t, c.path("x509ctl.yaml"), 0o644, "lifetime: 2h\n")
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	if err := os.Rename(c.path(name), elsewhere); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, c.path(name)); err != nil {
		t.Fatal(err)
	}
	before := contents(t, elsewhere)
	stderr := c.fails(5, args...)
	if !regexp.MustCompile(`is a symbolic link|is not a directory|is not a regular file`).MatchString(stderr) {
		t.Errorf("refused for another reason: %s", stderr)
	}
	if contents(t, elsewhere) != before {
		t.Error("the file behind the link was written")
	}
	if target, err := os.Readlink(c.path(name)); err != nil || target != elsewhere {
		t.Errorf("the link was changed: %q, %v", target, err)
	}
}

// contents returns what is in a file, or in all files of a directory but its lock.
func contents(t *testing.T, path string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(path, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			fmt.Fprintf(&all, "%s\n%s\n", filepath.Base(path), read(t, path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// TestLooseModes opens files to others than their owner: they are refused with the
// command that mends it, which does.
func TestLooseModes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		mode fs.FileMode
	}{
		{"ca/key.pem", 0o440}, {"ca/key.pem", 0o404}, {"x509ctl.yaml", 0o664}, {"x509ctl.yaml", 0o646},
	} {
		c := newCluster(t)
		write(t, c.path("x509ctl.yaml"), 0o644, "lifetime: 2h\n")
		if err := os.Chmod(c.path(tt.name), tt.mode); err != nil {
			t.Fatal(err)
		}
		stderr := c.fails(5, "cert", "issue", node1, "--combined", filepath.Join(t.TempDir(), "no.pem"))
		hint := regexp.MustCompile(`(?m)^x509ctl: hint: (chmod .*)$`).FindStringSubmatch(stderr)
		if hint == nil {
			t.Errorf("%s with mode %04o: no chmod in %s", tt.name, tt.mode, stderr)
			continue
		}
		must(t, "sh", "-c", hint[1])
		c.ok("cert", "issue", node1, "--combined", filepath.Join(t.TempDir(), "yes.pem"))
	}
}

// TestForeignFiles gives files in root's directory to another user, who can then
// write them, or read them, whatever their mode is: they are refused.
func TestForeignFiles(t *testing.T) {
	t.Parallel()
	needRoot(t)
	for _, name := range []string{"x509ctl.yaml", "ca/key.pem", "ca", "x509ctl.db"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			write(t, c.path("x509ctl.yaml"), 0o644, "lifetime: 2h\n")
			give(t, c.path(name))
			c.fails(5, "cert", "issue", node1, "--combined", filepath.Join(t.TempDir(), "no.pem"))
			if err := os.Chown(c.path(name), 0, 0); err != nil {
				t.Fatal(err)
			}
			c.ok("cert", "issue", node1, "--combined", filepath.Join(t.TempDir(), "yes.pem"))
		})
	}
}
