package main_test

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A ganetiFile is a file of a Ganeti data directory.
type ganetiFile struct {
	name    string
	mode    fs.FileMode
	owner   int // an offset: 0 is root, the others are users that need not exist
	content string
}

const (
	root    = 0
	masterd = 1
	confd   = 2
	rapi    = 3
)

// ganetiFiles are what a master has in /var/lib/ganeti, with the modes and owners
// that Ganeti's ensure-dirs gives them. Owners that can't be had are root.
func ganetiFiles(t *testing.T) []ganetiFile {
	t.Helper()
	dir := t.TempDir()
	key, cert := filepath.Join(dir, "key.pem"), filepath.Join(dir, "cert.pem")
	newKey(t, key, "rsa-2048")
	must(t, "openssl", "req", "-x509", "-key", key, "-subj", "/CN=ganeti.example.com", "-set_serial", "1", "-days", "1825", "-out", cert)
	pem := read(t, key) + read(t, cert)
	const names = node1 + "\n" + node2 + "\n"
	return []ganetiFile{
		{"config.data", 0o640, masterd, `{"version": 3000000, "cluster": {"cluster_name": "cluster1.example.com"}}` + "\n"},
		{"server.pem", 0o440, masterd, pem},
		{"client.pem", 0o440, masterd, pem},
		{"rapi.pem", 0o440, rapi, pem},
		{"spice.pem", 0o440, root, pem},
		{"spice-ca.pem", 0o440, root, read(t, cert)},
		{"hmac.key", 0o440, confd, strings.Repeat("0123456789abcdef", 2) + "\n"},
		{"cluster-domain-secret", 0o640, masterd, strings.Repeat("fedcba9876543210", 2) + "\n"},
		{"known_hosts", 0o644, masterd, "cluster1.example.com ssh-rsa AAAA\n"},
		{"bdev-cache", 0o600, root, ""},
		{"rapi.pem.backup-1700000000.12345.abc", 0o600, root, pem},
		{"ssconf_cluster_name", 0o444, root, "cluster1.example.com\n"},
		{"ssconf_cluster_tags", 0o444, root, "x509ctl:min-serial:42\n"},
		{"ssconf_master_candidates", 0o444, root, names},
		{"ssconf_master_node", 0o444, root, node1 + "\n"},
		{"ssconf_node_list", 0o444, root, names},
		{"ssconf_online_nodes", 0o444, root, names},
		{"ssconf_offline_nodes", 0o444, root, ""},
		{"ssconf_release_version", 0o444, root, "3.0.2\n"},
		{"queue/serial", 0o640, masterd, "4711\n"},
		{"queue/version", 0o640, masterd, "1\n"},
		{"queue/lock", 0o640, masterd, ""},
		{"queue/job-4711", 0o640, masterd, "{}\n"},
		{"queue/archive/0/job-1", 0o640, masterd, "{}\n"},
		{"rapi/users", 0o640, rapi, "admin secret write\n"},
		{"run/ganeti-luxid.pid", 0o644, root, "815\n"},
		{"run/crypto/x509-20260101-ab/key", 0o400, root, read(t, key)},
		{"run/crypto/x509-20260101-ab/cert", 0o400, root, read(t, cert)},
	}
}

