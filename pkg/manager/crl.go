package manager

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
	"time"

	"x509ctl/pkg/authority"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/serial"
	"x509ctl/pkg/store"
	"x509ctl/pkg/trust"
)

// ErrNoCRLSign means that no CA of the authority may sign revocation lists.
var ErrNoCRLSign = profile.ErrNoCRLSign

// CRLRequest asks for a revocation list.
type CRLRequest struct {
	Authority AuthorityID
	CA        string // the serial number of the CA whose list is written, in decimal; empty for those of all
	DER       bool   // write DER instead of PEM: one list, the active CA's unless CA names another
}

// A CRL describes a revocation list that was published.
type CRL struct {
	Number                 int64
	ThisUpdate, NextUpdate time.Time
	Entries                int
	Floor                  serial.Floor
	Issuers                []string // of the lists that were written
}

// CRL implements Service.
//
// The certificates on the list and its number come from one transaction, and the
// authority's lock is held from before it until the file is in its place: the list with
// the highest number is the last one published, and holds everything that was revoked
// before.
//
// With a project's list comes the root's, which nobody asks for by itself and which
// verifiers of the whole chain want to be as fresh. It is in the same file.
func (m *Manager) CRL(ctx context.Context, req CRLRequest, w io.Writer) (CRL, error) {
	var out CRL
	if ProjectOf(req.Authority) != "" {
		if err := m.makeCRL(ctx, ProjectRoot, nil); err != nil && !errors.Is(err, ErrNoProject) {
			return out, fmt.Errorf("publishing the list of the root: %w", err)
		}
	}
	err := m.makeCRL(ctx, req.Authority, func(made madeCRL) error {
		lists := made.lists
		if req.CA != "" {
			lists = slices.DeleteFunc(slices.Clone(lists), func(l *authority.CRL) bool {
				return l.By.Certificate().SerialNumber.String() != req.CA
			})
			if len(lists) == 0 {
				return fault.Errorf(fault.NotFound, "no CA with the serial number %.40q signs revocation lists here", req.CA)
			}
		}
		if req.DER {
			lists = lists[:1]
		}
		out = made.CRL
		for _, l := range lists {
			out.Issuers = append(out.Issuers, l.By.Certificate().Subject.String())
			if err := writeCRL(w, l, req.DER); err != nil {
				return fmt.Errorf("writing the revocation list: %w", err)
			}
		}
		if req.DER || req.CA != "" {
			return nil
		}
		_, err := w.Write(made.above)
		return err
	})
	return out, err
}

func writeCRL(w io.Writer, l *authority.CRL, der bool) error {
	if der {
		_, err := io.Copy(w, l.Reader())
		return err
	}
	_, err := l.WriteTo(w)
	return err
}

// A madeCRL is a revocation list that was published, one for each CA that is alive, the
// active one's first.
type madeCRL struct {
	CRL
	lists []*authority.CRL
	above []byte // see listAbove
}

// makeCRL makes and publishes the revocation list of an authority, and then, without
// the lock, lets use have it, which may be nil.
func (m *Manager) makeCRL(ctx context.Context, id AuthorityID, use func(madeCRL) error) error {
	db, err := m.database(ctx)
	if err != nil {
		return err
	}
	locked, err := m.lock(ctx, id)
	if err != nil {
		return err
	}
	c := &crlMaker{Manager: m, id: id, db: db, locked: locked}
	made, err := c.publish(ctx)
	err = errors.Join(err, locked.Unlock())
	if err == nil && use != nil {
		err = use(made)
	}
	return errors.Join(err, c.close())
}

// A crlMaker makes one revocation list, under the authority's lock.
type crlMaker struct {
	*Manager
	id      AuthorityID
	db      *store.Store
	locked  *authority.Locked
	entries *authority.Entries
}

func (c *crlMaker) close() error {
	if c.entries == nil {
		return nil
	}
	return c.entries.Close()
}

func (c *crlMaker) publish(ctx context.Context) (out madeCRL, err error) {
	row, err := c.row(ctx)
	if err != nil {
		return out, err
	}
	cas, err := c.signersOf(row)
	if errors.Is(err, ErrNoCRLSign) && row.CRLDue > 0 { // nobody has to try again
		err = errors.Join(err, c.settle(ctx, row))
	}
	if err != nil {
		return out, err
	}
	list := c.stranger(row)
	var n authority.NewCRL
	err = c.db.Write(ctx, func(tx *store.Tx) (err error) {
		if listNumber(list) > row.CRLNumber { // the database was set back
			if err := c.salvageCRL(tx, c.locked, row, list); err != nil {
				return err
			}
		}
		if n, out.Entries, err = c.collect(tx); err == nil {
			row, err = tx.Authority(c.id)
		}
		return err
	})
	if err != nil {
		return out, err
	}
	for _, ca := range cas {
		l, err := ca.SignCRL(n, c.entries)
		if err != nil {
			return out, err
		}
		out.ThisUpdate, out.NextUpdate = l.ThisUpdate, l.NextUpdate
		out.lists = append(out.lists, l)
	}
	out.Number, out.Floor = n.Number, n.Floor
	if out.above, err = c.listAbove(c.id); err != nil {
		return out, err
	}
	st, err := c.locked.PublishCRL(out.lists, out.above)
	if err != nil {
		return out, err
	}
	row.CRL = fileOf(st)
	return out, c.settle(ctx, row)
}

// stranger returns the list that is in place, if it is not the one that was published last
// by the database's word: then it may know of revocations that the database lost. A list is as
// long as all that is revoked, so it is not read for nothing.
func (c *crlMaker) stranger(row store.Authority) *trust.CRL {
	st, err := c.locked.StatCRL()
	if err != nil || fileOf(st) == row.CRL {
		return nil
	}
	list, err := publishedCRL(c.locked, row)
	if err != nil { // others can write it, or it is no file: it is replaced
		return nil
	}
	return list
}

