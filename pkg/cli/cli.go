// Package cli is the command line of x509ctl.
//
// # One command, one file
//
// The file's name is the command: node_add.go is "x509ctl node add". Each has four
// parts in this order: the options, the constructor that turns flags into them, the
// run function that takes them, and the view that it prints. A command decides
// nothing: it reads flags, calls the manager once and prints a view. The list of
// commands stands once, in [topics]; nothing registers itself.
//
// # What a command may use
//
// The process, its streams, clock and environment are fields of app, set in this
// file and replaced by tests. Exit statuses and hints stand in errors.go, prompts in
// prompt.go (the library behind them is archived upstream and meant to be
// replaceable), formats in output.go.
//
// # Starting fast
//
// Every call pays for what is linked and for what runs before the command does. So
// no package variable here does work, commands that were not typed are not made, the
// manager is connected to by the commands that need it, and man pages are generated
// by a test rather than by a command.
package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// app is the process as the commands see it. They use no other global.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	lookupEnv      func(string) (string, bool)
	environ        func() []string
	now            func() time.Time
	isTerminal     func(stream any) bool  // says whether one of the three streams is a terminal
	machineID      func() (string, error) // empty on a machine that has none

	// catchSignals makes SIGINT and SIGTERM end the context from now on. Whatever
	// takes long or leaves something to be tidied up calls it: batches, lists, reads
	// of stdin, hooks, waits for a lock. Others are ended by a signal at once, which is
	// safe at any moment; catching it would cost a short command a tenth of its time.
	catchSignals func()

	global  globalOptions
	read    *settings   // once they were read
	became  int         // the user that root became, or 0
	closers []io.Closer // what the command opened and keeps open until it is done
}

// globalOptions are the flags that every command takes.
type globalOptions struct {
	dir              string
	wait             time.Duration // zero: not given
	caPassphraseFile string
	noColor          bool
}

// Main runs x509ctl as the process was started and returns its exit status.
func Main() int { return newApp().runUntilSignal(os.Args[1:]) }

// newApp is the process as it is.
func newApp() *app {
	return &app{
		stdin:      os.Stdin,
		stdout:     os.Stdout,
		stderr:     os.Stderr,
		lookupEnv:  os.LookupEnv,
		environ:    os.Environ,
		now:        time.Now,
		isTerminal: isTerminal,
		machineID:  readMachineID,

		catchSignals: func() {},
	}
}

// errInterrupted is the cause of the context that a signal ended.
var errInterrupted = errors.New("interrupted")

// runUntilSignal is main with a context that signals can end: see [app.catchSignals].
func (a *app) runUntilSignal(args []string) int {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	a.catchSignals = sync.OnceFunc(func() { catchSignals(cancel) })
	return a.main(ctx, args)
}

// catchSignals makes SIGINT and SIGTERM cancel the context; one more ends the process at
// once, but not within a moment of the first: timeout(1) sends each signal twice. Broken
// pipes become write errors, so that no command dies between two steps because nobody
// reads its table. Notify is used for that, not Ignore, which the programs that x509ctl
// starts would inherit.
func catchSignals(cancel context.CancelCauseFunc) {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	stops := make(chan os.Signal, 1)
	signal.Notify(stops, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-stops
		cancel(errInterrupted)
		time.Sleep(200 * time.Millisecond)
		signal.Stop(stops)
	}()
}

// main runs one command line and returns its exit status.
func (a *app) main(ctx context.Context, args []string) int {
	out := &stickyWriter{w: a.stdout}
	b := *a
	b.stdout = out
	b.stdin = &interruptibleReader{ctx: ctx, r: a.stdin, begin: a.catchSignals}
	root := newRootCmd(&b, args...)
	root.SetArgs(args)
	root.SetIn(b.stdin)
	root.SetOut(out)
	root.SetErr(a.stderr)
	cmd, err := root.ExecuteContextC(ctx)
	for _, c := range b.closers {
		err = errors.Join(err, c.Close())
	}
	if err == nil {
		err = out.failure()
	}
	if err != nil && context.Cause(ctx) == errInterrupted { //nolint:errorlint // a sentinel, never wrapped
		err = errInterrupted
	}
	report(a.stderr, cmd, args, err)
	return exitStatus(err)
}

// isTerminal says whether stream is a file that is a terminal.
func isTerminal(stream any) bool {
	switch s := stream.(type) {
	case *os.File:
		return term.IsTerminal(int(s.Fd()))
	case *stickyWriter:
		return isTerminal(s.w)
	case *interruptibleReader:
		return isTerminal(s.r)
	}
	return false
}

// newRootCmd returns x509ctl with all of its commands, or with the one that typed,
// the command line, begins with.
func newRootCmd(a *app, typed ...string) *cobra.Command {
	var version bool
	root := &cobra.Command{
		Use:   "x509ctl COMMAND",
		Short: "Certificates for a cluster's machines, keypairs for its users",
		Long: `x509ctl runs a cluster's certificate authority from one directory, with no
other service to start.

Certificates are valid for less than a week. Their serial numbers count up and
never repeat, and all below one number, the minimum accepted serial, are revoked.

For the users of its guests it makes keypairs, SSH and X.509, and keeps their public
halves.

Exit status:

    0    done
    1    failure: input, output, or a bug
    2    the command line, or a file given to it, can't be understood
    3    the thing named doesn't exist
    4    the name is taken
    5    refused by policy
    6    checked, and found not valid
    7    busy or unreachable, or not allowed to go on: trying again may help
    130  interrupted

A command that does many things does all it can, and exits with the status of the
first failure.`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if version && len(args) == 0 {
				return runVersion(a, versionOptions{})
			}
			return runGroup(cmd, args)
		},
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return refuseEmpty(cmd) },
		SilenceErrors:     true,
		SilenceUsage:      true,
		DisableAutoGenTag: true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.SuggestionsMinimumDistance = 2
	root.SetFlagErrorFunc(flagError)
	root.SetUsageFunc(printUsage)
	addGlobalFlags(a, root)
	root.Flags().BoolVar(&version, "version", false, "print the version, as the command does")
	root.AddGroup(
		&cobra.Group{ID: groupCluster, Title: "Cluster CA:"},
		&cobra.Group{ID: groupCertificates, Title: "Certificates:"},
		&cobra.Group{ID: groupKeypairs, Title: "Keypairs for guests:"},
		&cobra.Group{ID: groupProjects, Title: "Projects:"},
		&cobra.Group{ID: groupMaintenance, Title: "Maintenance:"},
	)
	addCommands(a, root, typed)
	help := newHelpCmd()
	help.GroupID = groupMaintenance
	root.SetHelpCommand(help)
	return root
}

func addGlobalFlags(a *app, root *cobra.Command) {
	f := root.PersistentFlags()
	f.StringVar(&a.global.dir, "dir", "", "`DIRECTORY` of the authority (default "+defaultDir+")")
	durationVar(f, &a.global.wait, "wait", "how long to wait for others that hold a lock (default "+formatDuration(defaultWait)+")")
	f.StringVar(&a.global.caPassphraseFile, "ca-passphrase-file", "", "`FILE` whose first line is the passphrase of the CA's key")
	f.BoolVar(&a.global.noColor, "no-color", false, "no colors in prompts and progress bars")
}
