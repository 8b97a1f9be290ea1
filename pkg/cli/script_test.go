package cli

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	_ "modernc.org/sqlite" // as the program registers it
)

var update = flag.Bool("update", false, "rewrite golden files")

// scriptStart is what the clock says when a script begins.
var scriptStart = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// clockVariable is how a script tells the x509ctl that it runs what time it is. Only
// this test binary knows it.
const clockVariable = "SCRIPT_CLOCK"

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"x509ctl": func() { os.Exit(mainAt(os.Getenv(clockVariable))) },
	})
}

// mainAt is [Main] with another clock: one that stands still, or for "real" the
// system's.
func mainAt(clock string) int {
	a := newApp()
	if clock != "real" {
		at, err := time.Parse(time.RFC3339, clock)
		if err != nil {
			panic(err)
		}
		a.now = func() time.Time { return at }
	}
	return a.runUntilSignal(os.Args[1:])
}

// TestScript runs every script of testdata/script. Beside testscript's commands
// there are two:
//
//	exits STATUS COMMAND ARG…   runs COMMAND, which must exit with STATUS
//	clock TIME                  sets the clock: RFC 3339, +DURATION from where it
//	                            is, or "real"
//
// A script begins in 2026 with TZ=UTC. [exec:NAME] holds when the program NAME is
// installed; with CI set, a missing one is a failure instead.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "../../testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       *update,
		Setup: func(env *testscript.Env) error {
			env.Setenv(clockVariable, scriptStart.Format(time.RFC3339))
			env.Setenv("TZ", "UTC")
			env.Setenv("TERM", "dumb") // testscript's terminal only prints
			env.Setenv("X509CTL_DIR", env.WorkDir+"/ca")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": scriptExits,
			"clock": scriptClock,
		},
		Condition: scriptCondition,
	})
}

func scriptExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS COMMAND ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

func scriptClock(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: clock TIME")
	}
	now, err := time.Parse(time.RFC3339, ts.Getenv(clockVariable))
	switch {
	case args[0] == "real":
		ts.Setenv(clockVariable, "real")
		return
	case args[0][0] == '+':
		ts.Check(err)
		d, err := parseDuration(args[0][1:])
		ts.Check(err)
		now = now.Add(d)
	default:
		now, err = time.Parse(time.RFC3339, args[0])
		ts.Check(err)
	}
	ts.Setenv(clockVariable, now.Format(time.RFC3339))
}

func scriptCondition(cond string) (bool, error) {
	if cond == "root" {
		return os.Geteuid() == 0, nil
	}
	return false, fmt.Errorf("unknown condition %q", cond)
}

// TestScriptTools fails when a script names a program that is not installed, on a
// machine where nothing may be left out.
func TestScriptTools(t *testing.T) {
	if os.Getenv("CI") == "" {
		t.Skip("CI is not set: scripts leave out what is not installed")
	}
	files, err := filepath.Glob("../../testdata/script/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`\[!?exec:([^\]]+)\]`).FindAllStringSubmatch(string(b), -1) {
			if _, err := exec.LookPath(m[1]); err != nil {
				t.Errorf("%s: %v", filepath.Base(file), err)
			}
		}
	}
}
