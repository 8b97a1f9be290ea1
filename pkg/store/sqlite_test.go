package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/store"
	"x509ctl/pkg/store/storetest"
)

// names returns what is in a directory.
func names(t testing.TB, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func TestCreateSQLite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x509ctl.db")
	must(t, store.CreateSQLite(t.Context(), path))
	before, err := os.ReadFile(path)
	must(t, err)
	wantKind(t, "creating it again", store.CreateSQLite(t.Context(), path), fault.Exists)
	after, err := os.ReadFile(path)
	must(t, err)
	if !bytes.Equal(before, after) {
		t.Error("the database that exists was changed")
	}
	wantKind(t, "no directory", store.CreateSQLite(t.Context(), filepath.Join(dir, "none", "x509ctl.db")), fault.NotFound)
	wantEqual(t, "files", names(t, dir), []string{"x509ctl.db"})
}

// The database and what SQLite keeps beside it belong to their owner alone.
func TestSQLiteModes(t *testing.T) {
	defer unix.Umask(unix.Umask(0))
	b := storetest.SQLite(t)
	s := withAuthority(t, b.Open(t, store.Options{}))
	copied := filepath.Join(filepath.Dir(b.Path()), "copy.db")
	must(t, s.Snapshot(t.Context(), copied))
	wantEqual(t, "files", names(t, filepath.Dir(b.Path())), []string{"copy.db", "x509ctl.db", "x509ctl.db-shm", "x509ctl.db-wal"})
	for _, name := range names(t, filepath.Dir(b.Path())) {
		st, err := os.Stat(filepath.Join(filepath.Dir(b.Path()), name))
		must(t, err)
		wantEqual(t, name, st.Mode(), fs.FileMode(0o600))
	}
}

// A commit is on the disk: SQLite syncs the log at each.
func TestSQLiteIsDurable(t *testing.T) {
	s := storetest.SQLite(t).Open(t, store.Options{})
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2"} {
		write(t, s, func(tx *store.Tx) error {
			got, err := tx.Value("PRAGMA " + pragma)
			wantEqual(t, pragma, got, want)
			return err
		})
	}
}

func TestOpenSQLiteRefuses(t *testing.T) {
	good, err := os.ReadFile(storetest.SQLite(t).Path())
	must(t, err)
	file := func(data []byte) func(path string) error {
		return func(path string) error { return os.WriteFile(path, data, 0o600) }
	}
	spoiled := func(at int) func(path string) error {
		data := bytes.Clone(good)
		for i := range 4096 {
			data[at+i] = byte(i*7 + 1)
		}
		return file(data)
	}
	for what, test := range map[string]struct {
		put  func(path string) error
		kind fault.Kind
	}{
		"nothing":          {func(string) error { return nil }, fault.NotFound},
		"a directory":      {func(p string) error { return os.Mkdir(p, 0o700) }, fault.Denied},
		"a FIFO":           {func(p string) error { return unix.Mkfifo(p, 0o600) }, fault.Denied},
		"a link":           {func(p string) error { return errors.Join(file(good)(p+"2"), os.Symlink(p+"2", p)) }, fault.Denied},
		"a dangling link":  {func(p string) error { return os.Symlink(p+"2", p) }, fault.Denied},
		"a device":         {func(p string) error { return os.Symlink("/dev/zero", p) }, fault.Denied},
		"an empty file":    {file(nil), fault.Unavailable},
		"text":             {file([]byte("hello, world\n")), fault.Unavailable},
		"much text":        {file(bytes.Repeat([]byte("hello, world\n"), 10_000)), fault.Unavailable},
		"zeros":            {file(make([]byte, 100_000)), fault.Unavailable},
		"half a database":  {file(good[:len(good)/2]), fault.Unavailable},
		"a header only":    {file(good[:100]), fault.Unavailable},
		"a spoiled schema": {spoiled(100), fault.Unavailable},
		"another program's": {func(p string) error {
			must(t, file(nil)(p))
			_, err := rawSQLite(t, p).Exec(`CREATE TABLE x (y)`)
			return err
		}, fault.Unavailable},
	} {
		path := filepath.Join(t.TempDir(), "x509ctl.db")
		must(t, test.put(path))
		for _, o := range []store.Options{{}, {Migrate: true}, {AnySchema: true}} {
			s, err := store.OpenSQLite(t.Context(), path, o)
			if s != nil {
				t.Errorf("%s was opened", what)
			}
			wantKind(t, what, err, test.kind)
		}
	}
}

