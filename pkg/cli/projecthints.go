package cli

import (
	"cmp"
	"errors"
	"fmt"

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
		return []string{"give it another CA: x509ctl ca renew-crypto" + cmp.Or(sameProject(cmd), " --project ID") + " --compromised"}
	case errors.Is(err, manager.ErrNotOfRoot):
		return []string{
			fmt.Sprintf(`"x509ctl ca renew-crypto%s --compromised" ends the trust in it`, sameProject(cmd)),
			"one that the root signed is revoked by its number, with --ca",
		}
	case errors.Is(err, manager.ErrNoProject), errors.Is(err, manager.ErrNotInitialised):
		return nil
	case fault.KindOf(err) == fault.NotFound && cmd.Name() == "member-remove":
		return []string{fmt.Sprintf(`"x509ctl project member-list%s" has the members`, sameProject(cmd))}
	case fault.KindOf(err) == fault.NotFound && cmd.Name() == "name-remove":
		return []string{fmt.Sprintf(`"x509ctl project name-list%s" has the names`, sameProject(cmd))}
	case fault.KindOf(err) == fault.Exists && cmd.Name() == "member-add" && !cmd.Flags().Changed("role"):
		return []string{"with --if-missing that is no error, and another --role changes the role"}
	case fault.KindOf(err) == fault.Exists && (cmd.Name() == "member-add" || cmd.Name() == "name-add"):
		return []string{"with --if-missing that is no error"}
	}
	return nil
}
