package manager

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"x509ctl/pkg/authority"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/serial"
	"x509ctl/pkg/store"
)

// A nodeTable is every name that may be in a certificate, and every key that may not,
// as of one generation. It doesn't change.
type nodeTable struct {
	generation int64
	cluster    string
	byKey      map[string]profile.Holder
	blocked    map[[32]byte]serial.Number // see store.Tx.BlockedKeys
}

func (t *nodeTable) find(key string) (profile.Holder, bool) {
	if key == profile.FoldName(t.cluster) {
		return profile.Holder{Name: t.cluster, Cluster: true}, true
	}
	h, ok := t.byKey[key]
	return h, ok
}

// nodeTable returns the names of row's generation, read once for each.
func (m *Manager) nodeTable(tx *store.Tx, row store.Authority) (*nodeTable, error) {
	m.mu.Lock()
	t := m.nodes[row.ID]
	m.mu.Unlock()
	if t != nil && t.generation == row.Generation && t.cluster == row.Name {
		return t, nil
	}
	nodes, err := tx.Nodes(row.ID)
	if err != nil {
		return nil, err
	}
	blocked, err := tx.BlockedKeys(row.ID)
	if err != nil {
		return nil, err
	}
	t = &nodeTable{row.Generation, row.Name, make(map[string]profile.Holder, len(nodes)), blocked}
	for _, n := range nodes {
		for _, key := range nodeKeys(n) {
			t.byKey[key] = holder(n)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.nodes[row.ID] = t
	return t, nil
}

// finder looks names up one by one, for a single certificate. A lookup that fails
// finds nobody, and failed says so afterwards.
func finder(tx *store.Tx, row store.Authority) (find profile.Finder, failed func() error) {
	var first error
	find = func(key string) (profile.Holder, bool) {
		if key == profile.FoldName(row.Name) {
			return profile.Holder{Name: row.Name, Cluster: true}, true
		}
		n, err := tx.NodeByKey(row.ID, key)
		if err != nil && fault.KindOf(err) != fault.NotFound && first == nil {
			first = err
		}
		return holder(n), err == nil
	}
	return find, func() error { return first }
}

func holder(n Node) profile.Holder {
	return profile.Holder{Name: n.Name, Aliases: n.Aliases, Addresses: n.Addresses}
}

// nodeKeys are the keys by which a node's names are found.
func nodeKeys(n Node) []string {
	keys := []string{profile.FoldName(n.Name)}
	for _, a := range n.Aliases {
		keys = append(keys, profile.FoldName(a))
	}
	for _, a := range n.Addresses {
		keys = append(keys, profile.AddressKey(a))
	}
	return keys
}

// maxCommonName is the most characters a common name has: ub-common-name of RFC
// 5280, appendix A.1.
const maxCommonName = 64

// MaxNodeNames is how many aliases, and how many addresses, a node has at most.
const MaxNodeNames = 32

// AddNode implements Service.
func (m *Manager) AddNode(ctx context.Context, req AddNodeRequest) (Node, error) {
	if err := clusterOnly(req.Authority); err != nil {
		return Node{}, err
	}
	n, err := newNode(req)
	if err != nil {
		return Node{}, err
	}
	n.Created = m.now()
	err = m.change(ctx, req.Authority, func(tx *store.Tx, _ *authority.Locked, row store.Authority) error {
		if slices.Contains(nodeKeys(n), profile.FoldName(row.Name)) {
			return fault.Errorf(fault.Exists, "%s is the name of the cluster", row.Name)
		}
		for _, key := range nodeKeys(n) {
			if err := notOfProject(tx, key, m.now()); err != nil {
				return err
			}
		}
		err := tx.AddNode(req.Authority, n)
		if req.IfMissing && fault.KindOf(err) == fault.Exists {
			have, lookup := tx.NodeByKey(req.Authority, profile.FoldName(n.Name))
			if lookup == nil && sameNode(have, n) {
				n = have
				return nil
			}
		}
		if err != nil {
			return err
		}
		return tx.Audit(m.audit("node-add", n.Name, done, fmt.Sprint(nodeKeys(n)[1:])))
	})
	return n, err
}

// newNode checks a node's names.
func newNode(req AddNodeRequest) (Node, error) {
	n := Node{Name: req.Name, Addresses: []netip.Addr{}}
	if len(req.Aliases) > MaxNodeNames || len(req.Addresses) > MaxNodeNames {
		return n, fault.Errorf(fault.Malformed, "a node has at most %d aliases and %d addresses", MaxNodeNames, MaxNodeNames)
	}
	if _, err := profile.ParseName(req.Name); err != nil {
		return n, err
	}
	if len(req.Name) > maxCommonName {
		return n, fault.Errorf(fault.Malformed, "the name %s has %d characters; a common name has at most %d", req.Name, len(req.Name), maxCommonName)
	}
	for _, a := range req.Aliases {
		if _, err := profile.ParseName(a); err != nil {
			return n, err
		}
		n.Aliases = append(n.Aliases, a)
	}
	for _, a := range req.Addresses {
		if err := checkAddress(a); err != nil {
			return n, err
		}
		n.Addresses = append(n.Addresses, a.Unmap())
	}
	keys := nodeKeys(n)
	slices.Sort(keys)
	if len(slices.Compact(keys)) != 1+len(req.Aliases)+len(req.Addresses) {
		return n, fault.Errorf(fault.Malformed, "a name of node %s is given twice", req.Name)
	}
	return n, nil
}

// checkAddress refuses what is not the address of one machine.
func checkAddress(a netip.Addr) error {
	if !a.IsValid() || a.Zone() != "" || a.IsUnspecified() || a.IsMulticast() {
		return fault.Errorf(fault.Malformed, "%v is not the address of a machine", a)
	}
	return nil
}

func sameNode(a, b Node) bool {
	x, y := nodeKeys(a), nodeKeys(b)
	slices.Sort(x)
	slices.Sort(y)
	return a.Name == b.Name && slices.Equal(x, y)
}

// RemoveNode implements Service.
func (m *Manager) RemoveNode(ctx context.Context, id AuthorityID, name string) (RemovedNode, error) {
	var out RemovedNode
	err := m.change(ctx, id, func(tx *store.Tx, l *authority.Locked, row store.Authority) error {
		n, err := nodeByName(tx, id, name)
		if err != nil {
			return err
		}
		if out.Node, err = tx.RemoveNode(id, n.Name); err != nil {
			return err
		}
		floor, err := l.Floor()
		if err != nil {
			return err
		}
		f := store.CertificateFilter{
			Authority: id, Kind: kindNode, Holder: n.Name, Status: store.Live,
			At: m.now(), Floor: max(floor, row.Counter.Floor), OmitDER: true, Limit: sampleSize,
		}
		out.Live = nil
		if err := tx.Certificates(f, func(c Certificate) error { out.Live = append(out.Live, c); return nil }); err != nil {
			return err
		}
		return tx.Audit(m.audit("node-remove", n.Name, done, fmt.Sprintf("%d live certificates", len(out.Live))))
	})
	return out, err
}

// A NoNodeError is a name that is no node's: nobody's, or another name of one.
type NoNodeError struct {
	Name    string
	AliasOf string // the node's own name; empty for none
}

func (e *NoNodeError) Error() string {
	if e.AliasOf != "" {
		return fmt.Sprintf("there is no node %q: it is an alias of %s", e.Name, e.AliasOf)
	}
	return fmt.Sprintf("there is no node %q", e.Name)
}

// FaultKind makes the error [fault.NotFound].
func (e *NoNodeError) FaultKind() fault.Kind { return fault.NotFound }

// nodeByName finds a node by its own name. Error: [*NoNodeError].
func nodeByName(tx *store.Tx, id AuthorityID, name string) (Node, error) {
	n, err := tx.NodeByKey(id, profile.FoldName(name))
	switch {
	case fault.KindOf(err) == fault.NotFound:
		return n, &NoNodeError{Name: name}
	case err == nil && profile.FoldName(n.Name) != profile.FoldName(name):
		return n, &NoNodeError{Name: name, AliasOf: n.Name}
	}
	return n, err
}

// checkHolder refuses the name of a holder whom nobody has heard of: no node, not the
// cluster, no member, and not in the inventory either, where removed ones still are.
// Errors: [*NoNodeError]; [fault.NotFound].
func checkHolder(tx *store.Tx, row store.Authority, name string) error {
	if profile.FoldName(name) == profile.FoldName(row.Name) && row.ID == Cluster {
		return nil
	}
	var unknown error
	if row.ID == Cluster {
		_, unknown = nodeByName(tx, row.ID, name)
	} else {
		_, unknown = tx.Member(row.ID, name)
	}
	if fault.KindOf(unknown) != fault.NotFound {
		return unknown
	}
	f := store.CertificateFilter{Authority: row.ID, Holder: name, OmitDER: true, Limit: 1}
	err := tx.Certificates(f, func(Certificate) error { unknown = nil; return nil })
	if err != nil {
		return err
	}
	return unknown
}

// Nodes implements Service.
func (m *Manager) Nodes(ctx context.Context, id AuthorityID) ([]Node, error) {
	var out []Node
	err := m.read(ctx, id, func(tx *store.Tx, _ store.Authority) (err error) {
		out, err = tx.Nodes(id)
		return err
	})
	return out, err
}
