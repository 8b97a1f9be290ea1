package cli

import (
	"context"

	"github.com/spf13/cobra"

	"x509ctl/pkg/manager"
)

type nodeListOptions struct {
	output output
}

func newNodeListCmd(a *app) *cobra.Command {
	var o nodeListOptions
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the machines that may have certificates",
		Long:  `List the machines that may have certificates, by name.`,
		Example: `  # names only, for a script
  x509ctl node list --fields name --no-headers`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runNodeList(cmd.Context(), a, o)
		},
	}
	addListFlags(cmd, &o.output)
	return cmd
}

func runNodeList(ctx context.Context, a *app, o nodeListOptions) error {
	svc, err := a.connect(ctx)
	if err != nil {
		return err
	}
	nodes, err := svc.Nodes(ctx, manager.Cluster)
	if err != nil {
		return err
	}
	return list(a, o.output, each(nodes, newNodeView))
}
