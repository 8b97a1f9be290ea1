package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"x509ctl/pkg/manager"
	"x509ctl/pkg/serial"
)

type serialSetMinOptions struct {
	project string
	to      string
	dryRun  bool
	reissue reissueOptions
	output  output
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
run. If that fails, the exit status is 1 and the number stays in force.

With --reissue each live certificate that is cut off gets a successor in the same
pass, with the same names and the same key as on record, in a new file of --out-dir,
NAME-SERIAL.pem. Of several with the same names and key only the newest gets one, and
none that has a newer one already. Keys that are lost have to be named with --except,
or --no-key-lost says that there are none. A lost key gets no successor: its
certificates are revoked with the reason keyCompromise, and it is blocked for ever, as
by "x509ctl cert revoke". A NAME stands for all certificates that are cut off and have
that name or belong to the node of that name, and all their keys.

Names are approved anew: whose node was removed, or whose name is another node's now,
gets nothing, and the others go on. The exit status is that of the first one that
failed. A name that was allowed by --allow-name stays allowed for the successor, and
is told on stderr. The lifetime is not that of the old certificate, but --lifetime.

A reissue that was interrupted, or of which a part failed, is not finished, and goes on
when the command is run again with the same arguments: the number is not raised again,
a file that is there is skipped, and a certificate that is on record and did not
reach its file is written. With other arguments a new one begins, which takes up what
was left. One of the cluster that is not finished is forgotten after a week.`,
		Example: `  # who would be cut off?
  x509ctl serial set-min next --dry-run

  # everything issued so far is out
  x509ctl serial set-min next

  # the key of node2 was lost: new certificates for all others, in one pass
  mkdir certs
  x509ctl serial set-min next --reissue --except node2.example.com --out-dir certs`,
		Args: exactArgs("NUMBER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.to = args[0]
			return runSerialSetMin(cmd.Context(), a, o)
		},
		ValidArgs: []string{"last", "next"},
	}
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "change nothing, but list who would be cut off, or with --reissue what would be signed")
	addReissueFlags(cmd, &o.reissue)
	addProjectFlag(cmd, &o.project)
	addListFlags(cmd, &o.output)
	return cmd
}

func runSerialSetMin(ctx context.Context, a *app, o serialSetMinOptions) error {
	req, err := minRequest(o)
	if err == nil {
		err = o.reissue.check(o.dryRun)
	}
	if err != nil {
		return err
	}
	svc, err := a.connect(ctx)
	if err != nil {
		return err
	}
	if o.reissue.wanted {
		return runReissue(ctx, a, svc, req, o)
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
	id, err := authorityOf(o.project)
	if err != nil {
		return manager.SetMinRequest{}, err
	}
	req := manager.SetMinRequest{Authority: id, DryRun: o.dryRun}
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
