package manager

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"slices"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/serial"
	"x509ctl/pkg/store"
)

// reissueBatch is how many certificates are signed and delivered together.
const reissueBatch = 500

// work delivers the lost certificates, and then what answer says of the others. It
// reports whether nothing is left to do.
func (r *reissuer) work(ctx context.Context, answer func(context.Context, []Reissued) error) (finished bool, err error) {
	todo, err := r.plan(ctx)
	if err != nil {
		return false, err
	}
	r.begun.Total = len(todo)
	r.req.Begun(r.begun)
	finished = true
	deliver := func(batch []Reissued) error {
		delivered, err := r.req.Deliver(batch)
		failed := slices.ContainsFunc(batch, func(x Reissued) bool { return x.Err != nil })
		finished = finished && delivered && !failed
		return err
	}
	for batch := range slices.Chunk(r.lost, reissueBatch) {
		var list []Reissued
		for _, c := range batch {
			list = append(list, Reissued{Old: c, Lost: true})
		}
		if err := deliver(list); err != nil {
			return false, err
		}
	}
	for batch := range slices.Chunk(todo, reissueBatch) {
		list := make([]Reissued, len(batch))
		for i, n := range batch {
			list[i].Old.Serial = n
		}
		if err := r.lookUp(ctx, list); err != nil {
			return false, err
		}
		if err := answer(ctx, list); err != nil {
			return false, err
		}
		if err := deliver(list); err != nil {
			return false, err
		}
	}
	return finished, nil
}

// A lineage is the certificates of one key and one set of names.
type lineage struct {
	old   serial.Number // the newest that is cut off
	newer bool          // there is a newer one, which is not this reissue's
}

