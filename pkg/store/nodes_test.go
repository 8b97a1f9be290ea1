package store_test

import (
	"net/netip"
	"strings"
	"testing"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/store"
	"x509ctl/pkg/store/storetest"
)

func addresses(texts ...string) (all []netip.Addr) {
	for _, t := range texts {
		all = append(all, netip.MustParseAddr(t))
	}
	return all
}

func TestNodes(t *testing.T) {
	each(t, func(t *testing.T, s *storetest.Store) {
		alpha := store.Node{Name: "Alpha.Example.com", Aliases: []string{"ALPHA", "a-1"}, Addresses: addresses("192.0.2.1", "2001:db8::1"), Created: epoch}
		beta := store.Node{Name: "beta.example.com", Created: epoch}
		upper := store.Node{Name: "ZETA", Aliases: []string{"zeta"}, Created: epoch} // an alias of its own name
		first := store.Node{Name: "node00001.example.com", Created: epoch}           // withAuthority's
		write(t, s, func(tx *store.Tx) error {
			before, err := tx.Authority(store.Cluster)
			must(t, err)
			must(t, tx.AddNode(store.Cluster, upper))
			must(t, tx.AddNode(store.Cluster, alpha))
			must(t, tx.AddNode(store.Cluster, beta))
			after, err := tx.Authority(store.Cluster)
			wantEqual(t, "generation", after.Generation, before.Generation+3)
			return err
		})
		read(t, s, func(tx *store.Tx) error {
			all, err := tx.Nodes(store.Cluster)
			must(t, err)
			wantEqual(t, "nodes", all, []store.Node{alpha, beta, first, upper})
			for _, key := range []string{"alpha.example.com", "ALPHA.EXAMPLE.COM", "alpha", "A-1", "192.0.2.1", "2001:db8::1"} {
				n, err := tx.NodeByKey(store.Cluster, key)
				must(t, err)
				wantEqual(t, key, n, alpha)
			}
			for _, key := range []string{"", "example.com", "alpha.example.com.", "2001:DB8::2", "%", "beta' OR 1=1 --"} {
				_, err := tx.NodeByKey(store.Cluster, key)
				wantKind(t, key, err, fault.NotFound)
			}
			_, err = tx.NodeByKey("other", "alpha")
			wantKind(t, "another authority's node", err, fault.NotFound)
			return nil
		})
	})
}

func TestNodesClash(t *testing.T) {
	each(t, func(t *testing.T, s *storetest.Store) {
		one := store.Node{Name: "one", Aliases: []string{"uno"}, Addresses: addresses("192.0.2.1")}
		write(t, s, func(tx *store.Tx) error {
			must(t, tx.AddNode(store.Cluster, one))
			for _, n := range []store.Node{
				{Name: "ONE"},
				{Name: "uno"},
				{Name: "two", Aliases: []string{"One"}},
				{Name: "two", Addresses: addresses("192.0.2.1")},
			} {
				err := tx.AddNode(store.Cluster, n)
				wantKind(t, "a clash", err, fault.Exists)
				if err != nil && !strings.Contains(err.Error(), "node one") {
					t.Errorf("the clash does not name the node: %v", err)
				}
			}
			must(t, tx.PutAuthority(store.Authority{ID: "other"}))
			return tx.AddNode("other", one) // its names are free there
		})
	})
}

func TestNodesRemoved(t *testing.T) {
	each(t, func(t *testing.T, s *storetest.Store) {
		one := store.Node{Name: "One", Aliases: []string{"uno", "UNO"}, Addresses: addresses("192.0.2.1"), Created: epoch}
		write(t, s, func(tx *store.Tx) error {
			must(t, tx.AddNode(store.Cluster, one))
			_, err := tx.RemoveNode(store.Cluster, "uno")
			wantKind(t, "removing by alias", err, fault.NotFound)
			_, err = tx.RemoveNode(store.Cluster, "none")
			wantKind(t, "removing nobody", err, fault.NotFound)
			before, err := tx.Authority(store.Cluster)
			must(t, err)
			n, err := tx.RemoveNode(store.Cluster, "oNE")
			wantEqual(t, "the removed node", n, one)
			must(t, err)
			after, err := tx.Authority(store.Cluster)
			wantEqual(t, "generation", after.Generation, before.Generation+1)
			must(t, err)
			return tx.AddNode(store.Cluster, one) // every name is free again
		})
	})
}

func TestNodesRefused(t *testing.T) {
	each(t, func(t *testing.T, s *storetest.Store) {
		for what, n := range map[string]store.Node{
			"no name":         {},
			"a long name":     {Name: strings.Repeat("x", store.MaxKey+1)},
			"a long alias":    {Name: "x", Aliases: []string{strings.Repeat("x", store.MaxKey+1)}},
			"an empty alias":  {Name: "x", Aliases: []string{""}},
			"a broken alias":  {Name: "x", Aliases: []string{"a\nb"}},
			"NUL":             {Name: "x\x00"},
			"not UTF-8":       {Name: "x\xff"},
			"no address":      {Name: "x", Addresses: []netip.Addr{{}}},
			"a zone":          {Name: "x", Addresses: addresses("fe80::1%eth0")},
			"an IPv4 in IPv6": {Name: "x", Addresses: addresses("::ffff:192.0.2.1")},
			"a line break":    {Name: "x", Aliases: []string{"\n"}},
		} {
			err := s.Write(t.Context(), func(tx *store.Tx) error { return tx.AddNode(store.Cluster, n) })
			wantKind(t, what, err, fault.Malformed)
		}
		read(t, s, func(tx *store.Tx) error {
			_, err := tx.NodeByKey(store.Cluster, "x")
			wantKind(t, "a refused node", err, fault.NotFound)
			return nil
		})
	})
}
