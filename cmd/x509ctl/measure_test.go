package main_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"
)

// What follows measures programs side by side: calls of ours and of a rival take
// turns, so that both meet the same machine, and medians are compared.

// A cost is what one call of a program took. CPU is that of the whole process, in
// user mode and in the kernel.
type cost struct{ cpu, wall time.Duration }

// spend runs a program, which must succeed, and returns what it took.
func spend(b *testing.B, name string, args ...string) cost {
	b.Helper()
	var said bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stderr = &said
	begin := time.Now()
	if err := cmd.Run(); err != nil {
		b.Fatalf("%s %.300s: %v\n%.1000s", name, strings.Join(args, " "), err, said.Bytes())
	}
	return cost{cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), time.Since(begin)}
}

// peak runs a program like spend and returns the most memory that it had, in bytes.
// The kernel's own figure for a child includes its parent before exec, so the process
// is watched instead.
func peak(b *testing.B, name string, args ...string) (most int64) {
	b.Helper()
	cmd := exec.Command(name, args...)
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- cmd.Wait() }()
	for {
		select {
		case err := <-done:
			if err != nil {
				b.Fatalf("%s %.300s: %v", name, strings.Join(args, " "), err)
			}
			return most
		case <-time.After(2 * time.Millisecond):
			most = max(most, highWater(cmd.Process.Pid))
		}
	}
}

var vmHWM = regexp.MustCompile(`VmHWM:\s*(\d+) kB`)

func highWater(pid int) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	found := vmHWM.FindSubmatch(status)
	if err != nil || found == nil {
		return 0 // not there any more
	}
	kB, _ := strconv.ParseInt(string(found[1]), 10, 64)
	return kB << 10
}

// inTurn calls each of calls in every round, and returns what each took.
func inTurn(b *testing.B, rounds int, calls ...func(round int) cost) [][]cost {
	b.Helper()
	costs := make([][]cost, len(calls))
	round := 0
	for b.Loop() {
		for range rounds {
			for i := range calls { // another one begins each round
				n := (i + round) % len(calls)
				costs[n] = append(costs[n], calls[n](round))
			}
			round++
		}
	}
	b.ReportMetric(0, "ns/op") // of a round, and so of no interest
	return costs
}

func medianCPU(costs []cost) time.Duration {
	return median(costs, func(c cost) time.Duration { return c.cpu })
}

func medianWall(costs []cost) time.Duration {
	return median(costs, func(c cost) time.Duration { return c.wall })
}

func median(costs []cost, of func(cost) time.Duration) time.Duration {
	var all []time.Duration
	for _, c := range costs {
		all = append(all, of(c))
	}
	slices.Sort(all)
	return (all[len(all)/2] + all[(len(all)-1)/2]) / 2
}

// A goal is a bound for a figure: what must hold, and what we are after.
type goal struct {
	must, aim float64
	unit      string // "x" for a ratio
	atLeast   bool   // rather than at most
}

// The lines of the table that is printed when all is measured.
var (
	tableLock sync.Mutex
	table     []string
)

// record adds a line to the table and to what go test prints.
func record(b *testing.B, work string, figure float64, g goal, format string, args ...any) {
	b.Helper()
	bound, verdict := "<=", "ok"
	met := figure <= g.must
	if g.atLeast {
		bound, met = ">=", figure >= g.must
	}
	if !met {
		verdict = "MISSED"
	}
	b.ReportMetric(figure, strings.ReplaceAll(work, " ", "-")+"-"+strings.TrimSpace(g.unit))
	addLine("%s\t%.3g%s\t%s %g%s\t%g%s\t%s\t%s", work, figure, g.unit, bound, g.must, g.unit, g.aim, g.unit, verdict, fmt.Sprintf(format, args...))
}

// lacking records that a rival isn't there, and says whether it is.
func lacking(b *testing.B, work, rival string) bool {
	if _, err := exec.LookPath(rival); err == nil {
		return false
	}
	addLine("%s\t-\t\t\tskipped\t%s is not installed", work, rival)
	b.Skipf("%s is not installed", rival)
	return true
}

func addLine(format string, args ...any) {
	tableLock.Lock()
	defer tableLock.Unlock()
	table = append(table, fmt.Sprintf(format, args...))
}

// printTable prints what was measured, if anything was.
func printTable() {
	if len(table) == 0 {
		return
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nWORK\tFIGURE\tMUST\tAIM\t\tHOW IT COMES ABOUT (MEDIANS)")
	for _, line := range table {
		fmt.Fprintln(w, line)
	}
	_ = w.Flush()
}

// install builds the Go program in the folder source as "make install" does, with
// further flags for the compiler. The copy is part of it: the kernel maps the pages of
// a file that the linker has just written one by one, which costs each start up to a
// third more.
func install(source, path string, flags ...string) error {
	args := append([]string{"build", "-trimpath", "-ldflags", "-s -w", "-o", path + ".linked"}, flags...)
	build := exec.Command("go", append(args, ".")...)
	build.Dir = source
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", filepath.Base(path), err, out)
	}
	data, err := os.ReadFile(path + ".linked")
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o755)
}
