package cli

import (
	"errors"

	"github.com/spf13/cobra"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/manager"
)

// projectHints are the hints for what projects have, or nil.
func projectHints(cmd *cobra.Command, err error) []string {
	var live *manager.LiveError
	var deleted *manager.DeletedError
	switch {
	case errors.As(err, &live):
		return []string{"with --force they are revoked"}
	case errors.As(err, &deleted):
		return []string{"its certificates, revocation list and bundle can be had still; make a project with another id for anything new"}
	case errors.Is(err, manager.ErrCARevoked):
		return []string{"give it another CA: x509ctl ca renew-crypto --project ID --compromised"}
	case fault.KindOf(err) == fault.NotFound && cmd.Name() == "member-remove" && !errors.Is(err, manager.ErrNoProject):
		return []string{`"x509ctl project member-list" has the members`}
	case fault.KindOf(err) == fault.NotFound && cmd.Name() == "name-remove" && !errors.Is(err, manager.ErrNoProject):
		return []string{`"x509ctl project name-list" has the names`}
	case fault.KindOf(err) == fault.Exists && cmd.Name() == "member-add" && !cmd.Flags().Changed("role"):
		return []string{"with --if-missing that is no error, and another --role changes the role"}
	case fault.KindOf(err) == fault.Exists && (cmd.Name() == "member-add" || cmd.Name() == "name-add"):
		return []string{"with --if-missing that is no error"}
	}
	return nil
}
