package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"x509ctl/pkg/manager"
)

type projectDeleteOptions struct {
	ids    []string
	force  bool
	yes    bool
	output output
}

func newProjectDeleteCmd(a *app) *cobra.Command {
	var o projectDeleteOptions
	cmd := &cobra.Command{
		Use:   "delete ID...",
		Short: "End projects for good",
		Long: `End projects for good. Nothing is issued for them any more, their CAs are revoked in the
list of the root of projects, they have no members, and their names for servers are
free. What was issued stays on record, and so do the ids: no other project gets one.

A project with live certificates is refused. With --force these are revoked. Then a last
revocation list is published: "x509ctl ca crl --project ID" and "x509ctl ca bundle" go on
to work for those who have to know, and "x509ctl project decrypt" for old secrets.

One that is refused does not stop the others. "x509ctl project list --all" has deleted
ones, too.`,
		Example: `  # without a question, with all of its certificates
  x509ctl project delete tenant1 --force --yes`,
		Args: minArgs("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.ids = args
			return runProjectDelete(cmd.Context(), a, o)
		},
	}
	cmd.Flags().BoolVar(&o.force, "force", false, "revoke live certificates")
	addYesFlag(cmd, &o.yes)
	addListFlags(cmd, &o.output)
	return cmd
}

func runProjectDelete(ctx context.Context, a *app, o projectDeleteOptions) error {
	svc, err := a.connect(ctx)
	if err != nil {
		return err
	}
	question := "Delete %s? Its id can't be used again."
	if o.force {
		question = "Delete %s, and revoke its certificates? This can't be undone."
	}
	if err := a.confirm(o.yes, fmt.Sprintf(question, "project "+strings.Join(o.ids, ", "))); err != nil {
		return err
	}
	a.catchSignals() // between two batches of certificates, not in one
	failed := failures{total: len(o.ids)}
	var gone []manager.DeletedProject
	for _, id := range o.ids {
		p, err := svc.DeleteProject(ctx, manager.DeleteProjectRequest{ID: id, Force: o.force})
		if err == nil || isSpreadError(err) {
			gone = append(gone, p)
		}
		if err == nil {
			continue
		}
		err = fmt.Errorf("deleting: %w", err)
		if failed.add(err); failed.total > 1 {
			a.complain(err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return afterItems(a, o.output, failed.err("projects"), gone, newDeletedProjectView)
}

// deletedProjectView is a project as "project delete" prints it.
type deletedProjectView struct {
	ID      string    `json:"id"`
	Deleted timestamp `json:"deleted"`
	Revoked int       `json:"revoked"` // certificates, its CAs' left out
}

func newDeletedProjectView(p manager.DeletedProject) deletedProjectView {
	return deletedProjectView{p.Project.ID, at(p.Project.Deleted), p.Revoked}
}
