package manager

import (
	"context"
	"crypto/sha256"
	"fmt"

	"x509ctl/pkg/authority"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/serial"
	"x509ctl/pkg/store"
)

// ErrKeyBlocked means that a key was revoked for compromise, or is a CA's.
var ErrKeyBlocked = fault.New(fault.Denied, "the key is blocked")

func keyBlocked(by serial.Number) error {
	if by == 0 {
		return fmt.Errorf("%w: it is a CA's", ErrKeyBlocked)
	}
	return fmt.Errorf("%w: certificate %v was revoked because it is compromised", ErrKeyBlocked, by)
}

// checkKey refuses a key that is blocked.
func (j *job) checkKey(tx *store.Tx, id AuthorityID) error {
	if j.refused() {
		return nil
	}
	by, blocked, err := tx.BlockedKey(id, j.keyHash)
	j.refuseBlocked(by, blocked)
	return err
}

// refuseBlocked refuses j if its key is blocked, with a certificate or as a CA's.
func (j *job) refuseBlocked(by serial.Number, blocked bool) {
	if blocked && !j.refused() {
		j.refuse(keyBlocked(by))
	}
}

// blockedBy is store.Tx.BlockedKey, of the time that the table is of.
func (t *table) blockedBy(key [32]byte) (by serial.Number, blocked bool) {
	by, blocked = t.blocked[key]
	return by, blocked
}

// blockCAKeys blocks the keys of these CAs, whether or not they stay: who has the key of
// one that was stolen gets no certificate with it.
func (m *Manager) blockCAKeys(tx *store.Tx, l *authority.Locked, id AuthorityID, cas ...authority.Fingerprint) error {
	for _, f := range cas {
		if f == (authority.Fingerprint{}) {
			continue
		}
		chain, err := l.Chain(f)
		if err != nil {
			return err
		}
		if err := tx.BlockKey(id, sha256.Sum256(chain[0].RawSubjectPublicKeyInfo), 0, m.now()); err != nil {
			return err
		}
	}
	return nil
}

// RevokeRequest names what is to be revoked.
type RevokeRequest struct {
	Authority AuthorityID
	Serials   []serial.Number // all of them, or none when one is not on record
	Names     []string        // live certificates that have one of these names
	All       bool            // all live certificates
	// Reason is why. With profile.KeyCompromise each certificate's key is blocked for
	// ever, and other live certificates of the same key are revoked as well.
	Reason profile.Reason
	// Progress, when not nil, is called with the number revoked so far.
	Progress func(int)
}

// RevokeResult says what a RevokeRequest has changed.
type RevokeResult struct {
	Revoked int
	Already int           // of the numbers asked for: revoked before
	Sample  []Certificate // the first of those revoked, 1,000 at most
}

// revokeBatch is how many certificates one transaction revokes: others wait for it.
const revokeBatch = 1000

// Revoke implements Service. What was revoked before a failure stays revoked; the same
// request again goes on.
func (m *Manager) Revoke(ctx context.Context, req RevokeRequest) (RevokeResult, error) {
	r := revocation{Manager: m, req: req}
	if err := r.targets(ctx); err != nil {
		return RevokeResult{}, err
	}
	return r.out, m.spread(ctx, req.Authority, "revoke")
}

// A revocation is a RevokeRequest on its way.
type revocation struct {
	*Manager
	req  RevokeRequest
	out  RevokeResult
	keys map[[32]byte]bool // compromised ones whose certificates are still to be looked for
}

func (r *revocation) targets(ctx context.Context) error {
	r.keys = map[[32]byte]bool{}
	if len(r.req.Serials) > 0 {
		if err := r.change(ctx, r.req.Authority, r.bySerial); err != nil {
			return err
		}
	}
	for _, name := range r.req.Names {
		if err := r.byName(ctx, name); err != nil {
			return err
		}
	}
	if r.req.All {
		if err := r.live(ctx, CertificateFilter{}); err != nil {
			return err
		}
	}
	return r.otherCertificates(ctx)
}

