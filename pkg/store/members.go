package store

import (
	"database/sql"
	"time"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
)

// A Role is what a member may do in a project.
type Role string

// The roles.
const (
	RoleMember Role = "member" // may have certificates in its own name
	RoleAdmin  Role = "admin"  // may also have those of servers
)

// A Member is a user of a project. Times have whole seconds.
type Member struct {
	User  string // the user's id: unique in a project without regard to (ASCII) case; keeps its spelling
	Role  Role
	Added time.Time
}

// AddMember records m as a member of the project that has the authority id. It counts as
// a change of nodes: see Authority.Generation.
// Errors: [fault.Exists], after which tx is as before; [fault.NotFound], no such authority.
func (tx *Tx) AddMember(id AuthorityID, m Member) error {
	if err := m.check(); err != nil {
		return tx.fail(err)
	}
	n, err := tx.exec(`INSERT INTO members (authority, member, user_id, role, added) VALUES (?, ?, ?, ?, ?) ON CONFLICT (authority, member) DO NOTHING`,
		string(id), profile.FoldName(m.User), m.User, string(m.Role), m.Added.Unix())
	if err == nil && n == 0 {
		return fault.Errorf(fault.Exists, "%q is a member already", m.User)
	}
	if err != nil {
		return err
	}
	return tx.newGeneration(id)
}

func (m Member) check() error {
	if m.User == "" {
		return fault.New(fault.Malformed, "a member without an id")
	}
	if m.Role != RoleMember && m.Role != RoleAdmin {
		return fault.Errorf(fault.Malformed, "there is no role %.40q", string(m.Role))
	}
	return checkKey("user", m.User)
}

// SetRole changes the role of a member, in any letter case of its id. It counts as a
// change of nodes: see Authority.Generation.
// Errors: [fault.NotFound].
func (tx *Tx) SetRole(id AuthorityID, user string, role Role) error {
	if err := (Member{User: user, Role: role}).check(); err != nil {
		return tx.fail(err)
	}
	n, err := tx.exec(`UPDATE members SET role = ? WHERE authority = ? AND member = ?`, string(role), string(id), profile.FoldName(user))
	if err == nil && n == 0 {
		return noMember(user)
	}
	if err != nil {
		return err
	}
	return tx.newGeneration(id)
}

// Member returns the member of that id, in any letter case. Errors: [fault.NotFound].
func (tx *Tx) Member(id AuthorityID, user string) (Member, error) {
	var m Member
	found := false
	err := tx.rows(`SELECT user_id, role, added FROM members WHERE authority = ? AND member = ?`,
		[]any{string(id), profile.FoldName(user)}, func(r *sql.Rows) error {
			found = true
			return scanMember(r, &m)
		})
	if err == nil && !found {
		err = noMember(user)
	}
	return m, err
}

func noMember(user string) error {
	return fault.Errorf(fault.NotFound, "there is no member %.100q", user)
}

// RemoveMember ends a membership, in any letter case of the id, and returns what it was.
// It counts as a change of nodes: see Authority.Generation.
// Errors: [fault.NotFound], after which tx is as before.
func (tx *Tx) RemoveMember(id AuthorityID, user string) (Member, error) {
	m, err := tx.Member(id, user)
	if err != nil {
		return m, err
	}
	if _, err := tx.exec(`DELETE FROM members WHERE authority = ? AND member = ?`, string(id), profile.FoldName(user)); err != nil {
		return m, err
	}
	return m, tx.newGeneration(id)
}

// Members calls yield for each member, by id without regard to case, until yield returns
// an error, which it returns. yield may use tx.
func (tx *Tx) Members(id AuthorityID, yield func(Member) error) error {
	after := ""
	return paged(tx, 0, func(page []Member, n int) ([]Member, error) {
		if len(page) > 0 {
			after = profile.FoldName(page[len(page)-1].User)
		}
		page = page[:0]
		err := tx.rows(`SELECT user_id, role, added FROM members WHERE authority = ? AND member > ? ORDER BY member LIMIT ?`,
			[]any{string(id), after, n}, func(r *sql.Rows) error {
				page = append(page, Member{})
				return scanMember(r, &page[len(page)-1])
			})
		return page, err
	}, yield)
}

func scanMember(r *sql.Rows, m *Member) error {
	return r.Scan(&m.User, (*string)(&m.Role), second{&m.Added})
}

// CountMembers returns how many members a project has.
func (tx *Tx) CountMembers(id AuthorityID) (n int, err error) {
	err = tx.row(`SELECT count(*) FROM members WHERE authority = ?`, []any{string(id)}, &n)
	return n, err
}

// MemberAnywhere returns an authority in whose project a user of that id, in any letter
// case, is a member. Errors: [fault.NotFound].
func (tx *Tx) MemberAnywhere(user string) (id AuthorityID, err error) {
	found := false
	err = tx.rows(`SELECT authority FROM members WHERE member = ? ORDER BY authority LIMIT 1`, []any{profile.FoldName(user)}, func(r *sql.Rows) error {
		found = true
		return r.Scan((*string)(&id))
	})
	if err == nil && !found {
		err = noMember(user)
	}
	return id, err
}
