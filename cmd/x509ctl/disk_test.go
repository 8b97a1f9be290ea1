package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// mounted mounts a tmpfs of that many KiB, and returns where.
func mounted(t *testing.T, kib int) string {
	t.Helper()
	needRoot(t)
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, fmt.Sprintf("size=%dk", kib)); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skipf("mounting: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// resize gives what was mounted at dir another size.
func resize(t *testing.T, dir string, kib int) {
	t.Helper()
	if err := unix.Mount("none", dir, "", unix.MS_REMOUNT, fmt.Sprintf("size=%dk", kib)); err != nil {
		t.Fatal(err)
	}
}

// setReadOnly makes what was mounted at dir read-only, or not any more.
func setReadOnly(t *testing.T, dir string, on bool) {
	t.Helper()
	flags := uintptr(unix.MS_REMOUNT)
	if on {
		flags |= unix.MS_RDONLY
	}
	if err := unix.Mount("none", dir, "", flags, ""); err != nil {
		t.Fatal(err)
	}
}

// leave fills the file system of dir but for some KiB.
func leave(t *testing.T, dir string, kib int) (filler string) {
	t.Helper()
	filler = filepath.Join(dir, "filler")
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		t.Fatal(err)
	}
	free := int64(fs.Bavail) * fs.Bsize
	if err := os.WriteFile(filler, make([]byte, max(0, free-int64(kib)<<10)), 0o600); err != nil {
		t.Fatal(err)
	}
	return filler
}

// wantFull checks that a call did its work, or said that the disk is full.
func wantFull(t *testing.T, r result) {
	t.Helper()
	full := strings.Contains(r.stderr, "no space left") || strings.Contains(r.stderr, "disk is full")
	if r.status != 0 && (r.status != 1 || !full) {
		t.Errorf("exit status %d\n%s", r.status, r.stderr)
	}
}

// TestFullDiskSign leaves ever more room on a disk, so that it fills at one step after
// the other.
func TestFullDiskSign(t *testing.T) { fullDiskSign(t, "", 4, 120) }

func TestFullDiskSignForProject(t *testing.T) { fullDiskSign(t, project, 16, 160) }

// fullDiskSign tries every so many KiB of room, up to most.
func fullDiskSign(t *testing.T, project string, step, most int) {
	disk := mounted(t, 4096)
	l := newLifeIn(t, project, 1)
	state := filepath.Join(disk, "state")
	must(t, "cp", "-a", l.dir, state)
	l.dir, l.base = state, disk
	l.ok("serial", "recover", "--restored", "--yes")
	calls := map[string]func(out string) []string{
		"sign": func(out string) []string {
			return l.about("cert", "sign-csr", l.requests[0], "--out", filepath.Join(out, "new.pem"))
		},
		"issue": func(out string) []string {
			return l.about("cert", "issue", l.holders()[0], "--combined", filepath.Join(out, "new.pem"))
		},
		"set-min": func(string) []string { return l.about("serial", "set-min", "next") },
	}
	if project == "" {
		calls["node add"] = func(string) []string { return []string{"node", "add", "node3.example.com"} }
	}
	failed, tried := map[string]int{}, 0
	for kib := 0; kib <= most; kib += step {
		tried++
		for name, args := range calls {
			out := l.out()
			before := l.count()
			filler := leave(t, disk, kib)
			r := l.call(args(out)...)
			wantFull(t, r)
			if r.status != 0 {
				failed[name]++
			}
			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
			if after := l.count(); after.Reserved < before.Reserved || after.Last < before.Last || after.MinSerial < before.MinSerial {
				t.Errorf("the counter was %+v and is %+v", before, after)
			}
			if name == "node add" {
				l.ok("node", "add", "node3.example.com", "--if-missing")
				l.ok("node", "remove", "node3.example.com", "--yes")
			}
			files := []string{"new.pem"}
			if name == "set-min" || name == "node add" {
				files = nil
			}
			l.after(struck{result: r}, out, files...)
			if t.Failed() {
				t.Fatalf("%s, with %d KiB left: exit status %d\n%s", name, kib, r.status, r.stderr)
			}
			must(t, "rm", "-rf", out)
		}
	}
	for name := range calls {
		if n := failed[name]; n == 0 || n == tried {
			t.Errorf("%s failed %d times of %d: the disk was never full in its middle", name, n, tried)
		}
	}
	t.Logf("failed: %v", failed)
}

