package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"x509ctl/pkg/durable"
	"x509ctl/pkg/manager"
	"x509ctl/pkg/serial"
)

type serialRecoverOptions struct {
	project  string
	atLeast  string
	from     []string
	restored bool
	keepMin  bool
	yes      bool
	output   output
}

func newSerialRecoverCmd(a *app) *cobra.Command {
	var o serialRecoverOptions
	cmd := &cobra.Command{
		Use:   "recover",
		Short: "Go on counting after the directory was restored, copied or damaged",
		Long: `Go on counting where x509ctl refuses to, because the counter may have gone back
in time: after a restore of the whole directory, a copy to another place or
machine, a lost or damaged serial file.

Say what is known of the highest serial number that was ever used: --at-least
gives it, --from reads it from other copies of the serial file (of the master
candidates, for instance). The largest of these and of what is in the directory is
taken. With --restored nobody knows, and the count jumps to where the clock is:
1,024 numbers for each millisecond since 1970, more than any count comes to. So it
never meets numbers that were used before, however often one state is restored.

Certificates may exist that the database does not know. So the minimum accepted
serial number moves past all of them, and all certificates have to be issued anew,
unless --keep-min-serial says that there are none.

Projects count for themselves. With --restored their counts jump as well; with
--at-least and --from, which are about the cluster's, those of them do that refuse to
go on. With --project the count of that project is meant, and no other.`,
		Example: `  # all of the directory was restored from a tar archive
  x509ctl serial recover --restored --yes

  # another machine has a newer copy of the serial file
  x509ctl serial recover --from serial.node2 --yes`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runSerialRecover(cmd.Context(), a, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.atLeast, "at-least", "", "`NUMBER` that was used at most")
	f.StringArrayVar(&o.from, "from", nil, "`FILE` with a serial number, a copy of the serial file; may be given again")
	f.BoolVar(&o.restored, "restored", false, "nobody knows: jump to where the clock is")
	f.BoolVar(&o.keepMin, "keep-min-serial", false, "no certificate exists that the database does not know")
	addYesFlag(cmd, &o.yes)
	addProjectFlag(cmd, &o.project)
	addOutputFlag(cmd, &o.output)
	return cmd
}

func runSerialRecover(ctx context.Context, a *app, o serialRecoverOptions) error {
	id, err := authorityOf(o.project)
	if err != nil {
		return err
	}
	req := manager.RecoverRequest{Authority: id, KeepFloor: o.keepMin}
	known, err := knownSerial(o.atLeast, o.from)
	if err != nil {
		return err
	}
	if (known == 0) != o.restored {
		return usagef("either --restored or what is known, with --at-least or --from, is needed")
	}
	req.AtLeast = known
	question := "Go on counting? All certificates issued so far will be refused."
	if o.keepMin {
		question = "Go on counting, and accept the certificates issued so far?"
	}
	if err := a.confirm(o.yes, question); err != nil {
		return err
	}
	svc, err := a.connect(ctx)
	if err != nil {
		return err
	}
	s, err := svc.RecoverSerial(ctx, req)
	if err != nil {
		return fmt.Errorf("recovering the count: %w", err)
	}
	return show(a, o.output, newSerialView(s))
}

// knownSerial returns the largest of a number and of the numbers in files; 0 when
// there are none.
func knownSerial(atLeast string, files []string) (known serial.Number, err error) {
	if atLeast != "" {
		if known, err = serial.Parse(atLeast); err != nil {
			return 0, fmt.Errorf("reading --at-least: %w", err)
		}
	}
	for _, name := range files {
		b, err := durable.ReadInput(name, 64)
		if err != nil {
			return 0, fmt.Errorf("reading --from: %w", err)
		}
		n, err := serial.ParseFile(b)
		if err != nil {
			return 0, fmt.Errorf("reading --from %s: %w", name, err)
		}
		known = max(known, n)
	}
	return known, nil
}