// A spoiled page is found when it is read, and said so.
func TestDamagedSQLite(t *testing.T) {
	b := storetest.SQLite(t)
	s := withAuthority(t, b.Open(t, store.Options{}))
	fill(t, s, 1, 100)
	must(t, s.Close())
	f, err := os.OpenFile(b.Path(), os.O_RDWR, 0)
	must(t, err)
	st, err := f.Stat()
	must(t, err)
	_, err = f.WriteAt(bytes.Repeat([]byte{0xa5}, int(st.Size()-80_000)), 80_000)
	must(t, err)
	must(t, f.Close())
	s = b.Open(t, store.Options{})
	err = s.Read(t.Context(), func(tx *store.Tx) error {
		return tx.Certificates(store.CertificateFilter{Authority: store.Cluster}, func(store.Certificate) error { return nil })
	})
	wantIs(t, "reading", err, store.ErrDamaged)
}

func TestSQLitePaths(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"plain", "with space", "a?b", "a%41", "a#b", "a&mode=memory", "ünï日本", "a;b'c\"d", "file:x", "-x", "a\nb", "a\\b"} {
		path := filepath.Join(dir, name)
		must(t, store.CreateSQLite(t.Context(), path))
		s := withAuthority(t, storetest.Backend{Address: "sqlite:" + path}.Open(t, store.Options{}))
		wantEqual(t, name, names(t, dir), []string{name, name + "-shm", name + "-wal"})
		must(t, s.Close())
		for _, suffix := range []string{"", "-shm", "-wal"} {
			must(t, os.Remove(path+suffix))
		}
	}
	t.Chdir(dir)
	for _, path := range []string{"x.db", "./y.db", ".//z.db"} {
		must(t, store.CreateSQLite(t.Context(), path))
		withAuthority(t, storetest.Backend{Address: "sqlite:" + path}.Open(t, store.Options{}))
	}
}

func TestSQLitePathsTooLong(t *testing.T) {
	dir := t.TempDir()
	for len(dir) < 450 {
		dir = filepath.Join(dir, strings.Repeat("d", 20))
	}
	must(t, os.MkdirAll(dir, 0o700))
	for _, length := range []int{501, 502, 503, 504, 505, 511, 512, 513, 600} {
		path := filepath.Join(dir, strings.Repeat("x", length-len(dir)-1))
		err := store.CreateSQLite(t.Context(), path)
		if err == nil {
			var s *store.Store
			if s, err = store.OpenSQLite(t.Context(), path, store.Options{}); err == nil {
				must(t, s.Close())
			}
		}
		if length <= 503 {
			must(t, err)
		} else {
			wantKind(t, "a long path", err, fault.Malformed)
		}
	}
	for what, path := range map[string]string{
		"a name too long": filepath.Join(t.TempDir(), strings.Repeat("x", 300)),
		"NUL":             filepath.Join(t.TempDir(), "a\x00b"),
	} {
		wantKind(t, "creating: "+what, store.CreateSQLite(t.Context(), path), fault.Malformed)
		_, err := store.OpenSQLite(t.Context(), path, store.Options{})
		wantKind(t, "opening: "+what, err, fault.Malformed)
	}
}

func init() {
	// open PATH: opens a database, as nobody when root does it.
	helpers["open"] = func(args []string) error {
		const nobody = 65534
		if os.Geteuid() == 0 {
			if err := syscall.Setresuid(nobody, nobody, nobody); err != nil {
				return err
			}
		}
		s, err := store.OpenSQLite(context.Background(), args[0], store.Options{})
		if err != nil {
			return err
		}
		return s.Close()
	}
}

