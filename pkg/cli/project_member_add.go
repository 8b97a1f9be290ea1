package cli

import (
	"context"

	"github.com/spf13/cobra"

	"x509ctl/pkg/manager"
	"x509ctl/pkg/profile"
)

type projectMemberAddOptions struct {
	users     []string
	from      string
	project   string
	role      string // empty: that of a member, or none other than there is
	ifMissing bool
	output    output
}

func newProjectMemberAddCmd(a *app) *cobra.Command {
	var o projectMemberAddOptions
	cmd := &cobra.Command{
		Use:   "member-add USER...",
		Short: "Let users have certificates of a project",
		Long: `Let users have certificates of a project, each in its own name: the id of the USER is
the certificate's common name. With the role admin, they may also have those of
servers, for the names that "project name-add" registers.

An id has 1 to 64 ASCII letters, digits and the characters ._@+- and begins with a
letter or a digit, and ends in no dot: Keystone's ids, mail addresses and account names
are such. It is taken in every letter case, and it can't be a name of the cluster or of
a node.

To add a member again with another --role changes the role, without --role or with the
same it is an error; with --if-missing it is none. One that is refused does not stop the
others.`,
		Example: `  # two members, one of whom may have certificates for servers
  x509ctl project member-add alice bob@example.com --project tenant1
  x509ctl project member-add alice --project tenant1 --role admin

  # in a script that may run twice: one user a line
  x509ctl project member-add --project tenant1 --from users.txt --if-missing`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.users = args
			return runProjectMemberAdd(cmd.Context(), a, o)
		},
	}
	f := cmd.Flags()
	addOfProjectFlag(cmd, &o.project)
	f.StringVar(&o.from, "from", "", "read the users from `FILE`, one a line; - is standard input")
	f.StringVar(&o.role, "role", "", "`ROLE` in the project: member or admin (default member)")
	f.BoolVar(&o.ifMissing, "if-missing", false, "succeed for those who are members already")
	addListFlags(cmd, &o.output)
	completeWords(cmd, "role", string(manager.RoleMember), string(manager.RoleAdmin))
	return cmd
}

func runProjectMemberAdd(ctx context.Context, a *app, o projectMemberAddOptions) error {
	role := manager.Role(o.role)
	if role != "" && role != manager.RoleMember && role != manager.RoleAdmin {
		return usagef("%q is no role: member or admin is wanted", o.role)
	}
	users, err := a.ofProject(o.project, o.users, o.from, userKind)
	if err != nil {
		return err
	}
	svc, err := a.connect(ctx)
	if err != nil {
		return err
	}
	done, err := eachItem(a, users, userKind.plural, func(users []string) ([]manager.MemberResult, error) {
		return svc.AddMembers(ctx, manager.AddMembersRequest{Project: o.project, Users: users, Role: role, IfMissing: o.ifMissing})
	}, func(r manager.MemberResult) error { return r.Err })
	return afterItems(a, o.output, err, done, func(r manager.MemberResult) memberView { return newMemberView(r.Member) })
}

// userKind are users, as arguments and in a file.
var userKind = itemKind{"user", "users", "the id of a user: ASCII letters, digits and ._@+-, 64 characters at most", func(s string) error {
	_, err := profile.ParseUser(s)
	return err
}}

// memberView is a member as "project member-add" and "project member-list" print it.
type memberView struct {
	User  string    `json:"user"`
	Role  string    `json:"role"`
	Added timestamp `json:"added"`
}

func newMemberView(m manager.Member) memberView {
	return memberView{m.User, string(m.Role), at(m.Added)}
}
