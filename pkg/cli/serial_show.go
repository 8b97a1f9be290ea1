package cli

import (
	"context"

	"github.com/spf13/cobra"

	"x509ctl/pkg/manager"
	"x509ctl/pkg/serial"
)

type serialShowOptions struct {
	project string
	output  output
}

func newSerialShowCmd(a *app) *cobra.Command {
	var o serialShowOptions
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Show the serial counter and the minimum accepted serial",
		Long: `Show the serial counter and the minimum accepted serial: the highest number
ever reserved, the highest ever issued, what the next certificate gets at least,
and the lowest number that is still accepted.`,
		Example: `  # the minimum accepted serial, for a script
  x509ctl serial show -o json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runSerialShow(cmd.Context(), a, o)
		},
	}
	addProjectFlag(cmd, &o.project)
	addOutputFlag(cmd, &o.output)
	return cmd
}

func runSerialShow(ctx context.Context, a *app, o serialShowOptions) error {
	id, err := authorityOf(o.project)
	if err != nil {
		return err
	}
	svc, err := a.connect(ctx)
	if err != nil {
		return err
	}
	s, err := svc.Serial(ctx, id)
	if err != nil {
		return err
	}
	return show(a, o.output, newSerialView(s))
}

// serialView is a counter and its floor.
type serialView struct {
	Reserved  serial.Number `json:"reserved"`
	Last      serial.Number `json:"last"`
	Next      serial.Number `json:"next"`
	MinSerial serial.Floor  `json:"min_serial"`
}

func newSerialView(s manager.Serial) serialView {
	return serialView{s.Reserved, s.Last, s.Next, s.Floor}
}
