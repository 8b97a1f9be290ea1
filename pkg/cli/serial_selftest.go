package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"x509ctl/pkg/fault"
)

// Bounds of a self-test.
const (
	defaultSelftestDuration  = 30 * time.Second
	defaultSelftestProcesses = 16
	maxSelftestDuration      = day
	maxSelftestProcesses     = 256
)

type serialSelftestOptions struct {
	duration  time.Duration // zero: defaultSelftestDuration
	processes int
	in        string // empty: beside the state directory
	output    output
}

func newSerialSelftestCmd(a *app) *cobra.Command {
	var o serialSelftestOptions
	cmd := &cobra.Command{
		Use:   "selftest",
		Short: "Test on this machine's disk that no serial number comes twice",
		Long: `Test that serial numbers never repeat and that no certificate gets lost, on this
machine and its disk: many processes of this program sign at once, and a third of
them are killed with SIGKILL at random moments.

Afterwards every certificate in a file must be in the inventory, no number may have
been given twice, no file may be there in part, every process that was not killed
must have succeeded (or, after waiting for as long as --wait allows, have said that
others were busy), the serial file must not be behind, and the next certificate must
be signed. Exit status 6 when one of these does not hold.

The test makes a CA of its own in a scratch directory, beside the state directory
and so on the same disk unless --in names another place, and removes it; after a
failure it is kept, and named. The state directory itself is not touched. A power
cut is the one thing that is not tried. Before a disk is trusted, let it run for ten
minutes or more.`,
		Example: `  # a quick look
  x509ctl serial selftest --duration 3s --in .`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runSerialSelftest(cmd.Context(), a, o)
		},
	}
	f := cmd.Flags()
	durationVar(f, &o.duration, "duration", "how long to test, at most a day (default "+formatDuration(defaultSelftestDuration)+")")
	f.IntVar(&o.processes, "processes", defaultSelftestProcesses, "how many processes work at once, `NUMBER` from 1 to 256")
	f.StringVar(&o.in, "in", "", "make the scratch directory in `DIRECTORY` (default beside the state directory)")
	addOutputFlag(cmd, &o.output)
	return cmd
}

func runSerialSelftest(ctx context.Context, a *app, o serialSelftestOptions) error {
	if o.duration == 0 {
		o.duration = defaultSelftestDuration
	}
	if o.duration > maxSelftestDuration {
		return usagef("--duration is at most a day")
	}
	if o.processes < 1 || o.processes > maxSelftestProcesses {
		return usagef("--processes is 1 to %d", maxSelftestProcesses)
	}
	a.catchSignals() // there is something to tidy up
	dir, err := a.makeScratch(o.in)
	if err != nil {
		return err
	}
	t := newTrial(a, dir)
	v, err := t.run(ctx, o)
	if err != nil || len(v.Faults) == 0 {
		return errors.Join(err, os.RemoveAll(dir), a.showTrial(o.output, v, err))
	}
	v.Directory = dir
	if err := show(a, o.output, v); err != nil {
		return err
	}
	return fault.Errorf(fault.Invalid, "the self-test found %d faults; its directory %s is kept", len(v.Faults), dir)
}

// showTrial prints a result, unless there was an error instead of one.
func (a *app) showTrial(o output, v selftestView, err error) error {
	if err != nil {
		return nil
	}
	return show(a, o, v)
}

// makeScratch makes a directory for one test. It does not look into the state
// directory, and so stays the user who started it.
func (a *app) makeScratch(in string) (string, error) {
	if in == "" {
		s := defaultSettings()
		if err := a.overlay(s, settingDefs(s)[:1]); err != nil {
			return "", err
		}
		dir, err := filepath.Abs(s.dir)
		if err != nil {
			return "", fmt.Errorf("finding the directory: %w", err)
		}
		in = filepath.Dir(dir)
	}
	dir, err := os.MkdirTemp(in, "x509ctl-selftest-")
	if err == nil {
		dir, err = filepath.Abs(dir)
	}
	if err != nil {
		kind := fault.Internal
		if errors.Is(err, fs.ErrNotExist) {
			kind = fault.NotFound
		}
		return "", fault.Errorf(kind, "making a scratch directory (--in names another place): %w", err)
	}
	return dir, nil
}

// selftestView is the result of "serial selftest".
type selftestView struct {
	Passed       bool     `json:"passed"`
	Processes    int      `json:"processes"` // that ran, killed ones included
	Killed       int      `json:"killed"`
	Busy         int      `json:"busy"` // gave up waiting for others
	Certificates int      `json:"certificates"`
	PerSecond    float64  `json:"certificates_per_second"`
	MaxWait      float64  `json:"max_wait_seconds"` // of a process that was not killed
	Faults       []string `json:"faults"`
	Directory    string   `json:"directory"` // where the rest of a failed test is
}