// otherCertificates revokes what else was made for a compromised key: whoever has it
// has that of all of them.
func (r *revocation) otherCertificates(ctx context.Context) error {
	if r.req.All {
		return nil // there are none
	}
	for key := range r.keys {
		// Found without a lock: the key is blocked, so there won't be more.
		var others []Certificate
		f := CertificateFilter{Authority: r.req.Authority, Kind: kindLeaf, Status: store.Live, SPKIHash: key, OmitDER: true}
		if err := r.Certificates(ctx, f, func(c Certificate) error { others = append(others, c); return nil }); err != nil {
			return err
		}
		if len(others) == 0 {
			continue
		}
		before := r.out
		err := r.change(ctx, r.req.Authority, func(tx *store.Tx, l *authority.Locked, row store.Authority) error {
			r.out = before
			return r.revokeAll(tx, l, row, others)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *revocation) revokeAll(tx *store.Tx, l *authority.Locked, row store.Authority, list []Certificate) error {
	if r.req.Reason == profile.KeyCompromise {
		if err := r.block(tx, l, &row, list); err != nil {
			return err
		}
	}
	for _, c := range list {
		if err := r.revoke(tx, c); err != nil {
			return err
		}
	}
	return nil
}

// bySerial revokes all of the numbers or none.
func (r *revocation) bySerial(tx *store.Tx, l *authority.Locked, row store.Authority) error {
	r.out = RevokeResult{}
	var list []Certificate
	for _, n := range r.req.Serials {
		c, err := tx.Certificate(r.req.Authority, n)
		if err != nil {
			return err
		}
		if c.Kind == kindCA {
			return fault.Errorf(fault.Denied, "certificate %v is a CA's: those are replaced, not revoked", n)
		}
		list = append(list, c)
	}
	return r.revokeAll(tx, l, row, list)
}

// byName revokes the live certificates of a name, which has to be known.
func (r *revocation) byName(ctx context.Context, name string) error {
	known := false
	f := CertificateFilter{Authority: r.req.Authority, Kind: kindLeaf, Name: name, Limit: 1, OmitDER: true}
	err := r.Certificates(ctx, f, func(Certificate) error { known = true; return nil })
	if err == nil && !known {
		known, err = r.isMember(ctx, name)
	}
	if err == nil && !known {
		err = fault.Errorf(fault.NotFound, "there is no certificate for %q", name)
	}
	if err != nil {
		return err
	}
	return r.live(ctx, CertificateFilter{Name: name})
}

// isMember reports whether name is a member of the project: one whose certificates were
// forgotten, since they expired, or who never had any.
func (r *revocation) isMember(ctx context.Context, name string) (is bool, err error) {
	if ProjectOf(r.req.Authority) == "" {
		return false, nil
	}
	err = r.read(ctx, r.req.Authority, func(tx *store.Tx, _ store.Authority) error {
		_, err := tx.Member(r.req.Authority, name)
		if is = err == nil; fault.KindOf(err) == fault.NotFound {
			return nil
		}
		return err
	})
	return is, err
}

// live revokes the live certificates of a filter, a batch in a transaction.
func (r *revocation) live(ctx context.Context, f CertificateFilter) error {
	f.Authority, f.Kind, f.Status, f.At = r.req.Authority, kindLeaf, store.Live, r.now()
	f.OmitDER, f.Limit = true, revokeBatch
	for more := true; more; {
		before := r.out
		err := r.change(ctx, r.req.Authority, func(tx *store.Tx, l *authority.Locked, row store.Authority) error {
			r.out = before
			floor, err := l.Floor()
			if err != nil {
				return err
			}
			f.Floor = max(floor, row.Counter.Floor, 1)
			var batch []Certificate
			if err := tx.Certificates(f, func(c Certificate) error { batch = append(batch, c); return nil }); err != nil {
				return err
			}
			more = len(batch) == revokeBatch // the others are not live any more
			return r.revokeAll(tx, l, row, batch)
		})
		if err != nil {
			return err
		}
		if r.req.Progress != nil {
			r.req.Progress(r.out.Revoked)
		}
	}
	return nil
}

// revoke revokes c, whose key is blocked if it has to be, unless it is revoked already and
// the reason says nothing new.
func (r *revocation) revoke(tx *store.Tx, c Certificate) error {
	compromised := r.req.Reason == profile.KeyCompromise
	if compromised {
		r.keys[c.SPKIHash] = true
	}
	if c.State == stateRevoked && (!compromised || c.Reason == r.req.Reason) {
		r.out.Already++
		return nil
	}
	err := tx.Revoke(store.Revocation{Authority: r.req.Authority, Serial: c.Serial, Reason: r.req.Reason, Since: r.now()})
	if err != nil {
		return err
	}
	r.out.Revoked++
	if len(r.out.Sample) < sampleSize {
		c.State = stateRevoked
		r.out.Sample = append(r.out.Sample, c)
	}
	return tx.Audit(r.audit("revoke", c.Serial.String()+" "+c.CommonName, done, string(r.req.Reason)))
}
