package storetest

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"x509ctl/pkg/store"
)

// A Server is a running PostgreSQL server with a directory of its own. It listens on
// a Unix socket only, trusts whoever connects, and does not sync.
type Server struct {
	Dir  string // its data directory
	bin  string // where its programs are
	root string // the directory to remove
	next atomic.Int64

	process *os.Process // nil when it doesn't run
	ended   chan error  // what waiting for process gave
	log     bytes.Buffer
}

var once struct {
	sync.Mutex
	server *Server
}

// shared returns the server that the tests of this process share.
func shared(t testing.TB) *Server {
	t.Helper()
	once.Lock()
	defer once.Unlock()
	if once.server == nil {
		s := newServer(t)
		s.init(t)
		s.start(t)
		once.server = s
	}
	return once.server
}

func stopShared() error {
	once.Lock()
	defer once.Unlock()
	if once.server == nil {
		return nil
	}
	return errors.Join(once.server.Stop(), os.RemoveAll(once.server.root))
}

// NewServer starts a server for one test, with further settings (name=value).
func NewServer(t testing.TB, settings ...string) *Server {
	t.Helper()
	s := newServer(t)
	s.init(t)
	s.start(t, settings...)
	t.Cleanup(func() { s.clean(t) })
	return s
}

// NewStandby starts a standby of s for one test.
func (s *Server) NewStandby(t testing.TB) *Server {
	t.Helper()
	b := newServer(t)
	t.Cleanup(func() { b.clean(t) })
	b.run(t, "pg_basebackup", "--host", s.root, "--username", "postgres", "--pgdata", b.Dir,
		"--write-recovery-conf", "--checkpoint", "fast", "--no-sync")
	b.start(t)
	return b
}

// Promote makes a standby a primary, on a new timeline.
func (s *Server) Promote(t testing.TB) {
	t.Helper()
	s.run(t, "pg_ctl", "promote", "--wait", "--pgdata", s.Dir)
}

func (s *Server) clean(t testing.TB) {
	if err := errors.Join(s.Stop(), os.RemoveAll(s.root)); err != nil {
		t.Error(err)
	}
}

// newServer finds the programs and makes the directory.
func newServer(t testing.TB) *Server {
	t.Helper()
	bin, err := findPrograms()
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	root, err := os.MkdirTemp("/tmp", "x509ctl-postgres-") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	if c := credential(); c != nil {
		if err := os.Chown(root, int(c.Uid), int(c.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	return &Server{Dir: filepath.Join(root, "data"), bin: bin, root: root}
}

// findPrograms returns the directory of PostgreSQL's programs, which Debian keeps
// out of PATH.
func findPrograms() (string, error) {
	if p, err := exec.LookPath("initdb"); err == nil {
		if p, err = filepath.EvalSymlinks(p); err == nil {
			return filepath.Dir(p), nil
		}
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // the pattern is good
	if len(found) == 0 {
		return "", errors.New("PostgreSQL is not installed, so this was tested on SQLite only: apt-get install postgresql")
	}
	newest := slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })
	return filepath.Dir(newest), nil
}

func version(initdb string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(initdb))))
	return n
}

// credential is whom the server runs as when the test runs as root, which
// PostgreSQL refuses.
func credential() *syscall.Credential {
	if os.Geteuid() != 0 {
		return nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, _ := strconv.ParseUint(u.Uid, 10, 32)
		gid, _ := strconv.ParseUint(u.Gid, 10, 32)
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	return nil
}

func (s *Server) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, program), args...)
	cmd.Dir = s.root
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential(), Pdeathsig: syscall.SIGQUIT}
	return cmd
}

func (s *Server) run(t testing.TB, program string, args ...string) {
	t.Helper()
	if out, err := s.command(program, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", program, err, out)
	}
}