// A file that cannot be written is refused before anything is done with it.
func TestSQLiteNotWritable(t *testing.T) {
	b := storetest.SQLite(t)
	must(t, os.Chmod(b.Path(), 0o444))
	err := start(t, "open", b.Path()).wait()
	if err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("opening: %v", err)
	}
	wantEqual(t, "files", names(t, filepath.Dir(b.Path())), []string{"x509ctl.db"})
}

// Whoever has the database open notices that it lost its name, under the transaction.
func TestReplacedSQLite(t *testing.T) {
	for what, replace := range map[string]func(path string) error{
		"deleted": os.Remove,
		"renamed": func(p string) error { return os.Rename(p, p+".old") },
		"replaced by a copy": func(p string) error {
			data, err := os.ReadFile(p)
			return errors.Join(err, os.WriteFile(p+".new", data, 0o600), os.Rename(p+".new", p))
		},
		"replaced by a link to itself": func(p string) error {
			return errors.Join(os.Rename(p, p+".real"), os.Symlink(p+".real", p))
		},
		"replaced by a new one": func(p string) error {
			return errors.Join(os.Remove(p), store.CreateSQLite(t.Context(), p))
		},
		"directory renamed": func(p string) error {
			dir := filepath.Dir(p)
			return errors.Join(os.Rename(dir, dir+".old"), os.Mkdir(dir, 0o700))
		},
	} {
		b := storetest.SQLite(t)
		s := withAuthority(t, b.Open(t, store.Options{}))
		must(t, replace(b.Path()))
		wantIs(t, what+": writing", s.Write(t.Context(), count), store.ErrReplaced)
		wantIs(t, what+": reading", s.Read(t.Context(), func(*store.Tx) error { return nil }), store.ErrReplaced)
		must(t, s.Close())

		b = storetest.SQLite(t)
		s = withAuthority(t, b.Open(t, store.Options{}))
		err := s.Write(t.Context(), func(tx *store.Tx) error {
			must(t, count(tx))
			return replace(b.Path())
		})
		wantIs(t, what+" during a transaction", err, store.ErrReplaced)
		must(t, s.Close())
	}
}

// A new database does not meet the log of a lost one.
func TestCreateSQLiteBesideAnOldLog(t *testing.T) {
	b := storetest.SQLite(t)
	s := withAuthority(t, b.Open(t, store.Options{}))
	fill(t, s, 1, 100)
	must(t, os.Remove(b.Path()))
	must(t, os.WriteFile(b.Path()+"-journal", []byte("old"), 0o600))
	must(t, store.CreateSQLite(t.Context(), b.Path()))
	fresh := b.Open(t, store.Options{})
	read(t, fresh, func(tx *store.Tx) error {
		_, err := tx.Authority(store.Cluster)
		wantKind(t, "the lost authority", err, fault.NotFound)
		return nil
	})
	fill(t, withAuthority(t, fresh), 1, 10)
	must(t, s.Close()) // the one that was lost
	fill(t, fresh, 11, 10)
	for _, s := range []*storetest.Store{fresh, b.Open(t, store.Options{})} {
		wantEqual(t, "certificates", len(list(t, s, store.CertificateFilter{Authority: store.Cluster})), 20)
	}
	checkIntegrity(t, b.Path())
}

