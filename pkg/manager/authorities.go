package manager

import (
	"fmt"
	"strings"

	"x509ctl/pkg/authority"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
)

// ProjectRoot is the id of the authority above those of all projects.
const ProjectRoot AuthorityID = "project-root"

// projectPrefix is what the ids of projects' authorities begin with.
const projectPrefix = "project:"

// ErrNoProject means that no project of that id was created.
var ErrNoProject = fault.New(fault.NotFound, "there is no such project")

// ErrUnknownCA means that files of a project's CA, or of the root's, are in the place of a
// new one: the database was restored from before it was made.
var ErrUnknownCA = fault.New(fault.Exists, "there is a CA here that the database doesn't know")

// ProjectAuthority returns the id of a project's authority. Projects' ids are equal
// without regard to case, so it is the same for all spellings of one.
//
// Errors: [*profile.NameError], for what is no project's id.
func ProjectAuthority(project string) (AuthorityID, error) {
	id, err := profile.ParseProject(project)
	return AuthorityID(projectPrefix + profile.FoldName(id)), err
}

// ProjectOf returns the id, in lower case, of the project that an authority is of; ""
// for one that is no project's.
func ProjectOf(id AuthorityID) string {
	project, _ := strings.CutPrefix(string(id), projectPrefix)
	if string(id) == project {
		return ""
	}
	return project
}

// roleOf returns what the CA of an authority is for.
func roleOf(id AuthorityID) authority.Role {
	switch id {
	case Cluster:
		return authority.ClusterCA
	case ProjectRoot:
		return authority.ProjectRoot
	}
	return authority.ProjectCA
}

// dirPath returns the names by which an authority's directory lies in the state
// directory: "ca", "project-root", or "projects" and the project's id in lower case.
func dirPath(id AuthorityID) ([]string, error) {
	switch id {
	case Cluster:
		return []string{clusterDir}, nil
	case ProjectRoot:
		return []string{rootDir}, nil
	}
	project, ok := strings.CutPrefix(string(id), projectPrefix)
	if same, err := ProjectAuthority(project); !ok || err != nil || same != id {
		return nil, fault.Errorf(fault.NotFound, "there is no authority %q", string(id))
	}
	return []string{projectsDir, project}, nil
}

// noAuthority is the error of an authority that was not made.
func noAuthority(id AuthorityID) error {
	switch id {
	case Cluster:
		return ErrNotInitialised
	case ProjectRoot:
		return fmt.Errorf("the root of all projects is made with the first of them: %w", ErrNoProject)
	}
	return ErrNoProject
}

// clusterOnly refuses what is done with the cluster's authority alone.
func clusterOnly(id AuthorityID) error {
	if id != Cluster {
		return fault.Errorf(fault.Denied, "the authority %q is not a cluster's", string(id))
	}
	return nil
}
