package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"x509ctl/pkg/manager"
	"x509ctl/pkg/serial"
)

type serialSetMinOptions struct {
	to     string
	dryRun bool
	output output
}

func newSerialSetMinCmd(a *app) *cobra.Command {
	var o serialSetMinOptions
	cmd := &cobra.Command{
		Use:   "set-min NUMBER|last|next",
		Short: "Raise the minimum accepted serial number",
		Long: `Raise the minimum accepted serial number: every certificate with a lower one is
refused from now on, and none below it is issued any more.

"last" is the number of the latest certificate, which stays accepted. "next" is
one more: everything issued so far is out. When a private key was lost, take the
lost certificate's number plus one, or "next" when in doubt.

The number only rises, and never beyond "next". With --dry-run nothing is changed,
and the live certificates that would be cut off are listed.

When the number is in force, a new revocation list is published and change_hook is
run. If that fails, the exit status is 1 and the number stays in force.`,
		Example: `  # who would be cut off?
  x509ctl serial set-min next --dry-run

  # everything issued so far is out
  x509ctl serial set-min next`,
		Args: exactArgs("NUMBER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.to = args[0]
			return runSerialSetMin(cmd.Context(), a, o)
		},
		ValidArgs: []string{"last", "next"},
	}
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "change nothing, but list who would be cut off")
	addListFlags(cmd, &o.output)
	return cmd
}

func runSerialSetMin(ctx context.Context, a *app, o serialSetMinOptions) error {
	req, err := minRequest(o)
	if err != nil {
		return err
	}
	svc, err := a.connect(ctx)
	if err != nil {
		return err
	}
	result, err := svc.SetMinSerial(ctx, req)
	if err != nil && !isSpreadError(err) {
		return fmt.Errorf("setting min-serial: %w", err)
	}
	if !o.dryRun {
		return afterChange(err, show(a, o.output, minSerialView{result.Before, result.After}))
	}
	if n := result.CutOff; n > len(result.Sample) {
		a.note("%d live certificates would be cut off; these are the first %d", n, len(result.Sample))
	}
	return list(a, o.output, func(yield func(cutOffView) error) error {
		for _, c := range result.Sample {
			if err := yield(cutOffView{c.Serial, c.CommonName, c.Holder, at(c.NotAfter)}); err != nil {
				return err
			}
		}
		return nil
	})
}

func minRequest(o serialSetMinOptions) (manager.SetMinRequest, error) {
	req := manager.SetMinRequest{Authority: manager.Cluster, DryRun: o.dryRun}
	switch o.to {
	case "last":
		req.To = manager.MinLast
	case "next":
		req.To = manager.MinNext
	default:
		n, err := serial.Parse(o.to)
		if err != nil {
			return req, fmt.Errorf(`reading NUMBER, which is also "last" or "next": %w`, err)
		}
		req.Number = n
	}
	return req, nil
}

// minSerialView is the floor as "serial set-min" prints it.
type minSerialView struct {
	Before serial.Floor `json:"before"`
	After  serial.Floor `json:"min_serial"`
}

// cutOffView is a certificate as "serial set-min --dry-run" lists it.
type cutOffView struct {
	Serial     serial.Number `json:"serial"`
	CommonName string        `json:"common_name"`
	Holder     string        `json:"holder"`
	NotAfter   timestamp     `json:"not_after"`
}
