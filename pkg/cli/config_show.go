package cli

import (
	"context"

	"github.com/spf13/cobra"
)

type configShowOptions struct {
	output output
}

func newConfigShowCmd(a *app) *cobra.Command {
	var o configShowOptions
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Show the settings in effect and where they come from",
		Long: `Show the settings in effect and where each comes from: a flag, a variable of
the environment, the file x509ctl.yaml in the directory, or the default. The first
of these that says something holds.

These are the settings, as they are called in x509ctl.yaml:

` + describeSettings() + `

The file is YAML and holds no secret. Others than its owner must not be able to
write it.

The program that serial_hook names, by its absolute path, runs after serial numbers
were reserved and before a certificate leaves, for instance to copy the counter to
other machines. There is no shell; its environment is clean but for PATH and

    X509CTL_AUTHORITY    which authority it is: cluster
    X509CTL_SERIAL       the highest number reserved
    X509CTL_SERIAL_FILE  the path of the file that says so

Unless it exits with 0 in time, no certificate of the reservation leaves, and the
exit status is 7.

The program that change_hook names runs in the same way after the minimum accepted
serial was raised, certificates were revoked, or the CA was replaced, with

    X509CTL_CHANGE       what happened: init, set-min, revoke, recover, restore,
                         renew-crypto; finish, of an earlier command that was
                         killed or had failed at it

to bring crl.pem, min-serial and bundle.pem to other machines. If it fails, the
change stays in force here, and the exit status is 1.`,
		Example: `  # which settings are not the default
  x509ctl config show -o csv | grep -v default

  # one setting for one call
  X509CTL_WAIT=5m x509ctl config show`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runConfigShow(cmd.Context(), a, o)
		},
	}
	addListFlags(cmd, &o.output)
	return cmd
}

func runConfigShow(_ context.Context, a *app, o configShowOptions) error {
	s, err := a.settings()
	if err != nil {
		return err
	}
	return list(a, o.output, func(yield func(settingView) error) error {
		for _, d := range settingDefs(s) {
			if err := yield(settingView{d.name, d.show(), s.origin[d.name]}); err != nil {
				return err
			}
		}
		return nil
	})
}

// settingView is one setting as "config show" prints it.
type settingView struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	From  string `json:"from"`
}
