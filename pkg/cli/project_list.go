package cli

import (
	"context"

	"github.com/spf13/cobra"

	"x509ctl/pkg/manager"
)

type projectListOptions struct {
	all    bool
	output output
}

func newProjectListCmd(a *app) *cobra.Command {
	var o projectListOptions
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the projects",
		Long: `List the projects, by id without regard to letter case. Deleted ones are left out unless
--all asks for them.`,
		Example: `  # ids only, for a script
  x509ctl project list --fields id --no-headers`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runProjectList(cmd.Context(), a, o)
		},
	}
	cmd.Flags().BoolVar(&o.all, "all", false, "deleted ones, too")
	addListFlags(cmd, &o.output)
	return cmd
}

func runProjectList(ctx context.Context, a *app, o projectListOptions) error {
	svc, err := a.connect(ctx)
	if err != nil {
		return err
	}
	if o.all && o.output.fields == "" {
		o.output.fields = "id,name,created,deleted" // so that nobody takes a deleted one for another
	}
	return list(a, o.output, func(yield func(listedProjectView) error) error {
		return svc.Projects(ctx, func(p manager.Project) error {
			if !p.Deleted.IsZero() && !o.all {
				return nil
			}
			return yield(listedProjectView{p.ID, p.Name, at(p.Created), at(p.Deleted)})
		})
	})
}

// listedProjectView is a project as "project list" prints it.
type listedProjectView struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Created timestamp `json:"created"`
	Deleted timestamp `json:"deleted" table:"extra"` // null: it is not
}
