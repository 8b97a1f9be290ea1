package cli

import (
	"context"

	"github.com/spf13/cobra"
)

type dbMigrateOptions struct {
	output output
}

func newDBMigrateCmd(a *app) *cobra.Command {
	var o dbMigrateOptions
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the database up to date with this version",
		Long: `Bring the database up to date with this version of x509ctl. One that is up to
date stays as it is. There is no way back but a backup.`,
		Example: `  # after an upgrade
  x509ctl db migrate`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDBMigrate(cmd.Context(), a, o)
		},
	}
	addOutputFlag(cmd, &o.output)
	return cmd
}

func runDBMigrate(ctx context.Context, a *app, o dbMigrateOptions) error {
	svc, err := a.connect(ctx)
	if err != nil {
		return err
	}
	if err := svc.Migrate(ctx); err != nil {
		return err
	}
	return runDBStatus(ctx, a, dbStatusOptions(o))
}
