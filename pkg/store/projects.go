package store

import (
	"database/sql"
	"time"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
)

// A Project is a group of users that has an authority of its own. Times have whole
// seconds.
type Project struct {
	ID      string // unique without regard to (ASCII) case; keeps its spelling
	Name    string // for people; may be empty
	Created time.Time
	Deleted time.Time // since when it is deleted; the zero time: it is not
}

// AddProject records p. Errors: [fault.Exists], after which tx is as before.
func (tx *Tx) AddProject(p Project) error {
	if err := checkKey("project", p.ID); err != nil {
		return tx.fail(err)
	}
	n, err := tx.exec(`INSERT INTO projects (project, id, name, created) VALUES (?, ?, ?, ?) ON CONFLICT (project) DO NOTHING`,
		profile.FoldName(p.ID), p.ID, p.Name, p.Created.Unix())
	if err == nil && n == 0 {
		return fault.Errorf(fault.Exists, "there is a project %q already", p.ID)
	}
	return err
}

const selectProject = `SELECT id, name, created, deleted FROM projects`

// Project returns the project of that id, in any letter case. Errors: [fault.NotFound].
func (tx *Tx) Project(id string) (Project, error) {
	var p Project
	found := false
	err := tx.rows(selectProject+` WHERE project = ?`, []any{profile.FoldName(id)}, func(r *sql.Rows) error {
		found = true
		return scanProject(r, &p)
	})
	if err == nil && !found {
		err = fault.Errorf(fault.NotFound, "there is no project %q", id)
	}
	return p, err
}

// Projects calls yield for each project, deleted ones too, by id without regard to case, until yield
// returns an error, which it returns. yield may use tx.
func (tx *Tx) Projects(yield func(Project) error) error {
	after := ""
	return paged(tx, 0, func(page []Project, n int) ([]Project, error) {
		if len(page) > 0 {
			after = profile.FoldName(page[len(page)-1].ID)
		}
		page = page[:0]
		err := tx.rows(selectProject+` WHERE project > ? ORDER BY project LIMIT ?`, []any{after, n}, func(r *sql.Rows) error {
			page = append(page, Project{})
			return scanProject(r, &page[len(page)-1])
		})
		return page, err
	}, yield)
}

func scanProject(r *sql.Rows, p *Project) error {
	err := r.Scan(&p.ID, &p.Name, second{&p.Created}, second{&p.Deleted})
	if p.Deleted.Unix() == 0 {
		p.Deleted = time.Time{}
	}
	return err
}

// DeleteProject marks the project of that id, in any letter case, as deleted, and ends
// its members' and names' records, which are found by its authority's id. Its own record
// stays, and keeps the id. One that is deleted already is so since the same time.
// Errors: [fault.NotFound].
func (tx *Tx) DeleteProject(id AuthorityID, project string, since time.Time) error {
	n, err := tx.exec(`UPDATE projects SET deleted = CASE WHEN deleted = 0 THEN ? ELSE deleted END WHERE project = ?`, since.Unix(), profile.FoldName(project))
	if err == nil && n == 0 {
		err = fault.Errorf(fault.NotFound, "there is no project %q", project)
	}
	if err != nil {
		return err
	}
	for _, query := range []string{`DELETE FROM members WHERE authority = ?`, `DELETE FROM project_names WHERE authority = ?`} {
		if _, err := tx.exec(query, string(id)); err != nil {
			return err
		}
	}
	return tx.Touch(id)
}

// Touch notes that something about an authority has changed which those who sign have to
// look at again, and which its revocation list has to tell: see Authority.Generation and
// CRLDue. It is no error that there is no such authority.
func (tx *Tx) Touch(id AuthorityID) error {
	_, err := tx.exec(`UPDATE authorities SET generation = generation + 1, crl_due = crl_due + 1 WHERE id = ?`, string(id))
	return err
}

// AuthorityIDs returns the ids of all authorities, in the order of their bytes.
func (tx *Tx) AuthorityIDs() ([]AuthorityID, error) {
	var all []AuthorityID
	err := tx.rows(`SELECT id FROM authorities ORDER BY id`, nil, func(r *sql.Rows) error {
		var id AuthorityID
		err := r.Scan((*string)(&id))
		all = append(all, id)
		return err
	})
	return all, err
}
