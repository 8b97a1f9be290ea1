package cli

import (
	"context"

	"github.com/spf13/cobra"
)

type dbStatusOptions struct {
	output output
}

func newDBStatusCmd(a *app) *cobra.Command {
	var o dbStatusOptions
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show whether the database fits this version",
		Long: `Show whether the database fits this version of x509ctl: the version of its
schema, and the one that this x509ctl works with.`,
		Example: `  # is "x509ctl db migrate" needed?
  x509ctl db status -o json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDBStatus(cmd.Context(), a, o)
		},
	}
	addOutputFlag(cmd, &o.output)
	return cmd
}

func runDBStatus(ctx context.Context, a *app, o dbStatusOptions) error {
	svc, err := a.connect(ctx)
	if err != nil {
		return err
	}
	have, want, err := svc.Schema(ctx)
	if err != nil {
		return err
	}
	return show(a, o.output, dbView{have, want, have == want})
}

// dbView is the database's schema as "db status" and "db migrate" print it.
type dbView struct {
	Schema  int64 `json:"schema"`
	Wanted  int64 `json:"wanted"`
	Current bool  `json:"current"`
}
