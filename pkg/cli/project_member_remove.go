package cli

import (
	"context"

	"github.com/spf13/cobra"

	"x509ctl/pkg/manager"
)

type projectMemberRemoveOptions struct {
	users   []string
	from    string
	project string
	keep    bool
	yes     bool
	output  output
}

func newProjectMemberRemoveCmd(a *app) *cobra.Command {
	var o projectMemberRemoveOptions
	cmd := &cobra.Command{
		Use:   "member-remove USER...",
		Short: "Let users have no more certificates of a project",
		Long: `Let users have no more certificates of a project, and revoke those that they have. Then
a new revocation list is published.

With --keep-certs their certificates stay valid until they expire. Those for names of
servers are the project's: they stay in any case.

One that is refused does not stop the others.`,
		Example: `  # without a question
  x509ctl project member-remove alice --project tenant1 --yes`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.users = args
			return runProjectMemberRemove(cmd.Context(), a, o)
		},
	}
	f := cmd.Flags()
	addOfProjectFlag(cmd, &o.project)
	f.StringVar(&o.from, "from", "", "read the users from `FILE`, one a line; - is standard input")
	f.BoolVar(&o.keep, "keep-certs", false, "leave their certificates valid")
	addYesFlag(cmd, &o.yes)
	addListFlags(cmd, &o.output)
	return cmd
}

func runProjectMemberRemove(ctx context.Context, a *app, o projectMemberRemoveOptions) error {
	users, err := a.ofProject(o.project, o.users, o.from, userKind)
	if err != nil {
		return err
	}
	svc, err := a.connect(ctx)
	if err != nil {
		return err
	}
	if err := a.confirm(o.yes, removalQuestion(users, userKind, o.project, o.keep)); err != nil {
		return err
	}
	bar := a.startBatchProgress(len(users), "removing members")
	defer bar.done()
	done, err := eachItem(a, users, userKind.plural, func(users []string) ([]manager.Removed[manager.Member], error) {
		told := 0
		return svc.RemoveMembers(ctx, manager.RemoveMembersRequest{
			Project: o.project, Users: users, KeepCertificates: o.keep,
			Progress: func(n int) { bar.add(n - told); told = n },
		})
	}, func(r manager.Removed[manager.Member]) error { return r.Err })
	bar.done()
	return afterItems(a, o.output, err, done, func(r manager.Removed[manager.Member]) removedMemberView {
		return removedMemberView{r.Record.User, r.Live, r.Revoked}
	})
}

// removedMemberView is a member as "project member-remove" prints it: the live
// certificates that it had, and how many of these are revoked.
type removedMemberView struct {
	User         string `json:"user"`
	Certificates int    `json:"certificates"`
	Revoked      int    `json:"revoked"`
}
