package manager

import (
	"cmp"
	"context"
	"crypto/sha256"
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

// ReissueRequest asks for a floor, and for a successor of each certificate that it cuts
// off: the newest one of its names and key, with the same names and key, as far as the
// policy of today lets it have them.
//
// # It goes on where it was
//
// The store remembers a reissue that is not finished. The same request again, while the
// floor is where that reissue set it, doesn't raise the floor and signs nothing twice: what is
// recorded is handed out once more. Without that, MinNext would put out what the first
// attempt had signed. A request that differs begins anew, and takes up what the
// unfinished one has left.
type ReissueRequest struct {
	SetMin SetMinRequest // with DryRun nothing is changed, signed or remembered
	// LostSerials and LostNames are certificates whose keys are lost: those with these
	// numbers, and those that are cut off and have one of these names or belong to a
	// node of that name. They get no successor, are revoked for compromise, and their
	// keys are blocked for ever.
	LostSerials []serial.Number
	LostNames   []string
	// From, unless zero, is a number below the floor: live certificates from there on
	// that the floor had cut off before get successors as well.
	From        serial.Number
	Destination string // where the certificates go; part of what makes a request the same
	Lifetime    time.Duration
	// Begun is called once, when the floor is in force and nothing is signed yet.
	Begun func(ReissueBegun)
	// Deliver is called with some certificates at a time, by their old numbers, the
	// lost ones first. It reports whether each without an Err is where it belongs;
	// if not, or with an error, which ends the reissue, it stays unfinished.
	Deliver func([]Reissued) (bool, error)
}

// ReissueBegun says what a reissue is about to do.
type ReissueBegun struct {
	Before, After serial.Floor
	Resumed       time.Time // when the unfinished one was begun that this one goes on with; zero for none
	Total         int       // certificates that get successors
	Lost          int       // those whose keys are lost
	Unused        []string  // of LostNames: those without a certificate that is cut off
	Earlier       bool      // there are live ones that were cut off earlier, for which ReissueRequest.From did not ask
}

// Reissued is what became of one certificate.
type Reissued struct {
	Old  Certificate
	Lost bool // revoked; there is no successor
	SignResult
}

// A ReissueAgainError is a request that may be the same again, or a new one: since the
// unfinished reissue began, a name whose key was lost has got a certificate.
type ReissueAgainError struct {
	Name   string
	Serial serial.Number
	Begun  time.Time
	Floor  serial.Floor // in force
}

func (e *ReissueAgainError) Error() string {
	return fmt.Sprintf("the reissue of %s is not finished, and %s has had certificate %v since: is its key lost, too?",
		e.Begun.UTC().Format(time.RFC3339), e.Name, e.Serial)
}

// FaultKind makes the error [fault.Denied].
func (e *ReissueAgainError) FaultKind() fault.Kind { return fault.Denied }

// An unfinished reissue, as the store remembers it in one line.
type unfinished struct {
	request [16]byte      // what was asked for, but for the floor
	target  string        // the floor as it was asked for
	from    serial.Number // of the certificates that were live
	to      serial.Floor
	begun   time.Time
}

func (u unfinished) String() string {
	return fmt.Sprintf("%x %s %d %d %d", u.request, u.target, u.from, u.to, u.begun.Unix())
}

func parseUnfinished(s string) (u unfinished, err error) {
	var hash []byte
	var begun int64
	_, err = fmt.Sscanf(s, "%x %s %d %d %d", &hash, &u.target, &u.from, &u.to, &begun)
	if err != nil {
		return u, fmt.Errorf("reading what is known of an unfinished reissue: %w", err)
	}
	copy(u.request[:], hash)
	u.begun = time.Unix(begun, 0)
	return u, nil
}

// resumeKey finds the successor of certificate n.
func (u unfinished) resumeKey(n serial.Number) []byte {
	h := sha256.Sum256(fmt.Appendf(nil, "reissue %v of %v", u, n))
	return h[:16]
}

// A reissuer is a ReissueRequest on its way.
type reissuer struct {
	*Manager
	req   ReissueRequest
	id    AuthorityID
	state unfinished
	begun ReissueBegun
	lost  []Certificate
	keys  map[[32]byte]bool // of lost
}

// Reissue implements Service.
func (m *Manager) Reissue(ctx context.Context, req ReissueRequest) error {
	r := &reissuer{Manager: m, req: req, id: req.SetMin.Authority}
	if req.SetMin.DryRun {
		if err := r.rehearse(ctx); err != nil {
			return err
		}
		_, err := r.work(ctx, r.rehearsed)
		return err
	}
	if err := r.checkSigner(ctx); err != nil {
		return err
	}
	if err := r.raise(ctx); err != nil {
		return err
	}
	if err := r.revokeLost(ctx); err != nil {
		return err
	}
	unspread := m.spread(ctx, r.id, "set-min")
	finished, err := r.work(ctx, r.successors)
	if err == nil && finished {
		err = r.finish(ctx)
	}
	if err != nil {
		return err
	}
	return unspread
}

// checkSigner refuses what no successor could be signed with, before everything is put
// out.
func (r *reissuer) checkSigner(ctx context.Context) error {
	ca, err := r.finishedSigner(ctx, r.id)
	if err != nil {
		return err
	}
	t := r.terms(r.id, r.req.Lifetime)
	usual, err := profileOf(r.id, "", nil)
	if err != nil {
		return err
	}
	return ca.CheckLifetime(usual, t.now, cmp.Or(t.lifetime, usual.DefaultLifetime()), t.lifetime == 0)
}

// raise remembers the reissue, and then puts the floor in force: verifiers see its file
// before the transaction is over, and one that was killed there must be known. The
// authority's lock is held for both, so nothing is issued between them.
func (r *reissuer) raise(ctx context.Context) error {
	db, err := r.database(ctx)
	if err != nil {
		return err
	}
	locked, err := r.lock(ctx, r.id)
	if err != nil {
		return err
	}
	err = write(ctx, db, locked, func(tx *store.Tx) error { return r.remember(tx, locked) })
	if err == nil {
		err = write(ctx, db, locked, func(tx *store.Tx) error { return r.enforce(tx, locked) })
	}
	return errors.Join(err, locked.Unlock())
}

func (r *reissuer) remember(tx *store.Tx, l *authority.Locked) error {
	row, err := tx.Authority(r.id)
	if err != nil {
		return notInitialised(r.id, err)
	}
	s, err := r.counted(tx, l, r.id)
	if err == nil {
		err = r.decide(tx, row, s)
	}
	if err != nil || !r.begun.Resumed.IsZero() {
		return err
	}
	return tx.PutSetting(r.setting(), r.state.String())
}

func (r *reissuer) enforce(tx *store.Tx, l *authority.Locked) error {
	row, err := tx.Authority(r.id)
	if err != nil {
		return notInitialised(r.id, err)
	}
	s, err := r.counted(tx, l, r.id)
	if err != nil || max(row.Counter.Floor, 1) == r.state.to && s.Floor == r.state.to {
		return err
	}
	counter, err := serial.Raise(row.Counter, s, r.state.to)
	if err != nil {
		return err
	}
	return r.setFloor(tx, l, r.id, s, counter, "was "+r.begun.Before.String()+", with a reissue")
}

// rehearse is raise without the change.
func (r *reissuer) rehearse(ctx context.Context) error {
	d, err := r.directory(r.id)
	if err != nil {
		return err
	}
	return r.read(ctx, r.id, func(tx *store.Tx, row store.Authority) error {
		s, err := r.seen(tx, d)
		if err == nil {
			err = r.decide(tx, row, s)
		}
		return err
	})
}

func (r *reissuer) setting() string { return "reissue:" + string(r.id) }

// decide finds out where the floor goes, whether an unfinished reissue goes on, and
// whose keys are lost. It changes nothing in the store.
func (r *reissuer) decide(tx *store.Tx, row store.Authority, s serial.Seen) error {
	before := max(row.Counter.MergedFloor(s), 1)
	left, err := r.left(tx)
	if err != nil {
		return err
	}
	r.begun = ReissueBegun{Before: before, After: before}
	if left.to == before && left.request == r.request() && r.sameTarget(left) {
		r.state, r.begun.Resumed = left, left.begun
		return r.findLost(tx)
	}
	counter, err := raise(row.Counter, s, r.req.SetMin)
	if err != nil {
		return err
	}
	r.begun.After = counter.Floor
	r.state = unfinished{r.request(), r.target(), serial.Number(before), counter.Floor, r.now()}
	for _, n := range []serial.Number{left.from, r.req.From} {
		if n != 0 {
			r.state.from = min(r.state.from, n)
		}
	}
	return r.findLost(tx)
}

// left returns what an unfinished reissue left, if any certificate of its time can be
// alive.
func (r *reissuer) left(tx *store.Tx) (unfinished, error) {
	text, err := tx.Setting(r.setting())
	if fault.KindOf(err) == fault.NotFound {
		return unfinished{}, nil
	}
	if err != nil {
		return unfinished{}, err
	}
	u, err := parseUnfinished(text)
	if r.now().Sub(u.begun) > longestLife(r.id) {
		return unfinished{}, err
	}
	return u, err
}

// request tells one request from another, but for the floor.
func (r *reissuer) request() (sum [16]byte) {
	serials := slices.Sorted(slices.Values(r.req.LostSerials))
	var names []string
	for _, n := range r.req.LostNames {
		names = append(names, profile.FoldName(n))
	}
	slices.Sort(names)
	h := sha256.Sum256(fmt.Appendf(nil, "%q\n%v\n%q\n%v\n%v\n", r.req.Destination, serials, names, r.req.From, r.req.Lifetime))
	copy(sum[:], h[:])
	return sum
}

func (r *reissuer) target() string {
	switch r.req.SetMin.To {
	case MinLast:
		return "last"
	case MinNext:
		return "next"
	case MinNumber:
	}
	return r.req.SetMin.Number.String()
}

// sameTarget reports whether the request can mean the floor of u: it is asked for in the
// same way, or by its number.
func (r *reissuer) sameTarget(u unfinished) bool {
	return r.target() == u.target || r.byNumber(u)
}

func (r *reissuer) byNumber(u unfinished) bool {
	return r.req.SetMin.To == MinNumber && r.req.SetMin.Number == serial.Number(u.to)
}

// finish forgets the reissue, unless another one has taken its place.
func (r *reissuer) finish(ctx context.Context) error {
	return r.change(ctx, r.id, func(tx *store.Tx, _ *authority.Locked, _ store.Authority) error {
		text, err := tx.Setting(r.setting())
		if fault.KindOf(err) == fault.NotFound || err == nil && text != r.state.String() {
			return nil
		}
		if err != nil {
			return err
		}
		return tx.DeleteSetting(r.setting())
	})
}
