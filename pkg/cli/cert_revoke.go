package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"x509ctl/pkg/manager"
	"x509ctl/pkg/profile"
)

type certRevokeOptions struct {
	targets  []string
	subjects []string
	project  string
	all      bool
	reason   reasonValue
	yes      bool
	output   output
}

func newCertRevokeCmd(a *app) *cobra.Command {
	o := certRevokeOptions{reason: reasonValue(profile.Unspecified)}
	cmd := &cobra.Command{
		Use:   "revoke SERIAL|NAME...",
		Short: "Revoke certificates one by one",
		Long: `Revoke certificates one by one, and publish a new revocation list: by serial number,
by name, which means all live certificates with that name, or all live ones with
--all. What is revoked already, or has expired, is no error. --subject is for a name
that looks like a number, as a user's id may.

This is the exception. To put out everything up to some number, "x509ctl serial
set-min" is faster, and is heard by verifiers that read no revocation list.

With the reason keyCompromise the certificate's key is blocked for ever: no request
with it is signed any more, and other live certificates of the same key are revoked
as well. Such keys are listed in the file blocked-keys beside serial, too, and stay
blocked when an older database comes back.`,
		Example: `  # a lost key
  x509ctl cert revoke 2 --reason keyCompromise --yes

  # everything that a member of a project has
  x509ctl cert revoke --project tenant1 --subject alice --reason affiliationChanged --yes

  # everything that a node has
  x509ctl cert revoke node2.example.com --reason cessationOfOperation --yes`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.targets = args
			return runCertRevoke(cmd.Context(), a, o)
		},
	}
	f := cmd.Flags()
	addProjectFlag(cmd, &o.project)
	f.StringSliceVar(&o.subjects, "subject", nil, "the live certificates of the user, or with the name, `NAME` (may be given again)")
	f.BoolVar(&o.all, "all", false, "all live certificates")
	f.Var(&o.reason, "reason", "why: "+strings.Join(revokeReasons(), ", "))
	addYesFlag(cmd, &o.yes)
	addListFlags(cmd, &o.output)
	completeWords(cmd, "reason", revokeReasons()...)
	return cmd
}

func runCertRevoke(ctx context.Context, a *app, o certRevokeOptions) error {
	req, err := o.request()
	if err != nil {
		return err
	}
	svc, err := a.connect(ctx)
	if err != nil {
		return err
	}
	if err := a.confirm(o.yes, o.question()); err != nil {
		return err
	}
	a.catchSignals() // between two batches, not in one
	result, err := svc.Revoke(ctx, req)
	if result.Already > 0 {
		a.note("%d of these are revoked already", result.Already)
	}
	if n := result.Revoked; n > len(result.Sample) {
		a.note("%d certificates are revoked; these are the first %d", n, len(result.Sample))
	}
	if err != nil && !isSpreadError(err) {
		return fmt.Errorf("revoking: %w", err)
	}
	return afterChange(err, list(a, o.output, each(result.Sample, newLiveView)))
}

// request is what the arguments name. Digits are a serial number.
func (o certRevokeOptions) request() (manager.RevokeRequest, error) {
	id, err := authorityOf(o.project)
	if err != nil {
		return manager.RevokeRequest{}, err
	}
	req := manager.RevokeRequest{Authority: id, All: o.all, Names: slices.Clone(o.subjects), Reason: profile.Reason(o.reason)}
	switch targets := slices.Concat(o.targets, o.subjects); {
	case o.all && len(targets) > 0:
		return req, usagef("--all and %q exclude each other", targets[0])
	case !o.all && len(targets) == 0:
		return req, usagef("missing SERIAL or NAME")
	}
	for _, t := range o.targets {
		if n, err := parseSerial(t); err == nil {
			req.Serials = append(req.Serials, n)
		} else if strings.Trim(t, "0123456789") == "" {
			return req, err
		} else {
			req.Names = append(req.Names, t)
		}
	}
	return req, nil
}

func (o certRevokeOptions) question() string {
	of := ""
	if o.project != "" {
		of = " of project " + o.project
	}
	if o.all {
		return fmt.Sprintf("Revoke all live certificates%s? This can't be undone.", of)
	}
	return fmt.Sprintf("Revoke %s%s? This can't be undone.", strings.Join(slices.Concat(o.targets, o.subjects), ", "), of)
}

// reasonValue is the value of --reason.
type reasonValue profile.Reason

func (r *reasonValue) String() string { return string(*r) }

// Set is the flag's.
func (r *reasonValue) Set(s string) error {
	v, err := profile.ParseReason(s)
	*r = reasonValue(v)
	return err
}

// Type is the placeholder in help and man pages.
func (*reasonValue) Type() string { return "REASON" }

func revokeReasons() (words []string) {
	for _, r := range profile.Reasons() {
		words = append(words, string(r))
	}
	return words
}
