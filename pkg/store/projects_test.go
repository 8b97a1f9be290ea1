package store_test

import (
	"errors"
	"fmt"
	"testing"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/store"
	"x509ctl/pkg/store/storetest"
)

func TestProjects(t *testing.T) {
	each(t, func(t *testing.T, s *storetest.Store) {
		want := store.Project{ID: "Tenant_1", Name: "ü 'x'", Created: epoch}
		write(t, s, func(tx *store.Tx) error {
			must(t, tx.AddProject(want))
			// An id that is taken, in any letter case, leaves the transaction whole.
			wantKind(t, "adding again", tx.AddProject(store.Project{ID: "tenant_1", Created: epoch}), fault.Exists)
			for i := range 1500 { // more than a page
				must(t, tx.AddProject(store.Project{ID: fmt.Sprintf("P%04d", i), Created: epoch}))
			}
			return nil
		})
		read(t, s, func(tx *store.Tx) error {
			for _, id := range []string{"Tenant_1", "TENANT_1"} {
				got, err := tx.Project(id)
				must(t, err)
				wantEqual(t, id, got, want)
			}
			_, err := tx.Project("tenant")
			wantKind(t, "another", err, fault.NotFound)
			var ids []string
			must(t, tx.Projects(func(p store.Project) error { ids = append(ids, p.ID); return nil }))
			wantEqual(t, "projects", len(ids), 1501)
			wantEqual(t, "the first", ids[0], "P0000")
			wantEqual(t, "the last", ids[1500], "Tenant_1")
			stop := errors.New("stop")
			wantIs(t, "stopping", tx.Projects(func(store.Project) error { return stop }), stop)
			return nil
		})
	})
}

func TestAuthorityIDs(t *testing.T) {
	each(t, func(t *testing.T, s *storetest.Store) {
		write(t, s, func(tx *store.Tx) error {
			must(t, tx.PutAuthority(store.Authority{ID: "project:a", Name: "a", Created: epoch}))
			return tx.PutAuthority(store.Authority{ID: store.Cluster, Name: "c.example", Created: epoch})
		})
		read(t, s, func(tx *store.Tx) error {
			got, err := tx.AuthorityIDs()
			wantEqual(t, "ids", got, []store.AuthorityID{store.Cluster, "project:a"})
			return err
		})
	})
}
