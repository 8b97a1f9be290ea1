package cli

import (
	"github.com/spf13/cobra"

	"x509ctl/pkg/manager"
)

// addProjectFlag adds --project, for a command that works on the cluster's authority
// or a project's.
func addProjectFlag(cmd *cobra.Command, project *string) {
	cmd.Flags().StringVar(project, "project", "", "the authority of the project `ID` instead of the cluster's")
}

// authorityOf is the authority that --project means.
func authorityOf(project string) (manager.AuthorityID, error) {
	if project == "" {
		return manager.Cluster, nil
	}
	return manager.ProjectAuthority(project)
}

// projectFlag is --project as a command about an authority needs it, with a space before
// it, or nothing.
func projectFlag(id manager.AuthorityID) string {
	if p := manager.ProjectOf(id); p != "" {
		return " --project " + p
	}
	return ""
}
