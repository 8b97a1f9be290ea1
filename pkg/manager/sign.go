package manager

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"x509ctl/pkg/authority"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/parallel"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/serial"
	"x509ctl/pkg/store"
)

// Kinds of certificates in the inventory, and their state.
const (
	kindCA       = store.KindCA
	kindLeaf     = store.KindLeaf // in a filter
	kindNode     = string(profile.Node)
	kindMember   = string(profile.Member)
	kindServer   = string(profile.Server)
	stateIssued  = "issued"
	stateRevoked = "revoked"
)

// terms are what is the same for all jobs of a call.
type terms struct {
	id       AuthorityID
	now      time.Time
	lifetime time.Duration // 0: what is usual, or as much of it as the CA will live

	crlDue bool // found on the way: a change has not been published
}

func (m *Manager) terms(id AuthorityID, lifetime time.Duration) terms {
	return terms{id: id, now: m.now(), lifetime: lifetime}
}

// Sign implements Service.
func (m *Manager) Sign(ctx context.Context, req SignRequest) ([]SignResult, error) {
	if n := len(req.Items); n == 0 || n > MaxBatch {
		return nil, fault.Errorf(fault.Malformed, "%d requests in one call; 1 to %d are possible", n, MaxBatch)
	}
	var err error
	if req.Profile, err = profileOf(req.Authority, req.Profile, req.Allow); err != nil {
		return nil, err
	}
	jobs := make([]*job, len(req.Items))
	parallel.Each(len(jobs), runtime.GOMAXPROCS(0), func(i int) { jobs[i] = requestJob(req, req.Items[i]) })
	return m.run(ctx, m.terms(req.Authority, req.Lifetime), jobs)
}

// Issue implements Service.
func (m *Manager) Issue(ctx context.Context, req IssueRequest) (SignResult, error) {
	kind, err := profileOf(req.Authority, req.Profile, req.Allow)
	if err != nil {
		return SignResult{}, err
	}
	j, err := keyJob(req, kind)
	if err != nil {
		return SignResult{}, err
	}
	results, err := m.run(ctx, m.terms(req.Authority, req.Lifetime), []*job{j})
	if err != nil {
		return SignResult{}, err
	}
	return results[0], results[0].Err
}

// maxTries bounds how often jobs begin again since the CA was replaced.
const maxTries = 10

// run takes jobs to their end. Its error is one that holds for all of them.
func (m *Manager) run(ctx context.Context, t terms, jobs []*job) ([]SignResult, error) {
	err := m.attempt(ctx, &t, jobs)
	for try := 0; try < maxTries && maybeCut(err); try++ {
		// Or the CA was replaced. Nothing was spent yet.
		if err = m.publish(ctx, t.id); err != nil {
			break
		}
		err = m.attempt(ctx, &t, jobs)
	}
	if err != nil {
		return nil, err
	}
	if t.crlDue {
		m.finishCRL(ctx, t.id)
	}
	results := make([]SignResult, len(jobs))
	for i, j := range jobs {
		results[i] = j.result
	}
	return results, nil
}

func (m *Manager) attempt(ctx context.Context, t *terms, jobs []*job) error {
	ca, err := m.signer(t.id)
	if err != nil {
		return err
	}
	if len(jobs) == 1 && m.config.SerialHook == nil {
		return m.signOne(ctx, t, ca, jobs[0])
	}
	return m.signMany(ctx, t, ca, jobs)
}

// maybeCut reports whether err can come from a publication that was cut, or that went on
// while the CA was read: its files are moved one by one.
func maybeCut(err error) bool {
	return errors.Is(err, authority.ErrNotPublished) || errors.Is(err, ErrKeyMissing) || errors.Is(err, ErrKeyMismatch) ||
		fault.KindOf(err) == fault.NotFound
}

// finishedSigner is signer, after a publication that was cut. It takes the authority's lock.
func (m *Manager) finishedSigner(ctx context.Context, id AuthorityID) (*authority.Authority, error) {
	ca, err := m.signer(id)
	if !maybeCut(err) {
		return ca, err
	}
	if err := m.publish(ctx, id); err != nil {
		return nil, err
	}
	return m.signer(id)
}

