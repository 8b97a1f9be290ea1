package cli

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"x509ctl/pkg/manager"
	"x509ctl/pkg/parallel"
	"x509ctl/pkg/profile"
)

type projectCreateOptions struct {
	ids       []string
	from      string
	name      string
	keyType   profile.KeyAlgorithm // empty: the setting
	ifMissing bool
	output    output
}

func newProjectCreateCmd(a *app) *cobra.Command {
	var o projectCreateOptions
	cmd := &cobra.Command{
		Use:   "create ID...",
		Short: "Make projects, each with an authority of its own",
		Long: `Make projects, each with an authority of its own: a CA, a serial counter, a minimum
accepted serial and a revocation list, which "ca", "cert" and "serial" commands work on
with --project ID. They are in projects/ID in the directory, the ID in lower case.

An ID has 1 to 64 ASCII letters, digits, hyphens and underscores and begins with a
letter or a digit. It is taken in every letter case.

The CA is signed by the root of all projects, which the first project makes. The
cluster's CA has no part in it: no certificate of a project is accepted by those who
trust the cluster, and the other way round. If the key of the cluster's CA is
encrypted, the keys of root and project are too, with the same passphrase.

Of several projects one that can't be made does not stop the others.`,
		Example: `  # a project, and its CA certificate
  x509ctl project create tenant1 --name 'The first tenant'
  x509ctl ca bundle --project tenant1

  # in a script that may run twice
  x509ctl project create tenant2 --if-missing

  # a thousand at once: one ID a line
  x509ctl project create --from tenants.txt`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.ids = args
			return runProjectCreate(cmd.Context(), a, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.from, "from", "", "read the ids from `FILE`, one a line; - is standard input")
	f.StringVar(&o.name, "name", "", "`NAME` of the project, for people; only with one ID")
	f.BoolVar(&o.ifMissing, "if-missing", false, "succeed when the project is there already")
	addKeyTypeFlag(cmd, &o.keyType, "type of the CA's key, and of the root's where it is made")
	addListFlags(cmd, &o.output)
	return cmd
}

// projectKind are projects, as arguments and in a file.
var projectKind = itemKind{"id", "projects", "the id of a project: ASCII letters, digits, hyphens and underscores, 64 characters at most", func(s string) error {
	_, err := profile.ParseProject(s)
	return err
}}

func runProjectCreate(ctx context.Context, a *app, o projectCreateOptions) error {
	keyType, err := a.keyType(o.keyType)
	if err != nil {
		return err
	}
	ids, err := a.itemsOf(o.ids, o.from, projectKind)
	if err != nil {
		return err
	}
	if o.name != "" && len(ids) > 1 {
		return usagef("--name is for one project, and %d are to be made", len(ids))
	}
	req := manager.CreateProjectRequest{Name: o.name, KeyAlgorithm: keyType, IfMissing: o.ifMissing}
	if len(ids) > 1 || o.from != "" {
		return createProjects(ctx, a, o, req, ids)
	}
	svc, err := a.connect(ctx)
	if err != nil {
		return err
	}
	req.ID = ids[0]
	p, err := svc.CreateProject(ctx, req)
	if err != nil && !isSpreadError(err) {
		return fmt.Errorf("creating project %q: %w", req.ID, err)
	}
	return afterChange(err, show(a, o.output, newProjectView(p)))
}

const (
	// createWorkers is how many projects are made at a time: most of it is waiting for the
	// disk, but nobody's commit can be that of two.
	createWorkers = 8
	// createChunk is how many projects one manager makes, which keeps their directories
	// open.
	createChunk = 500
)

// createProjects makes several projects, and prints those that there are then.
func createProjects(ctx context.Context, a *app, o projectCreateOptions, req manager.CreateProjectRequest, ids []string) error {
	bar := a.startBatchProgress(len(ids), "making projects")
	defer bar.done()
	failed := failures{total: len(ids)}
	var made []manager.Project
	for chunk := range slices.Chunk(ids, createChunk) {
		if ctx.Err() != nil {
			break
		}
		svc, err := a.connect(ctx)
		if err != nil {
			return err
		}
		results, errs := make([]manager.Project, len(chunk)), make([]error, len(chunk))
		parallel.Each(len(chunk), createWorkers, func(i int) {
			req := req
			req.ID = chunk[i]
			if errs[i] = ctx.Err(); errs[i] == nil {
				results[i], errs[i] = svc.CreateProject(ctx, req)
			}
			bar.add(1)
		})
		if err := svc.Close(); err != nil {
			return err
		}
		bar.clear()
		for i, err := range errs {
			if err == nil || isSpreadError(err) {
				made = append(made, results[i])
			}
			if err != nil && ctx.Err() == nil {
				err = fmt.Errorf("creating project %q: %w", chunk[i], err)
				if failed.add(err); failed.total > 1 {
					a.complain(err)
				}
			}
		}
	}
	bar.done()
	err := failed.err(projectKind.plural)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return afterItems(a, o.output, err, made, newProjectView)
}

// projectView is a project as "project create" prints it.
type projectView struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Created timestamp `json:"created"`
}

func newProjectView(p manager.Project) projectView { return projectView{p.ID, p.Name, at(p.Created)} }
