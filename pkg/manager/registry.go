package manager

import (
	"time"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/serial"
	"x509ctl/pkg/store"
)

// A registry says whose names may be in the certificates of one authority.
type registry struct {
	cluster profile.Finder // its own name and those of nodes: a project's authority signs for none of them
	project string         // the id as it was recorded; empty for the cluster's authority

	member, registered func(key string) (string, bool) // in the project, by folded id or name
}

// policy returns the project's policy for a user or a server, for any if who is empty.
func (r registry) policy(who string) profile.ProjectPolicy {
	return profile.ProjectPolicy{Project: r.project, Member: r.member, Registered: r.registered, Taken: r.cluster, For: who}
}

// registryOf looks names up one by one, for a single certificate. A look-up that fails
// finds nobody, and failed says so afterwards.
func registryOf(tx *store.Tx, row store.Authority) (r registry, failed func() error, err error) {
	if row.ID == Cluster {
		r.cluster, failed = finder(tx, row)
		return r, failed, nil
	}
	cluster, err := tx.Authority(Cluster)
	if err != nil {
		return r, nil, err
	}
	p, err := signingProject(tx, row)
	if err != nil {
		return r, nil, err
	}
	r.project = p.ID
	find, failedThere := finder(tx, cluster)
	var first error
	note := func(err error) bool {
		if err != nil && fault.KindOf(err) != fault.NotFound && first == nil {
			first = err
		}
		return err == nil
	}
	r.cluster = find
	r.member = func(key string) (string, bool) {
		m, err := tx.Member(row.ID, key)
		return m.User, note(err)
	}
	r.registered = func(key string) (string, bool) {
		n, err := tx.ProjectName(key)
		return n.Name, note(err) && n.Authority == row.ID
	}
	return r, func() error {
		note(failedThere())
		return first
	}, nil
}

// A table is a registry and the keys that may not be certified, as of one state of the
// store. It doesn't change.
type table struct {
	registry
	generation int64 // of the authority
	cluster    int64 // and of the cluster's
	blocked    map[[32]byte]serial.Number
}

// of reports whether t is of the present state of the store.
func (t *table) of(tx *store.Tx, row store.Authority) (bool, error) {
	if row.Generation != t.generation || row.ID == Cluster {
		return row.Generation == t.generation, nil
	}
	cluster, err := tx.Authority(Cluster)
	return cluster.Generation == t.cluster, err
}

// table returns what a batch needs, read once for each state of the store.
func (m *Manager) table(tx *store.Tx, row store.Authority) (*table, error) {
	if row.ID == Cluster {
		nodes, err := m.nodeTable(tx, row)
		if err != nil {
			return nil, err
		}
		return &table{registry{cluster: nodes.find}, row.Generation, 0, nodes.blocked}, nil
	}
	p, err := signingProject(tx, row) // each time: the root knows that its CA is revoked
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	t := m.tables[row.ID]
	m.mu.Unlock()
	if t != nil {
		if same, err := t.of(tx, row); same || err != nil {
			return t, err
		}
	}
	t, err = m.readTable(tx, row, p)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tables[row.ID] = t
	return t, nil
}

// readTable reads that of a project.
func (m *Manager) readTable(tx *store.Tx, row store.Authority, p Project) (*table, error) {
	cluster, err := tx.Authority(Cluster)
	if err != nil {
		return nil, err
	}
	nodes, err := m.nodeTable(tx, cluster)
	if err != nil {
		return nil, err
	}
	t := &table{registry{cluster: nodes.find, project: p.ID}, row.Generation, cluster.Generation, nil}
	if t.blocked, err = tx.BlockedKeys(row.ID); err != nil {
		return nil, err
	}
	members, names := map[string]string{}, map[string]string{}
	t.member = func(key string) (string, bool) { s, ok := members[key]; return s, ok }
	t.registered = func(key string) (string, bool) { s, ok := names[key]; return s, ok }
	err = tx.Members(row.ID, func(x store.Member) error { members[profile.FoldName(x.User)] = x.User; return nil })
	if err == nil {
		err = tx.ProjectNames(row.ID, func(n store.ProjectName) error { names[profile.FoldName(n.Name)] = n.Name; return nil })
	}
	return t, err
}

// profileOf returns what an authority is to sign: p, or what it signs for most when
// nothing is said. Exceptions are for nodes of another cluster. Errors: [fault.Denied].
func profileOf(id AuthorityID, p profile.Profile, exceptions []string) (profile.Profile, error) {
	usual := profile.Node
	if ProjectOf(id) != "" {
		usual = profile.Member
	}
	switch {
	case id != Cluster && ProjectOf(id) == "":
		return "", fault.Errorf(fault.Denied, "the authority %q signs for projects only", string(id))
	case id != Cluster && len(exceptions) > 0:
		return "", fault.New(fault.Denied, "a project's certificates have no exceptions: register the names")
	case p == "":
		return usual, nil
	case p != profile.Decrypt && p.MaxLifetime() > 0 && p.OfProject() == (id != Cluster):
		return p, nil
	}
	return "", fault.Errorf(fault.Denied, "the authority %q signs no certificate for a %s", string(id), p)
}

// longestLife returns the longest lifetime of the certificates that an authority signs,
// those of CAs left out: what is known of one matters for so long.
func longestLife(id AuthorityID) time.Duration {
	if id == Cluster {
		return profile.MaxLifetime
	}
	return profile.MaxCALifetime // a decrypt certificate's
}