// TestFullDiskInit makes a CA on disks of all sizes. With more room the same call goes
// on.
func TestFullDiskInit(t *testing.T) {
	request := newLifeOf(t, 1).requests
	failed, worked := 0, 0
	for kib := 4; kib <= 400 && worked < 5; kib += 4 {
		disk := mounted(t, kib)
		c := &cluster{t, filepath.Join(disk, "state")}
		initCA := []string{"ca", "init", "--cluster-name", "cluster1.example.com"}
		r := c.call(initCA...)
		wantFull(t, r)
		if r.status == 0 {
			worked++
		} else {
			failed++
			resize(t, disk, 4096)
			c.ok(initCA...)
		}
		resize(t, disk, 4096)
		l := &life{cluster: c, base: disk, requests: request, issued: map[string]string{}}
		l.addHolders()
		l.after(struck{}, l.out())
		if t.Failed() {
			t.Fatalf("with %d KiB", kib)
		}
	}
	if failed < 15 || worked == 0 {
		t.Errorf("%d calls failed, %d worked", failed, worked)
	}
}

// TestFullDiskSelftest is what the self-test says of a disk that it fails on.
func TestFullDiskSelftest(t *testing.T) {
	disk := mounted(t, 600)
	c := &cluster{t, filepath.Join(disk, "state")}
	r := c.call("serial", "selftest", "--duration", "3s", "--processes", "2", "-o", "json")
	type view struct {
		Passed    bool
		Directory string
		Faults    []string
	}
	if r.status != 6 || !strings.Contains(r.stderr, "x509ctl: error: the self-test found ") {
		t.Fatalf("exit status %d\n%s%s", r.status, r.stdout, r.stderr)
	}
	v := parse[view](t, r.stdout)
	full := func(f string) bool {
		return strings.Contains(f, "no space left") || strings.Contains(f, "disk is full")
	}
	if v.Passed || !slices.ContainsFunc(v.Faults, full) {
		t.Errorf("%+v", v)
	}
	if _, err := os.Stat(filepath.Join(v.Directory, "state", "ca", "serial")); err != nil {
		t.Errorf("what is left of it: %v", err)
	}
}

// TestReadOnly works on a directory, and into one, that nothing can be written to.
func TestReadOnly(t *testing.T) {
	disk := mounted(t, 4096)
	c := newCluster(t)
	keep := c.path("node1.pem")
	c.ok("cert", "issue", "node1.example.com", "--cert", keep, "--key", filepath.Join(disk, "key"))
	before := c.ok("serial", "show", "-o", "json")

	// The result has no place: no number is spent.
	setReadOnly(t, disk, true)
	for _, args := range [][]string{
		{"cert", "issue", "node1.example.com", "--combined", filepath.Join(disk, "new.pem")},
		{"serial", "selftest", "--in", disk},
		{"backup", filepath.Join(disk, "backup.tar")},
		{"ca", "init", "--cluster-name", "c.example.com", "--dir", filepath.Join(disk, "state")},
	} {
		if said := c.fails(1, args...); !strings.Contains(said, "read-only file system") {
			t.Errorf("%v: %s", args, said)
		}
	}
	if after := c.ok("serial", "show", "-o", "json"); after != before {
		t.Errorf("the counter was %s and is %s", before, after)
	}

	// The state directory can't be written to: what only reads public files works.
	setReadOnly(t, disk, false)
	state := filepath.Join(disk, "state")
	must(t, "cp", "-a", c.dir, state)
	c.dir = state
	c.ok("serial", "recover", "--restored", "--keep-min-serial", "--yes")
	setReadOnly(t, disk, true)
	out := filepath.Join(t.TempDir(), "new.pem")
	for _, args := range [][]string{
		{"cert", "issue", "node1.example.com", "--combined", out},
		{"serial", "set-min", "next"},
		{"node", "add", "node3.example.com"},
	} {
		if said := c.fails(1, args...); !strings.Contains(said, "read-only file system") {
			t.Errorf("%v: %s", args, said)
		}
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("a certificate left a CA that nothing can be recorded in")
	}
	c.ok("cert", "verify", keep)
	setReadOnly(t, disk, false)
	c.ok("cert", "issue", "node1.example.com", "--combined", out)
}