func TestSnapshot(t *testing.T) {
	b := storetest.SQLite(t)
	s := withAuthority(t, b.Open(t, store.Options{}))
	fill(t, s, 1, 300)
	dir := t.TempDir()
	path := filepath.Join(dir, "copy of ünï'?.db")
	write(t, s, func(tx *store.Tx) error { // going on meanwhile, and not in the copy
		must(t, tx.PutSetting("a", "1"))
		return b.Open(t, store.Options{}).Snapshot(t.Context(), path)
	})
	wantEqual(t, "files", names(t, dir), []string{filepath.Base(path)})
	wantKind(t, "a second one", s.Snapshot(t.Context(), path), fault.Exists)
	wantEqual(t, "files", names(t, dir), []string{filepath.Base(path)})

	copied := storetest.Backend{Address: "sqlite:" + path}.Open(t, store.Options{})
	wantEqual(t, "the copy", list(t, copied, store.CertificateFilter{Authority: store.Cluster}), list(t, s, store.CertificateFilter{Authority: store.Cluster}))
	wantEqual(t, "a setting of a later transaction", setting(t, copied, "a"), "(none)")
	fill(t, copied, 301, 10)
	wantEqual(t, "files while it is used", names(t, dir), []string{filepath.Base(path), filepath.Base(path) + "-shm", filepath.Base(path) + "-wal"})

	if err := s.Snapshot(t.Context(), filepath.Join(dir, "none", "x")); err == nil {
		t.Error("a copy in no directory")
	}
	must(t, os.Remove(b.Path()))
	wantIs(t, "of a deleted database", s.Snapshot(t.Context(), filepath.Join(dir, "x")), store.ErrReplaced)
	if names := names(t, dir); len(names) != 3 {
		t.Errorf("files: %q", names)
	}
}

func TestPlaceSQLite(t *testing.T) {
	b := storetest.SQLite(t)
	must(t, withAuthority(t, b.Open(t, store.Options{})).Close())
	to := filepath.Join(filepath.Dir(b.Path()), "placed.db")
	must(t, os.WriteFile(to+"-wal", []byte("of another"), 0o600))
	must(t, store.PlaceSQLite(b.Path(), to))
	wantKind(t, "again", store.PlaceSQLite(b.Path(), to), fault.Exists)
	must(t, os.Remove(b.Path()))
	wantEqual(t, "files", names(t, filepath.Dir(to)), []string{"placed.db", "x509ctl.db-shm", "x509ctl.db-wal"})
	read(t, storetest.Backend{Address: "sqlite:" + to}.Open(t, store.Options{}), func(tx *store.Tx) error {
		_, err := tx.Authority(store.Cluster)
		return err
	})
	if err := store.PlaceSQLite(filepath.Join(t.TempDir(), "none"), filepath.Join(t.TempDir(), "x")); err == nil {
		t.Error("a file that isn't there was placed")
	}
}

func init() {
	// create DIR: makes databases until it is killed, printing the number of each.
	helpers["create"] = func(args []string) error {
		for n := 1; ; n++ {
			if err := store.CreateSQLite(context.Background(), filepath.Join(args[0], fmt.Sprintf("%d.db", n))); err != nil {
				return err
			}
			fmt.Println(n)
		}
	}
}

// A process that is killed while it makes a database leaves a whole one or none.
func TestKilledCreateSQLite(t *testing.T) {
	for range 10 {
		dir := t.TempDir()
		p := start(t, "create", dir)
		time.Sleep(20*time.Millisecond + rand.N(50*time.Millisecond))
		must(t, p.cmd.Process.Kill())
		made := len(p.numbers())
		_ = p.wait()
		found := 0
		for _, name := range names(t, dir) {
			if strings.HasSuffix(name, ".db") {
				found++
				s := storetest.Backend{Address: "sqlite:" + filepath.Join(dir, name)}.Open(t, store.Options{})
				must(t, withAuthority(t, s).Close())
			}
		}
		if found != made && found != made+1 {
			t.Errorf("%d databases, %d were reported", found, made)
		}
	}
}

// Processes that make the same database at once make one.
func TestCreateSQLiteTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x509ctl.db")
	made := make(chan error)
	for range 8 {
		go func() { made <- store.CreateSQLite(t.Context(), path) }()
	}
	n := 0
	for range 8 {
		err := <-made
		if err == nil {
			n++
		} else {
			wantKind(t, "the others", err, fault.Exists)
		}
	}
	wantEqual(t, "databases made", n, 1)
}