func (s *Server) init(t testing.TB) {
	t.Helper()
	s.run(t, "initdb", "--pgdata", s.Dir, "--username", "postgres", "--auth", "trust",
		"--encoding", "UTF8", "--locale", "C", "--no-sync")
}

// start starts the server and waits until it answers.
func (s *Server) start(t testing.TB, settings ...string) {
	t.Helper()
	args := []string{"-D", s.Dir, "-k", s.root}
	for _, set := range append([]string{"listen_addresses=", "fsync=off", "max_connections=200", "timezone=UTC"}, settings...) {
		args = append(args, "-c", set)
	}
	if err := s.launch(args); err != nil {
		t.Fatal(err)
	}
	db := s.db(t, "postgres")
	var err error
	for range 600 {
		if err = db.Ping(); err == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	_ = s.Stop()
	t.Fatalf("starting PostgreSQL: %v\n%s", err, s.log.String())
}

// launch starts the server from a thread that lasts as long as it: the server is to
// end with this process, and Linux takes the end of the thread for that (prctl(2),
// PR_SET_PDEATHSIG).
func (s *Server) launch(args []string) error {
	started := make(chan error)
	s.ended = make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		cmd := s.command("postgres", args...)
		cmd.Stdout, cmd.Stderr = &s.log, &s.log
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		s.process = cmd.Process
		started <- nil
		s.ended <- cmd.Wait()
	}()
	return <-started
}

// Stop ends the server. It may be called again.
func (s *Server) Stop() error {
	if s.process == nil {
		return nil
	}
	if err := s.end(syscall.SIGINT); err != nil { // "fast shutdown"
		return fmt.Errorf("stopping PostgreSQL: %w\n%s", err, s.log.String())
	}
	return nil
}

// Kill ends the server as a crash would.
func (s *Server) Kill() { _ = s.end(syscall.SIGQUIT) }

func (s *Server) end(signal os.Signal) error {
	if err := s.process.Signal(signal); err != nil {
		return err
	}
	s.process = nil
	return <-s.ended
}

// Address returns the address of a database on the server.
func (s *Server) Address(database string) string {
	return fmt.Sprintf("host=%s user=postgres dbname=%s", s.root, database)
}

// NewDatabase makes an empty database and returns its address.
func (s *Server) NewDatabase(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test%d", s.next.Add(1))
	s.Exec(t, "postgres", "CREATE DATABASE "+name)
	return s.Address(name)
}

// Exec runs a statement in a database.
func (s *Server) Exec(t testing.TB, database, statement string) {
	t.Helper()
	db := s.db(t, database)
	if _, err := db.Exec(statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// db returns a pool that lasts as long as the test.
func (s *Server) db(t testing.TB, database string) *sql.DB {
	t.Helper()
	p, err := OpenPool(s.Address(database))
	if err != nil {
		t.Fatal(err)
	}
	p.DB.SetMaxIdleConns(0)
	t.Cleanup(func() {
		if err := p.DB.Close(); err != nil {
			t.Error(err)
		}
	})
	return p.DB
}

// OpenPool returns the pool for an address, as a program that registers pgx makes it:
// the driver's callback collects warnings on the connection that they came by.
func OpenPool(address string) (store.PostgreSQL, error) {
	config, err := pgx.ParseConfig(address)
	if err != nil {
		return store.PostgreSQL{}, err
	}
	const key = "warnings"
	config.OnNotice = func(c *pgconn.PgConn, n *pgconn.Notice) {
		if n.SeverityUnlocalized != "WARNING" {
			return
		}
		have, _ := c.CustomData()[key].([]string)
		c.CustomData()[key] = append(have, n.Message)
	}
	warnings := func(driverConn any) []string {
		data := driverConn.(*stdlib.Conn).Conn().PgConn().CustomData()
		have, _ := data[key].([]string)
		delete(data, key)
		return have
	}
	return store.PostgreSQL{DB: stdlib.OpenDB(*config), Warnings: warnings}, nil
}
