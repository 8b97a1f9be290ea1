package main_test

import (
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"x509ctl/pkg/trust"
)

// The calls that change something, those that only look, and those that a full disk
// refuses.
var (
	changing = []string{
		"openat", "write", "pwrite64", "fsync", "fdatasync", "ftruncate", "fallocate", "fchmod", "fchmodat",
		"linkat", "renameat", "renameat2", "unlinkat", "mkdirat", "flock",
	}
	looking = []string{"read", "pread64", "statx", "newfstatat", "lstat", "fcntl", "getdents64", "close"}
	filling = []string{"openat", "write", "pwrite64", "fsync", "ftruncate", "fallocate", "linkat", "renameat", "mkdirat"}
)

// An injection makes the nth call of each thread fail, or kills the process at it.
type injection struct {
	call string
	what string // as strace has it
}

// injections are a test's, by what is called.
func injections(calls []string, what string) (all []injection) {
	for _, c := range calls {
		all = append(all, injection{c, what})
	}
	return all
}

const (
	ioError  = "error=EIO"
	fullDisk = "error=ENOSPC"
	killed   = "signal=SIGKILL"
)

// A struck is what became of a process that was struck at one of its calls.
type struck struct {
	injection
	n int
	result
	killed bool
	lines  string // of the trace, that were struck
}

func (s struck) String() string {
	return fmt.Sprintf("%s number %d, %s: exit status %d\n%s%s", s.call, s.n, s.what, s.status, s.lines, s.stderr)
}

// run runs x509ctl under strace. hit is false when there was no nth call.
func (i injection) run(t *testing.T, c *cluster, n int, args []string) (s struck, hit bool) {
	t.Helper()
	log := filepath.Join(t.TempDir(), "log")
	var stdout, stderr strings.Builder
	plain := c.command(args...)
	flags := []string{"-f", "-y", "-o", log, "-e", "trace=" + i.call, "-e", fmt.Sprintf("inject=%s:%s:when=%d", i.call, i.what, n)}
	if i.what != killed { // faster, but strace then sends no signals
		flags = append(flags, "--seccomp-bpf")
	}
	cmd := exec.Command("strace", slices.Concat(flags, plain.Args)...)
	// One processor: fewer threads make the calls come in the same order each time. And
	// a lock that could not be released is not waited for.
	cmd.Env = append(plain.Env, "GOMAXPROCS=1", "X509CTL_WAIT=2s")
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	trace, logErr := os.ReadFile(log)
	if logErr != nil {
		t.Fatal(err, logErr)
	}
	s = struck{injection: i, n: n, result: result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}}
	s.killed = strings.Contains(string(trace), "killed by SIGKILL")
	for line := range strings.Lines(string(trace)) {
		if strings.Contains(line, "(INJECTED)") {
			s.lines += line
		}
	}
	return s, s.killed || s.lines != ""
}

// strike strikes a call of args at each of its system calls, one run for each, and
// lets check see what became of it. args returns the arguments of a run.
func strike(t *testing.T, all []injection, setup func(*testing.T) (c *cluster, args func() []string, check func(struck))) {
	need(t, "strace")
	for _, i := range all {
		t.Run(strings.TrimPrefix(i.call+" "+i.what[strings.Index(i.what, "=")+1:], " "), func(t *testing.T) {
			t.Parallel()
			c, args, check := setup(t)
			hits := 0
			for n, misses := 1, 0; misses < 2; n++ {
				if n > 500 {
					t.Fatal("there is no end of it")
				}
				s, hit := i.run(t, c, n, args())
				if !hit {
					misses++
				} else {
					hits++
				}
				s.wantReason(t)
				check(s)
				if t.Failed() {
					t.Fatalf("after %v", s)
				}
			}
			t.Logf("%d runs", hits)
		})
	}
}

// wantReason checks that a process ended well, was killed, or said why not.
func (s struck) wantReason(t *testing.T) {
	t.Helper()
	switch {
	case s.killed:
	case strings.Contains(s.stderr, "runtime: unexpected error while checking standard file descriptor"):
		// Go ends the process before it began.
	case s.status == 0:
		if strings.HasSuffix(s.call, "sync") && s.lines != "" && !s.harmless() {
			t.Errorf("what could not be synced counts as written: %v", s)
		}
	case strings.Contains(s.stderr, "goroutine "):
		t.Errorf("a crash: %v", s)
	case s.status < 0 || s.status > 7:
		t.Errorf("a strange end: %v", s)
	case !strings.Contains(s.stderr, "x509ctl: error: ") && s.call != "write": // it may be the message that fails
		t.Errorf("no reason: %v", s)
	}
}

