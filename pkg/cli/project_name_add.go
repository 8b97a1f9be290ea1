package cli

import (
	"context"

	"github.com/spf13/cobra"

	"x509ctl/pkg/manager"
)

type projectNameAddOptions struct {
	names     []string
	from      string
	project   string
	ifMissing bool
	output    output
}

func newProjectNameAddCmd(a *app) *cobra.Command {
	var o projectNameAddOptions
	cmd := &cobra.Command{
		Use:   "name-add NAME...",
		Short: "Register names for servers of a project",
		Long: `Register names for servers of a project: DNS names and IP addresses, which admins of
the project may then have certificates for. Each belongs to one project only, in every
letter case, and it can't be a name of the cluster or of a node.

One that is refused does not stop the others.`,
		Example: `  # a server with an address
  x509ctl project name-add vpn.tenant1.example.org 198.51.100.7 --project tenant1`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.names = args
			return runProjectNameAdd(cmd.Context(), a, o)
		},
	}
	f := cmd.Flags()
	addOfProjectFlag(cmd, &o.project)
	f.StringVar(&o.from, "from", "", "read the names from `FILE`, one a line; - is standard input")
	f.BoolVar(&o.ifMissing, "if-missing", false, "succeed for those that the project has already")
	addListFlags(cmd, &o.output)
	return cmd
}

func runProjectNameAdd(ctx context.Context, a *app, o projectNameAddOptions) error {
	names, err := a.ofProject(o.project, o.names, o.from, nameKind)
	if err != nil {
		return err
	}
	svc, err := a.connect(ctx)
	if err != nil {
		return err
	}
	done, err := eachItem(a, names, nameKind.plural, func(names []string) ([]manager.ProjectNameResult, error) {
		return svc.AddProjectNames(ctx, manager.AddProjectNamesRequest{Project: o.project, Names: names, IfMissing: o.ifMissing})
	}, func(r manager.ProjectNameResult) error { return r.Err })
	return afterItems(a, o.output, err, done, func(r manager.ProjectNameResult) projectNameView { return newProjectNameView(r.Name) })
}

// nameKind are names of servers, as arguments and in a file.
var nameKind = itemKind{"name", "names", "a DNS name or an IP address", manager.CheckServerName}

// projectNameView is a name as "project name-add" and "project name-list" print it.
type projectNameView struct {
	Name  string    `json:"name"`
	Added timestamp `json:"added"`
}

func newProjectNameView(n manager.ProjectName) projectNameView {
	return projectNameView{n.Name, at(n.Added)}
}
