package cli

import (
	"context"

	"github.com/spf13/cobra"

	"x509ctl/pkg/manager"
)

type projectListOptions struct {
	output output
}

func newProjectListCmd(a *app) *cobra.Command {
	var o projectListOptions
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the projects",
		Long:  `List the projects, by id without regard to letter case.`,
		Example: `  # ids only, for a script
  x509ctl project list --fields id --no-headers`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runProjectList(cmd.Context(), a, o)
		},
	}
	addListFlags(cmd, &o.output)
	return cmd
}

func runProjectList(ctx context.Context, a *app, o projectListOptions) error {
	svc, err := a.connect(ctx)
	if err != nil {
		return err
	}
	return list(a, o.output, func(yield func(projectView) error) error {
		return svc.Projects(ctx, func(p manager.Project) error { return yield(newProjectView(p)) })
	})
}
