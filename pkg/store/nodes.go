package store

import (
	"database/sql"
	"net/netip"
	"time"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
)

// A Node is a machine that may have certificates. Names keep their spelling and are
// compared without regard to (ASCII) case. Times have whole seconds.
type Node struct {
	Name      string
	Aliases   []string
	Addresses []netip.Addr
	Created   time.Time
}

// names returns every name that belongs to n, folded, n.Name's first, none twice.
func (n Node) names() []string {
	all := make([]string, 0, 1+len(n.Aliases)+len(n.Addresses))
	seen := make(map[string]bool)
	add := func(name string) {
		if !seen[name] {
			seen[name] = true
			all = append(all, name)
		}
	}
	add(profile.FoldName(n.Name))
	for _, a := range n.Aliases {
		add(profile.FoldName(a))
	}
	for _, a := range n.Addresses {
		add(a.String())
	}
	return all
}

func (n Node) check() error {
	if n.Name == "" {
		return fault.New(fault.Malformed, "a node without a name")
	}
	for _, a := range n.Addresses {
		if !a.IsValid() || a.Zone() != "" || a.Is4In6() {
			return fault.Errorf(fault.Malformed, "%v is not the address of one host, or not in its canonical form", a)
		}
	}
	for _, name := range n.names() {
		if err := checkKey("name", name); err != nil {
			return err
		}
	}
	return nil
}

// AddNode records n, whose every name, alias and address must be free.
// Errors: [fault.Exists], naming the clash, after which tx is as before;
// [fault.NotFound], no such authority.
func (tx *Tx) AddNode(id AuthorityID, n Node) error {
	if err := n.check(); err != nil {
		return tx.fail(err)
	}
	if err := tx.newGeneration(id); err != nil {
		return err
	}
	names := n.names()
	for _, name := range names {
		have, err := tx.NodeByKey(id, name)
		if err == nil {
			return fault.Errorf(fault.Exists, "%s belongs to node %s already", name, have.Name)
		}
		if fault.KindOf(err) != fault.NotFound {
			return err
		}
	}
	return tx.insertNode(id, n, names)
}

func (tx *Tx) insertNode(id AuthorityID, n Node, names []string) error {
	aliases, err := lines(n.Aliases)
	if err != nil {
		return tx.fail(err)
	}
	texts := make([]string, len(n.Addresses))
	for i, a := range n.Addresses {
		texts[i] = a.String()
	}
	addresses, err := lines(texts)
	if err != nil {
		return tx.fail(err)
	}
	_, err = tx.exec(`INSERT INTO nodes (authority, node, name, aliases, addresses, created) VALUES (?, ?, ?, ?, ?, ?)`,
		string(id), names[0], n.Name, aliases, addresses, n.Created.Unix())
	for i := 0; i < len(names) && err == nil; i++ {
		_, err = tx.exec(`INSERT INTO node_names (authority, name, node) VALUES (?, ?, ?)`, string(id), names[i], names[0])
	}
	return err
}

// RemoveNode forgets the node of that name, in any letter case, and returns what
// it was. An alias is not a node's name.
// Errors: [fault.NotFound].
func (tx *Tx) RemoveNode(id AuthorityID, name string) (Node, error) {
	name = profile.FoldName(name)
	n, err := tx.NodeByKey(id, name)
	if err != nil {
		return Node{}, err
	}
	if profile.FoldName(n.Name) != name {
		return Node{}, noNode(name)
	}
	if err := tx.newGeneration(id); err != nil {
		return Node{}, err
	}
	for _, key := range n.names() {
		if _, err := tx.exec(`DELETE FROM node_names WHERE authority = ? AND name = ?`, string(id), key); err != nil {
			return Node{}, err
		}
	}
	_, err = tx.exec(`DELETE FROM nodes WHERE authority = ? AND node = ?`, string(id), name)
	return n, err
}

// Nodes returns all nodes, by name.
func (tx *Tx) Nodes(id AuthorityID) ([]Node, error) {
	var all []Node
	err := tx.rows(`SELECT name, aliases, addresses, created FROM nodes WHERE authority = ? ORDER BY node`,
		[]any{string(id)}, func(r *sql.Rows) error {
			n, err := scanNode(r)
			all = append(all, n)
			return err
		})
	return all, err
}

const selectNode = `
SELECT n.name, n.aliases, n.addresses, n.created
  FROM node_names k
  JOIN nodes n ON n.authority = k.authority AND n.node = k.node
 WHERE k.authority = ? AND k.name = ?`

// NodeByKey returns the node that key belongs to: a name or an alias in any
// letter case, or the canonical text of an IP address.
// Errors: [fault.NotFound].
func (tx *Tx) NodeByKey(id AuthorityID, key string) (Node, error) {
	var n Node
	found := false
	err := tx.rows(selectNode, []any{string(id), profile.FoldName(key)}, func(r *sql.Rows) (err error) {
		found = true
		n, err = scanNode(r)
		return err
	})
	if err == nil && !found {
		err = noNode(key)
	}
	return n, err
}

func noNode(name string) error { return fault.Errorf(fault.NotFound, "no node %q", name) }

func scanNode(r *sql.Rows) (Node, error) {
	var n Node
	var aliases, addresses string
	if err := r.Scan(&n.Name, &aliases, &addresses, second{&n.Created}); err != nil {
		return Node{}, err
	}
	n.Aliases = unlines(aliases)
	for _, text := range unlines(addresses) {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return Node{}, damaged(err)
		}
		n.Addresses = append(n.Addresses, a)
	}
	return n, nil
}