// harmless reports whether a sync that failed was one of SQLite's that may: those when
// the database is closed (the log stays then), and that of the log's name.
func (s struck) harmless() bool {
	return strings.Contains(s.lines, "/x509ctl.db") || strings.Contains(s.lines, "/state>")
}

// Of a project's CA, whose code is the cluster's, the calls are struck that keep its files
// and the database together.
var (
	ofProject = slices.Concat(injections([]string{"fsync"}, ioError), injections([]string{"fsync", "renameat"}, killed))
	project   = "p"
)

// TestInjectSign strikes the path that every certificate takes.
func TestInjectSign(t *testing.T) {
	injectSign(t, "", slices.Concat(injections(changing, ioError), injections(looking, ioError), injections(filling, fullDisk), injections(changing, killed)))
}

func TestInjectSignForProject(t *testing.T) {
	injectSign(t, project, slices.Concat(ofProject, injections([]string{"linkat"}, ioError), injections([]string{"pwrite64"}, killed)))
}

func injectSign(t *testing.T, project string, all []injection) {
	strike(t, all, func(t *testing.T) (*cluster, func() []string, func(struck)) {
		l := newLifeIn(t, project, 1)
		var out string
		args := func() []string {
			out = l.out()
			return l.about("cert", "sign-csr", l.requests[0], "--out", filepath.Join(out, "leaf.pem"))
		}
		return l.cluster, args, func(s struck) { l.after(s, out, "leaf.pem") }
	})
}

// TestInjectIssue has two files to write.
func TestInjectIssue(t *testing.T) {
	all := slices.Concat(injections(changing, ioError), injections(changing, killed))
	strike(t, all, func(t *testing.T) (*cluster, func() []string, func(struck)) {
		l := newLifeOf(t, 1)
		var out string
		args := func() []string {
			out = l.out()
			return []string{"cert", "issue", "node1.example.com", "--key", filepath.Join(out, "node1.key"), "--cert", filepath.Join(out, "node1.pem")}
		}
		return l.cluster, args, func(s struck) { l.after(s, out, "node1.key", "node1.pem") }
	})
}

// TestInjectSetMin strikes a floor on its way up: it is the old one or the new one,
// and the new one when it was said to be.
func TestInjectSetMin(t *testing.T) {
	injectSetMin(t, "", slices.Concat(injections(changing, ioError), injections(filling, fullDisk), injections(changing, killed)))
}

func TestInjectSetMinOfProject(t *testing.T) { injectSetMin(t, project, ofProject) }

func injectSetMin(t *testing.T, project string, all []injection) {
	strike(t, all, func(t *testing.T) (*cluster, func() []string, func(struck)) {
		l := newLifeIn(t, project, 1)
		var before, want int64
		args := func() []string {
			before, want = l.count().MinSerial, l.count().Last+1
			return l.about("serial", "set-min", "next")
		}
		return l.cluster, args, func(s struck) {
			b, err := os.ReadFile(l.path(l.own("min-serial")))
			var after int64
			if _, scan := fmt.Sscanf(string(b), "%d\n", &after); err != nil || scan != nil {
				t.Errorf("min-serial holds %q, %v", b, err)
			}
			if after != want && (after != before || s.status == 0 && !s.killed) {
				t.Errorf("min-serial was %d and became %d, not %d", before, after, want)
			}
			l.ok(l.about("serial", "set-min", fmt.Sprint(want))...)
			l.after(s, l.out())
		}
	})
}

// TestInjectRevoke strikes a revocation and the list that follows: the list is whole,
// has what was said to be revoked, and has it in any case after the same command again. So
// do the database and the file of blocked keys.
func TestInjectRevoke(t *testing.T) {
	injectRevoke(t, "", slices.Concat(injections([]string{"fsync", "write", "renameat"}, ioError), injections(changing, killed)))
}

func TestInjectRevokeInProject(t *testing.T) { injectRevoke(t, project, ofProject) }

func injectRevoke(t *testing.T, project string, all []injection) {
	strike(t, all, func(t *testing.T) (*cluster, func() []string, func(struck)) {
		l := newLifeIn(t, project, 1)
		var number string
		revoke := func() []string { return l.about("cert", "revoke", number, "--yes", "--reason", "keyCompromise") }
		args := func() []string {
			l.ok(l.about("cert", "issue", l.holders()[1], "--combined", filepath.Join(l.out(), "next.pem"))...)
			number = fmt.Sprint(l.count().Last)
			return revoke()
		}
		return l.cluster, args, func(s struck) {
			if listed := l.listed(number); s.status == 0 && !s.killed && !listed {
				t.Errorf("%s is said to be revoked, and is not on the list", number)
			}
			l.ok(revoke()...)
			if !strings.Contains(read(t, l.path(l.own("blocked-keys"))), " "+number+"\n") {
				t.Errorf("the key of %s is not blocked", number)
			}
			l.ok("ca", "check")
			if !l.listed(number) {
				t.Errorf("%s was revoked again, and is not on the list", number)
			}
			l.after(s, l.out())
		}
	})
}

