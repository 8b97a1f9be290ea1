package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/manager"
)

type caCheckOptions struct {
	of     authorityFlags
	repair bool
	output output
}

func newCACheckCmd(a *app) *cobra.Command {
	var o caCheckOptions
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Find what is wrong with the directory, and mend it",
		Long: `Find what is wrong with the CA's directory: who owns its files and can read them;
symbolic links; room on the disk; settings; the database, read from beginning to end;
what killed processes left; whether the files are the active CA's, and the key its
key; when the CA and its revocation list end; whether the list has all that is revoked;
whether the serial file, min-serial, their copies and the database agree; what
verifiers trust; a project's key for secrets; the clock. All but the first are asked of
the authority of every project, too; with --project of that one only. It works, as far as
it can, on a directory that other commands refuse.

A finding is an error, a warning or a note, with what to do about it. The exit status
is 6 when there is an error, and 0 when there are only others.

--repair mends what can be mended without a decision, and says what it did: it puts
files into their places that a killed process had not got to, removes what it left,
takes keys and the database out of the sight of others, writes a serial or min-serial
file again that was overwritten, and makes a new revocation list. It never touches
what is in a key, and makes no number lower. "x509ctl check" is the same command.`,
		Example: `  # is all well? (from cron, or before a backup)
  x509ctl ca check

  # mend what is safe to mend
  x509ctl ca check --repair`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runCACheck(cmd.Context(), a, cmd, o)
		},
	}
	cmd.Flags().BoolVar(&o.repair, "repair", false, "mend what is safe to mend")
	addAuthorityFlags(cmd, &o.of)
	addOutputFlag(cmd, &o.output)
	return cmd
}

// newCheckCmd is "ca check" for those who look for it without the first word.
func newCheckCmd(a *app) *cobra.Command {
	cmd := newCACheckCmd(a)
	cmd.Hidden = true
	cmd.Example = strings.ReplaceAll(cmd.Example, "x509ctl ca check", "x509ctl check")
	return cmd
}

func runCACheck(ctx context.Context, a *app, cmd *cobra.Command, o caCheckOptions) error {
	id, err := o.of.id()
	if err != nil {
		return err
	}
	req := manager.CheckRequest{Authority: id, Repair: o.repair}
	s, err := a.settings()
	if err != nil { // the file's: it is one of the things to be checked
		if s, err = a.readSettings(false); err != nil {
			return err
		}
		a.read = s
	}
	req.Settings = func(content []byte) error {
		checked := defaultSettings()
		checked.dir = s.dir
		return applyYAML(content, checked, settingDefs(checked))
	}
	svc, err := a.connect(ctx)
	if err != nil {
		return err
	}
	var bar *progress
	req.Progress = func(n, all int, id string) {
		if bar == nil {
			bar = a.startProgress(all, "checking")
		}
		bar.describe("checking " + id)
		if n > 0 {
			bar.add(1)
		}
	}
	report, err := svc.Check(ctx, req)
	bar.done()
	if err != nil {
		return fmt.Errorf("checking %s: %w", s.dir, err)
	}
	views := make([]findingView, len(report.Findings))
	for i, f := range report.Findings {
		views[i] = newFindingView(cmd, f)
	}
	if err := printFindings(a, o.output, views); err != nil {
		return err
	}
	if n := report.Count(manager.SeverityError); n > 0 {
		return fault.Errorf(fault.Invalid, "checking %s: %s and %s found", s.dir, count(n, "error"), count(report.Count(manager.SeverityWarning), "warning"))
	}
	return nil
}

// count is "1 error", "2 errors".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// findingView is a finding as "ca check" prints it.
type findingView struct {
	Severity string   `json:"severity"` // "error", "warning" or "note"
	Check    string   `json:"check"`    // which of the checks found it
	Path     string   `json:"path"`
	Problem  string   `json:"problem"`
	Remedy   []string `json:"remedy"`       // what to do about it; empty once it is repaired
	Repaired string   `json:"repaired"`     // what --repair did; empty for nothing
	Error    string   `json:"repair_error"` // why it could not
	Project  string   `json:"project"`      // whose authority it is about; empty for the cluster's, and the root of projects
}

func newFindingView(cmd *cobra.Command, f manager.Finding) findingView {
	v := findingView{
		Severity: string(f.Severity), Check: f.Check, Path: f.Path,
		Problem: f.Err.Error(), Repaired: f.Mended, Project: manager.ProjectOf(f.Of),
	}
	if f.Failed != nil {
		v.Error = f.Failed.Error()
	}
	if f.Mended == "" {
		v.Remedy = remedies(cmd, f)
	}
	return v
}

// printFindings prints findings: for people one below the other, since what is wrong
// and what to do about it are sentences and commands, and no columns.
func printFindings(a *app, o output, views []findingView) error {
	if o.format != "" && o.format != formatTable {
		return list(a, o, each(views, func(v findingView) findingView { return v }))
	}
	var b strings.Builder
	for _, v := range views {
		whose := ""
		if v.Project != "" {
			whose = "project " + v.Project + ": "
		}
		fmt.Fprintf(&b, "%-7s  %-10s  %s%s\n", v.Severity, v.Check, whose, escape(v.Problem))
		more := v.Remedy
		if v.Error != "" {
			more = append([]string{"could not be repaired: " + v.Error}, more...)
		}
		if v.Repaired != "" {
			more = append([]string{"repaired: " + v.Repaired}, more...)
		}
		for _, line := range more {
			fmt.Fprintf(&b, "%21s%s\n", "", escape(line))
		}
	}
	if len(views) == 0 {
		b.WriteString("nothing is wrong\n")
	}
	if _, err := a.stdout.Write([]byte(b.String())); err != nil {
		return fmt.Errorf("writing the output: %w", err)
	}
	return nil
}
