package manager

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"x509ctl/pkg/authority"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/store"
)

// ErrProjectDeleted means that a project is deleted, and only its records are left.
var ErrProjectDeleted = fault.New(fault.Denied, "the project is deleted")

// A DeletedError is a project that is deleted. It is [ErrProjectDeleted] to errors.Is.
type DeletedError struct{ Project Project }

func (e *DeletedError) Error() string {
	return fmt.Sprintf("project %s was deleted on %s, and its id is not given again", e.Project.ID, e.Project.Deleted.UTC().Format(time.RFC3339))
}

// Is implements the interface that errors.Is looks for.
func (e *DeletedError) Is(target error) bool { return target == ErrProjectDeleted }

// FaultKind makes the error [fault.Denied].
func (e *DeletedError) FaultKind() fault.Kind { return fault.Denied }

// A LiveError is a project that is not deleted because of its live certificates.
type LiveError struct {
	Project Project
	Live    int64
	Sample  []Certificate // the first of them, 20 at most
}

func (e *LiveError) Error() string {
	var list []string
	for _, c := range e.Sample {
		list = append(list, c.Serial.String()+" "+c.CommonName)
	}
	if more := e.Live - int64(len(e.Sample)); more > 0 {
		list = append(list, fmt.Sprintf("and %d more", more))
	}
	return fmt.Sprintf("project %s has live certificates: %s", e.Project.ID, strings.Join(list, ", "))
}

// FaultKind makes the error [fault.Denied].
func (e *LiveError) FaultKind() fault.Kind { return fault.Denied }

// liveShown is how many certificates a LiveError names.
const liveShown = 20

// DeleteProjectRequest asks for the end of a project.
type DeleteProjectRequest struct {
	ID    string
	Force bool // revoke its live certificates
}

// DeletedProject is what is left of a project.
type DeletedProject struct {
	Project Project
	Revoked int // certificates, those of its CAs and its decrypt key left out
}

// DeleteProject implements Service. From its one transaction on nothing is issued, and the
// project's CAs are on the list of the root; certificates are revoked after it, a batch at
// a time. Calling it again after a failure goes on from there.
func (m *Manager) DeleteProject(ctx context.Context, req DeleteProjectRequest) (DeletedProject, error) {
	id, err := ProjectAuthority(req.ID)
	if err != nil {
		return DeletedProject{}, err
	}
	var out DeletedProject
	out.Project, err = m.markDeleted(ctx, id, req)
	if errors.Is(err, errNoCA) {
		return out, nil
	}
	if err != nil {
		return DeletedProject{}, err
	}
	r := revocation{Manager: m, req: RevokeRequest{Authority: id, All: true, Reason: profile.CessationOfOperation}}
	err = r.targets(ctx)
	out.Revoked = r.out.Revoked
	if err != nil {
		return out, err
	}
	return out, m.spreadCA(ctx, id, "project-delete")
}

// errNoCA means a project that was deleted before it had a CA.
var errNoCA = errors.New("there is no CA")

// markDeleted makes the record say that the project is deleted, unless there is something
// left to do of an earlier call. Error: errNoCA, when it is done with that.
func (m *Manager) markDeleted(ctx context.Context, id AuthorityID, req DeleteProjectRequest) (p Project, err error) {
	err = m.changeCAs(ctx, id, func(tx *store.Tx, own, above locked) error {
		if p, err = projectByID(tx, req.ID); err != nil {
			return err
		}
		live, err := m.liveOf(tx, own, p)
		if err != nil {
			return err
		}
		switch {
		case !p.Deleted.IsZero() && live.Live == 0 && own.row.CRLDue == 0:
			return &DeletedError{p}
		case !p.Deleted.IsZero():
			return nil
		case live.Live > 0 && !req.Force:
			return live
		}
		if _, err := m.revokeCAs(tx, above, id, p, "", profile.CessationOfOperation); err != nil {
			return err
		}
		f := CertificateFilter{Kind: string(profile.Decrypt)}
		if err := endCertificates(m, tx, own.Locked, own.row, f, profile.CessationOfOperation, new(Removed[Project])); err != nil {
			return err
		}
		return m.recordDeletion(tx, id, &p)
	})
	if !errors.Is(err, ErrNoProject) {
		return p, err
	}
	// Perhaps a project whose CA was never made.
	err = m.change(ctx, Cluster, func(tx *store.Tx, _ *authority.Locked, _ store.Authority) error {
		if p, err = liveProject(tx, id); err != nil {
			return err
		}
		if row, err := tx.Authority(id); err == nil && row.Active != (authority.Fingerprint{}) {
			return noAuthority(id) // its directory is missing
		}
		return m.recordDeletion(tx, id, &p)
	})
	if err == nil {
		err = errNoCA
	}
	return p, err
}

func (m *Manager) recordDeletion(tx *store.Tx, id AuthorityID, p *Project) error {
	p.Deleted = m.now()
	if err := tx.DeleteProject(id, p.ID, p.Deleted); err != nil {
		return err
	}
	return tx.Audit(m.audit("project-delete", p.ID, done, p.Name))
}

// liveOf returns the live certificates of a project but for those of its decrypt key,
// which are nobody's.
func (m *Manager) liveOf(tx *store.Tx, l locked, p Project) (*LiveError, error) {
	floor, err := l.Floor()
	if err != nil {
		return nil, err
	}
	floor = max(floor, l.row.Counter.Floor, 1)
	n, err := tx.CountCertificates(l.row.ID, m.now(), floor)
	if err != nil || n.Live == 0 {
		return &LiveError{}, err
	}
	out := &LiveError{Project: p, Live: n.Live}
	f := CertificateFilter{Authority: l.row.ID, Kind: string(profile.Decrypt), Status: store.Live, At: m.now(), Floor: floor, OmitDER: true}
	if err := tx.Certificates(f, func(Certificate) error { out.Live--; return nil }); err != nil {
		return nil, err
	}
	f.Kind, f.Limit = kindLeaf, liveShown
	err = tx.Certificates(f, func(c Certificate) error { out.Sample = append(out.Sample, c); return nil })
	return out, err
}
