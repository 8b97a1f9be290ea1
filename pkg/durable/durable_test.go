package durable

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"x509ctl/pkg/fault"
)

func open(t *testing.T) (*Dir, string) {
	t.Helper()
	path := t.TempDir()
	d, err := OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d, path
}

func wantKind(t *testing.T, what string, err error, kind fault.Kind) {
	t.Helper()
	if err == nil || fault.KindOf(err) != kind {
		t.Errorf("%s: error %v of kind %q, want %q", what, err, fault.KindOf(err), kind)
	}
}

func wantNames(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("names in the directory: %q, want %q", got, want)
	}
}

func TestCreateAndReplace(t *testing.T) {
	d, path := open(t)
	if err := d.Create("a", 0o640, []byte("one")); err != nil {
		t.Fatal(err)
	}
	wantKind(t, "creating again", d.Create("a", 0o640, []byte("two")), fault.Exists)
	b, st, err := d.ReadFile("a", 10, Public)
	if err != nil || string(b) != "one" || st.Mode.Perm() != 0o640 {
		t.Errorf("ReadFile = %q %v, %v", b, st.Mode, err)
	}
	was := st
	st, err = d.Replace("a", 0o644, []byte("three"))
	if err != nil {
		t.Fatal(err)
	}
	now, err := d.Stat("a")
	if err != nil || now.Inode != st.Inode || now.Birth != st.Birth || now.Inode == was.Inode {
		t.Errorf("Replace said %+v, Stat %+v, before %+v, %v", st, now, was, err)
	}
	wantNames(t, path, "a")
}

func TestNamesAreSingleElements(t *testing.T) {
	d, _ := open(t)
	for _, name := range []string{"", ".", "..", "a/b", "/etc/passwd", "a\x00b"} {
		wantKind(t, name, d.Create(name, 0o600, nil), fault.Malformed)
		_, _, err := d.ReadFile(name, 1, Public)
		wantKind(t, name, err, fault.Malformed)
		_, err = d.Sub(name)
		wantKind(t, name, err, fault.Malformed)
	}
}

