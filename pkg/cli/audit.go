package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"x509ctl/pkg/manager"
)

type auditOptions struct {
	since  time.Duration // zero: from the beginning
	action string
	after  int64
	limit  int
	last   int
	output output
}

func newAuditCmd(a *app) *cobra.Command {
	var o auditOptions
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "List who did what, and what came of it",
		Long: `List who did what, and what came of it: every certificate issued, every refusal,
every change of the CA, the nodes and the minimum accepted serial, oldest first.`,
		Example: `  # what was refused in the last week
  x509ctl audit --since 7d -o csv | grep refused

  # what happened just now
  x509ctl audit --last 20

  # a page of entries, and the one after it
  x509ctl audit --limit 100
  x509ctl audit --limit 100 --after 100`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runAudit(cmd.Context(), a, o)
		},
	}
	f := cmd.Flags()
	durationVar(f, &o.since, "since", "only what happened in the last DURATION")
	f.StringVar(&o.action, "action", "", "only this `ACTION`")
	f.Int64Var(&o.after, "after", 0, "only entries after the one with this `ID`")
	f.IntVar(&o.limit, "limit", 0, "at most `NUMBER` entries (default all)")
	f.IntVar(&o.last, "last", 0, "only the last `NUMBER` entries (default all)")
	addListFlags(cmd, &o.output)
	return cmd
}

func runAudit(ctx context.Context, a *app, o auditOptions) error {
	if o.after < 0 || o.limit < 0 || o.last < 0 {
		return usagef("--after, --limit and --last are not below zero")
	}
	if o.limit > 0 && o.last > 0 {
		return usagef("--limit and --last exclude each other")
	}
	svc, err := a.connect(ctx)
	if err != nil {
		return err
	}
	filter := manager.AuditFilter{After: o.after, Action: o.action, Limit: o.limit, Last: o.last}
	if o.since != 0 {
		filter.Since = a.now().Add(-o.since)
	}
	return list(a, o.output, func(yield func(auditView) error) error {
		return svc.Audit(ctx, filter, func(e manager.AuditEntry) error { return yield(newAuditView(e)) })
	})
}

// auditView is one entry of the audit table.
type auditView struct {
	ID      int64     `json:"id"`
	Time    timestamp `json:"time"`
	Who     string    `json:"who"`
	From    string    `json:"from" table:"extra"`
	Action  string    `json:"action"`
	Object  string    `json:"object"`
	Outcome string    `json:"outcome"`
	Detail  string    `json:"detail"`
}

func newAuditView(e manager.AuditEntry) auditView {
	return auditView{e.ID, at(e.Time), e.Who, e.From, e.Action, e.Object, e.Outcome, e.Detail}
}
