package cli

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/spf13/cobra"

	"x509ctl/pkg/manager"
)

type nodeAddOptions struct {
	name      string
	aliases   []string
	addresses []string
	ifMissing bool
	output    output
}

func newNodeAddCmd(a *app) *cobra.Command {
	var o nodeAddOptions
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Let a machine have certificates",
		Long: `Let a machine have certificates: under its name, its aliases and its addresses,
and under no other. Each of these belongs to one node only.`,
		Example: `  # a node with a short name and an address
  x509ctl node add node1.example.com --alias node1 --ip 192.0.2.1

  # in a script that may run twice
  x509ctl node add node2.example.com --if-missing`,
		Args: exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name = args[0]
			return runNodeAdd(cmd.Context(), a, o)
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&o.aliases, "alias", nil, "another `NAME` of the node (may be given again)")
	f.StringSliceVar(&o.addresses, "ip", nil, "an `ADDRESS` of the node (may be given again)")
	f.BoolVar(&o.ifMissing, "if-missing", false, "succeed when the same node is there already")
	addOutputFlag(cmd, &o.output)
	return cmd
}

func runNodeAdd(ctx context.Context, a *app, o nodeAddOptions) error {
	req := manager.AddNodeRequest{Authority: manager.Cluster, Name: o.name, Aliases: o.aliases, IfMissing: o.ifMissing}
	for _, text := range o.addresses {
		addr, err := netip.ParseAddr(text)
		if err != nil {
			return usagef("%q is not an IP address", text)
		}
		req.Addresses = append(req.Addresses, addr)
	}
	svc, err := a.connect(ctx)
	if err != nil {
		return err
	}
	n, err := svc.AddNode(ctx, req)
	if err != nil {
		return fmt.Errorf("adding node %q: %w", o.name, err)
	}
	return show(a, o.output, newNodeView(n))
}

// nodeView is a node as "node add" and "node list" print it.
type nodeView struct {
	Name      string    `json:"name"`
	Aliases   []string  `json:"aliases"`
	Addresses []string  `json:"addresses"`
	Created   timestamp `json:"created" table:"extra"`
}

func newNodeView(n manager.Node) nodeView {
	v := nodeView{Name: n.Name, Aliases: n.Aliases, Created: at(n.Created)}
	for _, addr := range n.Addresses {
		v.Addresses = append(v.Addresses, addr.String())
	}
	return v
}
