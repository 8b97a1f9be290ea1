package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"x509ctl/pkg/manager"
)

// defaultPruneAge is how long certificates stay on record after they expired.
const defaultPruneAge = 30 * day

type certPruneOptions struct {
	project   string
	olderThan time.Duration // zero: defaultPruneAge
	dryRun    bool
	yes       bool
	output    output
}

func newCertPruneCmd(a *app) *cobra.Command {
	var o certPruneOptions
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Forget certificates that expired long ago",
		Long: `Forget certificates that expired long ago, a month unless --older-than says
otherwise, and at least a day. CA certificates stay on record, and serial numbers are
never used again.

It asks before it forgets, unless --yes is given; with --dry-run it only counts.`,
		Example: `  # from cron
  x509ctl cert prune --older-than 90d --yes`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runCertPrune(cmd.Context(), a, o)
		},
	}
	f := cmd.Flags()
	addProjectFlag(cmd, &o.project)
	durationVar(f, &o.olderThan, "older-than", "forget what expired longer ago (default "+formatDuration(defaultPruneAge)+")")
	f.BoolVar(&o.dryRun, "dry-run", false, "only count")
	addYesFlag(cmd, &o.yes)
	addOutputFlag(cmd, &o.output)
	return cmd
}

func runCertPrune(ctx context.Context, a *app, o certPruneOptions) error {
	if o.olderThan == 0 {
		o.olderThan = defaultPruneAge
	}
	id, err := authorityOf(o.project)
	if err != nil {
		return err
	}
	svc, err := a.connect(ctx)
	if err != nil {
		return err
	}
	req := manager.PruneRequest{Authority: id, Before: a.now().Add(-o.olderThan), DryRun: true}
	n, err := svc.Prune(ctx, req)
	if err != nil {
		return fmt.Errorf("counting what can be forgotten: %w", err)
	}
	v := pruneView{Certificates: n, ExpiredBefore: at(req.Before), DryRun: o.dryRun}
	if o.dryRun || n == 0 {
		return show(a, o.output, v)
	}
	question := fmt.Sprintf("Forget %d certificates that expired before %s?", n, req.Before.Local().Format(time.DateTime))
	if err := a.confirm(o.yes, question); err != nil {
		return err
	}
	bar := a.startProgress(n, "forgetting")
	defer bar.done()
	told := 0
	req.DryRun, req.Progress = false, func(total int) {
		bar.add(total - told)
		told = total
	}
	v.Certificates, err = svc.Prune(ctx, req)
	if err != nil {
		return fmt.Errorf("forgetting certificates, after %d: %w", v.Certificates, err)
	}
	bar.done()
	return show(a, o.output, v)
}

// pruneView says what "cert prune" forgot, or would forget.
type pruneView struct {
	Certificates  int       `json:"certificates"`
	ExpiredBefore timestamp `json:"expired_before"`
	DryRun        bool      `json:"dry_run"`
}