// listed reports whether a number is on the CA's published list, which has to be whole.
func (l *life) listed(number string) bool {
	l.t.Helper()
	list, err := trust.ParseCRL([]byte(read(l.t, l.path(l.own("crl.pem")))))
	if err != nil {
		l.t.Fatal(err)
	}
	n, _ := new(big.Int).SetString(number, 10)
	_, found := list.Find(n)
	return found
}

// TestInjectNodeAdd strikes a change of the database alone.
func TestInjectNodeAdd(t *testing.T) {
	all := slices.Concat(injections(changing, ioError), injections(filling, fullDisk), injections(changing, killed))
	strike(t, all, func(t *testing.T) (*cluster, func() []string, func(struck)) {
		l := newLifeOf(t, 1)
		var name string
		args := func() []string {
			name = fmt.Sprintf("node%d.example.net", l.jobs.Add(1))
			return []string{"node", "add", name, "--ip", "192.0.2.1"}
		}
		return l.cluster, args, func(s struck) {
			if r := l.call("node", "add", name, "--ip", "192.0.2.1"); r.status != 0 && (r.status != 4 || s.status == 0 && s.killed) {
				t.Errorf("adding the node again: exit status %d\n%s", r.status, r.stderr)
			}
			l.ok("node", "remove", name, "--yes")
			l.after(s, l.out())
		}
	})
}

// TestInjectInit strikes the making of a CA: the next call goes on where it was cut.
func TestInjectInit(t *testing.T) {
	all := slices.Concat(injections(changing, ioError), injections(filling, fullDisk), injections(changing, killed))
	strike(t, all, func(t *testing.T) (*cluster, func() []string, func(struck)) {
		request := newLifeOf(t, 1).requests
		c := &cluster{t: t}
		initCA := []string{"ca", "init", "--cluster-name", "cluster1.example.com"}
		args := func() []string {
			c.dir = filepath.Join(t.TempDir(), "state")
			return initCA
		}
		return c, args, func(s struck) {
			r := c.call(initCA...)
			switch {
			case r.status == 4 && strings.Contains(r.stderr, "there is a CA here already"):
			case r.status != 0 || s.status == 0 && !s.killed:
				t.Errorf("going on: exit status %d\n%s", r.status, r.stderr)
			}
			// A life that begins here: the CA is another one each time.
			l := &life{cluster: c, base: t.TempDir(), requests: request, issued: map[string]string{}}
			l.addHolders()
			l.after(s, l.out())
		}
	})
}

// after looks at what a struck process left in out, where it was to make files, and
// at the CA.
func (l *life) after(s struck, out string, files ...string) {
	l.t.Helper()
	entries, err := os.ReadDir(out)
	if err != nil {
		l.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
		if !slices.Contains(files, e.Name()) {
			l.t.Errorf("it left %s", e.Name())
		}
	}
	if s.status == 0 && !s.killed && len(names) != len(files) {
		l.t.Errorf("it claims success and left %v", names)
	}
	r := l.call(l.about("cert", "sign-csr", l.requests[0], "--out", filepath.Join(l.out(), "next.pem"))...)
	if r.status != 0 {
		l.t.Errorf("the next certificate: exit status %d\n%s", r.status, r.stderr)
	}
	l.wantNames()
	l.look(false)
}

// wantNames checks that nothing lies in the directory but what belongs there.
func (l *life) wantNames() {
	l.t.Helper()
	state := []string{"ca", "x509ctl.db", "x509ctl.db-shm", "x509ctl.db-wal"}
	ca := []string{"blocked-keys", "bundle.pem", "cert.pem", "crl.pem", "key.pem", "lock", "min-serial", "serial"}
	if l.project != "" {
		state, ca = append(state, "project-root", "projects"), append(ca, "chain.pem")
	}
	for dir, want := range map[string][]string{l.dir: state, filepath.Dir(l.path(l.own("serial"))): ca} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			l.t.Fatal(err)
		}
		for _, e := range entries {
			if !slices.Contains(want, e.Name()) {
				l.t.Errorf("%s is left in %s", e.Name(), dir)
			}
		}
	}
}