func TestLinksAreNotFollowed(t *testing.T) {
	d, path := open(t)
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"file": filepath.Join(outside, "secret"), "dir": outside, "none": "nowhere"} {
		if err := os.Symlink(to, filepath.Join(path, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"file", "none"} {
		_, _, err := d.ReadFile(name, 10, Public)
		wantKind(t, "reading "+name, err, fault.Denied)
		wantKind(t, "creating "+name, d.Create(name, 0o600, nil), fault.Exists)
		_, err = d.Lock(context.Background(), name)
		wantKind(t, "locking "+name, err, fault.Denied)
	}
	_, err := d.Sub("dir")
	wantKind(t, "opening dir", err, fault.Denied)
	if _, err := d.Replace("file", 0o600, []byte("y")); err != nil {
		t.Error(err)
	}
	if b, _ := os.ReadFile(filepath.Join(outside, "secret")); string(b) != "x" {
		t.Errorf("Replace wrote through a link: %q", b)
	}
}

func TestReadFileRefuses(t *testing.T) {
	d, path := open(t)
	mode := func(name string, m fs.FileMode, content string) {
		if err := os.WriteFile(filepath.Join(path, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(path, name), m); err != nil {
			t.Fatal(err)
		}
	}
	mode("group", 0o640, "k")
	mode("own", 0o400, "k")
	mode("loose", 0o662, "k")
	mode("big", 0o600, strings.Repeat("x", 100))
	if err := unix.Mkfifo(filepath.Join(path, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(path, "dir"), 0o700); err != nil {
		t.Fatal(err)
	}
	read := func(name string, s Secrecy) error { _, _, err := d.ReadFile(name, 99, s); return err }
	var secrecy *SecrecyError
	if err := read("group", Private); !errors.As(err, &secrecy) || secrecy.Mend != 0o400 {
		t.Errorf("group readable: %v", err)
	}
	if err := read("loose", Guarded); !errors.As(err, &secrecy) || secrecy.Mend != 0o644 {
		t.Errorf("writable by others: %v", err)
	}
	for name, s := range map[string]Secrecy{"own": Private, "group": Guarded} {
		if err := read(name, s); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	wantKind(t, "too big", read("big", Public), fault.Malformed)
	wantKind(t, "fifo", read("fifo", Public), fault.Malformed)
	wantKind(t, "directory", read("dir", Public), fault.Malformed)
	wantKind(t, "missing", read("nothing", Public), fault.NotFound)
}

func TestSweepLeavesContent(t *testing.T) {
	dir := t.TempDir()
	d, err := OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, path := range []string{tempPrefix + "a", tempPrefix + "b/inside", tempPrefix + "c"} {
		if err := os.MkdirAll(filepath.Join(dir, path), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Sweep(); err != nil {
		t.Error(err)
	}
	left, err := d.Leftovers()
	if err != nil || !slices.Equal(left, []string{tempPrefix + "b"}) {
		t.Errorf("left are %q, %v", left, err)
	}
}

func TestSweepAndRename(t *testing.T) {
	d, path := open(t)
	for _, name := range []string{tempPrefix + "1", tempPrefix + "2", "keep"} {
		if err := os.WriteFile(filepath.Join(path, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if names, err := d.Names(); err != nil || len(names) != 1 {
		t.Errorf("Names = %q, %v", names, err)
	}
	if err := d.Sweep(); err != nil {
		t.Fatal(err)
	}
	wantNames(t, path, "keep")
	if err := d.Mkdir("sub", 0o711); err != nil {
		t.Fatal(err)
	}
	if err := d.Mkdir("sub", 0o711); err != nil {
		t.Errorf("again: %v", err)
	}
	sub, err := d.Sub("sub")
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	if st, _ := d.Stat("sub"); st.Mode.Perm() != 0o711 || !st.Mode.IsDir() {
		t.Errorf("mode of sub: %v", st.Mode)
	}
	if err := d.Rename("keep", sub, "kept"); err != nil {
		t.Fatal(err)
	}
	wantNames(t, filepath.Join(path, "sub"), "kept")
	if err := d.Create("new", 0o600, nil); err != nil {
		t.Fatal(err)
	}
	wantKind(t, "renaming over a file", d.Rename("new", sub, "kept"), fault.Exists)
	for range 2 {
		if err := d.Remove("new"); err != nil {
			t.Error(err)
		}
	}
}

func TestLock(t *testing.T) {
	d, _ := open(t)
	first, err := d.Lock(context.Background(), "lock")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err = d.Lock(ctx, "lock")
	if !errors.Is(err, ErrLocked) {
		t.Errorf("a held lock: %v", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if _, err = d.Lock(ctx, "lock"); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled wait: %v", err)
	}
	if err := errors.Join(first.Unlock(), first.Unlock()); err != nil {
		t.Fatal(err)
	}
	// The abandoned waits must not keep the lock that they get in the end.
	ctx, cancel = context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	second, err := d.Lock(ctx, "lock")
	if err != nil {
		t.Fatal(err)
	}
	_ = second.Unlock()
}

// Whoever may open the lock file may lock everybody out, and its owner must be able to.
func TestLockMode(t *testing.T) {
	d, path := open(t)
	lockIt := func(what string) {
		l, err := d.Lock(t.Context(), "lock")
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if err := l.Unlock(); err != nil {
			t.Fatal(err)
		}
		if st, err := d.Stat("lock"); err != nil || st.Mode.Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v", what, st.Mode, err)
		}
	}
	umask := syscall.Umask(0o777)
	lockIt("with a umask of 0777")
	syscall.Umask(umask)
	if err := os.Chmod(filepath.Join(path, "lock"), 0o644); err != nil {
		t.Fatal(err)
	}
	lockIt("of an earlier version")
}

// A lock file is deleted while one process holds it and another waits for it.
func TestLockThatLostItsName(t *testing.T) {
	d, path := open(t)
	first, err := d.Lock(t.Context(), "lock")
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan *Lock)
	go func() {
		l, err := d.Lock(t.Context(), "lock")
		if err != nil {
			t.Error(err)
		}
		got <- l
	}()
	time.Sleep(50 * time.Millisecond) // it waits for the first file
	if err := os.Remove(filepath.Join(path, "lock")); err != nil {
		t.Fatal(err)
	}
	second, err := d.Lock(t.Context(), "lock")
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Unlock(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-got:
		t.Fatal("two have the lock")
	case <-time.After(100 * time.Millisecond):
	}
	if err := second.Unlock(); err != nil {
		t.Fatal(err)
	}
	if err := (<-got).Unlock(); err != nil {
		t.Error(err)
	}
}

// Who sweeps without the lock takes away what others are about to name.
func TestDisturbed(t *testing.T) {
	d, _ := open(t)
	disturbed := 0
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if err := d.Sweep(); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	for end := time.Now().Add(10 * time.Second); disturbed < 20 && time.Now().Before(end); {
		_, err := d.Replace("replaced", 0o644, nil)
		created := d.Create("created", 0o644, nil)
		for _, err := range []error{err, created} {
			if errors.Is(err, ErrDisturbed) {
				disturbed++
			} else if err != nil {
				t.Error(err)
			}
		}
		if err := d.Remove("created"); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	wg.Wait()
	if disturbed == 0 {
		t.Error("nothing was disturbed")
	}
}

func TestLockExcludes(t *testing.T) {
	d, _ := open(t)
	var held, n int
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				l, err := d.Lock(context.Background(), "lock")
				if err != nil {
					t.Error(err)
					return
				}
				held++
				if held != 1 {
					t.Error("two hold the lock")
				}
				n, held = n+1, held-1
				_ = l.Unlock()
			}
		})
	}
	wg.Wait()
	if n != 400 {
		t.Errorf("%d turns", n)
	}
}

func TestOutput(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "out.pem")
	o, err := Claim(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	wantNames(t, dir)
	if err := o.Commit([]byte("data")); err != nil {
		t.Fatal(err)
	}
	if err := o.Commit([]byte("data")); err == nil {
		t.Error("committed twice")
	}
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o600 || st.Size() != 4 {
		t.Errorf("%v, %v", st, err)
	}
	_, err = Claim(path, 0o600)
	wantKind(t, "claiming it again", err, fault.Exists)
	_, err = Claim(filepath.Join(dir, "no", "out.pem"), 0o600)
	wantKind(t, "no directory", err, fault.NotFound)

	link := filepath.Join(dir, "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	_, err = Claim(link, 0o600)
	wantKind(t, "claiming a link", err, fault.Exists)

	late := filepath.Join(dir, "late")
	o, err = Claim(late, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(late, []byte("theirs"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantKind(t, "taken since", o.Commit([]byte("ours")), fault.Exists)
	if b, _ := os.ReadFile(late); string(b) != "theirs" {
		t.Errorf("another's file now holds %q", b)
	}
	o, err = Claim(filepath.Join(dir, "never"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Discard(); err != nil {
		t.Error(err)
	}
	wantNames(t, dir, "late", "link", "out.pem")
}

func TestReadInput(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	for _, size := range []int{0, 1, 511, 512, 513, 999, 1000} {
		if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
		if b, err := ReadInput(path, 1000); err != nil || len(b) != size {
			t.Errorf("%d bytes: got %d, %v", size, len(b), err)
		}
	}
	if err := os.WriteFile(path, make([]byte, 1001), 0o600); err != nil {
		t.Fatal(err)
	}
	read := func(path string) error { _, err := ReadInput(path, 1000); return err }
	wantKind(t, "one too many", read(path), fault.Malformed)
	wantKind(t, "/dev/zero", read("/dev/zero"), fault.Malformed)
	wantKind(t, "a directory", read(dir), fault.Malformed)
	wantKind(t, "missing", read(filepath.Join(dir, "no")), fault.NotFound)
	if b, err := ReadInput("/dev/null", 1000); err != nil || len(b) != 0 {
		t.Errorf("/dev/null: %d bytes, %v", len(b), err)
	}
}

func TestOpenState(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	sub := filepath.Join(path, "sub")
	if err := os.MkdirAll(sub, 0o711); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(path, "file"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	try := func() error {
		d, err := OpenState(path)
		if err != nil {
			return err
		}
		defer d.Close()
		_, _, err = d.ReadFile("file", 10, Guarded)
		_, vetted := d.Vet("file")
		if (err == nil) != (vetted == nil) {
			t.Errorf("ReadFile says %v, Vet %v", err, vetted)
		}
		s, suberr := d.Sub("sub")
		if suberr == nil {
			suberr = s.Close()
		}
		return errors.Join(err, suberr)
	}
	if err := try(); err != nil {
		t.Fatal(err)
	}
	var secrecy *SecrecyError
	for _, dir := range []string{path, sub} {
		for _, mode := range []fs.FileMode{0o722, 0o775, 0o777} {
			if err := os.Chmod(dir, mode); err != nil {
				t.Fatal(err)
			}
			if err := try(); !errors.As(err, &secrecy) || secrecy.Path != dir || secrecy.Mend != mode&^0o022 {
				t.Errorf("%s with mode %o: %v", dir, mode, err)
			}
		}
		if err := os.Chmod(dir, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	if os.Getuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("not root")
		}
		t.Skip("only root can give files away")
	}
	var owner *OwnerError
	for _, name := range []string{"file", "sub"} {
		if err := os.Chown(filepath.Join(path, name), 1000, 1000); err != nil {
			t.Fatal(err)
		}
		if err := try(); !errors.As(err, &owner) || owner.Owner != 1000 || owner.Want != os.Getuid() {
			t.Errorf("%s of another user: %v", name, err)
		}
		if err := os.Chown(filepath.Join(path, name), 0, 0); err != nil {
			t.Fatal(err)
		}
	}
	// Root's files are trusted in another user's directory.
	if err := os.Chown(path, 1000, 1000); err != nil {
		t.Fatal(err)
	}
	if err := try(); !errors.As(err, &owner) || owner.Path != path || owner.Owner != 1000 || owner.Want != 0 {
		t.Errorf("another user's directory for root: %v", err)
	}
	if err := errors.Join(os.Chmod(filepath.Dir(filepath.Dir(path)), 0o711), syscall.Seteuid(1000)); err != nil {
		t.Fatal(err)
	}
	err := try()
	if err := syscall.Seteuid(0); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Errorf("root's files in the user's own directory: %v", err)
	}
}
