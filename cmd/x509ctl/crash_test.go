package main_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

var crashRounds = flag.Int("crash.rounds", 1, "how often TestCrash goes through its mishaps")

// A mishap is what somebody, or a disk, does to the files of a CA. The older state is
// what older() saved.
type mishap struct {
	name string
	do   func(*life)
	// A database of pages from two times is read by SQLite for some while, or for
	// good, without noticing: then the inventory is not complete. Numbers are still
	// given once.
	blended blend
	project bool // of the few that a project's CA goes through as well
}

type blend int

const (
	never blend = iota
	inUse       // when processes have the database open meanwhile
	always
)

// mishaps are all of issue 2, each in the middle of a storm and between two.
var mishaps = []mishap{
	{name: "nothing", project: true, do: func(*life) {}},

	{name: "the database is deleted", do: func(l *life) { l.remove("x509ctl.db", "x509ctl.db-wal", "x509ctl.db-shm") }, blended: inUse},
	{name: "the database is deleted, its log stays", do: func(l *life) { l.cutOff(); l.remove("x509ctl.db") }, blended: inUse},
	{name: "the database is an older one", project: true, do: func(l *life) { l.swap("x509ctl.db"); l.remove("x509ctl.db-wal", "x509ctl.db-shm") }, blended: inUse},
	{name: "the database is an older one, in place", do: func(l *life) { l.remove("x509ctl.db-wal", "x509ctl.db-shm"); l.overwrite("x509ctl.db") }, blended: inUse},
	{name: "the database is an older one, its log a newer", do: func(l *life) { l.cutOff(); l.swap("x509ctl.db") }, blended: always},
	{name: "the database is an older one, its log and index newer, in place", do: func(l *life) { l.cutOff(); l.overwrite("x509ctl.db") }, blended: always},
	{name: "the database is an older one, its log a newer without index", do: func(l *life) { l.cutOff(); l.swap("x509ctl.db"); l.remove("x509ctl.db-shm") }, blended: always},
	{name: "the log is lost", do: func(l *life) { l.cutOff(); l.remove("x509ctl.db-wal", "x509ctl.db-shm") }, blended: inUse},
	{name: "the database is cut", do: func(l *life) { l.truncate("x509ctl.db", 10_000) }, blended: inUse},
	{name: "the database is empty", do: func(l *life) { l.truncate("x509ctl.db", 0) }, blended: inUse},

	{name: "serial is an older one", project: true, do: func(l *life) { l.swap(l.own("serial")) }},
	{name: "serial is an older one, in place", do: func(l *life) { l.overwrite(l.own("serial")) }},
	{name: "serial is deleted", do: func(l *life) { l.remove(l.own("serial")) }},
	{name: "serial is emptied", project: true, do: func(l *life) { l.truncate(l.own("serial"), 0) }},
	{name: "serial is garbage", do: func(l *life) { l.write(l.own("serial"), "\x00\xff garbage") }},
	{name: "serial and database are older ones", project: true, do: func(l *life) {
		l.swap("x509ctl.db")
		l.swap(l.own("serial"))
		l.remove("x509ctl.db-wal", "x509ctl.db-shm")
	}, blended: inUse},
	{name: "serial and database are older ones, in place", do: func(l *life) {
		l.remove("x509ctl.db-wal", "x509ctl.db-shm")
		l.overwrite("x509ctl.db")
		l.overwrite(l.own("serial"))
	}, blended: inUse},
	{name: "serial and database are gone", do: func(l *life) { l.remove("x509ctl.db", "x509ctl.db-wal", "x509ctl.db-shm", l.own("serial")) }, blended: inUse},

	{name: "min-serial is far ahead", project: true, do: func(l *life) { l.write(l.own("min-serial"), l.ahead()) }},
	{name: "min-serial is deleted", do: func(l *life) { l.remove(l.own("min-serial")) }},
	{name: "min-serial is garbage", do: func(l *life) { l.write(l.own("min-serial"), "none\n") }},
	{name: "min-serial is an older one", do: func(l *life) { l.swap(l.own("min-serial")) }},

	{name: "the lock is deleted", project: true, do: func(l *life) { l.remove(l.own("lock")) }},
	{name: "the directory is a copy", do: func(l *life) { l.copy() }, blended: inUse},
	{name: "the directory is a copy, and the first goes on too", do: (*life).fork, blended: inUse},
	{name: "the directory is restored from a tar archive", project: true, do: (*life).untar},
	{name: "and once more, from the same archive", do: (*life).untar},
	{name: "the directory is lost, and a backup restored", project: true, do: (*life).restore},
	{name: "and once more, from the same backup", do: (*life).restore},
	{name: "the database is lost, and the CA adopted", do: func(l *life) {
		l.remove("x509ctl.db", "x509ctl.db-wal", "x509ctl.db-shm")
		l.ok("ca", "init", "--cluster-name", "cluster1.example.com", "--adopt")
		l.addHolders()
	}, blended: inUse},
	{name: "somebody recovers without need", do: func(l *life) { l.ok("serial", "recover", "--at-least", "1", "--yes") }},
}

