package store

import (
	"net/netip"
	"time"
)

// A Node is a machine that may have certificates.
type Node struct {
	Name      string
	Aliases   []string
	Addresses []netip.Addr
	Created   time.Time
}

// AddNode records n, whose every name, alias and address must be free.
// Errors: [fault.Exists], naming the clash; [fault.NotFound], no such authority.
func (tx *Tx) AddNode(id AuthorityID, n Node) error { return errTODO }

// RemoveNode forgets the node of that name and returns what it was.
// Errors: [fault.NotFound].
func (tx *Tx) RemoveNode(id AuthorityID, name string) (Node, error) { return Node{}, errTODO }

// Nodes returns all nodes, by name.
func (tx *Tx) Nodes(id AuthorityID) ([]Node, error) { return nil, errTODO }

// NodeByKey returns the node that key belongs to: a name or an alias in any
// letter case, or the canonical text of an IP address.
// Errors: [fault.NotFound].
func (tx *Tx) NodeByKey(id AuthorityID, key string) (Node, error) { return Node{}, errTODO }
