package cli

import (
	"errors"

	"github.com/spf13/cobra"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/manager"
)

// nodeHints are the hints for nodes and their names, or nil.
func nodeHints(cmd *cobra.Command, err error) []string {
	var node *manager.NoNodeError
	var taken *manager.NameTakenError
	switch {
	case errors.As(err, &node) && node.AliasOf != "" && cmd.Name() == "remove":
		return []string{"x509ctl node remove " + node.AliasOf}
	case errors.As(err, &node):
		return []string{"x509ctl node list"}
	case errors.As(err, &taken):
		return []string{"a name is a node's or a project's, never both: take it from the other first, or use another"}
	case cmd.Name() == "add" && cmd.Parent().Name() == "node" && fault.KindOf(err) == fault.Exists && cmd.Flags().Changed("if-missing"):
		return []string{`its record is in "x509ctl node list", and is not changed: remove the node and add it anew`}
	case cmd.Name() == "add" && cmd.Parent().Name() == "node" && fault.KindOf(err) == fault.Exists:
		return []string{"with --if-missing it is no error to find the same"}
	}
	return nil
}
