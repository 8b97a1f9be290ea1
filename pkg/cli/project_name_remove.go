package cli

import (
	"context"

	"github.com/spf13/cobra"

	"x509ctl/pkg/manager"
)

type projectNameRemoveOptions struct {
	names   []string
	project string
	keep    bool
	yes     bool
	output  output
}

func newProjectNameRemoveCmd(a *app) *cobra.Command {
	var o projectNameRemoveOptions
	cmd := &cobra.Command{
		Use:   "name-remove NAME...",
		Short: "Take names of servers from a project",
		Long: `Take names of servers from a project, and revoke the certificates that have them, for
they can be somebody else's next. Then a new revocation list is published.

With --keep-certs the certificates stay valid until they expire. One that is refused
does not stop the others.`,
		Example: `  # without a question
  x509ctl project name-remove vpn.tenant1.example.org --project tenant1 --yes`,
		Args: minArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.names = args
			return runProjectNameRemove(cmd.Context(), a, o)
		},
	}
	addOfProjectFlag(cmd, &o.project)
	cmd.Flags().BoolVar(&o.keep, "keep-certs", false, "leave their certificates valid")
	addYesFlag(cmd, &o.yes)
	addListFlags(cmd, &o.output)
	return cmd
}

func runProjectNameRemove(ctx context.Context, a *app, o projectNameRemoveOptions) error {
	if err := wantProject(o.project); err != nil {
		return err
	}
	svc, err := a.connect(ctx)
	if err != nil {
		return err
	}
	if err := a.confirm(o.yes, removalQuestion(o.names, nameKind, o.project, o.keep)); err != nil {
		return err
	}
	done, err := eachItem(a, o.names, nameKind.plural, func(names []string) ([]manager.Removed[manager.ProjectName], error) {
		return svc.RemoveProjectNames(ctx, manager.RemoveProjectNamesRequest{Project: o.project, Names: names, KeepCertificates: o.keep})
	}, func(r manager.Removed[manager.ProjectName]) error { return r.Err })
	return afterItems(a, o.output, err, done, func(r manager.Removed[manager.ProjectName]) removedNameView {
		return removedNameView{r.Record.Name, r.Live, r.Revoked}
	})
}

// removedNameView is a name as "project name-remove" prints it: the live certificates
// that it was in, and how many of these are revoked.
type removedNameView struct {
	Name         string `json:"name"`
	Certificates int    `json:"certificates"`
	Revoked      int    `json:"revoked"`
}
