package cli

import (
	"context"

	"github.com/spf13/cobra"

	"x509ctl/pkg/manager"
)

type projectMemberListOptions struct {
	project string
	output  output
}

func newProjectMemberListCmd(a *app) *cobra.Command {
	var o projectMemberListOptions
	cmd := &cobra.Command{
		Use:   "member-list",
		Short: "List the members of a project",
		Long:  `List the members of a project, by id without regard to letter case.`,
		Example: `  # ids only, for a script
  x509ctl project member-list --project tenant1 --fields user --no-headers`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runProjectMemberList(cmd.Context(), a, o)
		},
	}
	addOfProjectFlag(cmd, &o.project)
	addListFlags(cmd, &o.output)
	return cmd
}

func runProjectMemberList(ctx context.Context, a *app, o projectMemberListOptions) error {
	if err := wantProject(o.project); err != nil {
		return err
	}
	svc, err := a.connect(ctx)
	if err != nil {
		return err
	}
	return list(a, o.output, func(yield func(memberView) error) error {
		return svc.Members(ctx, o.project, func(m manager.Member) error { return yield(newMemberView(m)) })
	})
}
