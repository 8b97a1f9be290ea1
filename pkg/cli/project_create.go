package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"x509ctl/pkg/manager"
	"x509ctl/pkg/profile"
)

type projectCreateOptions struct {
	id        string
	name      string
	keyType   profile.KeyAlgorithm // empty: the setting
	ifMissing bool
	output    output
}

func newProjectCreateCmd(a *app) *cobra.Command {
	var o projectCreateOptions
	cmd := &cobra.Command{
		Use:   "create ID",
		Short: "Make a project with an authority of its own",
		Long: `Make a project with an authority of its own: a CA, a serial counter, a minimum
accepted serial and a revocation list, which "ca" and "serial" commands work on with
--project ID. They are in projects/ID in the directory, the ID in lower case.

An ID has 1 to 64 ASCII letters, digits, hyphens and underscores and begins with a
letter or a digit. It is taken in every letter case.

The CA is signed by the root of all projects, which the first project makes. The
cluster's CA has no part in it: no certificate of a project is accepted by those who
trust the cluster, and the other way round. If the key of the cluster's CA is
encrypted, the keys of root and project are too, with the same passphrase.`,
		Example: `  # a project, and its CA certificate
  x509ctl project create tenant1 --name 'The first tenant'
  x509ctl ca bundle --project tenant1

  # in a script that may run twice
  x509ctl project create tenant2 --if-missing`,
		Args: exactArgs("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.id = args[0]
			return runProjectCreate(cmd.Context(), a, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.name, "name", "", "`NAME` of the project, for people")
	f.BoolVar(&o.ifMissing, "if-missing", false, "succeed when the project is there already")
	addKeyTypeFlag(cmd, &o.keyType, "type of the CA's key, and of the root's where it is made")
	addOutputFlag(cmd, &o.output)
	return cmd
}

func runProjectCreate(ctx context.Context, a *app, o projectCreateOptions) error {
	keyType, err := a.keyType(o.keyType)
	if err != nil {
		return err
	}
	svc, err := a.connect(ctx)
	if err != nil {
		return err
	}
	p, err := svc.CreateProject(ctx, manager.CreateProjectRequest{ID: o.id, Name: o.name, KeyAlgorithm: keyType, IfMissing: o.ifMissing})
	if err != nil && !isSpreadError(err) {
		return fmt.Errorf("creating project %q: %w", o.id, err)
	}
	return afterChange(err, show(a, o.output, newProjectView(p)))
}

// projectView is a project as "project create" prints it.
type projectView struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Created timestamp `json:"created"`
}

func newProjectView(p manager.Project) projectView { return projectView{p.ID, p.Name, at(p.Created)} }