// TestCrash kills processes and harms the directory, and looks for a number given
// twice in all that ever left, for certificates that nobody knows, and for refusals
// whose hints don't help.
func TestCrash(t *testing.T) {
	if testing.Short() {
		t.Skip("a minute")
	}
	l := newLife(t)
	for round := range *crashRounds {
		l.suffer(round, mishaps, 1200*time.Millisecond)
	}
	l.end(t, 1000)
}

// TestCrashProject is TestCrash for the CA of a project, whose code is the same: a few
// mishaps show that its files and the database are held together in the same way.
func TestCrashProject(t *testing.T) {
	if testing.Short() {
		t.Skip("ten seconds")
	}
	l := newLifeIn(t, "p", 12)
	few := slices.DeleteFunc(slices.Clone(mishaps), func(m mishap) bool { return !m.project })
	for round := range *crashRounds {
		l.suffer(round, few, 600*time.Millisecond)
	}
	l.end(t, 200)
}

// suffer goes through mishaps, each in a storm or after one, which is of that duration.
func (l *life) suffer(round int, all []mishap, storm time.Duration) {
	t, offset := l.t, rand.IntN(2)
	defer func() { l.t = t }()
	for i, m := range all {
		if round%2 == 0 {
			l.older()
		}
		// A mishap in the middle of a storm is one between storms in the next round.
		between := (i+round+offset)%2 == 0
		lossy := m.blended == always || m.blended == inUse && !between
		if !t.Run(m.name, func(t *testing.T) {
			l.t = t
			t.Logf("between two storms: %v", between)
			if between {
				l.storm(storm, nil)
				m.do(l)
			} else {
				l.storm(storm+storm/4, func() { m.do(l) })
			}
			l.next()
			l.look(lossy)
			if lossy {
				l.moveDatabaseAway() // the next mishap begins with a sound one
				l.next()
			}
		}) {
			t.Fatalf("after %s", m.name)
		}
	}
}

// end looks at all of it once more; enough is how many certificates mean something.
func (l *life) end(t *testing.T, enough int) {
	l.storm(time.Second, nil)
	l.next()
	l.look(false)
	t.Logf("%d processes, %d killed, %d refused; %d certificates", l.processes.Load(), l.killed.Load(), l.refused.Load(), len(l.issued))
	if l.killed.Load() < int64(enough)/10 || len(l.issued) < enough {
		t.Error("that is too little to mean something")
	}
}

// older saves the directory as it is, as copies, an archive and a backup.
func (l *life) older() {
	l.t.Helper()
	saved := filepath.Join(l.base, "saved")
	must(l.t, "rm", "-rf", saved, filepath.Join(l.base, "backup.tar"))
	copyInUse(l.t, l.dir, saved)
	must(l.t, "tar", "-C", l.base, "-cf", filepath.Join(l.base, "saved.tar"), filepath.Base(l.dir))
	l.ok("backup", filepath.Join(l.base, "backup.tar"))
}

func (l *life) saved(name string) string { return filepath.Join(l.base, "saved", name) }

// swap puts the older file in the place of the one that is there.
func (l *life) swap(name string) {
	l.t.Helper()
	must(l.t, "cp", "-a", l.saved(name), l.path("swapped"))
	must(l.t, "mv", l.path("swapped"), l.path(name))
}

// overwrite puts the older file's content into the one that is there.
func (l *life) overwrite(name string) {
	l.t.Helper()
	must(l.t, "sh", "-c", fmt.Sprintf("cat %s > %s", l.saved(name), l.path(name)))
}