// plan returns the certificates that get successors, by number. While it counts, it
// keeps some fifty bytes for each set of names and key; afterwards eight.
func (r *reissuer) plan(ctx context.Context) ([]serial.Number, error) {
	all := map[[16]byte]lineage{}
	err := r.read(ctx, r.id, func(tx *store.Tx, _ store.Authority) error {
		clear(all)
		f := CertificateFilter{Authority: r.id, Kind: kindLeaf, Status: store.Live, At: r.now(), Floor: serial.Floor(r.state.from), OmitDER: true}
		return tx.Certificates(f, func(c Certificate) error {
			if r.keys[c.SPKIHash] {
				return nil
			}
			line := lineageOf(c)
			switch l, ok := all[line]; {
			case !r.state.to.Accepts(c.Serial):
				all[line] = lineage{old: c.Serial}
			case ok && string(c.ResumeKey) != string(r.state.resumeKey(l.old)):
				all[line] = lineage{l.old, true}
			}
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	todo := make([]serial.Number, 0, len(all))
	for _, l := range all {
		if !l.newer {
			todo = append(todo, l.old)
		}
	}
	slices.Sort(todo)
	r.begun.Earlier, err = r.earlier(ctx)
	return todo, err
}

// earlier reports whether there are certificates that only an earlier floor keeps from
// being live.
func (r *reissuer) earlier(ctx context.Context) (found bool, err error) {
	if r.state.from <= 1 {
		return false, nil
	}
	err = r.read(ctx, r.id, func(tx *store.Tx, _ store.Authority) error {
		f := CertificateFilter{Authority: r.id, Kind: kindLeaf, Status: store.Live, At: r.now(), Floor: 1, MaxSerial: r.state.from - 1, Limit: 1, OmitDER: true}
		return tx.Certificates(f, func(Certificate) error { found = true; return nil })
	})
	return found, err
}

// lineageOf is the same for certificates with the same key and names.
func lineageOf(c Certificate) (sum [16]byte) {
	names := make([]string, len(c.Names))
	for i, n := range c.Names {
		names[i] = profile.FoldName(n)
	}
	slices.Sort(names)
	if len(names) == 0 { // a member's, with the same rights as any other of his
		names = []string{profile.FoldName(c.CommonName)}
	}
	h := sha256.Sum256(fmt.Appendf(nil, "%x %q", c.SPKIHash, names))
	copy(sum[:], h[:])
	return sum
}

// lookUp completes what is to be answered: each old certificate, and its successor if an
// earlier attempt recorded one that may be handed out still.
func (r *reissuer) lookUp(ctx context.Context, list []Reissued) error {
	return r.read(ctx, r.id, func(tx *store.Tx, row store.Authority) error {
		known, err := r.table(tx, row)
		if err != nil {
			return err
		}
		for i := range list {
			n := list[i].Old.Serial
			c, err := tx.Certificate(r.id, n)
			if err == nil && c.State != stateIssued {
				err = fault.Errorf(fault.Denied, "certificate %v was revoked in the meantime", n)
			}
			if kind := fault.KindOf(err); err != nil && kind != fault.NotFound && kind != fault.Denied {
				return err
			}
			list[i] = Reissued{Old: c, SignResult: SignResult{Err: err}}
			list[i].Old.Serial = n
			if err != nil {
				continue
			}
			have, err := r.successor(tx, row, c.CommonName, r.state.resumeKey(n))
			if err != nil {
				return err
			}
			if have == nil {
				continue
			}
			list[i].SignResult = SignResult{Certificate: *have, Reused: true}
			if _, err := r.job(c).approve(known.registry); err != nil {
				list[i].SignResult = SignResult{Err: err}
			}
		}
		return nil
	})
}

// successor returns the certificate on record with a resume key, if it is still good.
func (m *Manager) successor(tx *store.Tx, row store.Authority, commonName string, key []byte) (*Certificate, error) {
	c, err := tx.CertificateToResume(row.ID, commonName, key)
	if fault.KindOf(err) == fault.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	floor, err := m.floor(row)
	if err != nil {
		return nil, err
	}
	if c.State != stateIssued || c.CA != row.Active || !floor.Accepts(c.Serial) || c.NotAfter.Unix() < m.now().Unix() {
		return nil, nil
	}
	return &c, nil
}

// successors signs what is not on record yet. The numbers are reserved now, so they are
// not below the floor, whatever it was raised to.
func (r *reissuer) successors(ctx context.Context, list []Reissued) error {
	var jobs []*job
	var of []*Reissued
	for i := range list {
		if x := &list[i]; x.Err == nil && !x.Reused {
			jobs, of = append(jobs, r.job(x.Old)), append(of, x)
		}
	}
	if len(jobs) == 0 {
		return nil
	}
	results, err := r.run(ctx, r.terms(r.id, r.req.Lifetime), jobs)
	for i := range results {
		of[i].SignResult = results[i]
	}
	return err
}

// rehearsed says who would be refused.
func (r *reissuer) rehearsed(ctx context.Context, list []Reissued) error {
	var known *table
	err := r.read(ctx, r.id, func(tx *store.Tx, row store.Authority) (err error) {
		known, err = r.table(tx, row)
		return err
	})
	if err != nil {
		return err
	}
	for i := range list {
		if x := &list[i]; x.Err == nil && !x.Reused {
			j := r.job(x.Old)
			j.refuseBlocked(known.blockedBy(j.keyHash))
			if !j.refused() {
				_, j.result.Err = j.approve(known.registry)
			}
			x.Err = j.result.Err
		}
	}
	return nil
}

// job is the successor of c. It has c's names, held against the nodes of today, and of
// exceptions only those that were made for c. A name that has become another node's is
// none for c's key.
func (r *reissuer) job(c Certificate) *job {
	j := &job{
		describe: fmt.Sprintf("a successor of certificate %v for %s", c.Serial, c.CommonName),
		detail:   "in the place of " + c.Serial.String(),
		resume:   r.state.resumeKey(c.Serial),
		keyHash:  c.SPKIHash,
	}
	names := append([]string{c.CommonName}, c.Names...)
	j.approve = func(known registry) (profile.Approved, error) {
		switch profile.Profile(c.Kind) {
		case profile.Member:
			return known.policy(c.Holder).ApproveMember(c.CommonName)
		case profile.Server:
			return known.policy(c.Holder).ApproveServer(names...)
		default:
			return profile.Policy{Find: known.cluster, For: c.Holder, Allow: c.Exceptions}.ApproveNames(names)
		}
	}
	key, err := recordedKey(c)
	if err != nil {
		j.refuse(fmt.Errorf("reading the key of certificate %v: %w", c.Serial, err))
	}
	j.key = key
	return j
}

// recordedKey returns the public key of a certificate on record.
func recordedKey(c Certificate) (*profile.SubjectKey, error) {
	cert, err := x509.ParseCertificate(c.DER)
	if err != nil {
		return nil, err
	}
	key, err := profile.NewSubjectKey(cert.PublicKey)
	if err == nil && sha256.Sum256(key.SPKI()) != c.SPKIHash {
		err = fault.New(fault.Internal, "it is not the one that was recorded")
	}
	return key, err
}
