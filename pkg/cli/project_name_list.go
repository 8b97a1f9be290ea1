package cli

import (
	"context"

	"github.com/spf13/cobra"

	"x509ctl/pkg/manager"
)

type projectNameListOptions struct {
	project string
	output  output
}

func newProjectNameListCmd(a *app) *cobra.Command {
	var o projectNameListOptions
	cmd := &cobra.Command{
		Use:   "name-list",
		Short: "List the names of servers of a project",
		Long: `List the names of servers that are registered with a project, without regard to letter
case.`,
		Example: `  # nothing else, for a script
  x509ctl project name-list --project tenant1 --fields name --no-headers`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runProjectNameList(cmd.Context(), a, o)
		},
	}
	addOfProjectFlag(cmd, &o.project)
	addListFlags(cmd, &o.output)
	return cmd
}

func runProjectNameList(ctx context.Context, a *app, o projectNameListOptions) error {
	if err := wantProject(o.project); err != nil {
		return err
	}
	svc, err := a.connect(ctx)
	if err != nil {
		return err
	}
	return list(a, o.output, func(yield func(projectNameView) error) error {
		return svc.ProjectNames(ctx, o.project, func(n manager.ProjectName) error { return yield(newProjectNameView(n)) })
	})
}
