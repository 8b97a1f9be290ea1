package manager

import (
	"context"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/store"
)

type (
	// Member is a user of a project.
	Member = store.Member
	// Role is what a member may do in a project.
	Role = store.Role
)

// The roles of members.
const (
	RoleMember = store.RoleMember
	RoleAdmin  = store.RoleAdmin
)

// AddMembersRequest asks for memberships.
type AddMembersRequest struct {
	Project string
	Users   []string // ids as profile.ParseUser takes them, at most MaxBatch
	// Role is what they may do. Empty, new members get RoleMember, and others keep theirs.
	// Any other than they have is what members get from now on.
	Role      Role
	IfMissing bool // a member with that role is no error
}

// A MemberResult is the answer for one user.
type MemberResult struct {
	Member Member
	Err    error // the refusal; Member is empty then
}

// AddMembers implements Service.
func (m *Manager) AddMembers(ctx context.Context, req AddMembersRequest) ([]MemberResult, error) {
	if len(req.Users) > MaxBatch {
		return nil, fault.Errorf(fault.Malformed, "%d members in one call, at most %d are taken", len(req.Users), MaxBatch)
	}
	if req.Role != "" && req.Role != RoleMember && req.Role != RoleAdmin {
		return nil, fault.Errorf(fault.Malformed, "there is no role %.40q", string(req.Role))
	}
	var out []MemberResult
	err := m.changeProject(ctx, req.Project, func(tx *store.Tx, cluster store.Authority, id AuthorityID, p Project) error {
		out = make([]MemberResult, len(req.Users))
		var entries []store.AuditEntry
		for i, user := range req.Users {
			member, err := m.addMember(tx, cluster, id, user, req)
			if !isRefusal(err) {
				return err
			}
			out[i] = MemberResult{member, err}
			entries = append(entries, m.entryOf("member-add", p.ID+" "+user, string(member.Role), err))
		}
		return tx.Audit(entries...)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// addMember adds a member or changes its role. Errors: [fault.Denied], [fault.Exists].
func (m *Manager) addMember(tx *store.Tx, cluster store.Authority, id AuthorityID, user string, req AddMembersRequest) (Member, error) {
	if _, err := profile.ParseUser(user); err != nil {
		return Member{}, err
	}
	if err := notOfCluster(tx, cluster, profile.FoldName(user)); err != nil {
		return Member{}, err
	}
	have, err := tx.Member(id, user)
	switch {
	case fault.KindOf(err) == fault.NotFound:
		have = Member{User: user, Role: RoleMember, Added: m.now()}
		if req.Role != "" {
			have.Role = req.Role
		}
		return have, tx.AddMember(id, have)
	case err != nil:
		return Member{}, err
	case have.User != user: // of the same letters, but not the same: a mistake, or two users
		return Member{}, fault.Errorf(fault.Exists, "there is a member %q already", have.User)
	case req.Role != "" && req.Role != have.Role:
		have.Role = req.Role
		return have, tx.SetRole(id, user, req.Role)
	case req.IfMissing:
		return have, nil
	}
	return Member{}, fault.Errorf(fault.Exists, "%q is a member already, as %s", have.User, have.Role)
}

// RemoveMembersRequest asks for the end of memberships.
type RemoveMembersRequest struct {
	Project string
	Users   []string // at most MaxBatch
	// KeepCertificates leaves what they have valid until it expires. Otherwise it is
	// revoked: so nothing is left, nor issued afterwards.
	KeepCertificates bool
	Progress         func(int) // when not nil, called with the number of users so far
}

// RemoveMembers implements Service.
func (m *Manager) RemoveMembers(ctx context.Context, req RemoveMembersRequest) ([]Removed[Member], error) {
	why := profile.AffiliationChanged
	if req.KeepCertificates {
		why = ""
	}
	r := remover[Member]{Manager: m, project: req.Project, action: "member-remove", why: why, progress: req.Progress}
	r.remove = func(tx *store.Tx, id AuthorityID, user string) (Member, CertificateFilter, error) {
		if _, err := profile.ParseUser(user); err != nil {
			return Member{}, CertificateFilter{}, err
		}
		gone, err := tx.RemoveMember(id, user)
		return gone, CertificateFilter{Kind: kindMember, Holder: gone.User}, err
	}
	return r.each(ctx, req.Users)
}

// Members implements Service.
func (m *Manager) Members(ctx context.Context, project string, yield func(Member) error) error {
	return m.readProject(ctx, project, func(tx *store.Tx, id AuthorityID) error { return tx.Members(id, yield) })
}
