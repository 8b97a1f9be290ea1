package store

import (
	"database/sql"
	"time"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
)

// A ProjectName is a name that belongs to a project, for certificates of its servers: a
// DNS name, or the canonical text of an IP address. Times have whole seconds.
type ProjectName struct {
	Authority AuthorityID // the project's
	Name      string      // unique in all projects without regard to (ASCII) case; keeps its spelling
	Added     time.Time
}

// AddProjectName records n. It counts as a change of nodes: see Authority.Generation.
// Errors: [fault.Exists], of whichever project, after which tx is as before;
// [fault.NotFound], no such authority.
func (tx *Tx) AddProjectName(n ProjectName) error {
	if n.Name == "" {
		return tx.fail(fault.New(fault.Malformed, "an empty name"))
	}
	if err := checkKey("name", n.Name); err != nil {
		return tx.fail(err)
	}
	added, err := tx.exec(`INSERT INTO project_names (name, authority, spelling, added) VALUES (?, ?, ?, ?) ON CONFLICT (name) DO NOTHING`,
		profile.FoldName(n.Name), string(n.Authority), n.Name, n.Added.Unix())
	if err == nil && added == 0 {
		return fault.Errorf(fault.Exists, "%s is registered already", n.Name)
	}
	if err != nil {
		return err
	}
	return tx.newGeneration(n.Authority)
}

const selectProjectName = `SELECT authority, spelling, added FROM project_names`

// ProjectName returns the record of a name, in any letter case. Errors: [fault.NotFound].
func (tx *Tx) ProjectName(name string) (ProjectName, error) {
	var n ProjectName
	found := false
	err := tx.rows(selectProjectName+` WHERE name = ?`, []any{profile.FoldName(name)}, func(r *sql.Rows) error {
		found = true
		return scanProjectName(r, &n)
	})
	if err == nil && !found {
		err = noProjectName(name)
	}
	return n, err
}

func noProjectName(name string) error {
	return fault.Errorf(fault.NotFound, "the name %.100q is not registered", name)
}

// RemoveProjectName forgets a project's name, in any letter case, and returns what it was.
// It counts as a change of nodes: see Authority.Generation.
// Errors: [fault.NotFound], also for another project's, after which tx is as before.
func (tx *Tx) RemoveProjectName(id AuthorityID, name string) (ProjectName, error) {
	n, err := tx.ProjectName(name)
	if err != nil {
		return n, err
	}
	if n.Authority != id {
		return ProjectName{}, noProjectName(name)
	}
	if _, err := tx.exec(`DELETE FROM project_names WHERE name = ?`, profile.FoldName(name)); err != nil {
		return n, err
	}
	return n, tx.newGeneration(id)
}

// ProjectNames calls yield for each name of a project, without regard to case, until
// yield returns an error, which it returns. yield may use tx.
func (tx *Tx) ProjectNames(id AuthorityID, yield func(ProjectName) error) error {
	after := ""
	return paged(tx, 0, func(page []ProjectName, n int) ([]ProjectName, error) {
		if len(page) > 0 {
			after = profile.FoldName(page[len(page)-1].Name)
		}
		page = page[:0]
		err := tx.rows(selectProjectName+` WHERE authority = ? AND name > ? ORDER BY name LIMIT ?`, []any{string(id), after, n}, func(r *sql.Rows) error {
			page = append(page, ProjectName{})
			return scanProjectName(r, &page[len(page)-1])
		})
		return page, err
	}, yield)
}

func scanProjectName(r *sql.Rows, n *ProjectName) error {
	return r.Scan((*string)(&n.Authority), &n.Name, second{&n.Added})
}
