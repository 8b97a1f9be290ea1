package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"x509ctl/pkg/manager"
	"x509ctl/pkg/serial"
)

type nodeRemoveOptions struct {
	name   string
	yes    bool
	output output
}

func newNodeRemoveCmd(a *app) *cobra.Command {
	var o nodeRemoveOptions
	cmd := &cobra.Command{
		Use:   "remove NAME",
		Short: "Let a machine have no more certificates",
		Long: `Let a machine have no more certificates, and list those that it still has. They
stay valid until they expire, or until "x509ctl serial set-min" cuts them off.`,
		Example: `  # without a question
  x509ctl node remove node1.example.com --yes`,
		Args: exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name = args[0]
			return runNodeRemove(cmd.Context(), a, o)
		},
	}
	addYesFlag(cmd, &o.yes)
	addListFlags(cmd, &o.output)
	return cmd
}

func runNodeRemove(ctx context.Context, a *app, o nodeRemoveOptions) error {
	svc, err := a.connect(ctx)
	if err != nil {
		return err
	}
	if err := a.confirm(o.yes, fmt.Sprintf("Remove node %q?", o.name)); err != nil {
		return err
	}
	gone, err := svc.RemoveNode(ctx, manager.Cluster, o.name)
	if err != nil {
		return fmt.Errorf("removing node %q: %w", o.name, err)
	}
	return list(a, o.output, each(gone.Live, newLiveView))
}

// liveView is a certificate that outlives its node, as "node remove" prints it.
type liveView struct {
	Serial     serial.Number `json:"serial"`
	CommonName string        `json:"common_name"`
	NotAfter   timestamp     `json:"not_after"`
}

func newLiveView(c manager.Certificate) liveView {
	return liveView{c.Serial, c.CommonName, at(c.NotAfter)}
}