// settle notes that no list is due any more.
func (c *crlMaker) settle(ctx context.Context, row store.Authority) error {
	return c.db.Write(ctx, func(tx *store.Tx) error { return tx.CRLPublished(row) })
}

// row reads the authority's row, and finishes a publication that was cut.
func (c *crlMaker) row(ctx context.Context) (row store.Authority, err error) {
	err = c.db.Read(ctx, func(tx *store.Tx) (err error) {
		row, err = tx.Authority(c.id)
		return notInitialised(c.id, err)
	})
	if err == nil && row.Active == (authority.Fingerprint{}) {
		err = noAuthority(c.id)
	}
	if err == nil {
		err = c.locked.Publish(alive(row), row.Counter.Floor)
	}
	return row, err
}

// signersOf returns the CAs that verifiers trust and that may sign revocation lists,
// the active one first. Error: ErrNoCRLSign when the active one may not.
func (c *crlMaker) signersOf(row store.Authority) ([]*authority.Authority, error) {
	active, err := c.signer(row.ID)
	if err == nil && c.checkActive(row, active) != nil { // it was another process that changed it
		active, err = c.signer(row.ID)
	}
	if err == nil {
		err = c.checkActive(row, active)
	}
	if err != nil {
		return nil, err
	}
	if !active.SignsCRLs() {
		return nil, ErrNoCRLSign
	}
	all := []*authority.Authority{active}
	others := slices.Clone(row.Old)
	if row.Next != (authority.Fingerprint{}) {
		others = append(others, row.Next)
	}
	for _, f := range others {
		ca, err := c.locked.LoadCA(f, c.config.Passphrase)
		if err != nil {
			return nil, err
		}
		if ca.SignsCRLs() && !c.now().After(ca.Certificate().NotAfter) {
			all = append(all, ca)
		}
	}
	return all, nil
}

// collect takes a number and gathers the entries: certificates that a verifier whose
// clock is behind may still take for valid are on the list, too.
func (c *crlMaker) collect(tx *store.Tx) (n authority.NewCRL, count int, err error) {
	row, err := tx.Authority(c.id)
	if err != nil {
		return n, 0, err
	}
	floor, err := c.locked.Floor()
	if err != nil {
		return n, 0, err
	}
	n = authority.NewCRL{Number: max(row.CRLNumber+1, c.now().Unix()), Floor: max(floor, row.Counter.Floor, 1), Now: c.now()}
	if err := tx.SetCRLNumber(c.id, n.Number); err != nil {
		return n, 0, err
	}
	rises, err := tx.NoteFloor(c.id, n.Floor, n.Now, n.Now.Add(-longestLife(c.id)))
	if err != nil {
		return n, 0, err
	}
	if err := c.close(); err != nil { // of an attempt that the database wants repeated
		return n, 0, err
	}
	c.entries = c.locked.NewEntries()
	err = tx.RevokedCertificates(c.id, n.Now.Add(-profile.Backdate), n.Floor, func(s serial.Number, since time.Time, r profile.Reason) error {
		count++
		if since.IsZero() {
			since = cutOffSince(rises, s)
		}
		return c.entries.Add(s, since, r)
	})
	return n, count, err
}

// cutOffSince returns when the floor rose above n, which is below the last.
func cutOffSince(rises []store.FloorRise, n serial.Number) time.Time {
	i := sort.Search(len(rises)-1, func(i int) bool { return !rises[i].Floor.Accepts(n) })
	return rises[i].Since
}

// A SpreadError is a change that was made and is in force here, and that others may not
// know of: the revocation list could not be published, or the change hook failed.
type SpreadError struct {
	Authority AuthorityID // whose
	Err       error
}

func (e *SpreadError) Error() string {
	return "the change is made here, but not everywhere: " + e.Err.Error()
}

func (e *SpreadError) Unwrap() error { return e.Err }

// FaultKind makes the error [fault.Internal].
func (e *SpreadError) FaultKind() fault.Kind { return fault.Internal }

// spread tells others of a change: with a revocation list, where the authority can
// sign one, and by the change hook. Error: [*SpreadError].
func (m *Manager) spread(ctx context.Context, id AuthorityID, change string) error {
	err := m.makeCRL(ctx, id, nil)
	if errors.Is(err, ErrNoCRLSign) || errors.Is(err, ErrNotInitialised) { // there is nothing to publish
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("publishing the revocation list: %w", err)
	}
	return m.tell(ctx, id, change, err)
}

// finishCRL publishes the revocation list that somebody was killed at, or failed to
// publish. That it fails again is no reason to keep back certificates.
func (m *Manager) finishCRL(ctx context.Context, id AuthorityID) {
	if err := m.spread(ctx, id, "finish"); err != nil && m.config.Warn != nil {
		m.config.Warn(err)
	}
}

// tell runs the change hook, whether or not the revocation list could be published.
func (m *Manager) tell(ctx context.Context, id AuthorityID, change string, unpublished error) error {
	if err := errors.Join(unpublished, m.runChangeHook(ctx, id, change)); err != nil {
		return &SpreadError{id, err}
	}
	return nil
}

func (m *Manager) runChangeHook(ctx context.Context, id AuthorityID, change string) error {
	if m.config.ChangeHook == nil {
		return nil
	}
	d, err := m.directory(id)
	if err != nil {
		return err
	}
	s, err := m.Serial(ctx, id)
	if err != nil {
		return err
	}
	return m.config.ChangeHook(ctx, HookCall{Authority: id, Serial: s.Reserved.String(), File: d.SerialPath(), Change: change})
}