func (l *life) remove(names ...string) {
	l.t.Helper()
	for _, n := range names {
		must(l.t, "rm", "-f", l.path(n))
	}
}

func (l *life) truncate(name string, size int64) {
	l.t.Helper()
	if err := os.Truncate(l.path(name), size); err != nil {
		l.t.Error(err)
	}
}

func (l *life) write(name, content string) {
	l.t.Helper()
	if err := os.WriteFile(l.path(name), []byte(content), 0o644); err != nil {
		l.t.Error(err)
	}
}

// ahead is a floor above the counter.
func (l *life) ahead() string {
	var n int64
	b, err := os.ReadFile(l.path(l.own("serial")))
	if err == nil {
		_, err = fmt.Sscan(string(b), &n)
	}
	if err != nil {
		l.t.Error(err)
	}
	return fmt.Sprintf("%d\n", n+100_000)
}

// cutOff kills a process that has the database open, so that its log stays.
func (l *life) cutOff() {
	l.t.Helper()
	mark := filepath.Join(l.base, fmt.Sprintf("mark%d", l.jobs.Add(1)))
	l.write("x509ctl.yaml", fmt.Sprintf("serial_hook: [/bin/sh, -c, 'set -C; echo $$ > %s && exec sleep 60; exit 0']\n", mark))
	defer l.remove("x509ctl.yaml")
	cmd := l.command(l.about("cert", "sign-csr", l.requests[0], "--out", mark+".pem")...)
	if err := cmd.Start(); err != nil {
		l.t.Error(err)
		return
	}
	hook := 0 // of this process, or of another one
	for end := time.Now().Add(20 * time.Second); hook == 0 && time.Now().Before(end); time.Sleep(time.Millisecond) {
		if b, err := os.ReadFile(mark); err == nil {
			_, _ = fmt.Sscan(string(b), &hook)
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if hook == 0 {
		l.t.Error("the hook was not run")
		return
	}
	_ = syscall.Kill(hook, syscall.SIGKILL)
}

// away moves the directory away from those who work in it.
func (l *life) away() string {
	l.t.Helper()
	to := filepath.Join(l.base, fmt.Sprintf("away%d", l.jobs.Add(1)))
	must(l.t, "mv", l.dir, to)
	return to
}

// copy puts a copy of the directory in its place.
func (l *life) copy() (original string) {
	l.t.Helper()
	to := filepath.Join(l.base, fmt.Sprintf("copy%d", l.jobs.Add(1)))
	copyInUse(l.t, l.dir, to)
	original = l.away()
	must(l.t, "mv", to, l.dir)
	return original
}

// fork is copy, and the original goes on counting too.
func (l *life) fork() {
	l.t.Helper()
	original := &cluster{l.t, l.copy()}
	out := l.out()
	for i, r := range l.requests[:5] {
		original.ok(l.about("cert", "sign-csr", r, "--out", filepath.Join(out, fmt.Sprintf("%d.pem", i)))...)
	}
}

func (l *life) untar() {
	l.t.Helper()
	l.away()
	must(l.t, "tar", "-C", l.base, "-xf", filepath.Join(l.base, "saved.tar"))
}

func (l *life) restore() {
	l.t.Helper()
	l.away()
	l.ok("restore", filepath.Join(l.base, "backup.tar"))
}

// TestSelftest is what operators run of all this.
func TestSelftest(t *testing.T) {
	if testing.Short() {
		t.Skip("ten seconds")
	}
	dir := t.TempDir()
	c := &cluster{t, filepath.Join(dir, "state")}
	type view struct {
		Passed                          bool
		Processes, Killed, Certificates int
	}
	v := parse[view](t, c.ok("serial", "selftest", "--duration", "8s", "--processes", "16", "-o", "json"))
	if !v.Passed || v.Killed == 0 || v.Processes < 2*v.Killed || v.Certificates < v.Processes/2 {
		t.Errorf("%+v", v)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("it leaves %v, %v", left, err)
	}
}

// copyInUse copies a state directory with cp. Others may be at work there, so that
// temporary files vanish while cp looks at them: it says so, and copies the rest.
func copyInUse(t *testing.T, from, to string) {
	t.Helper()
	must(t, "sh", "-c", `cp -a "$0" "$1" || test -s "$1/ca/key.pem"`, from, to)
}
