package manager

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"x509ctl/pkg/authority"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/serial"
	"x509ctl/pkg/store"
)

// Why a CA was not replaced.
var (
	// ErrPrepared means that there is a prepared CA, which is used or given up first.
	ErrPrepared = fault.New(fault.Exists, "a CA is prepared already")
	// ErrNotPrepared means that there is no prepared CA.
	ErrNotPrepared = fault.New(fault.NotFound, "no CA is prepared")
	// ErrNothingToRetire means that no replaced CA is trusted any more.
	ErrNothingToRetire = fault.New(fault.NotFound, "there is no replaced CA that is trusted still")
)

// An InUseError is a replaced CA that can't be retired yet: verifiers would refuse
// certificates that are good.
type InUseError struct {
	Of AuthorityID
	CA ReplacedCA
}

func (e *InUseError) Error() string {
	return fmt.Sprintf("%d live certificates are of %s; the last one expires on %s", e.CA.Live, e.CA.Subject, date(e.CA.Retirable.Add(-time.Second)))
}

// FaultKind makes the error [fault.Denied].
func (e *InUseError) FaultKind() fault.Kind { return fault.Denied }

// RenewCA implements Service. Which CA is active changes in one transaction, together
// with which others are trusted; files follow ([authority.Locked.Publish]). The lock is
// held from the first look to the last file, so nobody signs between them; who signed
// before finds another CA active when he records, and nothing leaves.
func (m *Manager) RenewCA(ctx context.Context, req RenewRequest) (RenewResult, error) {
	req.KeyAlgorithm = cmp.Or(req.KeyAlgorithm, profile.ECDSAP256)
	if req.Lifetime == 0 {
		req.Lifetime = profile.DefaultCALifetime
		if req.Authority == ProjectRoot {
			req.Lifetime = profile.DefaultProjectRootLifetime
		}
	}
	before, err := m.Authority(ctx, req.Authority)
	if err != nil {
		return RenewResult{}, err
	}
	if err := m.renew(ctx, req); err != nil {
		return RenewResult{}, err
	}
	m.followDecrypt(ctx, req.Authority)
	spread := m.spreadRenewal(ctx, req)
	after, err := m.Authority(ctx, req.Authority)
	if err == nil && unchanged(before, after) {
		err = fault.New(fault.Internal, "nothing has changed, though everything should have succeeded")
	}
	if err != nil {
		return RenewResult{}, err
	}
	return RenewResult{Before: before, After: after}, spread
}

// spreadRenewal tells others of a renewal. A project's CA that is compromised is on the
// root's list, too.
func (m *Manager) spreadRenewal(ctx context.Context, req RenewRequest) error {
	if req.Step == RenewCompromised && roleOf(req.Authority) == authority.ProjectCA {
		return m.spreadCA(ctx, req.Authority, "renew-crypto")
	}
	return m.spread(ctx, req.Authority, "renew-crypto")
}

// unchanged compares which CAs there are.
func unchanged(a, b Authority) bool {
	list := func(x Authority) (all []authority.Fingerprint) {
		for _, ca := range append(slices.Clone(x.Replaced), x.Prepared...) {
			all = append(all, ca.SHA256)
		}
		return all
	}
	return a.SHA256 == b.SHA256 && len(a.Prepared) == len(b.Prepared) && slices.Equal(list(a), list(b))
}

// A renewal is a RenewRequest on its way.
type renewal struct {
	*Manager
	req    RenewRequest
	db     *store.Store
	locked *authority.Locked
}

// beginRenewal takes the authority's lock. What a killed process left is finished, or
// undone, first.
func (m *Manager) beginRenewal(ctx context.Context, req RenewRequest) (*renewal, store.Authority, error) {
	db, err := m.database(ctx)
	if err != nil {
		return nil, store.Authority{}, err
	}
	locked, err := m.lock(ctx, req.Authority)
	if err != nil {
		return nil, store.Authority{}, err
	}
	r := &renewal{m, req, db, locked}
	row, err := r.change(ctx, func(tx *store.Tx, row *store.Authority) error {
		if ProjectOf(row.ID) == "" {
			return nil
		}
		_, err := liveProject(tx, row.ID)
		return err
	})
	if err != nil {
		return nil, row, errors.Join(err, locked.Unlock())
	}
	return r, row, nil
}

