package durable

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"x509ctl/pkg/fault"
)

func TestNetworkFileSystem(t *testing.T) {
	for magic, want := range map[int64]string{
		unix.NFS_SUPER_MAGIC: "NFS", unix.SMB_SUPER_MAGIC: "SMB", 0xff534d42: "CIFS", unix.SMB2_SUPER_MAGIC: "SMB2",
		unix.EXT4_SUPER_MAGIC: "",
	} {
		if got := NetworkFileSystem(magic); got != want {
			t.Errorf("%x is %q, want %q", magic, got, want)
		}
	}
}

func TestChmod(t *testing.T) {
	d, path := open(t)
	file, sub := filepath.Join(path, "file"), filepath.Join(path, "sub")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(sub, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(file, filepath.Join(path, "link")); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]os.FileMode{"file": 0o400, "sub": 0o711} {
		if err := d.Chmod(name, to); err != nil {
			t.Error(err)
		}
		if st, err := d.Stat(name); err != nil || st.Mode.Perm() != to {
			t.Errorf("%s has the mode %v, %v", name, st.Mode, err)
		}
	}
	wantKind(t, "of a link", d.Chmod("link", 0o777), fault.Denied)
	wantKind(t, "of nothing", d.Chmod("nothing", 0o777), fault.NotFound)
	if st, err := d.Stat("file"); err != nil || st.Mode.Perm() != 0o400 {
		t.Errorf("a link was followed: %v, %v", st.Mode, err)
	}
}

func TestTryLock(t *testing.T) {
	d, _ := open(t)
	first, err := d.TryLock("lock")
	if first == nil || err != nil {
		t.Fatalf("%v, %v", first, err)
	}
	if second, err := d.TryLock("lock"); second != nil || err != nil {
		t.Errorf("locked twice: %v, %v", second, err)
	}
	if err := first.Unlock(); err != nil {
		t.Fatal(err)
	}
	third, err := d.TryLock("lock")
	if third == nil || err != nil {
		t.Fatalf("%v, %v", third, err)
	}
	if err := third.Unlock(); err != nil {
		t.Fatal(err)
	}
}

func TestSpace(t *testing.T) {
	d, _ := open(t)
	if s, err := d.Space(); err != nil || s.Bytes == 0 || s.Network != "" {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestOpenSuspect(t *testing.T) {
	path := t.TempDir()
	if err := os.Chmod(path, 0o777); err != nil {
		t.Fatal(err)
	}
	d, err := OpenSuspect(path)
	if err != nil {
		t.Fatal(err)
	}
	d.Close()
	_, err = OpenSuspect(filepath.Join(path, "nothing"))
	wantKind(t, "nothing", err, fault.NotFound)
	if os.Geteuid() != 0 {
		t.Skip("the rest needs root")
	}
	if err := os.Chown(path, 12345, -1); err != nil {
		t.Fatal(err)
	}
	_, err = OpenSuspect(path)
	wantKind(t, "another user's, as root", err, fault.Denied)
}
