package manager

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"unicode"
	"unicode/utf8"

	"x509ctl/pkg/authority"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/serial"
	"x509ctl/pkg/store"
)

// A Project is the record of a group of users with an authority of its own.
type Project = store.Project

// CreateProjectRequest asks for a project.
type CreateProjectRequest struct {
	ID           string
	Name         string               // for people, at most 255 characters; may be empty
	KeyAlgorithm profile.KeyAlgorithm // of its CA, and of the root where this makes it; the zero value is ECDSA P-256
	IfMissing    bool                 // a project that exists is no error
}

// reservedProjects are ids that no project gets, since they can be taken for something
// else: the root of projects, by what its directory or its organization is called, and
// the cluster.
var reservedProjects = []string{"root", "project-root", "projects", "cluster", "ca"}

// CreateProject implements Service. A process that is killed leaves a project without a
// CA; calling it again goes on from there.
func (m *Manager) CreateProject(ctx context.Context, req CreateProjectRequest) (Project, error) {
	id, err := ProjectAuthority(req.ID)
	if err != nil {
		return Project{}, err
	}
	if slices.Contains(reservedProjects, profile.FoldName(req.ID)) {
		return Project{}, &profile.NameError{Kind: "project", Name: req.ID, Reason: "is reserved"}
	}
	if flaw := displayFlaw(req.Name); flaw != "" {
		return Project{}, fault.Errorf(fault.Malformed, "the project's name %s", flaw)
	}
	req.KeyAlgorithm = cmp.Or(req.KeyAlgorithm, profile.ECDSAP256)
	p, err := m.recordProject(ctx, id, req)
	if fault.KindOf(err) == fault.Exists && req.IfMissing {
		return p, nil
	}
	if err != nil {
		return Project{}, err
	}
	if err := m.initProject(ctx, id, p, req.KeyAlgorithm); err != nil {
		return Project{}, err
	}
	return p, m.tell(ctx, id, "project-create", nil)
}

// displayFlaw returns what is wrong with a name for people, or "".
func displayFlaw(s string) string {
	const most = 255
	switch {
	case utf8.RuneCountInString(s) > most:
		return fmt.Sprintf("has more than %d characters", most)
	case !utf8.ValidString(s):
		return "is not UTF-8"
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return fmt.Sprintf("holds %+q, which can't be printed", r)
		}
	}
	return ""
}

// recordProject records a project, or finds one that lost its CA before it was made.
// Error: fault.Exists, with the project.
func (m *Manager) recordProject(ctx context.Context, id AuthorityID, req CreateProjectRequest) (p Project, err error) {
	err = m.change(ctx, Cluster, func(tx *store.Tx, _ *authority.Locked, row store.Authority) error {
		if row.Active == (authority.Fingerprint{}) {
			return ErrNotInitialised
		}
		p = Project{ID: req.ID, Name: req.Name, Created: m.now()}
		exists := tx.AddProject(p)
		if fault.KindOf(exists) != fault.Exists {
			return errors.Join(exists, tx.Audit(m.audit("project-create", p.ID, done, p.Name)))
		}
		if p, err = tx.Project(req.ID); err != nil {
			return err
		}
		if !p.Deleted.IsZero() {
			return &DeletedError{p}
		}
		ca, err := tx.Authority(id)
		if fault.KindOf(err) == fault.NotFound || err == nil && ca.Active == (authority.Fingerprint{}) {
			return nil
		}
		return errors.Join(err, exists)
	})
	return p, err
}

// initProject makes a project's CA, and the root above it when it is the first one.
func (m *Manager) initProject(ctx context.Context, id AuthorityID, p Project, key profile.KeyAlgorithm) error {
	cluster, pass, err := m.clusterSecret(ctx)
	if err != nil {
		return err
	}
	if err := m.initRoot(ctx, cluster, pass, key); err != nil {
		return fmt.Errorf("making the root of projects: %w", err)
	}
	_, err = m.initialise(ctx, InitRequest{
		Authority: id, Name: p.ID, KeyAlgorithm: key, Lifetime: profile.DefaultCALifetime, Passphrase: pass,
	})
	if errors.Is(err, ErrInitialised) {
		return fault.Errorf(fault.Exists, "there is a project %q already", p.ID)
	}
	return err
}

// clusterSecret returns the cluster's name, and the passphrase that its key is encrypted
// with, as those of projects are; nil for none.
func (m *Manager) clusterSecret(ctx context.Context) (name string, pass []byte, err error) {
	err = m.read(ctx, Cluster, func(_ *store.Tx, row store.Authority) error { name = row.Name; return nil })
	if err != nil {
		return "", nil, err
	}
	d, err := m.directory(Cluster)
	if err != nil {
		return "", nil, err
	}
	encrypted, err := d.KeyEncrypted()
	if maybeCut(err) {
		if err = m.publish(ctx, Cluster); err == nil {
			encrypted, err = d.KeyEncrypted()
		}
	}
	if err != nil || !encrypted {
		return name, nil, err
	}
	if _, err := m.finishedSigner(ctx, Cluster); err != nil { // so it is the right one
		return "", nil, err
	}
	pass, err = m.config.Passphrase()
	return name, pass, err
}

// initRoot makes the root of projects, or finishes one that was cut, unless it signs here
// already.
func (m *Manager) initRoot(ctx context.Context, cluster string, pass []byte, key profile.KeyAlgorithm) error {
	m.mu.Lock()
	ready := m.signers[ProjectRoot] != nil
	m.mu.Unlock()
	if ready {
		return nil
	}
	_, err := m.initialise(ctx, InitRequest{
		Authority: ProjectRoot, Name: cluster, KeyAlgorithm: key, Lifetime: profile.DefaultProjectRootLifetime, Passphrase: pass,
	})
	if errors.Is(err, ErrInitialised) {
		err = nil
	}
	return err
}