func (m *Manager) renew(ctx context.Context, req RenewRequest) (err error) {
	if req.Step == RenewRetire { // if the step before was killed before it came to that
		m.followDecrypt(ctx, req.Authority)
	}
	r, row, err := m.beginRenewal(ctx, req)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.locked.Unlock()) }()
	switch req.Step {
	case RenewPrepare, RenewAtOnce, RenewCompromised:
		err = r.replace(ctx, row)
	case RenewActivate:
		_, err = r.change(ctx, r.activate)
	case RenewCancel:
		_, err = r.change(ctx, r.cancel)
	case RenewRetire:
		_, err = r.change(ctx, r.retire)
	default:
		err = fault.Errorf(fault.Malformed, "%q is no step of a renewal", req.Step)
	}
	return err
}

// change lets fn change the row, in a transaction, and then puts the files in their
// places. It returns the row as it is then.
func (r *renewal) change(ctx context.Context, fn func(*store.Tx, *store.Authority) error) (row store.Authority, err error) {
	err = write(ctx, r.db, r.locked, func(tx *store.Tx) (err error) {
		row, err = tx.Authority(r.req.Authority)
		if err != nil {
			return notInitialised(r.req.Authority, err)
		}
		if row.Active == (authority.Fingerprint{}) {
			return noAuthority(row.ID)
		}
		if ProjectOf(row.ID) != "" {
			if _, err := liveProject(tx, row.ID); err != nil {
				return err
			}
		}
		was := alive(row)
		if err := fn(tx, &row); err != nil || was.Equal(alive(row)) {
			return err
		}
		// Before it is so: a bundle that can't be written would be in everybody's way.
		if err := r.locked.CheckBundle(alive(row)); err != nil {
			return err
		}
		r.locked.Announce(row.Counter.Mark())
		if err := tx.PutAuthority(row); err != nil {
			return err
		}
		return r.blockCAKeys(tx, r.locked, row.ID, was.Active, row.Active, row.Next)
	})
	if err != nil {
		return row, err
	}
	return row, r.locked.Publish(alive(row), row.Counter.Floor)
}

// alive are the CAs that verifiers trust, by the store's word.
func alive(row store.Authority) authority.Alive {
	return authority.Alive{Active: row.Active, Next: row.Next, Old: row.Old}
}

// replace makes a CA and prepares it, or makes it the active one at once. One that is
// prepared is in the way, unless the active one is compromised: then nobody knows who
// has the key beside it.
func (r *renewal) replace(ctx context.Context, row store.Authority) error {
	if err := r.findKey(row); err != nil {
		return err
	}
	if err := r.checkForeign(ctx, row); err != nil {
		return err
	}
	if r.req.Step == RenewCompromised {
		if err := r.dropRequest(); err != nil {
			return err
		}
	}
	if row.Next != (authority.Fingerprint{}) {
		if r.req.Step != RenewCompromised {
			return ErrPrepared
		}
		if err := r.cancelCompromised(ctx, row); err != nil {
			return err
		}
	}
	ca, root, err := r.successor(ctx, row)
	if err != nil {
		return err
	}
	if roleOf(row.ID) != authority.ProjectCA {
		return r.install(ctx, ca, func(tx *store.Tx, row *store.Authority, _ authority.Alive) error {
			if r.req.Foreign != nil {
				return nil
			}
			row.Counter.Last = max(row.Counter.Last, serial.Number(ca.Certificate().SerialNumber.Int64())) // it is one of ours
			return tx.InsertCertificates([]Certificate{r.caRecord(row.ID, ca.Certificate())})
		})
	}
	return r.underRoot(ctx, func(above *authority.Locked) error {
		return r.install(ctx, ca, func(tx *store.Tx, row *store.Authority, was authority.Alive) error {
			if r.req.Step == RenewCompromised {
				if err := r.revokeByRoot(tx, above, append(was.Old, was.Active)...); err != nil {
					return err
				}
			}
			if r.req.Foreign != nil {
				return nil
			}
			return r.recordByRoot(tx, above, root, ca, row.Name)
		})
	})
}

