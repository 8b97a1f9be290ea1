package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestFullDisk asks for files where there is no room for them: that is found out
// before a serial number is spent and a key is lost.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	needRoot(t)
	c := newCluster(t)
	disk := filepath.Join(t.TempDir(), "disk")
	if err := os.Mkdir(disk, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("none", disk, "tmpfs", 0, "size=100k"); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Unmount(disk, 0); err != nil {
			t.Error(err)
		}
	}()
	c.ok("cert", "issue", node1, "--combined", filepath.Join(disk, "a.pem"))
	if err := os.WriteFile(filepath.Join(disk, "fill"), make([]byte, 50_000), 0o600); err != nil {
		t.Fatal(err)
	}
	before := c.ok("serial", "show")
	for _, flag := range []string{"--combined", "--p12", "--key"} {
		stderr := c.fails(1, "cert", "issue", node1, flag, filepath.Join(disk, "b"), "--cert", filepath.Join(disk, "b.pem"))
		if !strings.Contains(stderr, "no space left") {
			t.Errorf("%s: %s", flag, stderr)
		}
	}
	if after := c.ok("serial", "show"); after != before {
		t.Errorf("a number was spent:\n%s%s", before, after)
	}
	names, err := os.ReadDir(disk)
	if err != nil || len(names) != 2 {
		t.Errorf("on the disk: %v, %v", names, err)
	}
}
