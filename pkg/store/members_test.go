package store_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/store"
	"x509ctl/pkg/store/storetest"
)

const tenant store.AuthorityID = "project:tenant"

// withTenant adds two projects' authorities.
func withTenant(t *testing.T, s *storetest.Store) {
	t.Helper()
	write(t, s, func(tx *store.Tx) error {
		must(t, tx.PutAuthority(store.Authority{ID: tenant, Created: epoch}))
		return tx.PutAuthority(store.Authority{ID: "project:other", Created: epoch})
	})
}

// generation returns that of the tenant's authority.
func generation(t *testing.T, tx *store.Tx) int64 {
	t.Helper()
	a, err := tx.Authority(tenant)
	must(t, err)
	return a.Generation
}

func TestMembers(t *testing.T) {
	each(t, func(t *testing.T, s *storetest.Store) {
		withTenant(t, s)
		alice := store.Member{User: "Alice", Role: store.RoleAdmin, Added: epoch}
		write(t, s, func(tx *store.Tx) error {
			before := generation(t, tx)
			must(t, tx.AddMember(tenant, alice))
			wantEqual(t, "generation", generation(t, tx), before+1)
			// One that is there, in any letter case, leaves the transaction whole.
			wantKind(t, "adding again", tx.AddMember(tenant, store.Member{User: "aLICE", Role: store.RoleMember}), fault.Exists)
			for i := range 1500 { // more than a page
				must(t, tx.AddMember("project:other", store.Member{User: fmt.Sprintf("u%04d", i), Role: store.RoleMember, Added: epoch}))
			}
			return nil
		})
		read(t, s, func(tx *store.Tx) error {
			got, err := tx.Member(tenant, "ALICE")
			must(t, err)
			wantEqual(t, "member", got, alice)
			_, err = tx.Member("project:other", "alice")
			wantKind(t, "another project's", err, fault.NotFound)
			id, err := tx.MemberAnywhere("ALICE")
			must(t, err)
			wantEqual(t, "where", id, tenant)
			_, err = tx.MemberAnywhere("bob")
			wantKind(t, "nobody", err, fault.NotFound)
			var all []string
			must(t, tx.Members("project:other", func(m store.Member) error { all = append(all, m.User); return nil }))
			wantEqual(t, "members", []string{fmt.Sprint(len(all)), all[0], all[1499]}, []string{"1500", "u0000", "u1499"})
			n, err := tx.CountMembers("project:other")
			must(t, err)
			wantEqual(t, "count", n, 1500)
			stop := errors.New("stop")
			wantIs(t, "stopping", tx.Members(tenant, func(store.Member) error { return stop }), stop)
			return nil
		})
		write(t, s, func(tx *store.Tx) error {
			before := generation(t, tx)
			must(t, tx.SetRole(tenant, "alice", store.RoleMember))
			wantKind(t, "a role of nobody", tx.SetRole(tenant, "bob", store.RoleMember), fault.NotFound)
			_, err := tx.RemoveMember("project:other", "alice")
			wantKind(t, "removing from another", err, fault.NotFound)
			gone, err := tx.RemoveMember(tenant, "alice")
			must(t, err)
			wantEqual(t, "gone", gone, store.Member{User: "Alice", Role: store.RoleMember, Added: epoch})
			wantEqual(t, "generation", generation(t, tx), before+2)
			_, err = tx.Member(tenant, "alice")
			wantKind(t, "after removal", err, fault.NotFound)
			return nil
		})
		for what, m := range map[string]store.Member{
			"no id":     {Role: store.RoleMember},
			"no role":   {User: "x"},
			"a role":    {User: "x", Role: "owner"},
			"a long id": {User: strings.Repeat("x", store.MaxKey+1), Role: store.RoleMember},
			"NUL":       {User: "x\x00", Role: store.RoleMember},
		} {
			wantKind(t, what, s.Write(t.Context(), func(tx *store.Tx) error { return tx.AddMember(tenant, m) }), fault.Malformed)
		}
		err := s.Write(t.Context(), func(tx *store.Tx) error { return tx.AddMember("project:none", alice) })
		wantKind(t, "no authority", err, fault.NotFound)
	})
}