// cancelCompromised gives up the prepared CA, whose key lay beside a stolen one.
func (r *renewal) cancelCompromised(ctx context.Context, row store.Authority) error {
	if roleOf(row.ID) != authority.ProjectCA {
		_, err := r.change(ctx, r.cancel)
		return err
	}
	return r.underRoot(ctx, func(above *authority.Locked) error {
		_, err := r.change(ctx, func(tx *store.Tx, row *store.Authority) error {
			prepared := row.Next
			if err := r.cancel(tx, row); err != nil {
				return err
			}
			return r.revokeByRoot(tx, above, prepared)
		})
		return err
	})
}

// install makes ca, which is in next/, the prepared CA or the active one. record records
// what there is to record beside, in the same transaction: row is as it becomes.
func (r *renewal) install(ctx context.Context, ca *authority.Authority, record func(tx *store.Tx, row *store.Authority, was authority.Alive) error) error {
	_, err := r.change(ctx, func(tx *store.Tx, row *store.Authority) (err error) {
		was := alive(*row)
		row.Next = ca.Fingerprint()
		if r.req.Step == RenewPrepare {
			err = tx.Audit(r.audit("prepare-ca", describeCA(ca), done, fmt.Sprintf("SHA-256 %x", row.Next)))
		} else {
			err = r.activate(tx, row)
		}
		if err != nil {
			return err
		}
		return record(tx, row, was)
	})
	return err
}

func describeCA(ca *authority.Authority) string {
	return ca.Certificate().SerialNumber.String() + " " + ca.Certificate().Subject.String()
}

// activate makes the prepared CA the active one.
func (r *renewal) activate(tx *store.Tx, row *store.Authority) error {
	if row.Next == (authority.Fingerprint{}) {
		return ErrNotPrepared
	}
	detail := fmt.Sprintf("SHA-256 %x, was %x", row.Next, row.Active)
	action := "activate-ca"
	if r.req.Step == RenewCompromised {
		action, row.Old = "replace-compromised-ca", nil
	} else {
		row.Old = append(slices.Clone(row.Old), row.Active)
	}
	row.Active, row.Next = row.Next, authority.Fingerprint{}
	r.mu.Lock()
	delete(r.signers, row.ID)
	r.mu.Unlock()
	return tx.Audit(r.audit(action, row.Name, done, detail))
}

// cancel gives up the prepared CA, which has signed nothing.
func (r *renewal) cancel(tx *store.Tx, row *store.Authority) error {
	if row.Next == (authority.Fingerprint{}) {
		return ErrNotPrepared
	}
	detail := fmt.Sprintf("SHA-256 %x", row.Next)
	row.Next = authority.Fingerprint{}
	return tx.Audit(r.audit("cancel-ca", row.Name, done, detail))
}

// retire ends the trust in all replaced CAs, when none of them has a live certificate.
func (r *renewal) retire(tx *store.Tx, row *store.Authority) error {
	if len(row.Old) == 0 {
		return ErrNothingToRetire
	}
	floor, err := r.locked.Floor()
	if err != nil {
		return err
	}
	for _, f := range row.Old {
		ca, err := r.replaced(tx, r.locked.Directory, *row, f, max(floor, row.Counter.Floor, 1))
		if err != nil {
			return err
		}
		if ca.Live > 0 {
			return &InUseError{row.ID, ca}
		}
		if err := tx.Audit(r.audit("retire-ca", ca.Subject, done, fmt.Sprintf("SHA-256 %x", f))); err != nil {
			return err
		}
	}
	row.Old = nil
	return nil
}

// holderSample bounds the holders that are listed for a replaced CA.
const holderSample = 20

// replaced describes a CA that is alive and not the active one.
func (m *Manager) replaced(tx *store.Tx, d *authority.Directory, row store.Authority, f authority.Fingerprint, floor serial.Floor) (ReplacedCA, error) {
	out := ReplacedCA{SHA256: f}
	chain, err := d.Chain(f)
	if err != nil {
		return out, err
	}
	out.Subject, out.CASerial, out.NotAfter = chain[0].Subject.String(), chain[0].SerialNumber.String(), chain[0].NotAfter
	use, err := tx.CAUse(row.ID, f, m.now(), floor, holderSample)
	if row.ID == ProjectRoot {
		use, err = rootUse(tx, f, m.now(), holderSample)
	}
	if err != nil {
		return out, err
	}
	out.Live, out.Holders = use.Live, use.Holders
	if use.Live > 0 {
		out.Retirable = use.Last.Add(time.Second)
	}
	return out, nil
}