// signer returns the published CA, ready to sign. Whether it is the active one
// is checked when numbers are reserved and again when certificates are recorded.
func (m *Manager) signer(id AuthorityID) (*authority.Authority, error) {
	d, err := m.directory(id)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if ca := m.signers[id]; ca != nil {
		return ca, nil
	}
	ca, err := d.Load(m.config.Passphrase)
	if err != nil {
		return nil, err
	}
	m.signers[id] = ca
	return ca, nil
}

// checkActive refuses a CA that is not the active one, and forgets it.
func (m *Manager) checkActive(row store.Authority, ca *authority.Authority) error {
	if row.Active == ca.Fingerprint() {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.signers[row.ID] == ca {
		delete(m.signers, row.ID)
	}
	return authority.ErrNotPublished
}

// publish finishes a publication that was cut.
func (m *Manager) publish(ctx context.Context, id AuthorityID) error {
	return m.change(ctx, id, func(_ *store.Tx, l *authority.Locked, row store.Authority) error {
		if row.Active == (authority.Fingerprint{}) {
			return noAuthority(id)
		}
		return l.Publish(alive(row), row.Counter.Floor)
	})
}

// signOne joins both transactions: with one certificate and no hook, nothing takes
// so long between them that others would have to wait for it.
func (m *Manager) signOne(ctx context.Context, t *terms, ca *authority.Authority, j *job) error {
	return m.change(ctx, t.id, func(tx *store.Tx, l *authority.Locked, row store.Authority) error {
		if err := m.checkActive(row, ca); err != nil {
			return err
		}
		t.crlDue = row.CRLDue > 0
		if err := m.heedBlocked(tx, l, &row, false); err != nil {
			return err
		}
		if err := m.resume(tx, *t, row, ca, j); err != nil {
			return err
		}
		if err := j.checkKey(tx, t.id); err != nil {
			return err
		}
		known, failed, err := registryOf(tx, row)
		if err != nil {
			return err
		}
		j.prepare(*t, ca, known)
		if err := failed(); err != nil {
			return err
		}
		if j.open() {
			block, err := m.reserve(tx, l, &row, 1)
			if err != nil {
				return err
			}
			if err := m.sign(*t, ca, j, block.First); err != nil {
				return err
			}
			if err := checkSignature(ca, j); err != nil {
				return err
			}
		}
		return m.record(tx, l, &row, []*job{j})
	})
}

// signMany takes two transactions, and works on all processors between them.
func (m *Manager) signMany(ctx context.Context, t *terms, ca *authority.Authority, jobs []*job) error {
	known, err := m.look(ctx, t, ca, jobs)
	if err != nil {
		return err
	}
	parallel.Each(len(jobs), runtime.GOMAXPROCS(0), func(i int) {
		jobs[i].refuseBlocked(known.blockedBy(jobs[i].keyHash))
		jobs[i].prepare(*t, ca, known.registry)
	})

	planned := slices.DeleteFunc(slices.Clone(jobs), func(j *job) bool { return !j.open() })
	block, err := m.reserveFor(ctx, *t, ca, len(planned))
	if err != nil {
		return err
	}
	errs := make([]error, len(planned))
	parallel.Each(len(planned), runtime.GOMAXPROCS(0), func(i int) { errs[i] = m.sign(*t, ca, planned[i], block.First+serial.Number(i)) })
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if len(planned) > 0 {
		if err := checkSignature(ca, planned[0]); err != nil {
			return err
		}
	}
	return m.recordAll(ctx, *t, ca, known, jobs)
}

// checkSignature verifies the signature of one certificate of each call. Checking all
// would take longer than signing them.
func checkSignature(ca *authority.Authority, j *job) error {
	if err := ca.CheckSignature(j.result.Certificate.DER); err != nil {
		return fmt.Errorf("checking a certificate just signed: %w", err)
	}
	return nil
}

// look finds what earlier calls left, and returns the names that may be used.
func (m *Manager) look(ctx context.Context, t *terms, ca *authority.Authority, jobs []*job) (*table, error) {
	var known *table
	err := m.read(ctx, t.id, func(tx *store.Tx, row store.Authority) (err error) {
		if err := m.checkActive(row, ca); err != nil {
			return err
		}
		t.crlDue = row.CRLDue > 0
		for _, j := range jobs {
			if err := m.resume(tx, *t, row, ca, j); err != nil {
				return err
			}
		}
		known, err = m.table(tx, row)
		return err
	})
	return known, err
}

// prepare approves the names, and answers with an earlier certificate that has exactly
// these, or plans a new one.
func (j *job) prepare(t terms, ca *authority.Authority, known registry) {
	if !j.open() {
		return
	}
	var err error
	if j.names, err = j.approve(known); err != nil {
		j.refuse(err)
		return
	}
	if c := j.earlier; c != nil && hasNames(*c, j.names) {
		j.result = SignResult{Certificate: *c, Reused: true, Ignored: j.request.Ignored(j.names)}
		return
	}
	lifetime := cmp.Or(t.lifetime, j.names.Profile().DefaultLifetime())
	j.plan, err = ca.Plan(j.names, j.key, t.now, lifetime, t.lifetime == 0)
	if err != nil {
		j.refuse(err)
	}
}

// reserveFor is the first transaction, and the hook after it.
func (m *Manager) reserveFor(ctx context.Context, t terms, ca *authority.Authority, n int) (serial.Block, error) {
	var block serial.Block
	if n == 0 {
		return block, nil
	}
	err := m.change(ctx, t.id, func(tx *store.Tx, l *authority.Locked, row store.Authority) error {
		if err := m.checkActive(row, ca); err != nil {
			return err
		}
		var err error
		block, err = m.reserve(tx, l, &row, n)
		if err != nil {
			return err
		}
		return setCounter(tx, l, t.id, row.Counter)
	})
	if err != nil || m.config.SerialHook == nil {
		return block, err
	}
	return block, m.runSerialHook(ctx, t.id, block.Last)
}

// runSerialHook tells the hook, which there is, that numbers up to last are reserved.
func (m *Manager) runSerialHook(ctx context.Context, id AuthorityID, last serial.Number) error {
	d, err := m.directory(id)
	if err != nil {
		return err
	}
	err = m.config.SerialHook(ctx, HookCall{Authority: id, Serial: last.String(), File: d.SerialPath()})
	if err != nil {
		return fault.Errorf(fault.Unavailable, "the serial hook did not confirm number %v, so no certificate is issued: %w", last, err)
	}
	return nil
}

// sign numbers and signs a planned certificate. An error here is not the request's
// fault: the bytes that were built are against the policy.
func (m *Manager) sign(t terms, ca *authority.Authority, j *job, n serial.Number) error {
	der, err := j.plan.Sign(n)
	if err != nil {
		return fmt.Errorf("signing certificate %v: %w", n, err)
	}
	leaf := j.plan.Leaf()
	c := Certificate{
		Authority: t.id, Serial: n, Kind: string(leaf.Profile()), CA: ca.Fingerprint(),
		CommonName: leaf.Names().CommonName(), Holder: leaf.Names().Holder(), Names: leaf.Names().Names(),
		NotBefore: leaf.Validity().NotBefore(), NotAfter: leaf.Validity().NotAfter(),
		SPKIHash: j.keyHash, ResumeKey: j.resume,
		DER: der, Fingerprint: sha256.Sum256(der),
		Requester: m.config.Caller.Who, Origin: m.config.Caller.From,
		Exceptions: leaf.Names().Exceptions(), Created: t.now, State: stateIssued,
	}
	j.result = SignResult{Certificate: c, Shortened: leaf.Validity().Shortened()}
	if j.request != nil {
		j.result.Certificate.RequestHash = j.request.Hash()
		j.result.Ignored = j.request.Ignored(leaf.Names())
	}
	return nil
}