// newGanetiDir makes a data directory. With split users it belongs to Ganeti's, as on
// Debian, and else to who runs the test.
func newGanetiDir(t *testing.T, split bool) string {
	t.Helper()
	base := filepath.Join(publicDir(t), "ganeti")
	long := time.Now().Add(-1000 * time.Hour)
	files := ganetiFiles(t)
	for _, f := range files {
		path := filepath.Join(base, f.name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, path, f.mode, f.content)
		if err := os.Chmod(path, f.mode); err != nil { // whatever the umask is
			t.Fatal(err)
		}
	}
	for name, mode := range map[string]fs.FileMode{"": 0o755, "queue": 0o750, "rapi": 0o750, "run": 0o755, "run/crypto": 0o700} {
		if err := os.Chmod(filepath.Join(base, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../config.data", filepath.Join(base, "run", "config")); err != nil {
		t.Fatal(err)
	}
	if split {
		chownAll(t, base, masterd)
		for _, f := range files {
			chownAll(t, filepath.Join(base, f.name), f.owner)
		}
	}
	for _, f := range files {
		if err := os.Chtimes(filepath.Join(base, f.name), long, long); err != nil {
			t.Fatal(err)
		}
	}
	return base
}

// chownAll gives path and what is below to one of Ganeti's users.
func chownAll(t *testing.T, path string, owner int) {
	t.Helper()
	err := filepath.WalkDir(path, func(p string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(p, userID(owner), userID(owner))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// userID is a user whom nobody has heard of, but for root.
func userID(owner int) int {
	if owner == root {
		return 0
	}
	return 54320 + owner
}

// ours are the names that design and manual claim in the directory.
var ours = regexp.MustCompile(`^(ca(/.*)?|x509ctl\.db(-wal|-shm)?|x509ctl\.yaml)$`)

// inventory describes all in dir that is not ours, so that any change shows: of
// content, mode, owner, the times of content and of the inode, the inode itself. Of
// dir itself the times don't count: files of ours come and go in it.
func inventory(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil || ours.MatchString(name) {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		text := fmt.Sprintf("%v %d:%d inode %d", info.Mode(), st.Uid, st.Gid, st.Ino)
		if name != "." {
			text += fmt.Sprintf(" links %d modified %d changed %d", st.Nlink, st.Mtim.Nano(), st.Ctim.Nano())
		}
		if info.Mode().IsRegular() {
			text += fmt.Sprintf(" %x", sha256.Sum256([]byte(read(t, path))))
		}
		found[name] = text
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestGanetiDirectory works in a copy of Ganeti's data directory with every command
// that writes, and with some that fail, and finds nothing changed but what is ours.
func TestGanetiDirectory(t *testing.T) {
	t.Parallel()
	need(t, "openssl", "tar")
	for name, split := range map[string]bool{"one user": false, "Ganeti's users": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if split && os.Geteuid() != 0 {
				needRoot(t)
			}
			c := &cluster{t, newGanetiDir(t, split)}
			before := inventory(t, c.dir)
			c.useAll(t, split)
			after := inventory(t, c.dir)
			for _, name := range slices.Sorted(maps.Keys(before)) {
				if after[name] != before[name] {
					t.Errorf("%s was\n%s and is\n%s", name, before[name], after[name])
				}
				delete(after, name)
			}
			for name := range after {
				t.Errorf("%s is new", name)
			}
		})
	}
}

// useAll runs the commands that write, all that can be done twice a second time.
func (c *cluster) useAll(t *testing.T, split bool) {
	t.Helper()
	out := publicDir(t) // for what goes elsewhere
	if split {
		chownAll(t, out, masterd)
	}
	csr, key := filepath.Join(out, "csr.pem"), filepath.Join(out, "key.pem")
	write(t, c.path("x509ctl.yaml"), 0o644, "lifetime: 2h\n")
	if made := c.ok("ca", "init", "-o", "json"); !strings.Contains(made, `"cluster1.example.com"`) {
		t.Errorf("ca init does not take the cluster's name from Ganeti: %s", made)
	}
	c.ok("ca", "init", "--if-missing")
	c.fails(4, "ca", "init", "--cluster-name", "cluster1.example.com")
	c.ok("node", "add", node1, "--ip", "127.0.0.1")
	c.ok("node", "add", node2)
	c.ok("cert", "gen-csr", node1, "--key", key, "--out", csr)
	if split {
		chownAll(t, out, masterd) // gen-csr has nothing to do with the directory: the files are root's
	}
	c.ok("cert", "sign-csr", csr, "--out", filepath.Join(out, "cert.pem"))
	c.ok("cert", "issue", node2, "--combined", filepath.Join(out, "combined.pem"))
	c.fails(5, "cert", "issue", "node3.example.com", "--combined", filepath.Join(out, "none.pem"))
	c.fails(5, "cert", "issue", node1, "--lifetime", "168h", "--combined", filepath.Join(out, "none.pem"))
	c.ok("cert", "verify", filepath.Join(out, "cert.pem"))
	c.ok("cert", "list")
	c.ok("cert", "show", "2")
	c.ok("cert", "export", "2", "--key", key, "--p12", filepath.Join(out, "id.p12"), "--no-password")
	c.ok("serial", "set-min", "next", "--dry-run")
	c.ok("serial", "set-min", "next")
	c.fails(6, "cert", "verify", filepath.Join(out, "cert.pem"))
	c.ok("serial", "recover", "--at-least", "1000", "--yes")
	c.ok("cert", "issue", node2, "--cert", filepath.Join(out, "late.pem"), "--key", filepath.Join(out, "late.key"))
	c.ok("node", "remove", node2, "--yes")
	c.ok("db", "migrate")
	c.ok("audit")
	c.ok("config", "show")
	backup := filepath.Join(out, "backup.tar")
	c.ok("backup", backup)
	for _, name := range strings.Fields(must(t, "tar", "-tf", backup)) {
		if !ours.MatchString(name) {
			t.Errorf("the backup holds %s", name)
		}
	}
	c.fails(4, "restore", backup)
	c.ok("cert", "prune", "--yes")
}