func TestProjectNames(t *testing.T) {
	each(t, func(t *testing.T, s *storetest.Store) {
		withTenant(t, s)
		www := store.ProjectName{Authority: tenant, Name: "WWW.example.org", Added: epoch}
		ip := store.ProjectName{Authority: tenant, Name: "2001:db8::1", Added: epoch}
		write(t, s, func(tx *store.Tx) error {
			before := generation(t, tx)
			must(t, tx.AddProjectName(www))
			must(t, tx.AddProjectName(ip))
			wantEqual(t, "generation", generation(t, tx), before+2)
			// It belongs to one project, in any letter case.
			wantKind(t, "of another", tx.AddProjectName(store.ProjectName{Authority: "project:other", Name: "www.Example.org"}), fault.Exists)
			return nil
		})
		read(t, s, func(tx *store.Tx) error {
			got, err := tx.ProjectName("www.example.ORG")
			must(t, err)
			wantEqual(t, "name", got, www)
			_, err = tx.ProjectName("example.org")
			wantKind(t, "another name", err, fault.NotFound)
			var all []store.ProjectName
			must(t, tx.ProjectNames(tenant, func(n store.ProjectName) error { all = append(all, n); return nil }))
			wantEqual(t, "names", all, []store.ProjectName{ip, www})
			return tx.ProjectNames("project:other", func(store.ProjectName) error { return errors.New("a name of another's") })
		})
		write(t, s, func(tx *store.Tx) error {
			_, err := tx.RemoveProjectName("project:other", "www.example.org")
			wantKind(t, "removing another's", err, fault.NotFound)
			gone, err := tx.RemoveProjectName(tenant, "www.EXAMPLE.org")
			must(t, err)
			wantEqual(t, "gone", gone, www)
			_, err = tx.RemoveProjectName(tenant, "www.example.org")
			wantKind(t, "removing again", err, fault.NotFound)
			return tx.AddProjectName(store.ProjectName{Authority: "project:other", Name: "www.example.org", Added: epoch}) // free again
		})
		for what, name := range map[string]string{"none": "", "long": strings.Repeat("x", store.MaxKey+1), "NUL": "x\x00"} {
			err := s.Write(t.Context(), func(tx *store.Tx) error {
				return tx.AddProjectName(store.ProjectName{Authority: tenant, Name: name})
			})
			wantKind(t, what, err, fault.Malformed)
		}
	})
}

// A deleted project keeps its record, and its id.
func TestDeleteProject(t *testing.T) {
	each(t, func(t *testing.T, s *storetest.Store) {
		write(t, s, func(tx *store.Tx) error {
			must(t, tx.AddProject(store.Project{ID: "Tenant", Created: epoch}))
			must(t, tx.PutAuthority(store.Authority{ID: tenant, Created: epoch}))
			must(t, tx.AddMember(tenant, store.Member{User: "alice", Role: store.RoleMember}))
			must(t, tx.AddProjectName(store.ProjectName{Authority: tenant, Name: "www.example.org"}))
			before, err := tx.Authority(tenant)
			must(t, err)
			must(t, tx.DeleteProject(tenant, "TENANT", epoch.Add(time.Hour)))
			after, err := tx.Authority(tenant)
			must(t, err)
			wantEqual(t, "changes", []int64{after.Generation, after.CRLDue}, []int64{before.Generation + 1, before.CRLDue + 1})
			_, err = tx.MemberAnywhere("alice")
			wantKind(t, "the member", err, fault.NotFound)
			_, err = tx.ProjectName("www.example.org")
			wantKind(t, "the name", err, fault.NotFound)
			must(t, tx.DeleteProject(tenant, "tenant", epoch.Add(2*time.Hour)))
			wantKind(t, "none", tx.DeleteProject("project:other", "other", epoch), fault.NotFound)
			wantKind(t, "the id", tx.AddProject(store.Project{ID: "tenant", Created: epoch}), fault.Exists)
			p, err := tx.Project("tenant")
			wantEqual(t, "deleted", p.Deleted, epoch.Add(time.Hour))
			return err
		})
	})
}
