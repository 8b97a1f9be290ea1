package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"x509ctl/pkg/manager"
	"x509ctl/pkg/serial"
)

type caCRLOptions struct {
	of     authorityFlags
	out    string
	ca     string
	der    bool
	output output
}

func newCACRLCmd(a *app) *cobra.Command {
	var o caCRLOptions
	cmd := &cobra.Command{
		Use:   "crl",
		Short: "Make and publish a new revocation list",
		Long: `Make a new certificate revocation list, publish it as crl.pem in the CA's
directory, and write it to stdout or a file, in PEM or in DER.

On the list are the certificates below the minimum accepted serial and those that
were revoked one by one, as long as they have not expired. Programs that know
nothing of the minimum accepted serial refuse them by it: nginx, HAProxy, OpenVPN,
curl, Java. Every change makes a new list by itself. A list is good for 7 days, so
this command has to be run at least that often, by cron or a timer for instance.

A CA that was replaced goes on signing a list of its own until it is retired. In PEM
all lists are written, the active CA's first; --ca picks one. All have the same
number, and the same certificates, because serial numbers are the authority's.

With --project the list is the project's, and that of the root of projects is published
anew with it. In PEM it stands behind the project's own, unless --ca picks one.

The number of a list is higher than that of all before, and at least the time in
seconds since 1970. Its extension 2.25.2094153072.1, an INTEGER that is not critical,
is the minimum accepted serial.`,
		Example: `  # once a day, from cron
  x509ctl ca crl > /dev/null

  # in DER, for a web server that hands it out
  x509ctl ca crl --der --out cluster.crl`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runCACRL(cmd.Context(), a, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.out, "out", "-", "write the list to `FILE`, which must not exist")
	f.StringVar(&o.ca, "ca", "", "write the list of the CA with this `SERIAL` number only")
	f.BoolVar(&o.der, "der", false, "write DER instead of PEM: one list, the active CA's unless --ca names another")
	addAuthorityFlags(cmd, &o.of)
	addOutputFlag(cmd, &o.output)
	return cmd
}

func runCACRL(ctx context.Context, a *app, o caCRLOptions) error {
	id, err := o.of.id()
	if err != nil {
		return err
	}
	svc, err := a.connect(ctx)
	if err != nil {
		return err
	}
	var files outfiles
	defer func() { files.discard() }()
	out, err := files.claim(a, "out", o.out, 0o644)
	if err := errors.Join(err, files.checkOutput(o.output, "--out")); err != nil {
		return err
	}
	var made manager.CRL
	var failed error // what out says of it is that it could not be written
	err = out.fill(func(w io.Writer) error {
		made, failed = svc.CRL(ctx, manager.CRLRequest{Authority: id, CA: o.ca, DER: o.der}, w)
		return failed
	})
	if failed != nil {
		err = fmt.Errorf("making a revocation list: %w", failed)
	}
	if err != nil || files.stdout() {
		return err
	}
	return show(a, o.output, crlView{
		Number: made.Number, ThisUpdate: at(made.ThisUpdate), NextUpdate: at(made.NextUpdate),
		Certificates: made.Entries, MinSerial: made.Floor, Issuers: made.Issuers, Out: o.out,
	})
}

// crlView is a revocation list as "ca crl" describes it.
type crlView struct {
	Number       int64        `json:"number"`
	ThisUpdate   timestamp    `json:"this_update"`
	NextUpdate   timestamp    `json:"next_update"`
	Certificates int          `json:"certificates"`
	MinSerial    serial.Floor `json:"min_serial"`
	Issuers      []string     `json:"issuers"`
	Out          string       `json:"out"`
}
