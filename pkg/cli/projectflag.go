package cli

import (
	"github.com/spf13/cobra"

	"x509ctl/pkg/manager"
	"x509ctl/pkg/profile"
)

// addProjectFlag adds --project, for a command that works on the cluster's authority
// or a project's.
func addProjectFlag(cmd *cobra.Command, project *string) {
	cmd.Flags().StringVar(project, "project", "", "the authority of the project `ID` instead of the cluster's")
}

// sameProject is the flag --project that cmd was called with, with a space before it, or
// nothing.
func sameProject(cmd *cobra.Command) string {
	f := cmd.Flags().Lookup("project")
	if f == nil || f.Value.String() == "" {
		return ""
	}
	return " --project " + f.Value.String()
}

// addServerFlag adds --server, for a command that makes a project's certificates.
func addServerFlag(cmd *cobra.Command, server *bool) {
	cmd.Flags().BoolVar(server, "server", false, "for a server of the project, by a name registered with it")
}

// leafOf is the authority, and what it is to sign, that --project and --server mean.
func leafOf(project string, server bool) (manager.AuthorityID, profile.Profile, error) {
	id, err := authorityOf(project)
	switch {
	case err != nil:
		return id, "", err
	case server && project == "":
		return id, "", usagef("--server is for a project, and --project is missing")
	case server:
		return id, profile.Server, nil
	case project != "":
		return id, profile.Member, nil
	}
	return id, profile.Node, nil
}

// parseLeafName checks what a certificate is asked for by: a user's id, or a name.
func parseLeafName(kind profile.Profile, name string) error {
	parse := profile.ParseName
	if kind == profile.Member {
		parse = profile.ParseUser
	}
	_, err := parse(name)
	return err
}

// authorityOf is the authority that --project means.
func authorityOf(project string) (manager.AuthorityID, error) {
	if project == "" {
		return manager.Cluster, nil
	}
	return manager.ProjectAuthority(project)
}

// authorityFlags say which authority a command works on: the cluster's, a project's, or the
// root of all projects.
type authorityFlags struct {
	project string
	root    bool
}

func addAuthorityFlags(cmd *cobra.Command, of *authorityFlags) {
	addProjectFlag(cmd, &of.project)
	cmd.Flags().BoolVar(&of.root, "project-root", false, "the root of all projects instead of the cluster's authority")
}

func (of authorityFlags) id() (manager.AuthorityID, error) {
	if of.root && of.project != "" {
		return "", usagef("--project and --project-root exclude each other")
	}
	if of.root {
		return manager.ProjectRoot, nil
	}
	return authorityOf(of.project)
}

// projectFlag is what a command about an authority needs to mean it, with a space before
// it, or nothing.
func projectFlag(id manager.AuthorityID) string {
	if id == manager.ProjectRoot {
		return " --project-root"
	}
	if p := manager.ProjectOf(id); p != "" {
		return " --project " + p
	}
	return ""
}

// directoryOf is where an authority's files are in the directory, in what users are told.
func directoryOf(id manager.AuthorityID) string {
	if id == manager.ProjectRoot {
		return "project-root"
	}
	if p := manager.ProjectOf(id); p != "" {
		return "projects/" + p
	}
	return "ca"
}
