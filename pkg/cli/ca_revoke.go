package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"x509ctl/pkg/manager"
	"x509ctl/pkg/profile"
)

type caRevokeOptions struct {
	project string
	ca      string
	reason  reasonValue
	yes     bool
	output  output
}

func newCARevokeCmd(a *app) *cobra.Command {
	o := caRevokeOptions{reason: reasonValue(profile.Unspecified)}
	cmd := &cobra.Command{
		Use:   "revoke",
		Short: "Revoke the CA of a project",
		Long: `Revoke the CA of a project: the root of projects puts it on its revocation list, which is
published, alone and in the project's own crl.pem. From then on all certificates of that
CA are refused, by "x509ctl cert verify" and by every program that asks for the lists
of the whole chain (openssl -crl_check_all, nginx, Apache). The CA signs nothing any more.
What is revoked already is no error.

All CAs that the project has or had are meant, unless --ca picks one by its serial number.
To have another CA in the same step, "x509ctl ca renew-crypto --compromised".

The cluster's own CA is not signed by anybody here, so nobody here can revoke it:
"x509ctl ca renew-crypto --compromised" ends the trust in it.`,
		Example: `  # the key of its CA was stolen
  x509ctl ca revoke --project tenant1 --reason keyCompromise --yes`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runCARevoke(cmd.Context(), a, o)
		},
	}
	f := cmd.Flags()
	addOfProjectFlag(cmd, &o.project)
	f.StringVar(&o.ca, "ca", "", "the CA with this `SERIAL` number only")
	f.Var(&o.reason, "reason", "why: "+strings.Join(revokeReasons(), ", "))
	addYesFlag(cmd, &o.yes)
	addListFlags(cmd, &o.output)
	completeWords(cmd, "reason", revokeReasons()...)
	return cmd
}

func runCARevoke(ctx context.Context, a *app, o caRevokeOptions) error {
	if err := wantProject(o.project); err != nil {
		return err
	}
	svc, err := a.connect(ctx)
	if err != nil {
		return err
	}
	what := "all CAs"
	if o.ca != "" {
		what = "CA " + o.ca
	}
	if err := a.confirm(o.yes, fmt.Sprintf("Revoke %s of project %s, and with them all of its certificates? This can't be undone.", what, o.project)); err != nil {
		return err
	}
	result, err := svc.RevokeCA(ctx, manager.RevokeCARequest{Project: o.project, CA: o.ca, Reason: profile.Reason(o.reason)})
	if err != nil && !isSpreadError(err) {
		return fmt.Errorf("revoking the CA of project %q: %w", o.project, err)
	}
	if result.Already > 0 {
		a.note("%d of these are revoked already", result.Already)
	}
	return afterChange(err, list(a, o.output, each(result.Revoked, newLiveView)))
}