// makeProjectCA makes a project's CA and activates it. Its number is of the root's count
// and its record in the root's inventory, since the root issues it.
func (m *Manager) makeProjectCA(ctx context.Context, db *store.Store, l *authority.Locked, req InitRequest) error {
	number, root, err := m.reserveForProject(ctx, db, l, req.Authority)
	if err != nil {
		return err
	}
	ca, err := l.Prepare(authority.NewCA{
		Role: authority.ProjectCA, Name: req.Name, Serial: number, KeyAlgorithm: req.KeyAlgorithm,
		Now: m.now(), Lifetime: req.Lifetime, Passphrase: req.Passphrase, Root: root,
	})
	if err != nil {
		return err
	}
	var row store.Authority
	err = m.change(ctx, ProjectRoot, func(tx *store.Tx, above *authority.Locked, _ store.Authority) (err error) {
		if err := m.recordByRoot(tx, above, root, ca, req.Name); err != nil {
			return err
		}
		if row, err = tx.Authority(req.Authority); err != nil {
			return err
		}
		return m.activate(tx, l, row, ca, false, "init")
	})
	if err != nil {
		return err
	}
	m.mu.Lock()
	m.signers[req.Authority] = ca
	m.mu.Unlock()
	row.Active = ca.Fingerprint()
	return errors.Join(l.WriteMark(), l.Publish(alive(row), row.Counter.Floor))
}

// reserveForProject takes a number of the root's, without the project's lock, as
// [Manager.reserveForCA] does: by its end another process may have made the CA.
// Errors: ErrInitialised; ErrCAChanged.
func (m *Manager) reserveForProject(ctx context.Context, db *store.Store, l *authority.Locked, id AuthorityID) (serial.Number, *authority.Authority, error) {
	var before authority.Alive
	err := db.Read(ctx, func(tx *store.Tx) error {
		row, err := tx.Authority(id)
		before = alive(row)
		return err
	})
	if err != nil {
		return 0, nil, err
	}
	var block serial.Block
	var root *authority.Authority
	err = l.Without(func() error {
		root, block, err = m.reserveOfRoot(ctx)
		return err
	}, func() (*authority.Locked, error) { return m.lock(ctx, id) })
	if err != nil {
		return 0, nil, err
	}
	return block.First, root, m.unchangedSince(ctx, db, id, before)
}

// Project implements Service.
func (m *Manager) Project(ctx context.Context, id string) (p Project, err error) {
	if _, err := profile.ParseProject(id); err != nil {
		return Project{}, err
	}
	err = m.read(ctx, Cluster, func(tx *store.Tx, _ store.Authority) (err error) {
		p, err = projectByID(tx, id)
		return err
	})
	return p, err
}

// A NoProjectError is the id of a project that was never created. It is [ErrNoProject] to
// errors.Is.
type NoProjectError struct{ ID string }

func (e *NoProjectError) Error() string { return fmt.Sprintf("there is no project %q", e.ID) }

// Is implements the interface that errors.Is looks for.
func (e *NoProjectError) Is(target error) bool { return target == ErrNoProject }

// FaultKind makes the error [fault.NotFound].
func (e *NoProjectError) FaultKind() fault.Kind { return fault.NotFound }

// projectByID finds a project, deleted or not. Error: [*NoProjectError].
func projectByID(tx *store.Tx, id string) (Project, error) {
	p, err := tx.Project(id)
	if fault.KindOf(err) == fault.NotFound {
		err = &NoProjectError{id}
	}
	return p, err
}

// liveProject finds the project that an authority is of, which is not deleted.
// Errors: [*NoProjectError]; [*DeletedError].
func liveProject(tx *store.Tx, id AuthorityID) (Project, error) {
	p, err := projectByID(tx, ProjectOf(id))
	if err == nil && !p.Deleted.IsZero() {
		err = &DeletedError{p}
	}
	return p, err
}

// changeProject runs fn in a write transaction, on a project that is not deleted and has a
// CA. It is under the cluster's lock, since names are held against those of nodes.
func (m *Manager) changeProject(ctx context.Context, project string, fn func(*store.Tx, store.Authority, AuthorityID, Project) error) error {
	id, err := ProjectAuthority(project)
	if err != nil {
		return err
	}
	return m.change(ctx, Cluster, func(tx *store.Tx, _ *authority.Locked, cluster store.Authority) error {
		p, err := liveProject(tx, id)
		if err != nil {
			return err
		}
		row, err := tx.Authority(id)
		if err == nil && row.Active == (authority.Fingerprint{}) {
			err = noAuthority(id)
		}
		if err != nil {
			return notInitialised(id, err)
		}
		return fn(tx, cluster, id, p)
	})
}

// readProject runs fn in a read transaction, on a project that may be deleted.
func (m *Manager) readProject(ctx context.Context, project string, fn func(*store.Tx, AuthorityID) error) error {
	id, err := ProjectAuthority(project)
	if err != nil {
		return err
	}
	return m.read(ctx, Cluster, func(tx *store.Tx, _ store.Authority) error {
		if _, err := projectByID(tx, project); err != nil {
			return err
		}
		return fn(tx, id)
	})
}

// Projects implements Service.
func (m *Manager) Projects(ctx context.Context, yield func(Project) error) error {
	return m.read(ctx, Cluster, func(tx *store.Tx, _ store.Authority) error { return tx.Projects(yield) })
}
