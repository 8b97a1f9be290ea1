package manager

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/store"
)

// ProjectName is a name that is registered with a project, for its servers.
type ProjectName = store.ProjectName

// A NameTakenError is a name that is a node's or the cluster's, and so none for a project,
// or the other way round.
type NameTakenError struct {
	Name  string
	Whose string // in words
	Kind  fault.Kind
}

func (e *NameTakenError) Error() string { return e.Name + " " + e.Whose }

// FaultKind is [fault.Denied] for a name of the cluster's, [fault.Exists] for a project's.
func (e *NameTakenError) FaultKind() fault.Kind { return e.Kind }

// notOfCluster refuses a name, by the key that it is found by, that the cluster or a node
// has: no project's certificate carries it. Error: [*NameTakenError].
func notOfCluster(tx *store.Tx, cluster store.Authority, key string) error {
	find, failed := finder(tx, cluster)
	h, taken := find(key)
	if err := failed(); err != nil || !taken {
		return err
	}
	whose := "belongs to node " + h.Name
	if h.Cluster {
		whose = "is the name of the cluster"
	}
	return &NameTakenError{key, whose, fault.Denied}
}

// notOfProject refuses a name, by the key that it is found by, that is registered with a
// project, is a member's id, or is in a live certificate of one that was.
// Error: [*NameTakenError].
func notOfProject(tx *store.Tx, key string, now time.Time) error {
	n, err := tx.ProjectName(key)
	if err == nil {
		return &NameTakenError{key, "is registered with project " + ProjectOf(n.Authority), fault.Exists}
	}
	if fault.KindOf(err) != fault.NotFound {
		return err
	}
	id, err := tx.MemberAnywhere(key)
	if err == nil {
		return &NameTakenError{key, "is the id of a member of project " + ProjectOf(id), fault.Exists}
	}
	if fault.KindOf(err) != fault.NotFound {
		return err
	}
	id, number, err := tx.LiveOfOthers(Cluster, key, now)
	if err == nil {
		return &NameTakenError{key, fmt.Sprintf("is in certificate %v of project %s, which is live", number, ProjectOf(id)), fault.Exists}
	}
	if fault.KindOf(err) != fault.NotFound {
		return err
	}
	return nil
}

// parseServerName returns a name for a server as its record keeps it: a DNS name as it is,
// an address in its canonical form.
func parseServerName(s string) (string, error) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return profile.ParseName(s)
	}
	if err := checkAddress(a); err != nil {
		return "", err
	}
	return profile.AddressKey(a), nil
}

// CheckServerName says what is wrong with a name for a server. Errors: [*profile.NameError],
// [fault.Malformed].
func CheckServerName(s string) error {
	_, err := parseServerName(s)
	return err
}

// AddProjectNamesRequest asks for names to be registered.
type AddProjectNamesRequest struct {
	Project   string
	Names     []string // DNS names and IP addresses, at most MaxBatch
	IfMissing bool     // a name that the project has is no error
}

// A ProjectNameResult is the answer for one name.
type ProjectNameResult struct {
	Name ProjectName
	Err  error // the refusal; Name is empty then
}

// AddProjectNames implements Service.
func (m *Manager) AddProjectNames(ctx context.Context, req AddProjectNamesRequest) ([]ProjectNameResult, error) {
	if len(req.Names) > MaxBatch {
		return nil, fault.Errorf(fault.Malformed, "%d names in one call, at most %d are taken", len(req.Names), MaxBatch)
	}
	var out []ProjectNameResult
	err := m.changeProject(ctx, req.Project, func(tx *store.Tx, cluster store.Authority, id AuthorityID, p Project) error {
		out = make([]ProjectNameResult, len(req.Names))
		var entries []store.AuditEntry
		for i, name := range req.Names {
			n, err := m.addProjectName(tx, cluster, id, name, req.IfMissing)
			if !isRefusal(err) {
				return err
			}
			out[i] = ProjectNameResult{n, err}
			entries = append(entries, m.entryOf("name-add", p.ID+" "+name, "", err))
		}
		return tx.Audit(entries...)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (m *Manager) addProjectName(tx *store.Tx, cluster store.Authority, id AuthorityID, name string, ifMissing bool) (ProjectName, error) {
	name, err := parseServerName(name)
	if err != nil {
		return ProjectName{}, err
	}
	if err := notOfCluster(tx, cluster, profile.FoldName(name)); err != nil {
		return ProjectName{}, err
	}
	n := ProjectName{Authority: id, Name: name, Added: m.now()}
	err = tx.AddProjectName(n)
	if fault.KindOf(err) != fault.Exists {
		return n, err
	}
	have, err := tx.ProjectName(name)
	switch {
	case err != nil:
		return ProjectName{}, err
	case have.Authority == id && ifMissing:
		return have, nil
	}
	return ProjectName{}, &NameTakenError{have.Name, "is registered with project " + ProjectOf(have.Authority) + " already", fault.Exists}
}

// isRefusal reports whether err is nil or says something of one item of a batch only.
func isRefusal(err error) bool {
	switch fault.KindOf(err) {
	case fault.Exists, fault.Denied, fault.NotFound, fault.Malformed:
		return true
	}
	return err == nil
}

// entryOf is what the audit table says of one item of a batch.
func (m *Manager) entryOf(action, object, detail string, err error) store.AuditEntry {
	if err != nil {
		return m.audit(action, object, refused, err.Error())
	}
	return m.audit(action, object, done, detail)
}

// RemoveProjectNamesRequest asks for names to be forgotten.
type RemoveProjectNamesRequest struct {
	Project string
	Names   []string // at most MaxBatch
	// KeepCertificates leaves those with the name valid until they expire. Otherwise they
	// are revoked, since the name can be another's next.
	KeepCertificates bool
}

// RemoveProjectNames implements Service.
func (m *Manager) RemoveProjectNames(ctx context.Context, req RemoveProjectNamesRequest) ([]Removed[ProjectName], error) {
	why := profile.CessationOfOperation
	if req.KeepCertificates {
		why = ""
	}
	r := remover[ProjectName]{Manager: m, project: req.Project, action: "name-remove", why: why}
	r.remove = func(tx *store.Tx, id AuthorityID, name string) (ProjectName, CertificateFilter, error) {
		name, err := parseServerName(name)
		if err != nil {
			return ProjectName{}, CertificateFilter{}, err
		}
		n, err := tx.RemoveProjectName(id, name)
		return n, CertificateFilter{Kind: kindServer, Name: n.Name}, err
	}
	return r.each(ctx, req.Names)
}

// ProjectNames implements Service.
func (m *Manager) ProjectNames(ctx context.Context, project string, yield func(ProjectName) error) error {
	return m.readProject(ctx, project, func(tx *store.Tx, id AuthorityID) error { return tx.ProjectNames(id, yield) })
}
