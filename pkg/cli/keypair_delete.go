package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"x509ctl/pkg/manager"
)

type keypairDeleteOptions struct {
	names  []string
	user   string // empty: whoever calls
	output output
}

func newKeypairDeleteCmd(a *app) *cobra.Command {
	var o keypairDeleteOptions
	cmd := &cobra.Command{
		Use:   "keypair-delete NAME...",
		Short: "Forget keypairs",
		Long: `Forget keypairs of a user. Guests that have the public half keep it, and the private
half is whoever's it was; the name is free again.

One that can't be deleted does not stop the others.`,
		Example: `  # two at once
  x509ctl keypair-delete laptop keypair1`,
		Args: minArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.names = args
			return runKeypairDelete(cmd.Context(), a, o)
		},
	}
	addUserFlag(cmd, &o.user)
	addListFlags(cmd, &o.output)
	return cmd
}

func runKeypairDelete(ctx context.Context, a *app, o keypairDeleteOptions) error {
	owner := a.owner(o.user)
	svc, err := a.connect(ctx)
	if err != nil {
		return err
	}
	failed := failures{total: len(o.names)}
	var gone []manager.Keypair
	for _, name := range o.names {
		k, err := svc.DeleteKeypair(ctx, owner, name)
		if err != nil {
			failed.add(err)
			if failed.total > 1 {
				a.complain(fmt.Errorf("deleting: %w", err))
			}
			continue
		}
		gone = append(gone, k)
	}
	if len(gone) > 0 || failed.n == 0 {
		if err := list(a, o.output, each(gone, newKeypairView)); err != nil {
			return err
		}
	}
	return failed.err("keypairs")
}
