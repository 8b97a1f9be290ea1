package manager

import (
	"context"
	"errors"
	"fmt"

	"x509ctl/pkg/authority"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/store"
)

// A Removed is what belonged to a project, and what became of its live certificates.
type Removed[T any] struct {
	Record  T
	Sample  []Certificate // those that it had, the first of them, 1,000 at most
	Live    int           // how many they were
	Revoked int           // of these: all, or none when they are kept
	Err     error         // the refusal; the other fields are empty then
}

// A remover removes records of a project one by one, each in a transaction together with
// its certificates: so none is issued after.
type remover[T any] struct {
	*Manager
	project  string
	action   string         // for the audit table
	why      profile.Reason // certificates are revoked; empty: they are kept
	progress func(int)      // nil, or called with the number so far

	// remove removes the record of an item, and says which certificates are its.
	remove func(tx *store.Tx, id AuthorityID, item string) (T, CertificateFilter, error)
}

// each removes items until an error that is not about one of them alone, and then
// publishes a revocation list if any certificate was revoked.
func (r remover[T]) each(ctx context.Context, items []string) ([]Removed[T], error) {
	if len(items) > MaxBatch {
		return nil, fault.Errorf(fault.Malformed, "%d to be removed in one call, at most %d are", len(items), MaxBatch)
	}
	id, err := ProjectAuthority(r.project)
	if err != nil {
		return nil, err
	}
	var out []Removed[T]
	revoked := 0
	for i, item := range items {
		var gone Removed[T]
		err = r.change(ctx, id, func(tx *store.Tx, l *authority.Locked, row store.Authority) (err error) {
			gone, err = r.one(tx, l, row, item)
			return err
		})
		if err != nil {
			break
		}
		out = append(out, gone)
		if revoked += gone.Revoked; r.progress != nil {
			r.progress(i + 1)
		}
	}
	if revoked > 0 {
		err = errors.Join(err, r.spread(ctx, id, "revoke"))
	}
	return out, err
}

func (r remover[T]) one(tx *store.Tx, l *authority.Locked, row store.Authority, item string) (out Removed[T], err error) {
	p, err := liveProject(tx, row.ID)
	if err != nil {
		return out, err
	}
	record, f, err := r.remove(tx, row.ID, item)
	if err != nil {
		if !isRefusal(err) {
			return out, err
		}
		return Removed[T]{Err: err}, tx.Audit(r.entryOf(r.action, p.ID+" "+item, "", err))
	}
	out.Record = record
	if err := endCertificates(r.Manager, tx, l, row, f, r.why, &out); err != nil {
		return out, err
	}
	return out, tx.Audit(r.audit(r.action, p.ID+" "+item, done, fmt.Sprintf("%d certificates, %d of them revoked", out.Live, out.Revoked)))
}

// endCertificates revokes the live certificates of a filter in the caller's transaction,
// unless there is no reason to, and tells of them in out.
func endCertificates[T any](m *Manager, tx *store.Tx, l *authority.Locked, row store.Authority, f CertificateFilter, why profile.Reason, out *Removed[T]) error {
	floor, err := l.Floor()
	if err != nil {
		return err
	}
	f.Authority, f.Status, f.At, f.Floor, f.OmitDER = row.ID, store.Live, m.now(), max(floor, row.Counter.Floor, 1), true
	var all []Certificate // without what makes them large
	err = tx.Certificates(f, func(c Certificate) error {
		if len(out.Sample) < sampleSize {
			out.Sample = append(out.Sample, c)
		}
		all = append(all, Certificate{Serial: c.Serial, CommonName: c.CommonName, State: c.State, SPKIHash: c.SPKIHash})
		return nil
	})
	out.Live = len(all)
	if err != nil || why == "" {
		return err
	}
	r := revocation{Manager: m, req: RevokeRequest{Authority: row.ID, Reason: why}}
	err = r.revokeAll(tx, l, row, all)
	out.Revoked = r.out.Revoked
	return err
}
